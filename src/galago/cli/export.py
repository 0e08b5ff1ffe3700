"""galago export: from a checkpoint to a model folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

FORMAT_HELP = "File format: onnx, openvino, litert, ncnn, torch; repeat it, or separate them by commas."
SIZE_HELP = (
    "Fix the input to this height and width, multiples of 32, one number for a square; any size without it (litert: 512 1024)."
)
HALF_HELP = "Weights in float16, and sums where the device has them; `galago verify` shows what it costs."
OUTPUT_HELP = "What the files give: logits, or labels, which any host can use at once."


def export(
    model: Annotated[Path, typer.Option(help="Checkpoint, as runs/train/best.safetensors.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("runs/model"),
    format: Annotated[list[str] | None, typer.Option(help=FORMAT_HELP)] = None,
    imgsz: Annotated[str | None, typer.Option(help=SIZE_HELP, metavar="H [W]")] = None,
    half: Annotated[bool, typer.Option("--half", help=HALF_HELP)] = False,
    output: Annotated[str, typer.Option(help=OUTPUT_HELP)] = "logits",
    name: Annotated[str | None, typer.Option(help="Name of the model; that of the folder without it.")] = None,
    weights_license: Annotated[str, typer.Option(help="License line for the weights.")] = "not stated",
    data_license: Annotated[str, typer.Option(help="License line for the training data.")] = "not stated",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Write a model folder: files for engines, their description, a card, and a golden photo with which any host tests itself."""
    from galago.cli.sizes import read_size
    from galago.errors import require

    check_checkpoint(model)
    require("torch", "export")
    require("onnx", "export")
    from galago.export.folder import Wanted, check_replaceable, export_checkpoint
    from galago.export.formats import FORMATS
    from galago.export.to_litert import DEFAULT_SIZE

    formats = list(dict.fromkeys(name.strip() for text in format or ["onnx"] for name in text.split(",")))
    size = read_size(imgsz) if imgsz else None
    check_replaceable(out)
    wanted = Wanted(
        name=name or out.resolve().name,
        input_size=size,
        precision="float16" if half else "float32",
        output=output,
        licenses={"code": "Apache-2.0 (galago)", "weights": weights_license, "data": data_license},
    )
    with progress() as report:
        differences = export_checkpoint(model, out, wanted, formats=formats, report=report)
    if size is None and (fixed := [name for name in formats if FORMATS[name].one_size]):
        height, width = DEFAULT_SIZE
        words = f"{' and '.join(fixed)} files take {height} x {width} and no other size; larger photos are made smaller."
        typer.echo(f"{words} --imgsz H W changes that.", err=True)
    for line in describe(differences, wanted.output):
        typer.echo(line, err=json)
    typer.echo(f"Saved: {out}", err=json)
    typer.echo(f"Next: galago predict --model {out} --source PHOTO", err=json)
    if json:
        from json import dumps

        typer.echo(dumps({"out": str(out), "formats": formats, "precision": wanted.precision, "differences": differences}))


def check_checkpoint(model: Path) -> None:
    """Refuse what is no checkpoint before anything heavy is imported.

    Raises:
        ConfigError: it is a model that was exported already, or is not there.
    """
    from galago.errors import ConfigError
    from galago.runtime.folder import bundled_models

    if model.is_file():
        return
    if model.is_dir() and (model / "model.json").is_file():
        raise ConfigError(f"{model} is a model folder, exported already. Give the checkpoint it came from, a .safetensors file.")
    if str(model) in bundled_models():
        raise ConfigError(
            f"{model} is bundled, exported already. Its checkpoint is checkpoints/{model}.safetensors of the repository."
        )
    raise ConfigError(f"There is no checkpoint {model}. `galago train` writes runs/train/best.safetensors.")


def describe(differences: dict[str, float | None], output: str) -> Iterator[str]:
    """Say of each file how near it is to the network."""
    from galago.export.formats import FORMATS

    for format, value in differences.items():
        files = ", ".join(FORMATS[format].files)
        if value is None:
            yield f"{files}: not checked, as nothing that runs it is installed."
        elif output == "labels":
            yield f"{files}: {1 - value:.3%} of torch's labels on a drawn photo."
        else:
            yield f"{files}: logits within {value:.1e} of torch's (relative L2, drawn photo)."


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show what is being done and for how long, on a terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("Reading the checkpoint", total=None)
        yield lambda what: bar.update(task, description=what)
