"""galago train: from labeled photos to a checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from galago.data import Dataset
    from galago.training.config import Config, TrainConfig
    from galago.training.run_dir import Progress

C = TypeVar("C", bound="Config")

CACHE = "cache"


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="Data set: folder or YAML file; `scenes:COUNT` renders street scenes.",
            metavar="DATA",
        ),
    ],
    model: Annotated[str, typer.Option(help="Network: b0 ... b3, l0 ... l3.")] = "b0",
    recipe: Annotated[
        str,
        typer.Option(
            help="How to train: folder, camvid, scenes, cityscapes, cityscapes-large, ade20k, plain, or imagenet."
        ),
    ] = "folder",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint to start from, or a published name, as b1-imagenet; random weights without it."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/train"),
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the photos; the recipe's without it.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Photos per step; the recipe's without it.")
    ] = None,
    imgsz: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Height and width of the training crop, multiples of 32.", metavar="H W"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read and augment photos.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of the network; all cores without it.", min=1)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.", min=0)] = None,
    holdout: Annotated[
        list[str] | None,
        typer.Option(
            "--holdout",
            "--leave-out",
            metavar="PREFIX",
            help="Train without the photos whose names start so, and validate on them instead; again for more.",
        ),
    ] = None,
    extra_data: Annotated[
        list[str] | None,
        typer.Option(
            help="Another data set, of classes of the main one, and its share of the views; again for more. Without a share "
            "all sets count alike. Its YAML says what its labels mean, what it holds out, and its "
            "size.",
            metavar="DATA[:SHARE]",
        ),
    ] = None,
    mix: Annotated[str | None, typer.Option(hidden=True)] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint of a larger network trained on the same classes, to learn from as well."
        ),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache",
            help="Keep decoded photos on disk while the run lasts; pays where photos are large.",
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Another setting of the recipe, as paste=0.3; again for more.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write curves and pictures for TensorBoard, too, into OUT/tensorboard.",
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run in --out stopped.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last line.")
    ] = False,
) -> None:
    """Train a network on labeled photos.

    Keep the best and the last weights, measurements and pictures.
    """
    from dataclasses import replace
    from shutil import rmtree
    from warnings import filterwarnings

    from galago.cli._training import interrupt_once
    from galago.errors import InterruptError, choose, require

    interrupt_once()
    torch = require("torch", "train")
    require("accelerate", "train")
    from galago.cli._console import say
    from galago._core.paths import check_utf8
    from galago.cli._training import progress_bar, resume_hint
    from galago.cli.train_classes import refuse, train_classes
    from galago.cli.train_data import check_mix, describe, open_extras, open_splits
    from galago.data.mixture import mix as mix_data
    from galago.models.variants import BACKBONES
    from galago.training.config import ClassifyConfig
    from galago.training.cpu import tune_malloc
    from galago.training.distributed import is_main_process
    from galago.training.hold import hold
    from galago.training.model import describe_start
    from galago.training.recipes import CLASSIFY_RECIPES, RECIPES
    from galago.training.settings import parse_settings
    from galago.training.train import train as run

    tune_malloc()  # of the whole process, so not for a library to decide
    filterwarnings(
        "ignore", message="Grad strides do not match"
    )  # of several processes, about depthwise convolutions
    if threads:
        torch.set_num_threads(threads)
    check_utf8(out)
    choose(BACKBONES, model, "network")
    if recipe in CLASSIFY_RECIPES:
        refuse(
            {
                "imgsz": imgsz,
                "weights": weights,
                "holdout": holdout,
                "extra_data": extra_data,
                "mix": mix,
                "teacher": teacher,
            }
            | {"cache": cache}
        )
        flags = {
            "variant": model,
            "epochs": epochs,
            "batch_size": batch,
            "workers": workers,
            "seed": seed,
        }
        classes = override(
            CLASSIFY_RECIPES[recipe](), flags, parse_settings(settings or [], ClassifyConfig)
        )
        return train_classes(classes, data, out, resume=resume, json=json)
    config = override(
        choose(RECIPES, recipe, "recipe")(),
        {
            "variant": model, "epochs": epochs, "batch_size": batch, "crop_size": imgsz, "workers": workers, "seed": seed,
            "tensorboard": tensorboard or None,
        },
        parse_settings(settings or []),
    )  # fmt: skip
    first = is_main_process()
    weights = find_weights(weights, model)
    train_set, val_set = open_splits(data, holdout or [])
    check_mix(mix, config.mix)
    extras = open_extras([*(extra_data or []), *([f"{mix}:{config.mix}"] if mix else [])])
    also_score: dict[str, Dataset] = {}
    mixed_in: Dataset | None = None
    if extras:
        train_set, mixed_in, also_score = mix_data(train_set, extras)
        config = replace(config, mix=sum(extra.share for extra in extras))
    counts = (
        f"{len(train_set)} photos, {len(val_set)} for validation, {len(train_set.labels)} classes"
    )
    counts += describe(extras)
    if first:
        say(
            f"Training {model} for {config.epochs} epoch{'s' if config.epochs > 1 else ''} on "
            f"{data}: {counts}",
            err=True,
        )
        if weights and not resume:
            say(describe_start(weights, train_set.labels.names), err=True)
        if also_score:
            by = "the mean over all sets" if config.best_by == "mean" else f"the photos of {data}"
            say(
                f"The best weights are those of the best mean IoU on {by} (--set best_by=main or "
                "mean).",
                err=True,
            )
    words = (
        f"{data}, names that start with {', '.join(holdout)} left out for validation"
        if holdout
        else data
    )
    words += describe(extras)
    try:
        with hold(out), progress_bar(config, shown=first) as report:
            if cache:
                train_set, mixed_in = cache_decoded(
                    train_set, mixed_in, out / CACHE, anew=not resume
                )
            progress = run(
                config, train_set, val_set, out,
                mixed_in=mixed_in, teacher=teacher, start=(weights, resume), also_score=also_score, data=words, report=report,
            )  # fmt: skip
            if first:
                rmtree(out / CACHE, ignore_errors=True)
    except KeyboardInterrupt:
        raise InterruptError(resume_hint(out)) from None
    if not first:
        return
    print_summary(config, progress, out, len(val_set), json=json)


def cache_decoded(
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
    from galago.training.distributed import is_main_process, join

    if anew and is_main_process():
        rmtree(folder, ignore_errors=True)
    join().wait_for_everyone()
    return Cached(train_set, folder / "train"), mixed_in and Cached(mixed_in, folder / "mixed_in")


def print_summary(
    config: "TrainConfig", progress: "Progress", out: Path, photos: int, *, json: bool
) -> None:
    """Say how good the network is on so many validation photos, what lies where, what held the run
    up, and what comes next.
    """
    from galago.cli._console import print_json, say
    from galago.training.early_stopping import remarks

    say(f"Best mean IoU {progress.best:.4f} on {photos} validation photos.", err=json)
    saved = ("best.safetensors", "metrics.csv", "panel.jpg", "report.html")
    say("Saved: " + ", ".join(str(out / name) for name in saved), err=json)
    for remark in remarks(config, progress.rows):
        say(remark, err=json)
    say(f"Next: galago export {out / 'best.safetensors'} --out {out / 'model'}", err=json)
    if json:
        print_json({"out": str(out), "epochs": progress.epoch, "best_mean_iou": progress.best})


def override(
    recipe: "C", flags: Mapping[str, object], settings: Mapping[str, object] = MappingProxyType({})
) -> "C":
    """Replace settings of a recipe by what was given.

    Args:
        recipe: the settings without any flag.
        flags: values of flags; None is a flag that was not given.
        settings: values of `--set`, which win over flags; None is a value here, that of NAME=none.
    Returns:
        the settings; a crop of another size takes a recipe's `short_side` along, unless that is
        set, too.
    """
    import dataclasses

    given = {name: value for name, value in flags.items() if value is not None} | dict(settings)
    if "crop_size" in given and getattr(recipe, "short_side", None) and "short_side" not in given:
        given["short_side"] = min(given["crop_size"])  # type: ignore[call-overload]  # (height, width)
    return dataclasses.replace(recipe, **given)  # type: ignore[arg-type]  # checked by the config itself


def find_weights(weights: Path | None, variant: str) -> Path | None:
    """Return the checkpoint of a published name, or the path that was given.

    Of several processes the first one downloads.

    Raises:
        ConfigError: the published network is of another variant.
        DownloadError, CheckpointError, MissingDependencyError: it cannot be had, or is not what it
            should be.
    """
    from galago.cli.models import obtain
    from galago.errors import ConfigError
    from galago.pretrained.table import PUBLISHED
    from galago.training.distributed import is_main_process, join

    if weights is None or weights.exists() or str(weights) not in PUBLISHED:
        return weights
    published = PUBLISHED[str(weights)]
    if published.variant != variant:
        raise ConfigError(
            f"--weights {weights} is of {published.variant}, but the network is {variant}: --model "
            f"{published.variant}."
        )
    found = obtain(published) if is_main_process() else None
    join().wait_for_everyone()
    return found or obtain(published)
