"""CoreML as far as it can be seen without a Mac: interface and operators of the package, and the
logits that they amount to.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F

from galago.export.folder import check_replaceable
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.coreml import write_coreml
from galago.models.attention import MultiScaleAttention
from galago.models.inference import TorchEngine
from galago.spec import ModelSpec

pytestmark = [pytest.mark.torch, pytest.mark.coreml]
SIZE = (64, 96)
SPEC = ModelSpec(
    name="doors", variant="b0", classes=("wall", "door", "floor"), palette=((0, 0, 0), (9, 0, 0), (0, 0, 9)),
    input_size=SIZE, resize="stretch",
)  # fmt: skip
Tensors = dict[str, Any]  # the inputs of an operator by name, tensors and constants


def convolve(i: Tensors) -> torch.Tensor:
    assert i["pad_type"] in ("valid", "custom")
    top, bottom, left, right = i["pad"] if i["pad_type"] == "custom" else (0, 0, 0, 0)
    x = F.pad(i["x"], (int(left), int(right), int(top), int(bottom)))
    return F.conv2d(
        x,
        i["weight"],
        i.get("bias"),
        i["strides"].tolist(),
        0,
        i["dilations"].tolist(),
        int(i["groups"]),
    )


def slice_by_index(i: Tensors) -> torch.Tensor:
    assert i.get("stride") is None
    assert i.get("squeeze_mask") is None
    starts, stops = (i.get(mask, [False] * len(i["begin"])) for mask in ("begin_mask", "end_mask"))
    ranges = zip(starts, i["begin"], stops, i["end"], strict=True)
    return i["x"][
        tuple(
            slice(None if whole else int(a), None if to_end else int(b))
            for whole, a, to_end, b in ranges
        )
    ]


# What each operator computes: coremltools 9.0, converters/mil/mil/ops/defs. No other may occur,
# resizes and GELU least of all.
OPERATORS: dict[str, Callable[[Tensors], torch.Tensor]] = {
    "add": lambda i: i["x"] + i["y"],
    "cast": lambda i: i["x"].to({"fp16": torch.float16, "fp32": torch.float32}[i["dtype"]]),
    "clip": lambda i: i["x"].clamp(float(i["alpha"]), float(i["beta"])),
    "concat": lambda i: torch.cat(i["values"], int(i["axis"])),
    "conv": convolve,
    "matmul": lambda i: (
        (i["x"].mT if i["transpose_x"] else i["x"]) @ (i["y"].mT if i["transpose_y"] else i["y"])
    ),
    "mul": lambda i: i["x"] * i["y"],
    "real_div": lambda i: i["x"] / i["y"],
    "reduce_sum": lambda i: i["x"].sum(i["axes"].tolist(), keepdim=bool(i["keep_dims"])),
    "relu": lambda i: i["x"].relu(),
    "reshape": lambda i: i["x"].reshape(i["shape"].tolist()),
    "sigmoid": lambda i: i["x"].sigmoid(),
    "sigmoid_hard": lambda i: (float(i["alpha"]) * i["x"] + float(i["beta"])).clamp(0, 1),
    "slice_by_index": slice_by_index,
    "sub": lambda i: i["x"] - i["y"],
    "thresholded_relu": lambda i: torch.where(i["x"] >= float(i["alpha"]), i["x"], 0),
    "transpose": lambda i: i["x"].permute(i["perm"].tolist()),
}
FLOATS = (np.float16, np.float32)


class Package:
    """A .mlpackage, read back from disk, whose program torch computes operator by operator."""

    def __init__(self, path: Path) -> None:
        logging.getLogger("coremltools").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tools = pytest.importorskip("coremltools")
            from coremltools.converters.mil.frontend.milproto.load import load

            model = tools.models.MLModel(str(path), skip_model_load=True)
            self.description = model.get_spec().description
            self.program = load(
                model.get_spec(), model.get_spec().specificationVersion, model.weights_dir
            ).functions["main"]

    def run(self, image: np.ndarray) -> np.ndarray:
        """Map (1, H, W, 3) uint8 RGB to logits."""
        values = {"image": torch.from_numpy(image).float().permute(0, 3, 1, 2)}

        def value(given: Any) -> Any:
            if isinstance(given, (list, tuple)):
                return [value(part) for part in given]
            if given.val is None:
                return values[given.name]
            return (
                torch.from_numpy(given.val)
                if isinstance(given.val, np.ndarray) and given.val.dtype in FLOATS
                else given.val
            )

        for operation in self.program.operations:
            if operation.op_type != "const":
                inputs = {
                    name: value(given)
                    for name, given in operation.inputs.items()
                    if given is not None
                }
                values[operation.outputs[0].name] = OPERATORS[operation.op_type](inputs)
        return values["logits"].numpy()


@pytest.fixture(scope="module")
def package(
    random_network: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Package]:
    """Return a function that gives the package of a random network in a precision."""

    def write(precision: str) -> Package:
        pytest.importorskip("coremltools")
        path = tmp_path_factory.mktemp("coreml") / "model.mlpackage"
        spec = replace(SPEC, precision=precision)
        write_coreml(DeployedNetwork(random_network(), spec), spec, path)
        return Package(path)

    return write


@pytest.mark.parametrize(
    ("precision", "error", "agreement"), [("float32", 1e-4, 0.9999), ("float16", 1e-2, 0.995)]
)
def test_the_package_amounts_to_the_logits_of_torch(
    package: Callable[[str], Package],
    random_network: Callable[..., Any],
    photo: Callable[[int, int], np.ndarray],
    precision: str,
    error: float,
    agreement: float,
):
    written = package(precision)
    (image,), (logits,) = written.description.input, written.description.output
    assert (image.name, image.type.imageType.height, image.type.imageType.width) == ("image", *SIZE)
    assert image.type.imageType.colorSpace == image.type.imageType.RGB
    assert (logits.name, list(logits.type.multiArrayType.shape)) == ("logits", [1, 3, 8, 12])
    assert logits.type.multiArrayType.dataType == logits.type.multiArrayType.FLOAT32
    halves = [
        operation
        for operation in written.program.operations
        if operation.outputs[0].dtype.__name__ == "fp16"
    ]
    assert bool(halves) == (precision == "float16")
    given, expected = (
        written.run(photo(*SIZE)[None]),
        TorchEngine(random_network(), SPEC).run(photo(*SIZE)[None]),
    )
    assert given.dtype == np.float32
    assert np.linalg.norm(given - expected) / np.linalg.norm(expected) < error
    assert (given.argmax(1) == expected.argmax(1)).mean() >= agreement


def test_gelu_stays_in_its_tanh_form(photo: Callable[[int, int], np.ndarray], tmp_path: Path):
    pytest.importorskip("coremltools")
    torch.manual_seed(0)
    stem = torch.nn.Conv2d(3, 16, 8, stride=8)
    network = torch.nn.Sequential(
        stem,
        torch.nn.GELU(approximate="tanh"),
        MultiScaleAttention(16, 8, eps=1e-5),
        torch.nn.Conv2d(16, 3, 1),
    ).eval()
    write_coreml(DeployedNetwork(network, SPEC), SPEC, tmp_path / "model.mlpackage")
    image = photo(*SIZE)[None]
    np.testing.assert_allclose(
        Package(tmp_path / "model.mlpackage").run(image),
        TorchEngine(network, SPEC).run(image),
        atol=1e-5,
    )


def test_a_folder_with_a_package_can_be_replaced(tmp_path: Path):
    (tmp_path / "model.mlpackage/Data").mkdir(parents=True)
    (tmp_path / "model.mlpackage/Data/weight.bin").touch()
    (tmp_path / "model.json").touch()
    check_replaceable(tmp_path)
