"""galago models: published checkpoints by name, and what they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from galago.pretrained.table import PretrainedModel

app = typer.Typer()
UNKNOWN = "n/a"


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last line.")
    ] = False,
) -> None:
    """List the models that load by name; download one with `get`."""
    if context.invoked_subcommand:
        return
    from galago.cli._console import print_json
    from galago.pretrained.table import PUBLISHED

    if json:
        print_json(
            {"bundled": bundled(), "published": [summary(row) for row in PUBLISHED.values()]}
        )
        return
    show_table(list(PUBLISHED.values()))


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="Name, as `galago models` lists it.", metavar="NAME")],
    offline: Annotated[bool, typer.Option("--offline", hidden=True)] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last line.")
    ] = False,
) -> None:
    """Download a published checkpoint, check it, and keep it as safetensors.

    Nothing inside a pickle is run.
    """
    from galago.cli._console import print_json, say
    from galago.errors import choose
    from galago.pretrained.table import PUBLISHED

    if offline:
        say("note: --offline now stands before the command: galago --offline models get.", err=True)
        go_offline()
    published = choose(PUBLISHED, name, "model")
    path = obtain(published)
    for what, line in published.licenses.items():
        say(f"License of {'the ' if what != 'data' else ''}{what}: {line}", err=json)
    say(f"Kept: {path}", err=json)
    if published.is_segmentation:
        say(
            f"Next: galago predict PHOTO --model {name}, or galago export {name} --out {name}",
            err=json,
        )
    else:
        say(
            f"Next: galago classify PHOTO --model {name}, or galago train --weights {name} ...",
            err=json,
        )
    if json:
        print_json(summary(published) | {"path": str(path)})


def go_offline() -> None:
    """Forbid downloads in this process, as the environment variable does."""
    import os

    from galago.pretrained.download import OFFLINE

    os.environ[OFFLINE] = "1"


def find_published(model: str | Path | None) -> "PretrainedModel | None":
    """Return the published segmentation network of a name.

    None where it is a path, bundled or unknown.

    Raises:
        ConfigError: a classifier has that name.
    """
    from galago.pretrained.resolve import check_is_segmentation
    from galago.pretrained.table import PUBLISHED

    if model is None or Path(model).exists() or str(model) not in PUBLISHED:
        return None
    check_is_segmentation(PUBLISHED[str(model)])
    return PUBLISHED[str(model)]


def obtain(published: "PretrainedModel") -> Path:
    """Return the checkpoint of a published model.

    A download shows a bar, and what is trusted from now on is said.

    Raises:
        DownloadError, CheckpointError, MissingDependencyError: as
            galago.pretrained.convert.obtain_checkpoint.
    """
    from galago.cli._console import say
    from galago.cli._progress import download_bar
    from galago.errors import require

    require("torch", "export")
    from galago.pretrained.convert import obtain_checkpoint

    with download_bar(f"Getting {published.name}") as progress:
        return obtain_checkpoint(
            published,
            on_notice=lambda line: say(line, err=True, style="yellow"),
            on_progress=progress,
        )


def summary(published: "PretrainedModel") -> dict[str, object]:
    """Return what is known of a model, as JSON has it."""
    import dataclasses

    from galago.pretrained.cache import is_current

    row = dataclasses.asdict(published)
    return row | {
        "metric": published.metric,
        "licenses": published.licenses,
        "here": is_current(published),
    }


def bundled() -> list[dict[str, object]]:
    """Return the models that come with galago, with the score in their model.json."""
    from galago.pretrained.resolve import ASSETS, bundled_models
    from galago.runtime.model_folder import open_model

    rows: list[dict[str, object]] = []
    for name in bundled_models():
        spec = open_model(ASSETS / name).spec
        score = round(100 * spec.metrics.mean_iou, 2) if spec.metrics else None
        rows.append(
            {
                "name": name,
                "variant": spec.variant,
                "metric": "mean IoU",
                "score": score,
                "licenses": dict(spec.licenses),
            }
        )
    return rows


def show_table(published: "list[PretrainedModel]") -> None:
    """Print all models, then the license lines of each source."""
    from galago.cli._console import Table, say
    from galago.pretrained.cache import is_current

    table = Table(title="Models that load by name", width=130)
    for heading in ("name", "network", "trained on", "size"):
        table.add_column(heading)
    for heading in ("published", "parameters", "MACs", "file"):
        table.add_column(heading, right=True)
    table.add_column("here")
    for row in bundled():
        table.add_row(
            str(row["name"]),
            str(row["variant"]),
            "CamVid",
            "any",
            f"{row['score']} mean IoU",
            "",
            "",
            "",
            "bundled",
        )
    for model in published:
        table.add_row(
            model.name,
            model.variant,
            model.data,
            "{}x{}".format(*model.size),
            UNKNOWN if model.score is None else f"{model.score:.3f} {model.metric}",
            format_unit(model.parameters_m, "M"),
            format_unit(model.macs_g, "G"),
            format_unit(model.size_mb, "MB"),
            "yes" if is_current(model) else "",
        )
    table.show()
    licenses = {
        (model.repo if model.layout == "authors" else "timm/...", model.data): model.licenses
        for model in published
    }
    for (repo, data), lines in licenses.items():
        say(f"{repo}, {data}:")
        for what, line in lines.items():
            say(f"  {what}: {line}")
    say("galago models get NAME downloads one, and nothing else does unless it is named.")


def format_unit(value: float | None, unit: str) -> str:
    """Return a number with its unit."""
    return UNKNOWN if value is None else f"{value:g} {unit}"
