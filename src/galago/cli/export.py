"""galago export: from a checkpoint to a model folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from galago.cli.models import find_published, obtain

if TYPE_CHECKING:
    from galago.export.int8 import Int8, Int8Result

FORMAT_HELP = (
    "File format: onnx, openvino, litert, ncnn, executorch, coreml, torch; repeat it, or separate "
    "them by commas. "
    "`authors` alone: a .pt file for the code of EfficientViT's authors."
)
AUTHORS = "authors"
SIZE_HELP = "Fix the input to this height and width, multiples of 32, one number for a square; any size without it."
HALF_HELP = (
    "Weights in float16, and sums where the device has them; `galago verify` shows what it costs."
)
INT8_HELP = "Weights and sums in int8, calibrated and judged on --data; onnx, openvino, litert."
DATA_HELP = "Labeled photos for --int8: folder or YAML file with the splits train and val."
DROP_HELP = "Points of mean IoU that int8 may cost; blocks stay in float until it costs no more."
OUTPUT_HELP = "What the files give: logits, or labels, which any host can use at once."


def export(
    model: Annotated[
        Path,
        typer.Option(
            help="Checkpoint, as runs/train/best.safetensors, or a published name: `galago models`."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("runs/model"),
    format: Annotated[list[str] | None, typer.Option(help=FORMAT_HELP)] = None,
    imgsz: Annotated[str | None, typer.Option(help=SIZE_HELP, metavar="H [W]")] = None,
    half: Annotated[bool, typer.Option("--half", help=HALF_HELP)] = False,
    int8: Annotated[bool, typer.Option("--int8", help=INT8_HELP)] = False,
    data: Annotated[str | None, typer.Option(help=DATA_HELP)] = None,
    max_drop: Annotated[float, typer.Option(help=DROP_HELP)] = 0.5,
    output: Annotated[str, typer.Option(help=OUTPUT_HELP)] = "logits",
    name: Annotated[
        str | None, typer.Option(help="Name of the model; that of the folder without it.")
    ] = None,
    weights_license: Annotated[
        str | None, typer.Option(help="License line for the weights.")
    ] = None,
    data_license: Annotated[
        str | None, typer.Option(help="License line for the training data.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last line.")
    ] = False,
) -> None:
    """Write a model folder: files for engines, their description, a card, and a golden photo with
    which any host tests itself.
    """
    from galago.cli._console import print_json, say
    from galago.cli._outputs import check_utf8
    from galago.cli._progress import spinner
    from galago.cli._sizes import read_size
    from galago.errors import require

    published = find_published(model)
    if not published:
        check_checkpoint(model)
    require("torch", "export")
    formats = list(
        dict.fromkeys(name.strip() for text in format or ["onnx"] for name in text.split(","))
    )
    if AUTHORS in formats:
        check_alone(formats, [imgsz, half, int8, data, output != "logits"])
        write_for_authors(obtain(published) if published else model, out, name, json=json)
        return
    require("onnx", "export")
    from galago.export.folder import ExportConfig, check_replaceable, export_checkpoint
    from galago.export.rewrite.deploy import DEFAULT_SIZE
    from galago.export.writers.table import FORMATS

    size = read_size(imgsz) if imgsz else None
    check_replaceable(out)
    if not set(formats) <= {"onnx", "openvino"}:
        check_utf8(out)
    licenses = {"code": "Apache-2.0 (galago)", "weights": "not stated", "data": "not stated"}
    licenses |= published.licenses if published else {}
    wanted = ExportConfig(
        name=name or (published.name if published else out.resolve().name),
        input_size=size,
        precision=choose_precision(half=half, int8=int8, data=data),
        output=output,
        licenses=licenses
        | {
            key: line
            for key, line in (("weights", weights_license), ("data", data_license))
            if line
        },
    )
    if published:
        model = obtain(published)
    plan = plan_int8(model, data, max_drop) if data else None
    with spinner("Reading the checkpoint") as report:
        written = export_checkpoint(model, out, wanted, formats=formats, int8=plan, report=report)
    any_size = size is None and not (
        published and published.data == "Cityscapes"
    )  # whose resize rule has a size
    if any_size and (fixed := [name for name in formats if FORMATS[name].one_size]):
        height, width = DEFAULT_SIZE
        words = f"{' and '.join(fixed)} files take {height} x {width} and no other size; larger photos are made smaller."
        say(f"{words} --imgsz H W changes that.", err=True)
    for line in [*describe(written.differences, wanted.output), *describe_int8(written.int8)]:
        say(line, err=json)
    say(f"Saved: {out}", err=json)
    say(f"Next: galago predict --model {out} --source PHOTO", err=json)
    if json:
        facts = {
            "out": str(out),
            "formats": formats,
            "precision": wanted.precision,
            "differences": written.differences,
        }
        print_json(facts | {"int8": [result.facts() for result in written.int8]})


def check_checkpoint(model: Path) -> None:
    """Refuse what is no checkpoint before anything heavy is imported.

    Raises:
        ConfigError: it is a model that was exported already, or is not there.
    """
    from galago.errors import ConfigError
    from galago.pretrained.resolve import bundled_models

    if model.is_file():
        return
    if model.is_dir() and (model / "model.json").is_file():
        raise ConfigError(
            f"{model} is a model folder, exported already. Give the checkpoint it came from, a "
            ".safetensors file."
        )
    if str(model) in bundled_models():
        raise ConfigError(
            f"{model} is bundled, exported already. Its checkpoint is "
            f"checkpoints/{model}.safetensors of the repository."
        )
    raise ConfigError(
        f"There is no checkpoint {model}. `galago train` writes runs/train/best.safetensors, "
        "`galago models` lists those that "
        "others published."
    )


def check_alone(formats: list[str], others: list[object]) -> None:
    """Refuse what a checkpoint for the authors' code cannot have.

    Raises:
        ConfigError: another format, or a flag about exported files, stands beside it.
    """
    from galago.errors import ConfigError

    if len(formats) > 1 or any(others):
        raise ConfigError(
            "--format authors writes a checkpoint, not a model folder. Leave other formats, "
            "--imgsz, --half, --int8, --data and "
            "--output out."
        )


def write_for_authors(checkpoint: Path, out: Path, name: str | None, *, json: bool) -> None:
    """Write NAME.pt into the folder `out`."""
    from galago.cli._console import print_json, say
    from galago.export.writers.authors import export_to_authors

    file = out / f"{name or out.resolve().name}.pt"
    export_to_authors(checkpoint, file)
    say(f"Saved: {file}, with the names of github.com/mit-han-lab/efficientvit", err=json)
    if json:
        print_json({"out": str(file), "formats": [AUTHORS]})


def choose_precision(*, half: bool, int8: bool, data: str | None) -> str:
    """Return the precision that the flags ask for.

    Raises:
        ConfigError: they contradict each other.
    """
    from galago.errors import ConfigError

    if half and int8:
        raise ConfigError(
            "A model folder has one precision. Give --half or --int8, and export twice for both."
        )
    if int8 and not data:
        raise ConfigError(
            "--int8 is calibrated and judged on labeled photos. Give them with --data."
        )
    if data and not int8:
        raise ConfigError("--data is for --int8, which is missing.")
    return "int8" if int8 else "float16" if half else "float32"


def plan_int8(checkpoint: Path, data: str, max_drop: float) -> "Int8":
    """Open the photos for int8.

    Raises:
        ConfigError: the checkpoint knows other classes, or max_drop is out of range.
        DataError: the data set cannot be opened.
    """
    from galago.data import open_dataset
    from galago.evaluation.evaluate import check_classes
    from galago.export.int8 import Int8
    from galago.export.reference import checkpoint_spec
    from galago.models.checkpoint import load_checkpoint

    train, val = open_dataset(data, "train"), open_dataset(data, "val")
    spec = checkpoint_spec(checkpoint, load_checkpoint(checkpoint)[1])
    check_classes(spec.name, spec.classes, val)
    return Int8(train, val, max_drop / 100)


def describe_int8(results: "list[Int8Result]") -> Iterator[str]:
    """Say what int8 costs and brings in each format."""
    for result in results:
        lost = f"{100 * result.drop:+.2f} points" if result.drop else "nothing"
        yield (
            f"{result.format} in int8: mean IoU {result.mean_iou:.4f}, float32 "
            f"{result.mean_iou_float:.4f} (lost {lost}, in "
            f"{result.engine}), {result.size_ratio:.2f} of the size; in float: "
            f"{', '.join(result.float_blocks)}"
        )


def describe(differences: dict[str, float | None], output: str) -> Iterator[str]:
    """Say of each file how near it is to the network."""
    from galago.export.writers.table import FORMATS

    for format, value in differences.items():
        files = ", ".join(FORMATS[format].files)
        if value is None:
            yield f"{files}: not checked, as nothing that runs it is installed."
        elif output == "labels":
            yield f"{files}: {1 - value:.3%} of torch's labels on a drawn photo."
        else:
            yield f"{files}: logits within {value:.1e} of torch's (relative L2, drawn photo)."
