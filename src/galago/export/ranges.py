"""How near the attention of a network comes to the largest float16 number, as trained and as
exported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from galago.export.rewrite.attention import capture_qkv, deploy_attention
from galago.export.rewrite.deploy import DeployedNetwork
from galago.models.layers import fold_norms
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec

FLOAT16_MAX = 65504.0
STEPS = ("q", "k", "v", "sum of k", "sum of v k^T", "divisor", "dividend", "quotient")
SIZES = ((512, 1024), (1024, 2048), (2048, 4096))  # (height, width) of the photos to measure on
SEED = 0  # of the drawn photos; the scales come from another one


@dataclass(frozen=True)
class AttentionRange:
    """The largest absolute value of every step of one attention, on one photo.

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
def attention_ranges(network: nn.Module, photo: Tensor) -> list[AttentionRange]:
    """Measure the range of every DeployedAttention of a network on a photo, in order of
    computation.
    """
    ranges = []
    for name, (module, tokens) in capture_qkv(network, photo).items():
        steps = (*tokens, *module.mix(*tokens))
        largest = {step: float(value.abs().max()) for step, value in zip(STEPS, steps, strict=True)}
        ranges.append(AttentionRange(name, tokens[0].shape[-1], largest))
    return ranges


@dataclass(frozen=True)
class RangeRow:
    """One attention on a photo of one size.

    Attributes:
        size: (height, width) of the photo.
        trained: with the tokens of training.
        exported: with the scales of export/rewrite/attention.py.
    """

    size: tuple[int, int]
    trained: AttentionRange
    exported: AttentionRange

    def facts(self) -> dict[str, object]:
        """Return all of it for JSON."""
        forms = {"trained": self.trained, "exported": self.exported}
        values = {
            name: {"headroom": form.headroom, "largest": dict(form.largest)}
            for name, form in forms.items()
        }
        return {
            "size": self.size,
            "layer": self.trained.layer,
            "tokens": self.trained.tokens,
            **values,
        }


@torch.no_grad()
def measure_ranges(
    network: nn.Module, spec: ModelSpec, sizes: Sequence[tuple[int, int]] | None = None
) -> list[RangeRow]:
    """Measure every attention of a network as trained and as exported, on drawn photos.

    Args:
        network: a trained segmentation network; left as it is.
        spec: mean and std.
        sizes: (height, width) of the photos, multiples of 32; `SIZES` without them.
    Returns:
        for each size, a row for each attention in order of computation.
    """
    trained = deploy_attention(fold_norms(network))
    exported = DeployedNetwork(network, spec).network
    rows = []
    for size in sizes or SIZES:
        planes = normalize(render_scene(SEED, size).image, spec)
        pairs = zip(
            attention_ranges(trained, planes), attention_ranges(exported, planes), strict=True
        )
        rows += [RangeRow(size, before, after) for before, after in pairs]
    return rows


def normalize(photo: np.ndarray, spec: ModelSpec) -> Tensor:
    """Turn a photo, (H, W, 3) uint8 RGB, into (1, 3, H, W) float32 as the network takes it."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
    return (torch.from_numpy(photo).permute(2, 0, 1)[None] / 255 - mean) / std


def range_table(rows: Sequence[RangeRow]) -> str:
    """Return headroom by attention and size in Markdown: as trained, then as exported.

    Below 1, float16 overflows.
    """
    sizes = list(dict.fromkeys(row.size for row in rows))
    cells: dict[str, dict[tuple[int, int], str]] = {}
    for row in rows:
        cells.setdefault(row.trained.layer, {})[row.size] = (
            f"{row.trained.headroom:.2g} -> {row.exported.headroom:.3g}"
        )
    head = [
        "| attention | " + " | ".join("{} x {}".format(*size) for size in sizes) + " |",
        "|---" * (1 + len(sizes)) + "|",
    ]
    return "\n".join(
        head
        + [
            f"| {layer} | " + " | ".join(by_size[size] for size in sizes) + " |"
            for layer, by_size in cells.items()
        ]
    )
