"""galago val: score a model on labeled photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from galago.cli._options import (
    ENGINE_HELP,
    JSON_HELP,
    MODEL_HELP,
    PRECISION_HELP,
    PROFILE_HELP,
    SIZE_HELP,
    SPLIT_HELP,
    THREADS_HELP,
    Precision,
    open_segmenter,
)
from galago.cli._scoring import (
    apply_protocol,
    check_plain,
    describe,
    make_predict_fn,
    read_tta_config,
)

if TYPE_CHECKING:
    from galago.data import Dataset
    from galago.evaluation import Evaluation, TTAConfig
    from galago.runtime.segmenter import Segmenter

SLIDE_HELP = "Run the network on sliding windows of this size."
STRIDE_HELP = "Step from one window to the next (default: two thirds of a window)."
SCALES_HELP = "Average over several sizes of an image, for example 0.5,1,1.5."


def val(
    data: Annotated[str, typer.Argument(help="Data set: folder or YAML file.", metavar="DATA")],
    model: Annotated[
        str | None, typer.Option(help=f"{MODEL_HELP} A .safetensors checkpoint, too.")
    ] = None,
    split: Annotated[str, typer.Option(help=SPLIT_HELP)] = "val",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "auto",
    threads: Annotated[int | None, typer.Option(help=THREADS_HELP)] = None,
    precision: Annotated[Precision, typer.Option(help=PRECISION_HELP)] = "auto",
    imgsz: Annotated[str | None, typer.Option(help=SIZE_HELP, metavar="H [W]")] = None,
    profile: Annotated[Path | None, typer.Option(help=PROFILE_HELP)] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Measure as the authors do: cityscapes or ade20k.")
    ] = None,
    slide: Annotated[str | None, typer.Option(help=SLIDE_HELP, metavar="H [W]")] = None,
    stride: Annotated[str | None, typer.Option(help=STRIDE_HELP, metavar="H [W]")] = None,
    scales: Annotated[str | None, typer.Option(help=SCALES_HELP)] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored photo.")] = False,
    boundary: Annotated[bool, typer.Option("--boundary", help="Boundary IoU, too.")] = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Calibration error, too.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder for metrics.json, confusion.png and report.html.")
    ] = Path("runs/val"),
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Score a model on labeled photos: IoU per class, mean IoU, accuracies, confusion matrix."""
    from galago._core.printable import printable
    from galago.cli._console import print_json, say
    from galago.cli._pages import write_page
    from galago.data import open_dataset
    from galago.evaluation.evaluate import check_classes
    from galago.evaluation.report import draw_page, save_scores

    dataset = open_dataset(data, split)
    if model and model.endswith(".safetensors"):
        segmenter = open_checkpoint(
            Path(model),
            plain=engine in ("auto", "torch")
            and precision in ("auto", "float32")
            and not any((threads, imgsz, profile)),
        )
    else:
        segmenter = open_segmenter(
            model,
            engine=engine,
            threads=threads,
            precision=precision,
            imgsz=imgsz,
            profile=profile,
        )
    check_classes(segmenter.spec.name, segmenter.spec.classes, dataset)
    tta = read_tta_config(slide, stride, scales, flip)
    if protocol:
        check_plain(tta)
        segmenter = apply_protocol(segmenter, protocol, dataset.label_set)
    result = score(segmenter, dataset, tta, boundary=boundary, calibration=calibration)
    shown = {
        "model": model or segmenter.spec.name,
        "data": data,
        "split": split,
        "photos": len(dataset),
    }
    flags = {
        "engine": engine,
        "precision": precision,
        "imgsz": imgsz,
        "profile": str(profile) if profile else None,
    }
    how = describe(tta, protocol)
    title = (
        f"{printable(segmenter.spec.name)} on the {len(dataset)} photos of {printable(data)}, "
        f"{split}: {how['how']}"
    )
    setup = shown | flags | how
    files = save_scores(result, out, setup)
    files += write_page(out / "report.html", lambda: draw_page(result, title=title, setup=setup))
    show(result, title, to_stderr=json)
    beside = compare(segmenter.spec.name, protocol, result.scores.mean_iou)
    if beside:
        line = (
            "published {published:.3f}, measured {measured:.3f}, difference {difference:+.3f} "
            "(mean IoU in percent)"
        )
        say(f"{segmenter.spec.name}: {line.format(**beside)}", err=json)
    say(f"Saved: {', '.join(map(str, files))}", err=json)
    if json:
        summary = result.summary()
        del summary["confusion"]  # stands in metrics.json
        print_json(shown | {"out": str(out), "setup": flags | how, "published": beside} | summary)


def compare(name: str, protocol: str | None, mean_iou: float) -> dict[str, float] | None:
    """Put a measured mean IoU beside the published one, in percent.

    None unless a protocol and its model were used.

    Args:
        name: of the model.
        protocol: by which it was measured.
        mean_iou: 0 to 1.
    """
    from galago.pretrained.table import PUBLISHED

    published = PUBLISHED.get(name)
    if published is None or published.score is None or published.data.lower() != protocol:
        return None
    return {
        "published": published.score,
        "measured": 100 * mean_iou,
        "difference": 100 * mean_iou - published.score,
    }


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
            "A checkpoint runs in torch as it was trained. Use --engine, --threads, "
            "--precision, --imgsz and --profile with an exported model."
        )
    require("torch", "train")
    from galago.export.reference import load_reference

    return load_reference(path)


def score(
    segmenter: "Segmenter",
    dataset: "Dataset",
    tta: "TTAConfig",
    *,
    boundary: bool = False,
    calibration: bool = False,
) -> "Evaluation":
    """Examine with a progress bar on standard error.

    Raises:
        ConfigError: views or calibration need logits, and the model gives labels.
    """
    from galago.cli._progress import counting_bar
    from galago.evaluation import evaluate_full

    predict = make_predict_fn(segmenter, tta, confidence=calibration)
    with counting_bar("Scoring", len(dataset)) as (advance, _):
        return evaluate_full(
            predict, dataset, boundary=boundary, calibration=calibration, on_sample=advance
        )


def show(result: "Evaluation", title: str, *, to_stderr: bool) -> None:
    """Print a table of the classes and the figures of the whole set."""
    from galago.cli._console import Table

    scores, outlines = result.scores, result.boundary
    columns = {
        "IoU": scores.iou,
        **({"boundary": outlines.iou} if outlines else {}),
        "accuracy": scores.accuracy,
        "Dice": scores.dice,
    }
    table = Table(title=title)
    table.add_column("class")
    for heading in (*columns, "pixels"):
        table.add_column(heading, right=True)
    for name, *values, share in zip(scores.names, *columns.values(), scores.share, strict=True):
        table.add_row(
            name, *("n/a" if value is None else f"{value:.4f}" for value in values), f"{share:.2%}"
        )
    for found, iou, accuracy, share in zip(
        scores.sets, scores.set_iou, scores.set_accuracy, scores.set_share, strict=True
    ):
        cells = {"IoU": iou, "accuracy": accuracy}
        shown = (
            "" if name not in cells else "n/a" if cells[name] is None else f"{cells[name]:.4f}"
            for name in columns
        )
        classes = " or ".join(scores.names[index] for index in found.classes)
        table.add_row(f"{found.name} = {classes}", *shown, f"{share:.2%}")
    figures = Table(form="plain")
    figures.add_column("")
    figures.add_column("")
    for value, meaning in result.figures():
        figures.add_row(value, meaning)
    table.show(err=to_stderr)
    figures.show(err=to_stderr)
