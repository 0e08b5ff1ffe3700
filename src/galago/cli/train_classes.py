"""galago train --recipe imagenet: pre-train a backbone on photos in class folders."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galago.training.config import PretrainConfig


def train_classes(
    config: "PretrainConfig", data: str, out: Path, *, resume: bool, json: bool
) -> None:
    """Pre-train, with a progress bar, and print the next command."""
    from dataclasses import replace

    from galago.cli._console import print_json, say
    from galago.cli._training import progress_bar, resume_hint
    from galago.data.class_folders import open_classes
    from galago.errors import InterruptError
    from galago.training.distributed import is_main_process
    from galago.training.pretrain import pretrain

    main = is_main_process()
    train_set = open_classes(Path(data), "train")
    val_set = open_classes(Path(data), "val")
    config = replace(config, batch_size=min(config.batch_size, len(train_set)))
    if main:
        counts = f"{len(train_set)} photos, {len(val_set)} for validation"
        say(
            f"Pre-training {config.variant} for {config.epochs} epochs on {data}: {counts}, "
            f"{len(train_set.names)} classes",
            err=True,
        )
    try:
        with progress_bar(config, shown=main) as on_progress:
            history = pretrain(
                config,
                train_set,
                val_set,
                out,
                resume=resume,
                description=data,
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        raise InterruptError(resume_hint(out)) from None
    if not main:
        return
    say(f"Best top-1 accuracy {history.best:.4f} on {len(val_set)} validation photos.", err=json)
    weights = out / "best.safetensors"
    say(f"Next: galago train DATA --model {config.variant} --weights {weights}", err=json)
    if json:
        print_json({"out": str(out), "epochs": history.epoch, "best_top1": history.best})


def refuse(flags: "dict[str, Any]") -> None:
    """Refuse flags that do not apply to the classification of whole photos.

    Raises:
        ConfigError: one is given.
    """
    from galago.errors import ConfigError

    if given := [f"--{name.replace('_', '-')}" for name, value in flags.items() if value]:
        raise ConfigError(
            f"{', '.join(given)} has no meaning for a recipe that classifies whole photos. Leave "
            "it out."
        )
