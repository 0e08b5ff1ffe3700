"""A network as ncnn's pair of files: model.ncnn.param, the graph as text, and model.ncnn.bin, its
weights.
"""

import subprocess
import tempfile
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from galago.errors import ModelError, require
from galago.export.rewrite.deploy import DeployedNetwork
from galago.models.layers import replace_modules
from galago.models.upsample import BicubicUpsample
from galago.spec import ModelSpec

TRACED_SIZES = (
    (96, 128),
    (160, 64),
)  # two that differ in everything, from which the converter sees that sizes are free
FUSED_HARDSWISH = (
    "9=6"  # activation type of ncnn's convolutions; its two numbers follow as parameter 10
)
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")


class PlanarNetwork(nn.Module):
    """A trained network for (1, 3, H, W) float32 of 0 to 255, as ncnn makes it from pixels.

    Normalization is its first layer.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        deployed = DeployedNetwork(network, spec)
        self.normalize = nn.Conv2d(3, 3, 1, groups=3)
        with torch.no_grad():
            self.normalize.weight.copy_(1 / deployed.deviation[:, None])
            assert self.normalize.bias is not None
            self.normalize.bias.copy_((-deployed.mean / deployed.deviation).flatten())
        self.network = deployed.network
        replace_modules(
            self.network, BicubicUpsample, lambda upsample: NativeBicubic(upsample.factor)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map (1, 3, H, W) float32, H and W multiples of 32, to logits (1, K, H / 8, W / 8)."""
        logits: Tensor = self.network(self.normalize(image))
        return logits


class NativeBicubic(nn.Module):
    """The same numbers as BicubicUpsample through the operator, which ncnn has and runs fast."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, factor H, factor W)."""
        if self.factor == 1:
            return x
        return F.interpolate(
            x, scale_factor=float(self.factor), mode="bicubic", align_corners=False
        )


def to_ncnn(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write a network for ncnn: input `in0` (3, H, W) float32 of 0 to 255, output `out0` (K, H / 8,
    W / 8) float32 logits.

    The files take H and W of any multiples of 32.

    Args:
        network: a segmentation network; left as it is.
        spec: mean and std.
        path: the .ncnn.param file to write; the .ncnn.bin file lies beside it.
    Raises:
        MissingDependencyError: the converter is not installed.
        ModelError: the converter fails.
    """
    converter = require("pnnx", "export-ncnn").EXEC_PATH
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is old, and says so
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            PlanarNetwork(network, spec).eval(),
            torch.zeros(1, 3, *TRACED_SIZES[0]),
            check_trace=False,
        )
        traced.save(f"{temporary}/model.pt")
        first, second = (f"[1,3,{height},{width}]f32" for height, width in TRACED_SIZES)
        command = [converter, "model.pt", f"inputshape={first}", f"inputshape2={second}", "fp16=0"]
        done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
        graph = Path(temporary) / "model.ncnn.param"
        if done.returncode or not graph.is_file():
            raise ModelError(
                f"pnnx cannot convert the network: {(done.stderr or done.stdout).strip()[-300:]}"
            )
        path.write_text(optimize_graph(graph.read_text()))
        weights_file(path).write_bytes((Path(temporary) / "model.ncnn.bin").read_bytes())


def weights_file(path: Path) -> Path:
    """Return the .bin file of a .param file."""
    return path.with_suffix(".bin")


def optimize_graph(text: str) -> str:
    """Rewrite a graph into one of the same numbers that runs faster.

    A Hardswish becomes part of the convolution before it, which saves a walk through memory.
    Attention's result, (heads, D, L), becomes (C, H, W) by way of (C, L): at once, ncnn takes a
    path of single elements, 18 ms instead of 1 for b0 at 512 x 1024.
    """
    magic, _, *lines = text.splitlines()
    rows = [line.split() for line in lines]
    readers: dict[str, list[list[str]]] = {}
    for row in rows:
        for blob in inputs(row):
            readers.setdefault(blob, []).append(row)
    improved: list[list[str]] = []
    gone: list[list[str]] = []
    for row in rows:
        if any(row is other for other in gone):
            continue
        after = readers.get(outputs(row)[0], []) if outputs(row) else []
        if row[0] in CONVOLUTIONS and len(after) == 1 and after[0][0] == "HardSwish":
            gone += after
            slope, offset = (parameter.partition("=")[2] for parameter in after[0][6:8])
            row = [
                *row[:5],
                *outputs(after[0]),
                *row[6:],
                FUSED_HARDSWISH,
                f"-23310=2,{slope},{offset}",
            ]
        if row[0] == "Reshape" and row[2] == "2":  # sized as another map
            channels = row[-1].rstrip('"').split(",")[2]
            between = f"{row[1]}_flat"
            improved.append(["Reshape", between, "1", "1", row[4], between, f'6="0w,{channels}"'])
            row = [*row[:4], between, *row[5:]]
        improved.append(row)
    blobs = {blob for row in improved for blob in outputs(row)}
    return (
        "\n".join([magic, f"{len(improved)} {len(blobs)}", *(" ".join(row) for row in improved)])
        + "\n"
    )


def inputs(row: list[str]) -> list[str]:
    """Return the maps that a layer reads.

    A row is kind, name, number of inputs, number of outputs, these, parameters.
    """
    return row[4 : 4 + int(row[2])]


def outputs(row: list[str]) -> list[str]:
    """Return the maps that a layer writes."""
    start = 4 + int(row[2])
    return row[start : start + int(row[3])]
