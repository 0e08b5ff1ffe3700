"""A look at the photos before the first epoch: what is wrong there would end the run hours later."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from galago.data.sample import Dataset, subsample_evenly
from galago.errors import DataError

MOST = 3000  # samples; of larger splits an even choice
REPORT_AFTER_S = 2.0  # a look that takes longer is reported


def is_labeled(dataset: Dataset, index: int) -> bool:
    """Read a sample, and tell whether a pixel of it has a class."""
    return bool((dataset[index].labels < len(dataset.labels) + len(dataset.labels.sets)).any())


def check_labeled(dataset: Dataset, *, threads: int) -> None:
    """Find a pixel with a class in a training split; mostly the first few samples have one.

    Args:
        dataset: the split.
        threads: how many read at the same time.
    Raises:
        DataError, ImageError: there is none, or a sample cannot be read.
    """
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(dataset), threads):
            part = range(start, min(start + threads, len(dataset)))
            if any(pool.map(partial(is_labeled, dataset), part)):
                return
    raise DataError(
        f"None of the {len(dataset)} training photos has a pixel with a class, so there is nothing "
        "to learn from. Check the ids in the masks: galago data check."
    )


def check_readable(
    dataset: Dataset, *, threads: int, report: Callable[[dict[str, float]], None]
) -> None:
    """Read the samples of a split once, and find what would end an evaluation.

    Args:
        dataset: the split.
        threads: how many read at the same time.
        report: called after each sample, with `epoch` 0, `checked` and `photos`, once it takes
            long.
    Raises:
        DataError, ImageError: a sample cannot be read, or no pixel has a class.
    """
    chosen = subsample_evenly(dataset, MOST)
    began, labeled = time.monotonic(), False
    with ThreadPoolExecutor(threads) as pool:
        found_in = pool.map(partial(is_labeled, chosen), range(len(chosen)))
        for index, found in enumerate(found_in):
            labeled |= found
            if time.monotonic() - began > REPORT_AFTER_S:
                report({"epoch": 0, "checked": index + 1, "photos": len(chosen)})
    if not labeled:
        raise DataError(
            f"None of the {len(chosen)} validation photos has a pixel with a class, so there is "
            "nothing to score. Check the ids in the masks: galago data check."
        )
