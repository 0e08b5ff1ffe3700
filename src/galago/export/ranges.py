"""How close the attention of a network comes to the largest float16 number, as trained and as
exported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from galago.export.rewrite.attention import capture_qkv, deploy_attention
from galago.export.rewrite.deploy import DeployedNetwork
from galago.models.inference import normalize
from galago.models.layers import fold_norms
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec
from galago.verification.float16_overflow import FLOAT16_MAX

STEPS = ("q", "k", "v", "sum of k", "sum of v k^T", "divisor", "dividend", "quotient")
SIZES = ((512, 1024), (1024, 2048), (2048, 4096))  # (height, width) of the images to measure on
SEED = 0  # of the synthetic scenes; the scales come from another one


@dataclass(frozen=True)
class AttentionRange:
    """The largest absolute value of every step of one attention, on one image.

    Infinite where a step overflows.

    Attributes:
        layer: name of the module.
        tokens: L, pixels of its map.
        largest: step to value, in order of computation.
    """

    layer: str
    tokens: int
    largest: Mapping[str, float]

    @property
    def headroom(self) -> float:
        """How many times larger the largest value could be before float16 overflows.

        Below 1 it does.
        """
        return FLOAT16_MAX / max(self.largest.values())


@torch.no_grad()
def attention_ranges(network: nn.Module, image: Tensor) -> list[AttentionRange]:
    """Return the range of every DeployedAttention of a network on an image, in order of
    computation.
    """
    ranges = []
    for name, (module, tokens) in capture_qkv(network, image).items():
        steps = (*tokens, *module.mix(*tokens))
        largest = {step: float(value.abs().max()) for step, value in zip(STEPS, steps, strict=True)}
        ranges.append(AttentionRange(name, tokens[0].shape[-1], largest))
    return ranges


@dataclass(frozen=True)
class RangeRow:
    """One attention on an image of one size.

    Attributes:
        size: (height, width) of the image.
        trained: with the tokens of training.
        exported: with the scales of export/rewrite/attention.py.
    """

    size: tuple[int, int]
    trained: AttentionRange
    exported: AttentionRange

    def to_dict(self) -> dict[str, object]:
        """Return the row for JSON."""
        variants = {"trained": self.trained, "exported": self.exported}
        values = {
            name: {"headroom": measured.headroom, "largest": dict(measured.largest)}
            for name, measured in variants.items()
        }
        return {
            "size": self.size,
            "layer": self.trained.layer,
            "tokens": self.trained.tokens,
            **values,
        }


@torch.no_grad()
def measure_ranges(
    network: nn.Module,
    deployed: DeployedNetwork,
    spec: ModelSpec,
    sizes: Sequence[tuple[int, int]] | None = None,
) -> list[RangeRow]:
    """Measure every attention of a network as trained and as exported, on synthetic scenes.

    Args:
        network: a trained segmentation network; left as it is.
        deployed: the same one as it is exported, in float32.
        spec: mean and std.
        sizes: (height, width) of the images, multiples of 32; default: `SIZES`.
    Returns:
        for each size, a row for each attention in order of computation.
    """
    trained = deploy_attention(fold_norms(network))
    rows = []
    for size in sizes or SIZES:
        image = torch.from_numpy(render_scene(SEED, size).image[None])
        planes = normalize(image.permute(0, 3, 1, 2), spec.mean, spec.std)
        before = attention_ranges(trained, planes)
        after = attention_ranges(deployed.network, planes)
        rows += [RangeRow(size, *pair) for pair in zip(before, after, strict=True)]
    return rows


def range_table(rows: Sequence[RangeRow]) -> str:
    """Return headroom by attention and size in Markdown, as trained and as exported.

    Below 1 float16 overflows.
    """
    sizes = list(dict.fromkeys(row.size for row in rows))
    cells: dict[str, dict[tuple[int, int], str]] = {}
    for row in rows:
        cells.setdefault(row.trained.layer, {})[row.size] = (
            f"{row.trained.headroom:.2g} -> {row.exported.headroom:.3g}"
        )
    heads = ["attention", *("{} x {}".format(*size) for size in sizes)]
    lines = [heads, ["---"] * len(heads)]
    lines += [[layer, *(by_size[size] for size in sizes)] for layer, by_size in cells.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
