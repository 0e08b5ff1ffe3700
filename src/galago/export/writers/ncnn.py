"""A network for ncnn: model.ncnn.param, the graph as text, and model.ncnn.bin, its weights."""

import copy
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

# two that differ in both sides, from which the converter sees that sizes are free
TRACED_SIZES = ((96, 128), (160, 64))
# activation type of ncnn's convolutions; its two numbers follow as parameter 10
FUSED_HARDSWISH = "9=6"
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")


class PlanarNetwork(nn.Module):
    """A deployed network for (1, 3, H, W) float32 of 0 to 255, which ncnn makes from pixels.

    Normalization is its first layer.
    """

    def __init__(self, deployed: DeployedNetwork) -> None:
        super().__init__()
        self.normalize = nn.Conv2d(3, 3, 1, groups=3)
        with torch.no_grad():
            self.normalize.weight.copy_(1 / deployed.std[:, None])
            assert self.normalize.bias is not None
            self.normalize.bias.copy_((-deployed.mean / deployed.std).flatten())
        self.network = copy.deepcopy(deployed.network)
        replace_modules(
            self.network, BicubicUpsample, lambda upsample: NativeBicubic(upsample.factor)
        )

    def forward(self, planes: Tensor) -> Tensor:
        """Map (1, 3, H, W) float32, H and W multiples of 32, to logits (1, K, H / 8, W / 8)."""
        logits: Tensor = self.network(self.normalize(planes))
        return logits


class NativeBicubic(nn.Module):
    """BicubicUpsample through the native operator, which ncnn runs fast."""

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


def write_ncnn(deployed: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write a network for ncnn: input `in0` (3, H, W) float32 of 0 to 255, output `out0` (K, H / 8,
    W / 8) float32 logits.

    The files take H and W of any multiples of 32.

    Args:
        deployed: the network; left as it is.
        spec: not used: ncnn files have one precision, one output and no metadata.
        path: the .ncnn.param file to write; the .ncnn.bin file is written beside it.
    Raises:
        MissingDependencyError: the converter is not installed.
        ModelError: the converter fails.
    """
    converter = require("pnnx", "export-ncnn").EXEC_PATH
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            PlanarNetwork(deployed).eval(),
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
        path.with_suffix(".bin").write_bytes((Path(temporary) / "model.ncnn.bin").read_bytes())


def optimize_graph(text: str) -> str:
    """Return a graph that computes the same numbers faster.

    A Hardswish is fused into the convolution before it, which saves a memory pass. Attention's
    result, (heads, D, L), is reshaped to (C, H, W) by way of (C, L): directly, ncnn copies single
    elements, 18 ms instead of 1 for b0 at 512 x 1024.
    """
    magic, _, *lines = text.splitlines()
    rows = [line.split() for line in lines]
    readers: dict[str, list[list[str]]] = {}
    for row in rows:
        for blob in _inputs(row):
            readers.setdefault(blob, []).append(row)
    optimized: list[list[str]] = []
    fused: list[list[str]] = []
    for row in rows:
        if any(row is other for other in fused):
            continue
        followers = readers.get(_outputs(row)[0], []) if _outputs(row) else []
        if row[0] in CONVOLUTIONS and len(followers) == 1 and followers[0][0] == "HardSwish":
            fused += followers
            row = _fuse_hardswish(row, followers[0])
        if row[0] == "Reshape" and row[2] == "2":  # to the size of another map
            channels = row[-1].rstrip('"').split(",")[2]
            flat = f"{row[1]}_flat"
            optimized.append(["Reshape", flat, "1", "1", row[4], flat, f'6="0w,{channels}"'])
            row = [*row[:4], flat, *row[5:]]
        optimized.append(row)
    blobs = {blob for row in optimized for blob in _outputs(row)}
    header = [magic, f"{len(optimized)} {len(blobs)}"]
    return "\n".join([*header, *(" ".join(row) for row in optimized)]) + "\n"


def _fuse_hardswish(convolution: list[str], hardswish: list[str]) -> list[str]:
    """Return a convolution with the activation of the layer that follows it."""
    slope, offset = (parameter.partition("=")[2] for parameter in hardswish[6:8])
    activation = [FUSED_HARDSWISH, f"-23310=2,{slope},{offset}"]
    return [*convolution[:5], *_outputs(hardswish), *convolution[6:], *activation]


def _inputs(row: list[str]) -> list[str]:
    """Return the blobs that a layer reads.

    A row is kind, name, number of inputs, number of outputs, these, parameters.
    """
    return row[4 : 4 + int(row[2])]


def _outputs(row: list[str]) -> list[str]:
    """Return the blobs that a layer writes."""
    start = 4 + int(row[2])
    return row[start : start + int(row[3])]
