"""Reading the data before the first epoch, as an error in it would end the run hours later."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from galago.data.sample import Dataset, subsample_evenly
from galago.errors import DataError

MAX_SAMPLES = 3000  # that are read of a validation split, evenly spaced
REPORT_AFTER_S = 2.0  # from when on progress is reported


def is_labeled(dataset: Dataset, index: int) -> bool:
    """Return whether any pixel of a sample has a class."""
    return bool(
        (dataset[index].labels < len(dataset.label_set) + len(dataset.label_set.sets)).any()
    )


def check_labeled(dataset: Dataset, *, threads: int) -> None:
    """Refuse a training split without a labeled pixel; usually the first samples have one.

    Args:
        dataset: the split.
        threads: that read at the same time.
    Raises:
        DataError, ImageError: there is none, or a sample cannot be read.
    """
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(dataset), threads):
            indices = range(start, min(start + threads, len(dataset)))
            if any(pool.map(partial(is_labeled, dataset), indices)):
                return
    raise DataError(
        f"None of the {len(dataset)} training photos has a pixel with a class, so there is nothing "
        "to learn from. Check the ids in the masks: galago data check."
    )


def check_readable(
    dataset: Dataset, *, threads: int, on_progress: Callable[[dict[str, float]], None]
) -> None:
    """Read the samples of a validation split once, and refuse what would end an evaluation.

    Args:
        dataset: the split.
        threads: that read at the same time.
        on_progress: called after each sample, with `epoch` 0, `checked` and `images`, once it takes
            long.
    Raises:
        DataError, ImageError: a sample cannot be read, or no pixel has a class.
    """
    chosen = subsample_evenly(dataset, MAX_SAMPLES)
    start, any_labeled = time.monotonic(), False
    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(partial(is_labeled, chosen), range(len(chosen)))
        for number, labeled in enumerate(results, start=1):
            any_labeled |= labeled
            if time.monotonic() - start > REPORT_AFTER_S:
                on_progress({"epoch": 0, "checked": number, "images": len(chosen)})
    if not any_labeled:
        raise DataError(
            f"None of the {len(chosen)} validation photos has a pixel with a class, so there is "
            "nothing to score. Check the ids in the masks: galago data check."
        )
