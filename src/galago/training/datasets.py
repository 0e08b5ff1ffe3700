"""Opening the data of a run: the main data set, extra ones with their shares, and the holdout."""

from collections.abc import Sequence
from pathlib import Path

from galago.data import YAML_NAMES, Dataset, locate, open_dataset, select
from galago.data.folder import read_description
from galago.data.mixture import ExtraDataset, fill_shares
from galago.errors import ConfigError
from galago.scenes.dataset import Scenes

SCENES_PREFIX = "scenes:"
VALIDATION_SCENES = 100
MAIN = "main"  # name of the main data set beside the extra ones


def open_splits(data: str, holdout: Sequence[str] = ()) -> tuple[Dataset, Dataset]:
    """Return the data sets for training and for validation.

    Args:
        data: folder or YAML file, or `scenes:COUNT`.
        holdout: prefixes of file names; images of train that have one are the validation data,
            instead of val.
    Raises:
        ConfigError, DataError: the data set cannot be opened, no image has a prefix, or `scenes:`
            is not followed by a count or comes with --holdout.
    """
    if data.startswith(SCENES_PREFIX):
        return _open_scenes(data, holdout)
    train_set = open_dataset(data, "train")
    if not holdout:
        return train_set, open_dataset(data, "val")
    for prefix in holdout:
        select(train_set, lambda name, prefix=prefix: _file_name(name).startswith(prefix))  # type: ignore[misc]  # a default binds it now
    prefixes = tuple(holdout)
    return (
        select(train_set, lambda name: not _file_name(name).startswith(prefixes)),
        select(train_set, lambda name: _file_name(name).startswith(prefixes)),
    )


def _file_name(name: str) -> str:
    return name.split("/")[-1]


def _open_scenes(data: str, holdout: Sequence[str]) -> tuple[Dataset, Dataset]:
    """Return synthetic scenes for training and for validation; see `open_splits`."""
    count = data.removeprefix(SCENES_PREFIX)
    if not count.isdecimal() or int(count) == 0:
        raise ConfigError(f"Expected a number of scenes, for example scenes:2000, got {data!r}.")
    if holdout:
        raise ConfigError(
            f"Synthetic scenes have no names to hold out, got --holdout {holdout[0]}."
        )
    return Scenes(int(count), first_seed=VALIDATION_SCENES), Scenes(VALIDATION_SCENES)


def open_extras(specs: Sequence[str]) -> list[ExtraDataset]:
    """Return the extra data sets, with their validation splits if they have any.

    Args:
        specs: each a data set, or a data set and its share of the samples, `DATA:SHARE`.
    Raises:
        ConfigError, DataError: one cannot be opened, or the shares leave nothing for the main one.
    """
    requested = [split_share(spec) for spec in specs]
    shares = fill_shares([share for _, share in requested])
    extras: list[ExtraDataset] = []
    for (data, _), share in zip(requested, shares, strict=True):
        open_data = open_splits if data.startswith(SCENES_PREFIX) else _open_train
        train_set, val_set = open_data(data)
        name = _unused_name(data, [MAIN, *(extra.name for extra in extras)])
        extras.append(ExtraDataset(name, train_set, share, val_set))
    return extras


def old_mix(data: str | None, ratio: float) -> list[str]:
    """Return the extra data of galago 0.1's --mix DATA with --set mix=SHARE, as for `open_extras`.

    Raises:
        ConfigError: only one of both is given.
    """
    if (data is None) != (ratio == 0):
        raise ConfigError(
            "Extra data needs a data set and its share of the samples: --extra-data "
            "DATA:SHARE, "
            "for example --extra-data scenes/:0.3."
        )
    return [] if data is None else [f"{data}:{ratio}"]


def split_share(spec: str) -> tuple[str, float | None]:
    """Return data set and share of `DATA` or `DATA:SHARE`.

    Raises:
        ConfigError: the share is not between 0 and 1.
    """
    data, colon, text = spec.rpartition(":")
    if not colon or data == SCENES_PREFIX[:-1]:
        return spec, None
    try:
        share = float(text)
    except ValueError:
        return spec, None
    if not data or not 0 < share < 1:
        raise ConfigError(
            "Expected a share of the samples between 0 and 1, for example --extra-data "
            f"street/:0.3, got {spec!r}."
        )
    return data, share


def _open_train(data: str) -> tuple[Dataset, Dataset | None]:
    """Return the train split of a data set, and its val split or None.

    Raises:
        DataError: a split that exists is damaged.
    """
    path = locate(data)
    if path.is_dir():
        has_val = (path / "val.txt").is_file()
    else:
        description = read_description(path)
        has_val = (
            bool(description.selection.holdout)
            or (description.root / description.folders["val"]).is_dir()
        )
    return open_dataset(data, "train"), open_dataset(data, "val") if has_val else None


def _unused_name(data: str, taken: Sequence[str]) -> str:
    """Return a short name for a data set: of its folder or YAML file, numbered if it is taken."""
    path = Path(data.replace(":", "-"))
    if path.name in YAML_NAMES:
        name = path.parent.resolve().name
    else:
        name = path.stem if path.suffix in (".yaml", ".yml") else path.name
    name = (name or path.resolve().name).replace("/", "-")
    numbered = (f"{name}-{number}" for number in range(2, 999))
    return next(form for form in (name, *numbered) if form not in taken)


def describe_extras(extras: Sequence[ExtraDataset]) -> str:
    """Return the extra data sets and their shares in words; nothing for none."""
    descriptions = [
        f"{extra.name} ({len(extra.train)} photos, {extra.share:.0%} of the samples, "
        + (f"{len(extra.val)} for validation)" if extra.val else "no validation part)")
        for extra in extras
    ]
    return "; extra data: " + ", ".join(descriptions) if descriptions else ""
