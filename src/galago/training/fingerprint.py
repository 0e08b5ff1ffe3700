"""What a run learns from, in few numbers, so that it does not go on with other data.

Names of the classes, names of all images, and a close look at a few of them. A data set that was
moved, or of which a broken file was repaired, is still the same one.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from galago._core.atomic_io import sha256
from galago.data.class_folders import ClassFolders
from galago.data.class_tars import ClassTars
from galago.data.sample import Dataset, subsample_evenly

LOOKED_AT = 4  # samples of each part
THUMBNAIL = (4, 4)  # pixels that an image is shrunk to
DECODERS = 2  # gray levels by which decoders of JPEG may differ in a thumbnail


Part = Dataset | ClassFolders | ClassTars


def fingerprint(
    parts: Mapping[str, Part | None], files: Mapping[str, Path | None]
) -> dict[str, Any]:
    """Describe data sets and files, by name, as values for JSON.

    Args:
        parts: as `training`, `validation`; None is one that is not used.
        files: as `teacher`; None is one that is not used.
    Raises:
        DataError, ImageError: a sample that is looked at cannot be read.
    """
    found: dict[str, Any] = {}
    for name, part in parts.items():
        if part is not None:
            found[f"{name} data"] = (
                of_classes(part) if isinstance(part, ClassFolders | ClassTars) else of_dataset(part)
            )
    return found | {name: sha256(file) for name, file in files.items() if file is not None}


def of_dataset(dataset: Dataset) -> dict[str, Any]:
    """Describe labeled images."""
    few = subsample_evenly(dataset, LOOKED_AT)
    samples = (few[index] for index in range(len(few)))
    sets = [f"{found.name}={found.classes}|{found.hidden}" for found in dataset.labels.sets]
    return _describe(
        [*dataset.labels.names, *sets],
        dataset.names,
        ((sample.image, sample.labels) for sample in samples),
    )


def of_classes(folders: ClassFolders | ClassTars) -> dict[str, Any]:
    """Describe images in one folder, or tar file, per class."""
    files = (
        [photo.name for photo in folders.photos]
        if isinstance(folders, ClassFolders)
        else folders.members
    )
    names = [f"{class_id}/{file}" for file, class_id in zip(files, folders.class_ids, strict=True)]
    chosen = sorted(
        {index * (len(folders) - 1) // max(1, LOOKED_AT - 1) for index in range(LOOKED_AT)}
    )
    samples = (folders[index] for index in chosen)
    return _describe(
        folders.names, names, ((image, np.array(class_id)) for image, class_id in samples)
    )


def _describe(
    classes: Sequence[str], names: Sequence[str], samples: Iterable[tuple[np.ndarray, np.ndarray]]
) -> dict[str, Any]:
    looks = list(_look(samples))
    listed = hashlib.sha256(json.dumps([str(name) for name in names]).encode()).hexdigest()
    return {"classes": [*classes], "count": len(names), "names": listed, "looks": looks}


def _look(samples: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[dict[str, Any]]:
    for image, labels in samples:
        small = cv2.resize(np.ascontiguousarray(image), THUMBNAIL, interpolation=cv2.INTER_AREA)
        sums = hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()[:16]
        yield {"size": [*image.shape[:2]], "thumbnail": small.ravel().tolist(), "labels": sums}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in words what differs between two fingerprints; nothing for the same data.

    Raises:
        KeyError, TypeError, ValueError: the first is no fingerprint.
    """
    said = [f"there was no {name}" for name in now if name not in before]
    said += [f"there was {name}" for name in before if name not in now]
    for name in (name for name in now if name in before):
        if isinstance(now[name], str):
            said += [] if before[name] == now[name] else [f"the {name} is another file"]
        elif what := _difference(before[name], now[name]):
            said.append(f"the {name} {what}")
    return said


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    if before["classes"] != now["classes"]:
        return f"had the classes {', '.join(before['classes'])}, now {', '.join(now['classes'])}"
    if before["count"] != now["count"]:
        return f"had {before['count']} images, now {now['count']}"
    if before["names"] != now["names"]:
        return "has images of other names"
    for old, new in zip(before["looks"], now["looks"], strict=True):
        gaps = np.subtract(old["thumbnail"], new["thumbnail"])
        if old["size"] != new["size"] or np.abs(gaps).max() > DECODERS:
            return "has other images of the same names"
        if old["labels"] != new["labels"]:
            return "has other labels"
    return None
