"""mean_iou_interval: how much the mean IoU would move with other photos of the same kind."""

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95  # share of the resamples inside the interval


def mean_iou_interval(tallies: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """Draw as many photos as there are, with replacement, again and again, and score each draw as a data set.

    The interval is the percentile one: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3. Photos
    count as independent; those of one drive are not, and the truth is wider then.

    Args:
        tallies: (N, 3, K) pixels, one `label_counts.tally` per photo; at least one photo with a labeled pixel.
        seed: of the draws; the same one gives the same interval.
    Returns:
        lower and upper end.
    """
    photos, _, num_classes = tallies.shape
    draws = np.random.default_rng(seed).multinomial(photos, np.full(photos, 1 / photos), size=RESAMPLES).astype(np.float64)
    sums = (draws @ tallies.reshape(photos, -1).astype(np.float64)).reshape(RESAMPLES, 3, num_classes)
    found, truth, claimed = sums.transpose(1, 0, 2)
    occurs = truth > 0
    iou = np.where(occurs, found / np.maximum(truth + claimed - found, 1), 0)
    labeled = occurs.any(axis=1)  # a draw of photos without any label says nothing
    means = iou[labeled].sum(axis=1) / occurs[labeled].sum(axis=1)
    lower, upper = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(lower), float(upper)
