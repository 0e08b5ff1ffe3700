"""A look at the validation split before the first epoch: what is wrong there would end the run hours later."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from galago.data.sample import Dataset, spread
from galago.errors import DataError

MOST = 3000  # samples; of larger splits an even choice
QUIET_S = 2.0  # a look that takes longer is reported


def check_readable(dataset: Dataset, *, threads: int, report: Callable[[dict[str, float]], None]) -> None:
    """Read the samples of a split once, and find what would end an evaluation.

    Args:
        dataset: the split.
        threads: how many read at the same time.
        report: called after each sample, with `epoch` 0, `checked` and `photos`, once it takes long.
    Raises:
        DataError, ImageError: a sample cannot be read, or no pixel has a class.
    """
    chosen, num_labels = spread(dataset, MOST), len(dataset.labels) + len(dataset.labels.sets)

    def is_labeled(index: int) -> bool:
        return bool((chosen[index].labels < num_labels).any())

    began, labeled = time.monotonic(), False
    with ThreadPoolExecutor(threads) as pool:
        for index, found in enumerate(pool.map(is_labeled, range(len(chosen)))):
            labeled |= found
            if time.monotonic() - began > QUIET_S:
                report({"epoch": 0, "checked": index + 1, "photos": len(chosen)})
    if not labeled:
        raise DataError(
            f"None of the {len(chosen)} validation photos has a pixel with a class, so there is nothing to score. "
            "Check the ids in the masks: galago data check."
        )
