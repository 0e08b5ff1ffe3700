"""galago train: from labeled photos to a checkpoint."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from galago.data import Dataset
    from galago.training.classify_config import Config
    from galago.training.config import TrainConfig
    from galago.training.run import Progress

C = TypeVar("C", bound="Config")

SCENES_PREFIX = "scenes:"
VALIDATION_SCENES = 100
CACHE = "cache"
SCORES = {"mean_iou": "mean IoU", "top1": "top-1 accuracy"}


def train(
    data: Annotated[str, typer.Option(help="Data set: folder or YAML file; `scenes:COUNT` draws street scenes.")],
    model: Annotated[str, typer.Option(help="Network: b0 ... b3, l0 ... l3.")] = "b0",
    recipe: Annotated[
        str, typer.Option(help="How to train: folder, camvid, scenes, cityscapes, cityscapes-large, ade20k, plain, or imagenet.")
    ] = "folder",
    weights: Annotated[
        Path | None,
        typer.Option(help="Checkpoint to start from, or a published name, as b1-imagenet; random weights without it."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/train"),
    epochs: Annotated[int | None, typer.Option(help="Passes over the photos; the recipe's without it.")] = None,
    batch: Annotated[int | None, typer.Option(help="Photos per step; the recipe's without it.")] = None,
    imgsz: Annotated[
        tuple[int, int] | None, typer.Option(help="Height and width of the training crop, multiples of 32.", metavar="H W")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read and augment photos.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the network; all cores without it.", min=1)] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.", min=0)] = None,
    leave_out: Annotated[
        str | None,
        typer.Option(help="Train without the photos whose names start so, and validate on them instead.", metavar="PREFIX"),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(help="Data set with the same classes, from whose `train` a share of the views is drawn: --set mix=0.3."),
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="Checkpoint of a larger network trained on the same classes, to learn from as well.")
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache", help="Keep decoded photos on disk while the run lasts; pays where photos are large.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another setting of the recipe, as paste=0.3; again for more.", metavar="NAME=VALUE"),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write curves and pictures for TensorBoard, too, into OUT/tensorboard.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in --out stopped.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Train a network on labeled photos; keep the best and the last weights, measurements and pictures."""
    from shutil import rmtree
    from warnings import filterwarnings

    from galago.errors import InterruptError, choose, require

    torch = require("torch", "train")
    require("accelerate", "train")
    from galago.cli.train_classes import refuse, train_classes
    from galago.models.variants import BACKBONES
    from galago.training.classify_config import ClassifyConfig
    from galago.training.memory import keep_freed_memory
    from galago.training.processes import is_first_process
    from galago.training.recipes import CLASSIFY_RECIPES, RECIPES
    from galago.training.settings import parse_settings
    from galago.training.train import train as run

    keep_freed_memory()  # of the whole process, so not for a library to decide
    filterwarnings("ignore", message="Grad strides do not match")  # of several processes, about depthwise convolutions
    if threads:
        torch.set_num_threads(threads)
    choose(BACKBONES, model, "network")
    if recipe in CLASSIFY_RECIPES:
        refuse({"imgsz": imgsz, "weights": weights, "leave_out": leave_out, "mix": mix, "teacher": teacher, "cache": cache})
        flags = {"variant": model, "epochs": epochs, "batch_size": batch, "workers": workers, "seed": seed}
        classes = adapt(CLASSIFY_RECIPES[recipe](), flags, parse_settings(settings or [], ClassifyConfig))
        return train_classes(classes, data, out, resume=resume, json=json)
    config = adapt(
        choose(RECIPES, recipe, "recipe")(),
        {
            "variant": model, "epochs": epochs, "batch_size": batch, "crop_size": imgsz, "workers": workers, "seed": seed,
            "tensorboard": tensorboard or None,
        },
        parse_settings(settings or []),
    )  # fmt: skip
    first = is_first_process()
    weights = find_weights(weights, model)
    train_set, val_set = open_splits(data, leave_out)
    mixed_in = open_mixed_in(mix, config)
    if cache:
        train_set, mixed_in = keep_decoded(train_set, mixed_in, out / CACHE, anew=not resume)
    counts = f"{len(train_set)} photos, {len(val_set)} for validation, {len(train_set.labels)} classes"
    if first:
        typer.echo(f"Training {model} for {config.epochs} epoch{'s' if config.epochs > 1 else ''} on {data}: {counts}", err=True)
    words = data if leave_out is None else f"{data}, names that start with {leave_out} left out for validation"
    try:
        with progress_bar(config, shown=first) as report:
            progress = run(
                config, train_set, val_set, out,
                mixed_in=mixed_in, teacher=teacher, start=(weights, resume), data=words, report=report,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise InterruptError(how_to_go_on(out)) from None
    if not first:
        return
    rmtree(out / CACHE, ignore_errors=True)
    conclude(config, progress, out, len(val_set), json=json)


def keep_decoded(
    train_set: "Dataset", mixed_in: "Dataset | None", folder: Path, *, anew: bool
) -> tuple["Dataset", "Dataset | None"]:
    """Return data sets that keep their decoded photos in a folder, which all processes share.

    Args:
        train_set, mixed_in: what to read.
        folder: of the cache.
        anew: whether to empty it first: it may be of a run that was given up, and of other photos.
    """
    from shutil import rmtree

    from galago.data.cache import Cached
    from galago.training.processes import is_first_process, join

    if anew and is_first_process():
        rmtree(folder, ignore_errors=True)
    join().wait_for_everyone()
    return Cached(train_set, folder / "train"), mixed_in and Cached(mixed_in, folder / "mixed_in")


def conclude(config: "TrainConfig", progress: "Progress", out: Path, photos: int, *, json: bool) -> None:
    """Say how good the network is on so many validation photos, what lies where, what held the run up, and what comes next."""
    from galago.training.summary import remarks

    typer.echo(f"Best mean IoU {progress.best:.4f} on {photos} validation photos.", err=json)
    saved = ("best.safetensors", "metrics.csv", "panel.jpg", "report.html")
    typer.echo("Saved: " + ", ".join(str(out / name) for name in saved), err=json)
    for remark in remarks(config, progress.rows):
        typer.echo(remark, err=json)
    typer.echo(f"Next: galago export --model {out / 'best.safetensors'} --out {out / 'model'}", err=json)
    if json:
        from json import dumps

        typer.echo(dumps({"out": str(out), "epochs": progress.epoch, "best_mean_iou": progress.best}))


def adapt(recipe: "C", flags: Mapping[str, object], settings: Mapping[str, object] = MappingProxyType({})) -> "C":
    """Replace settings of a recipe by what was given.

    Args:
        recipe: the settings without any flag.
        flags: values of flags; None is a flag that was not given.
        settings: values of `--set`, which win over flags; None is a value here, that of NAME=none.
    Returns:
        the settings; a crop of another size takes a recipe's `short_side` along, unless that is set, too.
    """
    import dataclasses

    given = {name: value for name, value in flags.items() if value is not None} | dict(settings)
    if "crop_size" in given and getattr(recipe, "short_side", None) and "short_side" not in given:
        given["short_side"] = min(given["crop_size"])  # type: ignore[call-overload]  # (height, width)
    return dataclasses.replace(recipe, **given)  # type: ignore[arg-type]  # checked by the config itself


def find_weights(weights: Path | None, variant: str) -> Path | None:
    """Return the checkpoint of a published name, or the path that was given; of several processes the first one downloads.

    Raises:
        ConfigError: the published network is of another variant.
        DownloadError, CheckpointError, MissingDependencyError: it cannot be had, or is not what it should be.
    """
    from galago.cli.models import obtain
    from galago.errors import ConfigError
    from galago.training.processes import is_first_process, join
    from galago.weights import PUBLISHED

    if weights is None or weights.exists() or str(weights) not in PUBLISHED:
        return weights
    published = PUBLISHED[str(weights)]
    if published.variant != variant:
        raise ConfigError(
            f"--weights {weights} is of {published.variant}, but the network is {variant}: --model {published.variant}."
        )
    found = obtain(published) if is_first_process() else None
    join().wait_for_everyone()
    return found or obtain(published)


def open_splits(data: str, leave_out: str | None) -> tuple["Dataset", "Dataset"]:
    """Open what to train on and what to validate on.

    Raises:
        ConfigError, DataError: the data set cannot be opened, or `scenes:` is not followed by a count or comes with --leave-out.
    """
    from galago.data import open_dataset, select
    from galago.data.scenes import Scenes
    from galago.errors import ConfigError

    if data.startswith(SCENES_PREFIX):
        count = data.removeprefix(SCENES_PREFIX)
        if not count.isdecimal() or int(count) == 0:
            raise ConfigError(f"Expected a number of scenes, as scenes:2000, got {data!r}.")
        if leave_out is not None:
            raise ConfigError(f"Drawn scenes have no names to leave out, got --leave-out {leave_out}.")
        return Scenes(int(count), first_seed=VALIDATION_SCENES), Scenes(VALIDATION_SCENES)
    train_set = open_dataset(data, "train")
    if leave_out is None:
        return train_set, open_dataset(data, "val")
    return (
        select(train_set, lambda name: not name.split("/")[-1].startswith(leave_out)),
        select(train_set, lambda name: name.split("/")[-1].startswith(leave_out)),
    )


def open_mixed_in(mix: str | None, config: "TrainConfig") -> "Dataset | None":
    """Open what is mixed in.

    Raises:
        ConfigError, DataError: it cannot be opened, or only one of the data set and its share is given.
    """
    from galago.data import open_dataset
    from galago.errors import ConfigError

    if (mix is None) != (config.mix == 0):
        raise ConfigError("--mix DATA and --set mix=SHARE belong together, for example --mix scenes/ --set mix=0.3.")
    return None if mix is None else open_splits(mix, None)[0] if mix.startswith(SCENES_PREFIX) else open_dataset(mix, "train")


def how_to_go_on(out: Path) -> str:
    """Say what becomes of a run that was stopped by Ctrl-C."""
    import shlex
    import sys

    from galago.errors import TrainingError
    from galago.training.run import find_state

    try:
        find_state(out)
    except TrainingError:
        return "interrupted before a state was saved, so there is nothing to resume"
    flags = [flag for flag in sys.argv[1:] if flag != "--resume"]
    return f"interrupted; go on from the last saved epoch with: {shlex.join(['galago', *flags, '--resume'])}"


@contextmanager
def progress_bar(config: "Config", *, shown: bool) -> Iterator[Callable[[dict[str, float]], None]]:
    """Show epoch, loss, learning rate, photos per second and time left; one line per validation stays."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[what]}"), BarColumn(), TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        look = bar.add_task("looking", visible=False, what="reading the validation photos", figures="")
        task = bar.add_task("training", total=None, what=f"epoch 1/{config.epochs}", figures="")

        def report(row: dict[str, float]) -> None:
            if "checked" in row:
                checked, photos = row["checked"], row["photos"]
                bar.update(look, total=photos, completed=checked, visible=checked < photos)
                return
            if score := next((name for name in SCORES if name in row), None):
                line = f"epoch {row['epoch']:.0f}/{config.epochs}: loss {row['loss']:.3f}, {SCORES[score]} {row[score]:.4f}"
                bar.console.print(line, highlight=False)
                return
            figures = f"loss {row['loss']:.3f}  rate {row['rate']:.1e}  {row['images_per_s']:.1f} photos/s"
            what = f"epoch {row['epoch']:.0f}/{config.epochs}"
            done = (row["epoch"] - 1) * row["steps"] + row["step"]
            bar.update(task, total=config.epochs * row["steps"], completed=done, what=what, figures=figures)

        yield report
