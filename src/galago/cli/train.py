"""galago train: from labeled photos to a checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from galago.data import Dataset
    from galago.data.mixture import ExtraDataset
    from galago.training.config import Config, TrainConfig
    from galago.training.history import History

C = TypeVar("C", bound="Config")

CACHE = "cache"


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="Data set: folder, YAML file, or `scenes:COUNT` for synthetic scenes.",
            metavar="DATA",
        ),
    ],
    model: Annotated[str, typer.Option(help="Network: b0 ... b3, l0 ... l3.")] = "b0",
    recipe: Annotated[
        str,
        typer.Option(
            help="Settings to start from: folder, camvid, scenes, cityscapes, cityscapes-large, "
            "ade20k, plain, or imagenet."
        ),
    ] = "folder",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint to start from, or a published name, for example b1-imagenet; "
            "default: random weights."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/train"),
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the photos; default: the recipe's.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Photos per step; default: the recipe's.")
    ] = None,
    crop: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Height and width of the training crop, multiples of 32; default: the recipe's.",
            metavar="H W",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read and augment photos.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of the network; default: all cores.", min=1)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.", min=0)] = None,
    holdout: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX",
            help="Validate on the photos whose names start with this, and train without them. Can "
            "be given several times.",
        ),
    ] = None,
    extra_data: Annotated[
        list[str] | None,
        typer.Option(
            help="Another data set, of classes of the main one, and its share of the samples; "
            "default: equal shares. Its YAML file says what its labels mean, what it holds out, "
            "and its size. Can be given several times.",
            metavar="DATA[:SHARE]",
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Checkpoint of a larger network of the same classes, for distillation."),
    ] = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache",
            help="Keep decoded photos on disk during the run; useful where photos are large.",
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a setting of the recipe, for example drop_path=0.05. Can be given "
            "several times.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Write curves and pictures for TensorBoard into OUT/tensorboard.",
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in --out after its last saved epoch.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last line.")
    ] = False,
    imgsz: Annotated[tuple[int, int] | None, typer.Option(hidden=True)] = None,
    leave_out: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    mix: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train a network on labeled photos.

    Keep the best and the last weights, measurements and pictures.
    """
    from shutil import rmtree

    from galago.cli._training import interrupt_once, note_old_names, prepare_process
    from galago.errors import InterruptError, choose, require

    interrupt_once()
    require("torch", "train")
    require("accelerate", "train")
    from galago._core.utf8_path import check_utf8
    from galago.cli._training import progress_bar, resume_hint
    from galago.cli.train_classes import refuse, train_classes
    from galago.data.mixture import mix as mix_data
    from galago.models.variants import BACKBONES
    from galago.training.config import PretrainConfig, parse_settings
    from galago.training.datasets import describe_extras, old_mix, open_extras, open_splits
    from galago.training.distributed import is_main_process
    from galago.training.recipes import PRETRAIN_RECIPES, RECIPES
    from galago.training.run_dir import lock_run_dir
    from galago.training.train import train as run_training

    prepare_process(threads)
    main = is_main_process()
    note_old_names(imgsz=imgsz, leave_out=leave_out, mix=mix, settings=settings, shown=main)
    crop, holdout = crop or imgsz, [*(holdout or []), *(leave_out or [])]
    check_utf8(out)
    choose(BACKBONES, model, "network")
    flags: dict[str, object] = {
        "variant": model,
        "epochs": epochs,
        "batch_size": batch,
        "workers": workers,
        "seed": seed,
    }
    if recipe in PRETRAIN_RECIPES:
        refuse(
            {
                "crop": crop,
                "weights": weights,
                "holdout": holdout,
                "extra_data": [*(extra_data or []), *([mix] if mix else [])],
                "teacher": teacher,
                "cache": cache,
            }
        )
        pretrain_changes = parse_settings(settings or [], PretrainConfig)
        pretrain_config = override(PRETRAIN_RECIPES[recipe](), flags, pretrain_changes)
        return train_classes(pretrain_config, data, out, resume=resume, json=json)
    changes = parse_settings(settings or [])
    config = override(
        choose(RECIPES, recipe, "recipe")(),
        flags | {"crop_size": crop, "tensorboard": tensorboard or None},
        changes,
    )
    weights = find_weights(weights, model)
    train_set, val_set = open_splits(data, holdout)
    if batch is None and "batch_size" not in changes and len(train_set) < config.batch_size:
        config = fit_batch(config, len(train_set), shown=main)
    extras = open_extras([*(extra_data or []), *old_mix(mix, config.extra_data_ratio)])
    extra_set: Dataset | None = None
    extra_val_sets: Mapping[str, Dataset] = {}
    if extras:
        train_set, extra_set, extra_val_sets = mix_data(train_set, extras)
        config = override(config, {"extra_data_ratio": sum(extra.share for extra in extras)})
    if main:
        print_start(config, data, train_set, val_set, extras)
        print_choices(config, data, train_set, weights=None if resume else weights, extras=extras)
    held_out = f", names that start with {', '.join(holdout)} held out for validation"
    try:
        with lock_run_dir(out), progress_bar(config, shown=main) as on_progress:
            if cache:
                folder = out / CACHE
                train_set, extra_set = cache_decoded(train_set, extra_set, folder, clear=not resume)
            history = run_training(
                config,
                train_set,
                val_set,
                out,
                extra_data=extra_set,
                extra_val_sets=extra_val_sets,
                teacher=teacher,
                weights=weights,
                resume=resume,
                description=data + (held_out if holdout else "") + describe_extras(extras),
                on_progress=on_progress,
            )
            if main:
                rmtree(out / CACHE, ignore_errors=True)
    except KeyboardInterrupt:
        raise InterruptError(resume_hint(out)) from None
    if main:
        print_summary(config, history, out, len(val_set), json=json)


def print_start(
    config: "TrainConfig",
    data: str,
    train_set: "Dataset",
    val_set: "Dataset",
    extras: "list[ExtraDataset]",
) -> None:
    """Print what is trained on what, on standard error."""
    from galago.cli._console import say
    from galago.training.datasets import describe_extras

    epochs = f"{config.epochs} epoch{'s' if config.epochs > 1 else ''}"
    counts = f"{len(train_set)} photos, {len(val_set)} for validation"
    say(
        f"Training {config.variant} for {epochs} on {data}: {counts}, "
        f"{len(train_set.label_set)} classes{describe_extras(extras)}",
        err=True,
    )


def fit_batch(config: "TrainConfig", images: int, *, shown: bool) -> "TrainConfig":
    """Return a config whose batches are not larger than a training split of few images."""
    from galago.cli._console import say

    if shown:
        say(
            f"Batches of {images} instead of {config.batch_size}: there are no more images in "
            f"train. To choose another size: --batch {images} or less.",
            err=True,
        )
    return override(config, {"batch_size": images, "grad_accum_steps": 1})


def print_choices(
    config: "TrainConfig",
    data: str,
    train_set: "Dataset",
    *,
    weights: Path | None,
    extras: "list[ExtraDataset]",
) -> None:
    """Print what is kept of a checkpoint, and what decides on the best weights."""
    from galago.cli._console import say
    from galago.training.model import describe_weights

    if weights:
        say(describe_weights(weights, train_set.label_set.names), err=True)
    if any(extra.val for extra in extras):
        by = "the mean over all sets" if config.best_by == "mean" else f"the photos of {data}"
        say(
            f"The best weights are those of the best mean IoU on {by} (--set best_by=main or "
            "mean).",
            err=True,
        )


def cache_decoded(
    train_set: "Dataset", extra_set: "Dataset | None", folder: Path, *, clear: bool
) -> tuple["Dataset", "Dataset | None"]:
    """Return data sets that keep their decoded photos in a folder, which all processes share.

    Args:
        train_set, extra_set: what to read.
        folder: of the cache.
        clear: whether to empty it first: it may be left over from a run on other photos.
    """
    from shutil import rmtree

    from galago.data.cache import CachedDataset
    from galago.training.distributed import distributed_state, is_main_process

    if clear and is_main_process():
        rmtree(folder, ignore_errors=True)
    distributed_state().wait_for_everyone()
    return CachedDataset(train_set, folder / "train"), extra_set and CachedDataset(
        extra_set, folder / "extra"
    )


def print_summary(
    config: "TrainConfig", history: "History", out: Path, val_images: int, *, json: bool
) -> None:
    """Print the best score, the files, remarks on the run, and the next command."""
    from galago.cli._console import print_json, say
    from galago.training.history import remarks

    say(f"Best mean IoU {history.best:.4f} on {val_images} validation photos.", err=json)
    saved = ("best.safetensors", "metrics.csv", "panel.jpg", "report.html")
    say("Saved: " + ", ".join(str(out / name) for name in saved), err=json)
    for remark in remarks(config, history.rows):
        say(remark, err=json)
    say(f"Next: galago export {out / 'best.safetensors'} --out {out / 'model'}", err=json)
    if json:
        print_json({"out": str(out), "epochs": history.epoch, "best_mean_iou": history.best})


def override(
    recipe: "C", flags: Mapping[str, object], settings: Mapping[str, object] = MappingProxyType({})
) -> "C":
    """Return the settings of a recipe with some replaced.

    Args:
        recipe: the settings to start from.
        flags: values of flags; None is a flag that was not given.
        settings: values of `--set`, which win over flags; None is a value here, that of NAME=none.
    Returns:
        the settings; a new crop size changes a recipe's `short_side` as well, unless that is given.
    """
    import dataclasses

    given = {name: value for name, value in flags.items() if value is not None} | dict(settings)
    if "crop_size" in given and getattr(recipe, "short_side", None) and "short_side" not in given:
        given["short_side"] = min(given["crop_size"])  # type: ignore[call-overload]  # (height, width)
    return dataclasses.replace(recipe, **given)  # type: ignore[arg-type]  # checked by the config itself


def find_weights(weights: Path | None, variant: str) -> Path | None:
    """Return the checkpoint of a published name, or the path that was given.

    With several processes the main one downloads.

    Raises:
        ConfigError: the published network is of another variant.
        DownloadError, CheckpointError, MissingDependencyError: it cannot be downloaded, or is
            damaged.
    """
    from galago.cli.models import obtain
    from galago.errors import ConfigError
    from galago.pretrained.table import PUBLISHED
    from galago.training.distributed import distributed_state, is_main_process

    if weights is None or weights.exists() or str(weights) not in PUBLISHED:
        return weights
    published = PUBLISHED[str(weights)]
    if published.variant != variant:
        raise ConfigError(
            f"--weights {weights} is of {published.variant}, but the network is {variant}: --model "
            f"{published.variant}."
        )
    checkpoint = obtain(published) if is_main_process() else None
    distributed_state().wait_for_everyone()
    return checkpoint or obtain(published)
