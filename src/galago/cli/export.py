"""galago export: from a checkpoint to a model folder."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[Path, typer.Option(help="Checkpoint, as runs/train/best.safetensors.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("runs/model"),
    format: Annotated[
        list[str] | None, typer.Option(help="File format: onnx, litert, ncnn; repeat it, or separate them by commas.")
    ] = None,
    imgsz: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Fix the input to this height and width, multiples of 32; any size without it (litert: 512 1024).", metavar="H W"
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; that of the folder without it.")] = None,
    weights_license: Annotated[str, typer.Option(help="License line for the weights.")] = "not stated",
    data_license: Annotated[str, typer.Option(help="License line for the training data.")] = "not stated",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Write a model folder: files for engines, their description, a card, and a golden photo with which any host tests itself."""
    from galago.errors import choose, require
    from galago.runtime.engines import FORMATS

    require("torch", "export")
    require("onnx", "export")
    formats = list(dict.fromkeys(name.strip() for text in format or ["onnx"] for name in text.split(",")))
    for name_of_format in formats:
        choose(dict.fromkeys(FORMATS.values()), name_of_format, "format")
    from galago.export.folder import export_checkpoint
    from galago.export.to_litert import DEFAULT_SIZE

    licenses = {"code": "Apache-2.0 (galago)", "weights": weights_license, "data": data_license}
    typer.echo(f"Exporting {model} as {', '.join(formats)} ...", err=True)
    if "litert" in formats and imgsz is None:
        size = " x ".join(map(str, DEFAULT_SIZE))
        typer.echo(
            f"model.tflite takes {size} and no other size; larger photos are made smaller. --imgsz H W changes that.", err=True
        )
    error = export_checkpoint(model, out, name=name or out.resolve().name, input_size=imgsz, licenses=licenses, formats=formats)
    typer.echo(f"Saved: {out}. Its logits differ from torch's by {error:.1e} (relative L2, drawn photo).", err=json)
    typer.echo(f"Next: galago predict --model {out} --source PHOTO", err=json)
    if json:
        from json import dumps

        typer.echo(dumps({"out": str(out), "formats": formats, "relative_error": error}))
