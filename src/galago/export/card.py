"""CARD.md: what a model is, what it was made from, and how good it is."""

from pathlib import Path
from typing import Any

from torch import nn

from galago._core.markdown import plain
from galago.spec import ModelSpec

CARD = """# {name}

EfficientViT-{variant} for semantic segmentation with {num_classes} classes:
{parameters:,} parameters, {precision}.

- Input: (1, H, W, 3) uint8 RGB{size}; normalization is inside the file.
- Output: {output}

## How good it is

{scores}

{ranges}{int8}## How it was made

{training}

## Licenses

{licenses}

Network: Cai et al., "EfficientViT: Lightweight Multi-Scale Attention for High-Resolution Dense
Prediction", ICCV 2023, arXiv:2205.14756.
"""


OUTPUTS = {
    "logits": (
        "logits at 1/{stride} of the input size; `galago.load` brings them to the photo's own size "
        "({upsampling})."
    ),
    "labels": (
        "labels, (1, H, W) uint8, at the input size ({upsampling} upsampling and argmax are in the "
        "file)."
    ),
}


def write_card(path: Path, network: nn.Module, spec: ModelSpec, facts: dict[str, Any]) -> None:
    """Write the card of a model.

    Args:
        path: file to write.
        network: counted for its parameters.
        spec: its description.
        facts: all optional: `scores` (of evaluation.Scores.summary), `run` (the content of
            run.json; `remarks`, Markdown, if somebody added them), `published` (of
            pretrained.convert), `ranges` and `int8` (tables in Markdown).
    """
    published = facts.get("published")
    size = "{} x {}".format(*spec.input_size) if spec.input_size else "H and W any multiples of 32"
    licenses = [f"- {plain(what)}: {plain(line)}" for what, line in spec.licenses.items()]
    card = CARD.format(
        name=plain(spec.name),
        variant=spec.variant.upper(),
        num_classes=spec.num_classes,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        precision=spec.precision,
        size=f", {size}",
        output=OUTPUTS[spec.output].format(stride=spec.output_stride, upsampling=spec.upsampling),
        scores=_scores(facts.get("scores"), published),
        ranges=_ranges(facts.get("ranges")),
        int8=_int8(facts.get("int8")),
        training=_training(facts.get("run"), published),
        licenses="\n".join(licenses) or "- not stated",
    )
    path.write_bytes(card.encode("utf-8", "backslashreplace"))


def _scores(scores: dict[str, Any] | None, published: dict[str, Any] | None) -> str:
    if published is not None:
        size = "{} x {}".format(*published["size"])
        return (
            f"Published: {published['metric']} {published['score']} % on {published['data']} val "
            f"at {size}. Not measured by galago; `galago val --protocol "
            f"{published['data'].lower()}` uses the authors' protocol."
        )
    if scores is None:
        return "Not measured on labeled photos. `galago val DATA --model FOLDER` does that."
    rows = []
    for row in scores["classes"]:
        iou = "n/a" if row["iou"] is None else f"{row['iou']:.3f}"
        rows.append(f"| {plain(row['name'])} | {iou} |")
    head = f"Mean IoU **{scores['mean_iou']:.4f}**, pixel accuracy {scores['pixel_accuracy']:.4f}"
    lines = [f"{head} on the validation split, one scale, no flip.", ""]
    return "\n".join([*lines, "| class | IoU |", "|---|---|", *rows])


def _ranges(table: str | None) -> str:
    if table is None:
        return ""
    return f"""## Headroom in float16

How many times larger the largest value of each attention could be before float16 overflows, as
trained -> as exported, on synthetic scenes of three sizes; below 1 it overflows. `ranges.json` has
every number.

{table}

"""


def _int8(table: str | None) -> str:
    if table is None:
        return ""
    return f"""## What int8 costs

Measured on labeled photos in the engine named. Size is that of all files of a format relative to
float32. The quotient of the attention stays in float everywhere.

{table}

"""


def _training(run: dict[str, Any] | None, published: dict[str, Any] | None) -> str:
    if published is not None:
        return (
            "By EfficientViT's authors. Converted by galago from "
            f"{published['repo']}/{published['file']}, revision "
            f"{published['revision']}, SHA-256 {published['sha256']}."
        )
    if run is None:
        return "Not recorded."
    # galago 0.1 counted "photos"; published runs have no counts
    images = next((key for key in ("images", "photos") if f"train_{key}" in run), None)
    settings = "\n".join(
        f"| {plain(name)} | {plain(value)} |" for name, value in run["config"].items()
    )
    counts = (
        f" ({run[f'train_{images}']} photos, {run[f'val_{images}']} for validation)"
        if images
        else ""
    )
    start = f"Started from: {plain(run['weights'] or 'random weights')}."
    lines = [
        f"Data: {plain(run['data'])}{counts}. {start} Commit {run['commit'] or 'unknown'}.",
        "",
        "| setting | value |",
        "|---|---|",
        settings,
    ]
    return "\n".join(lines) + (f"\n\n{run['remarks']}" if "remarks" in run else "")
