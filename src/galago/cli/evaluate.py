"""galago val: score a model on labeled photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from galago.cli.setting import MODEL_HELP, SETTING_HELP, SIZE_HELP, open_segmenter

if TYPE_CHECKING:
    from galago.data import Dataset
    from galago.evaluation import Scores
    from galago.runtime.segmenter import Segmenter
    from galago.spec import ModelSpec


def val(
    data: Annotated[str, typer.Option(help="Data set: folder or YAML file.")],
    model: Annotated[str | None, typer.Option(help=f"{MODEL_HELP} A .safetensors checkpoint, too.")] = None,
    split: Annotated[str, typer.Option(help="Part of the data set: train, val or test.")] = "val",
    engine: Annotated[str, typer.Option(help="What runs an exported model.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of the engine; it decides itself without this.")] = None,
    half: Annotated[bool, typer.Option("--half", help="Run in half precision.")] = False,
    imgsz: Annotated[str | None, typer.Option(help=SIZE_HELP, metavar="H [W]")] = None,
    setting: Annotated[Path | None, typer.Option(help=SETTING_HELP)] = None,
    out: Annotated[Path, typer.Option(help="Folder for metrics.json and confusion.png.")] = Path("runs/val"),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Score a model on labeled photos: IoU of each class, mean IoU, accuracies, confusion matrix."""
    from galago.data import open_dataset

    dataset = open_dataset(data, split)
    if model and model.endswith(".safetensors"):
        segmenter = open_checkpoint(Path(model), plain=engine in ("auto", "torch") and not any((threads, half, imgsz, setting)))
    else:
        segmenter = open_segmenter(model, engine=engine, threads=threads, half=half, imgsz=imgsz, setting=setting)
    scores = score(segmenter, dataset)
    scores.save(out)
    show(scores, f"{segmenter.spec.name} on the {len(dataset)} photos of {data}, {split}", to_stderr=json)
    typer.echo(f"Saved: {out / 'metrics.json'}, {out / 'confusion.png'}", err=json)
    if json:
        from json import dumps

        summary = scores.summary()
        del summary["confusion"]  # stands in metrics.json
        typer.echo(
            dumps(
                {"model": model or segmenter.spec.name, "data": data, "split": split, "photos": len(dataset), "out": str(out)}
                | summary
            )
        )


def open_checkpoint(path: Path, *, plain: bool) -> "Segmenter":
    """Open a checkpoint of the training, which runs in torch and in float32 only.

    Args:
        path: the .safetensors file.
        plain: whether no flag asks for something else.
    Raises:
        ConfigError: one does.
    """
    from galago.errors import ConfigError, require

    if not plain:
        raise ConfigError(
            "A checkpoint runs in torch as it was trained. Use --engine, --threads, --half, --imgsz and --setting with an "
            "exported model."
        )
    require("torch", "train")
    from galago.export.reference import load_reference

    return load_reference(path)


def check_classes(spec: "ModelSpec", dataset: "Dataset") -> None:
    """Refuse to score a model on labels that it does not know.

    Raises:
        ConfigError: the model knows other classes than the data set.
    """
    from galago.errors import ConfigError

    if spec.classes != dataset.labels.names:
        raise ConfigError(
            f"The model {spec.name} knows the classes {', '.join(spec.classes)}, but the data set has "
            f"{', '.join(dataset.labels.names)}. Use a model trained for these, or name them alike in the data set's YAML."
        )


def score(segmenter: "Segmenter", dataset: "Dataset") -> "Scores":
    """Evaluate with a progress bar on standard error.

    Raises:
        ConfigError: the model knows other classes than the data set.
    """
    from rich.console import Console
    from rich.progress import Progress

    from galago.evaluation import evaluate

    check_classes(segmenter.spec, dataset)
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
