"""galago export: from a checkpoint to a model folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from galago.cli._options import JSON_HELP
from galago.cli.models import find_published, obtain

if TYPE_CHECKING:
    from galago.export.int8 import Int8, Int8Result

FORMAT_HELP = (
    "File format: onnx, openvino, litert, ncnn, executorch, coreml, torch; several with commas, or "
    "given several times. `authors` alone: a .pt file for the code of EfficientViT's authors."
)
AUTHORS = "authors"
SIZE_HELP = (
    "Size that the network sees, fixed in the files: multiples of 32; one number means a square "
    "(default: any size)."
)
PRECISION_HELP = (
    "Precision of the files. float16: weights, and sums where the device has them; int8: weights "
    "and sums, calibrated and scored on --data, for onnx, openvino and litert."
)
DATA_HELP = "Labeled photos for int8: folder or YAML file with the splits train and val."
DROP_HELP = "Points of mean IoU that int8 may cost; blocks stay in float until it costs no more."
ExportPrecision = Literal["float32", "float16", "int8"]
OUTPUT_HELP = "What the files give: logits, or labels, which any host can use at once."


def export(
    model: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint, such as runs/train/best.safetensors, or a published name: see "
            "`galago models`.",
            metavar="CHECKPOINT",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("runs/model"),
    format: Annotated[list[str] | None, typer.Option(help=FORMAT_HELP)] = None,
    imgsz: Annotated[str | None, typer.Option(help=SIZE_HELP, metavar="H [W]")] = None,
    precision: Annotated[ExportPrecision, typer.Option(help=PRECISION_HELP)] = "float32",
    data: Annotated[str | None, typer.Option(help=DATA_HELP)] = None,
    max_drop: Annotated[float, typer.Option(help=DROP_HELP)] = 0.5,
    output: Annotated[str, typer.Option(help=OUTPUT_HELP)] = "logits",
    name: Annotated[
        str | None, typer.Option(help="Name of the model (default: that of the folder).")
    ] = None,
    weights_license: Annotated[
        str | None, typer.Option(help="License line for the weights.")
    ] = None,
    data_license: Annotated[
        str | None, typer.Option(help="License line for the training data.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Write a model folder: files for engines, their description, a card, and a golden photo with
    which any host tests itself.
    """
    from galago._core.utf8_path import check_utf8
    from galago.cli._console import print_json, say
    from galago.cli._options import read_size
    from galago.cli._progress import spinner
    from galago.errors import require

    published = find_published(model)
    if not published:
        check_checkpoint(model)
    require("torch", "export")
    formats = list(
        dict.fromkeys(name.strip() for text in format or ["onnx"] for name in text.split(","))
    )
    if AUTHORS in formats:
        check_alone(formats, [imgsz, precision != "float32", data, output != "logits"])
        write_for_authors(obtain(published) if published else model, out, name, json=json)
        return
    require("onnx", "export")
    from galago.export.folder import ExportConfig, check_replaceable, export_checkpoint
    from galago.export.rewrite.deploy import DEFAULT_SIZE
    from galago.export.writers.table import WRITERS

    size = read_size(imgsz) if imgsz else None
    check_int8_data(precision, data)
    check_replaceable(out)
    if not set(formats) <= {"onnx", "openvino"}:
        check_utf8(out)
    licenses = {"code": "Apache-2.0 (galago)", "weights": "not stated", "data": "not stated"}
    licenses |= published.licenses if published else {}
    config = ExportConfig(
        name=name or (published.name if published else out.resolve().name),
        input_size=size,
        precision=precision,
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
    with spinner("Reading the checkpoint") as on_step:
        result = export_checkpoint(model, out, config, formats=formats, int8=plan, on_step=on_step)
    any_size = size is None and not (
        published and published.data == "Cityscapes"
    )  # whose resize rule has a size
    if any_size and (fixed := [name for name in formats if WRITERS[name].one_size]):
        height, width = DEFAULT_SIZE
        words = (
            f"{' and '.join(fixed)} files take {height} x {width} and no other size; larger photos "
            "are made smaller."
        )
        say(f"{words} --imgsz H W changes that.", err=True)
    for line in [*describe(result.differences, config.output), *describe_int8(result.int8)]:
        say(line, err=json)
    say(f"Saved: {out}", err=json)
    say(f"Next: galago predict PHOTO --model {out}", err=json)
    if json:
        facts = {
            "out": str(out),
            "formats": formats,
            "precision": config.precision,
            "differences": result.differences,
        }
        print_json(facts | {"int8": [row.to_dict() for row in result.int8]})


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
            "--imgsz, --precision, --data and --output out."
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


def check_int8_data(precision: str, data: str | None) -> None:
    """Refuse int8 without labeled photos, and photos without int8.

    Raises:
        ConfigError: one of both is missing.
    """
    from galago.errors import ConfigError

    if precision == "int8" and not data:
        raise ConfigError("int8 is calibrated and scored on labeled photos. Give them with --data.")
    if data and precision != "int8":
        raise ConfigError("--data is for --precision int8, which is missing.")


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
    from galago.export.writers.table import WRITERS

    for format, value in differences.items():
        files = ", ".join(WRITERS[format].files)
        if value is None:
            yield f"{files}: not checked, no engine that runs it is installed."
        elif output == "labels":
            yield f"{files}: {1 - value:.3%} of torch's labels on a drawn photo."
        else:
            yield f"{files}: logits within {value:.1e} of torch's (relative L2, drawn photo)."
