"""galago train: from labeled photos to a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    data: Annotated[str, typer.Option(help="Data set: folder, YAML file, or `scenes:COUNT` for drawn street scenes.")],
    model: Annotated[str, typer.Option(help="Network size: b0 ... b3, l0 ... l3.")] = "b0",
    recipe: Annotated[str, typer.Option(help="How to train: plain, camvid or scenes.")] = "camvid",
    weights: Annotated[Path | None, typer.Option(help="Checkpoint to start from; random weights without it.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/train"),
    epochs: Annotated[int | None, typer.Option(help="Passes over the photos; the recipe's number without it.")] = None,
    batch: Annotated[int | None, typer.Option(help="Photos per step.")] = None,
    imgsz: Annotated[tuple[int, int] | None, typer.Option(help="Height and width of the training crop, multiples of 32.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read photos.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the network.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    leave_out: Annotated[str | None, typer.Option(help="Validate on the training photos whose name starts with this, train on the rest.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the state in --out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Train a network on labeled photos and keep the best and the last weights."""
