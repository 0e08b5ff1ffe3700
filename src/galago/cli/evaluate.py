"""galago val: score a model on labeled photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from galago.data import Dataset
    from galago.evaluation import Scores
    from galago.runtime.segmenter import Segmenter


def val(
    data: Annotated[str, typer.Option(help="Data set: folder or YAML file.")],
    model: Annotated[
        str, typer.Option(help="Model folder, .onnx file, published name, or .safetensors checkpoint.")
    ] = "b0-camvid",
    split: Annotated[str, typer.Option(help="Part of the data set: train, val or test.")] = "val",
    engine: Annotated[str, typer.Option(help="What runs an exported model.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of the engine; it decides itself without this.")] = None,
    half: Annotated[bool, typer.Option("--half", help="Run in half precision.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for metrics.json and confusion.png.")] = Path("runs/val"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Score a model on labeled photos: IoU of each class, mean IoU, accuracies, confusion matrix."""
    from galago.data import open_dataset

    dataset = open_dataset(data, split)
    if model.endswith(".safetensors"):
        segmenter = open_checkpoint(Path(model), engine, threads, half)
    else:
        from galago import load

        segmenter = load(model, engine=engine, threads=threads, half=half)
    scores = score(segmenter, dataset)
    scores.save(out)
    show(scores, f"{segmenter.spec.name} on the {len(dataset)} photos of {data}, {split}", to_stderr=json)
    typer.echo(f"Saved: {out / 'metrics.json'}, {out / 'confusion.png'}", err=json)
    if json:
        from json import dumps

        summary = scores.summary()
        del summary["confusion"]  # stands in metrics.json
        typer.echo(dumps({"model": model, "data": data, "split": split, "photos": len(dataset), "out": str(out)} | summary))


def open_checkpoint(path: Path, engine: str, threads: int | None, half: bool) -> "Segmenter":
    """Open a checkpoint of the training, which runs in torch and in float32 only.

    Raises:
        ConfigError: a flag asks for something else.
    """
    from galago.errors import ConfigError, require

    if engine not in ("auto", "torch") or threads or half:
        raise ConfigError(
            "A checkpoint runs in torch as it was trained. Use --engine, --threads and --half with an exported model."
        )
    require("torch", "train")
    from galago.export.reference import load_reference

    return load_reference(path)


def score(segmenter: "Segmenter", dataset: "Dataset") -> "Scores":
    """Evaluate with a progress bar on standard error.

    Raises:
        ConfigError: the model knows other classes than the data set.
    """
    from rich.console import Console
    from rich.progress import Progress

    from galago.errors import ConfigError
    from galago.evaluation import evaluate

    if segmenter.spec.classes != dataset.labels.names:
        raise ConfigError(
            f"The model {segmenter.spec.name} knows the classes {', '.join(segmenter.spec.classes)}, but the data set has "
            f"{', '.join(dataset.labels.names)}. Use a model trained for these, or name them alike in the data set's YAML."
        )
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Scoring", total=len(dataset))
        return evaluate(lambda image: segmenter(image).labels, dataset, on_sample=lambda sample, guess: progress.advance(task))


def show(scores: "Scores", title: str, *, to_stderr: bool) -> None:
    """Print a table of the classes and the figures of the whole set."""
    from rich.console import Console
    from rich.table import Table

    table = Table("class", title=title, title_justify="left")
    for heading in ("IoU", "accuracy", "Dice", "pixels"):
        table.add_column(heading, justify="right")
    for name, *values, share in zip(scores.names, scores.iou, scores.accuracy, scores.dice, scores.share, strict=True):
        table.add_row(name, *("n/a" if value is None else f"{value:.4f}" for value in values), f"{share:.2%}")
    figures = Table.grid(padding=(0, 2))
    for value, meaning in (
        (scores.mean_iou, "mean IoU over the classes that occur in the ground truth"),
        (scores.mean_iou_all_classes, "mean IoU where a class that is only predicted counts as 0"),
        (scores.pixel_accuracy, "pixel accuracy"),
        (scores.mean_accuracy, "mean accuracy over the classes that occur in the ground truth"),
    ):
        figures.add_row(f"{value:.4f}", meaning)
    console = Console(stderr=to_stderr)
    console.print(table)
    console.print(figures)
