"""CoreML as far as it can be seen without a Mac: interface, operators and weights."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.export.deploy import DeployedNetwork  # noqa: E402
from galago.export.folder import check_replaceable  # noqa: E402
from galago.export.to_coreml import convert  # noqa: E402
from galago.spec import ModelSpec  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.coreml]
OPERATORS = {
    "add", "clip", "concat", "const", "conv", "matmul", "mul", "real_div", "reduce_sum", "relu", "reshape", "sigmoid_hard",
    "slice_by_index", "sub", "thresholded_relu", "transpose",
}  # fmt: skip


@pytest.fixture(scope="module")
def converted(random_network: Callable[..., Any]) -> tuple[Any, DeployedNetwork]:
    """A random network as coremltools' model, and as it was before."""
    pytest.importorskip("coremltools")
    spec = ModelSpec(
        name="doors", variant="b0", classes=("wall", "door", "floor"), palette=((0, 0, 0), (9, 0, 0), (0, 0, 9)),
        input_size=(64, 96), resize="stretch",
    )  # fmt: skip
    return convert(random_network(), spec), DeployedNetwork(random_network(), spec)


def test_input_and_output_are_those_of_the_contract(converted: tuple[Any, DeployedNetwork]):
    description = converted[0].get_spec().description
    (image,), (logits,) = description.input, description.output
    assert (image.name, image.type.imageType.height, image.type.imageType.width) == ("image", 64, 96)
    assert image.type.imageType.colorSpace == image.type.imageType.RGB
    assert (logits.name, list(logits.type.multiArrayType.shape)) == ("logits", [1, 3, 8, 12])
    assert logits.type.multiArrayType.dataType == logits.type.multiArrayType.FLOAT32


def test_it_holds_no_operator_but_plain_ones(converted: tuple[Any, DeployedNetwork]):
    kinds = Counter(operator.op_type for operator in converted[0]._mil_program.functions["main"].operations)
    assert kinds.keys() <= OPERATORS
    assert not [kind for kind in kinds if "resize" in kind or "upsample" in kind]


def test_every_convolution_has_the_weights_of_torch(converted: tuple[Any, DeployedNetwork]):
    operations = converted[0]._mil_program.functions["main"].operations
    given = Counter(fingerprint(operation.weight.val) for operation in operations if operation.op_type == "conv")
    expected = Counter(
        fingerprint(part.weight.detach().numpy()) for part in converted[1].modules() if isinstance(part, torch.nn.Conv2d)
    )
    assert expected.total() > 70
    assert not expected - given


def fingerprint(weight: np.ndarray) -> tuple[Any, ...]:
    return (weight.shape, *(float(f"{value:.4e}") for value in (weight.sum(), np.abs(weight).sum())))


def test_a_folder_with_a_package_can_be_replaced(tmp_path: Path):
    (tmp_path / "model.mlpackage/Data").mkdir(parents=True)
    (tmp_path / "model.mlpackage/Data/weight.bin").touch()
    (tmp_path / "model.json").touch()
    check_replaceable(tmp_path)
