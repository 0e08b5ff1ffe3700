"""A fingerprint of the data of a run, so that the run is not resumed with other data.

It holds the names of the classes, a hash of the names of all images, and thumbnails of a few of
them. A data set that was moved, or of which a broken file was repaired, keeps its fingerprint.
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

SAMPLES = 4  # of each data set that are read
THUMBNAIL = (4, 4)  # pixels
MAX_DECODER_ERROR = 2  # gray levels by which JPEG decoders may differ in a thumbnail

AnyDataset = Dataset | ClassFolders | ClassTars


def fingerprint(
    datasets: Mapping[str, AnyDataset | None], files: Mapping[str, Path | None]
) -> dict[str, Any]:
    """Return the fingerprints of data sets and files, by name, as values for JSON.

    Args:
        datasets: for example `training` and `validation`; None is one that is not used.
        files: for example `teacher`; None is one that is not used.
    Raises:
        DataError, ImageError: a sample cannot be read.
    """
    prints: dict[str, Any] = {}
    for name, dataset in datasets.items():
        if isinstance(dataset, ClassFolders | ClassTars):
            prints[f"{name} data"] = _of_classified_images(dataset)
        elif dataset is not None:
            prints[f"{name} data"] = _of_labeled_images(dataset)
    return prints | {name: sha256(file) for name, file in files.items() if file is not None}


def _of_labeled_images(dataset: Dataset) -> dict[str, Any]:
    few = subsample_evenly(dataset, SAMPLES)
    samples = (few[index] for index in range(len(few)))
    sets = [f"{found.name}={found.classes}|{found.hidden}" for found in dataset.label_set.sets]
    return _fingerprint(
        [*dataset.label_set.names, *sets],
        dataset.names,
        ((sample.image, sample.labels) for sample in samples),
    )


def _of_classified_images(dataset: ClassFolders | ClassTars) -> dict[str, Any]:
    if isinstance(dataset, ClassFolders):
        files = [path.name for path in dataset.images]
    else:
        files = list(dataset.members)
    names = [f"{class_id}/{file}" for file, class_id in zip(files, dataset.class_ids, strict=True)]
    last = len(dataset) - 1
    chosen = sorted({index * last // max(1, SAMPLES - 1) for index in range(SAMPLES)})
    samples = (dataset[index] for index in chosen)
    return _fingerprint(
        dataset.names, names, ((image, np.array(class_id)) for image, class_id in samples)
    )


def _fingerprint(
    classes: Sequence[str], names: Sequence[str], samples: Iterable[tuple[np.ndarray, np.ndarray]]
) -> dict[str, Any]:
    looks = list(_thumbnails(samples))
    listed = hashlib.sha256(json.dumps([str(name) for name in names]).encode()).hexdigest()
    return {"classes": [*classes], "count": len(names), "names": listed, "looks": looks}


def _thumbnails(samples: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[dict[str, Any]]:
    for image, labels in samples:
        small = cv2.resize(np.ascontiguousarray(image), THUMBNAIL, interpolation=cv2.INTER_AREA)
        sums = hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()[:16]
        yield {"size": [*image.shape[:2]], "thumbnail": small.ravel().tolist(), "labels": sums}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between two fingerprints; nothing for the same data.

    Raises:
        KeyError, TypeError, ValueError: the first is no fingerprint.
    """
    found = [f"there was no {name}" for name in now if name not in before]
    found += [f"there was {name}" for name in before if name not in now]
    for name in (name for name in now if name in before):
        if isinstance(now[name], str):
            found += [] if before[name] == now[name] else [f"the {name} is another file"]
        elif difference := _difference(before[name], now[name]):
            found.append(f"the {name} {difference}")
    return found


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    if before["classes"] != now["classes"]:
        return f"had the classes {', '.join(before['classes'])}, now {', '.join(now['classes'])}"
    if before["count"] != now["count"]:
        return f"had {before['count']} images, now {now['count']}"
    if before["names"] != now["names"]:
        return "has images of other names"
    for old, new in zip(before["looks"], now["looks"], strict=True):
        gaps = np.subtract(old["thumbnail"], new["thumbnail"])
        if old["size"] != new["size"] or np.abs(gaps).max() > MAX_DECODER_ERROR:
            return "has other images of the same names"
        if old["labels"] != new["labels"]:
            return "has other labels"
    return None
