"""galago classify: one class per photo, with a published ImageNet network or with one's own."""

from pathlib import Path
from typing import Annotated

import typer

from galago.cli._options import JSON_HELP

MODEL_HELP = (
    "Published classifier, as `galago models` lists it, or a checkpoint of the recipe imagenet."
)
NAMES_HELP = "Text file with a class name in each line, in the order of ids (default: ids)."


def classify(
    source: Annotated[
        str, typer.Argument(help="Photo, folder, glob in quotes, or .txt list.", metavar="SOURCE")
    ],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "b1-imagenet",
    top: Annotated[int, typer.Option(help="Classes to show for each photo.", min=1)] = 5,
    names: Annotated[Path | None, typer.Option(help=NAMES_HELP)] = None,
    json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Say what whole photos show: the most probable classes, in torch."""
    from galago import sources
    from galago.cli._console import print_json, say
    from galago.errors import ConfigError, require

    file = find_checkpoint(model)
    opened = sources.open_source(source)
    if isinstance(opened, sources.Video):
        raise ConfigError(f"`galago classify` takes photos, got the video {source}.")
    if note := sources.describe_left_out(sources.left_out(source)):
        say(f"Note: {note}", err=True)
    require("torch", "train")
    from galago.export.classify import Classifier, top_k

    classifier = Classifier(file)
    words = read_names(names, classifier.num_classes) if names else classifier.names
    found, failed = [], 0
    for frame in sources.read_frames(opened):
        if frame.image is None:
            say(f"{frame.name}: {frame.error}", err=True)
            failed += 1
            continue
        rows = top_k(classifier(frame.image), top, words)
        shown = ", ".join(f"{name} {probability:.1%}" for name, probability in rows)
        say(f"{frame.name}: {shown}", err=json)
        found.append(
            {
                "name": frame.name,
                "classes": [{"class": name, "probability": value} for name, value in rows],
            }
        )
    if json:
        print_json({"model": model, "photos": found, "failed": failed})
    if failed:
        raise typer.Exit(1)


def find_checkpoint(model: str) -> Path:
    """Return the file of a classifier: the one named, else that of the published network,
    downloaded where it is not here.

    Raises:
        ConfigError: there is no such file or network.
        DownloadError, CheckpointError, MissingDependencyError: as `obtain`.
    """
    from galago.cli.models import obtain
    from galago.errors import choose
    from galago.pretrained.table import PUBLISHED

    if Path(model).is_file():
        return Path(model)
    return obtain(
        choose(
            {name: row for name, row in PUBLISHED.items() if not row.is_segmentation},
            model,
            "classifier",
        )
    )


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
