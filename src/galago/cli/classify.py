"""galago classify: one class per photo, with the published ImageNet networks."""

from pathlib import Path
from typing import Annotated

import typer

NAMES_HELP = "Text file with a class name in each line, in the order of ids; ids without it."


def classify(
    source: Annotated[str, typer.Option(help="Photo, folder, glob in quotes, or .txt list.")],
    model: Annotated[str, typer.Option(help="Published classifier, as `galago models` lists it.")] = "b1-imagenet",
    top: Annotated[int, typer.Option(help="Classes to show for each photo.", min=1)] = 5,
    names: Annotated[Path | None, typer.Option(help=NAMES_HELP)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Say what whole photos show: the most probable of ImageNet's 1000 classes, in torch."""
    from json import dumps

    from galago import sources
    from galago.cli.models import obtain
    from galago.errors import ConfigError, ImageError, choose, require
    from galago.weights import PUBLISHED

    published = choose({name: row for name, row in PUBLISHED.items() if not row.segments}, model, "classifier")
    opened = sources.open_source(source)
    if isinstance(opened, sources.Video):
        raise ConfigError(f"`galago classify` takes photos, got the video {source}.")
    require("torch", "train")
    from galago.export.classify import Classifier, best

    classifier = Classifier(obtain(published))
    words = read_names(names, classifier.num_classes) if names else None
    found, failed = [], 0
    for frame in sources.read_frames(opened):
        if isinstance(frame.image, ImageError):
            typer.echo(f"{frame.name}: {frame.image}", err=True)
            failed += 1
            continue
        rows = best(classifier(frame.image), top, words)
        shown = ", ".join(f"{name} {probability:.1%}" for name, probability in rows)
        typer.echo(f"{frame.name}: {shown}", err=json)
        found.append({"name": frame.name, "classes": [{"class": name, "probability": value} for name, value in rows]})
    if json:
        typer.echo(dumps({"model": model, "photos": found, "failed": failed}))
    if failed:
        raise typer.Exit(1)


def read_names(file: Path, count: int) -> list[str]:
    """Read one class name from each line.

    Raises:
        ConfigError: there are more or fewer.
    """
    from galago.errors import ConfigError

    lines = file.read_text(encoding="utf-8").splitlines()
    if len(lines) != count:
        raise ConfigError(f"{file} has {len(lines)} lines, but the network knows {count} classes.")
    return lines
