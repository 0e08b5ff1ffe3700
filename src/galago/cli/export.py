"""galago export: from a checkpoint to a model folder."""

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("onnx",)


def export(
    model: Annotated[Path, typer.Option(help="Checkpoint, as runs/train/best.safetensors.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("runs/model"),
    format: Annotated[str, typer.Option(help="File format: onnx.")] = "onnx",
    imgsz: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Fix the input to this height and width, multiples of 32; any size without it.", metavar="H W"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; that of the folder without it.")] = None,
    weights_license: Annotated[str, typer.Option(help="License line for the weights.")] = "not stated",
    data_license: Annotated[str, typer.Option(help="License line for the training data.")] = "not stated",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Write a model folder: model.onnx, its description, a card, and a golden photo with which any host can test itself."""
    from galago.errors import choose, require

    require("torch", "export")
    require("onnx", "export")
    choose(dict.fromkeys(FORMATS), format, "format")
    from galago.export.folder import export_checkpoint

    licenses = {"code": "Apache-2.0 (galago)", "weights": weights_license, "data": data_license}
    typer.echo(f"Exporting {model} ...", err=True)
    error = export_checkpoint(model, out, name=name or out.resolve().name, input_size=imgsz, licenses=licenses)
    typer.echo(f"Saved: {out}. Its logits differ from torch's by {error:.1e} (relative L2, golden photo).", err=json)
    typer.echo(f"Next: galago predict --model {out} --source PHOTO", err=json)
    if json:
        from json import dumps

        typer.echo(dumps({"out": str(out), "relative_error": error}))
