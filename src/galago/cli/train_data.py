"""What `galago train` learns from: the main data set, extra ones with their shares, and what is
held out of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from galago.data import Dataset
    from galago.data.mixture import Extra

SCENES_PREFIX = "scenes:"
VALIDATION_SCENES = 100
MAIN = "main"


def open_splits(data: str, holdout: Sequence[str] = ()) -> tuple["Dataset", "Dataset"]:
    """Open what to train on and what to validate on.

    Args:
        data: folder or YAML file, or `scenes:COUNT`.
        holdout: beginnings of file names; such images of train are validated on instead of val.
    Raises:
        ConfigError, DataError: the data set cannot be opened, nothing begins so, or `scenes:` is
            not followed by a count or comes with --holdout.
    """
    from galago.data import open_dataset, select
    from galago.errors import ConfigError
    from galago.scenes.dataset import Scenes

    if data.startswith(SCENES_PREFIX):
        count = data.removeprefix(SCENES_PREFIX)
        if not count.isdecimal() or int(count) == 0:
            raise ConfigError(f"Expected a number of scenes, as scenes:2000, got {data!r}.")
        if holdout:
            raise ConfigError(
                f"Drawn scenes have no names to leave out, got --holdout {holdout[0]}."
            )
        return Scenes(int(count), first_seed=VALIDATION_SCENES), Scenes(VALIDATION_SCENES)
    train_set = open_dataset(data, "train")
    if not holdout:
        return train_set, open_dataset(data, "val")
    prefixes = tuple(holdout)
    for prefix in prefixes:
        select(train_set, lambda name, prefix=prefix: name.split("/")[-1].startswith(prefix))  # type: ignore[misc]  # a default binds it now
    return (
        select(train_set, lambda name: not name.split("/")[-1].startswith(prefixes)),
        select(train_set, lambda name: name.split("/")[-1].startswith(prefixes)),
    )


def split_share(spec: str) -> tuple[str, float | None]:
    """Read `FOLDER` or `FOLDER:SHARE`; a share is a number between 0 and 1.

    Raises:
        ConfigError: the share is out of range.
    """
    from galago.errors import ConfigError

    place, colon, text = spec.rpartition(":")
    if not colon or place == SCENES_PREFIX[:-1]:
        return spec, None
    try:
        share = float(text)
    except ValueError:
        return spec, None
    if not place or not 0 < share < 1:
        raise ConfigError(
            "Expected a share of the views between 0 and 1, as --extra-data street/:0.3, got "
            f"{spec!r}."
        )
    return place, share


def open_extras(specs: Sequence[str]) -> "list[Extra]":
    """Open extra data sets, with their validation parts where they have any.

    Raises:
        ConfigError, DataError: one cannot be opened, or the shares leave nothing for the main one.
    """
    from galago.data.mixture import Extra, balance

    told = [split_share(spec) for spec in specs]
    extras: list[Extra] = []
    for (place, _), share in zip(told, balance([share for _, share in told]), strict=True):
        train_set, val_set = (
            open_splits(place) if place.startswith(SCENES_PREFIX) else open_train(place)
        )
        extras.append(
            Extra(
                unused_name(place, [MAIN, *(extra.name for extra in extras)]),
                train_set,
                share,
                val_set,
            )
        )
    return extras


def open_train(place: str) -> "tuple[Dataset, Dataset | None]":
    """Open the train split of a data set and, if it has one, its val split.

    Raises:
        DataError: a split that is there is damaged.
    """
    from galago.data import locate, open_dataset
    from galago.data.folder import read_description

    found = locate(place)
    if found.is_dir():
        there = (found / "val.txt").is_file()
    else:
        description = read_description(found)
        there = (
            bool(description.selection.holdout)
            or (description.root / description.folders["val"]).is_dir()
        )
    return open_dataset(place, "train"), open_dataset(place, "val") if there else None


def unused_name(place: str, taken: Sequence[str]) -> str:
    """Return a short name for a data set: of its folder or of its YAML file, with a number where
    that is taken.
    """
    from galago.data import YAML_NAMES

    path = Path(place.replace(":", "-"))
    name = (
        path.parent.resolve().name
        if path.name in YAML_NAMES
        else path.stem
        if path.suffix in (".yaml", ".yml")
        else path.name
    )
    name = (name or path.resolve().name).replace("/", "-")
    return next(
        form
        for form in (name, *(f"{name}-{number}" for number in range(2, 999)))
        if form not in taken
    )


def check_mix(mix: str | None, share: float) -> None:
    """Refuse --mix without its share and the share without --mix.

    Raises:
        ConfigError: only one of both is given.
    """
    from galago.errors import ConfigError

    if (mix is None) != (share == 0):
        raise ConfigError(
            "--mix DATA and --set mix=SHARE belong together, for example --mix scenes/ --set "
            "mix=0.3."
        )


def describe(extras: "Sequence[Extra]") -> str:
    """Say in words what is learned from beside the main data set, and how much."""
    parts = [
        f"{extra.name} ({len(extra.train)} photos, {extra.share:.0%} of the views, "
        + (f"{len(extra.val)} for validation)" if extra.val else "no validation part)")
        for extra in extras
    ]
    return "; extra data: " + ", ".join(parts) if parts else ""
