"""Measure how long a model takes on this device, in every setting that the user may choose."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np

from galago.errors import ConfigError
from galago.runtime.engines import ENGINES
from galago.runtime.segmenter import Segmenter


@dataclass(frozen=True)
class Setting:
    """How to run a model.

    Attributes:
        engine: name of the engine.
        precision: float32 or bfloat16.
        threads: CPU threads; None lets the engine decide.
    """

    engine: str
    precision: str = "float32"
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one setting takes for one size of photo.

    Attributes:
        setting: the setting.
        size: (height, width) of the photo in pixels.
        network: milliseconds of each run of the network alone.
        whole_way: milliseconds of each run from decoded photo to full-size label map.
        labels_changed: share of pixels with another label than in the first setting, 0 to 1.
    """

    setting: Setting
    size: tuple[int, int]
    network: tuple[float, ...]
    whole_way: tuple[float, ...]
    labels_changed: float


def settings(engines: Sequence[str], threads: Sequence[int | None], *, half: bool) -> list[Setting]:
    """List all settings, those in float32 first.

    Args:
        engines: names of installed engines.
        threads: numbers of CPU threads.
        half: whether to add bfloat16 for the engines that compute in it on this CPU.
    Raises:
        ConfigError: bfloat16 is asked for, but nothing here computes in it.
    """
    able = [name for name in engines if half and "bfloat16" in ENGINES[name].precisions()]
    if half and not able:
        raise ConfigError(f"{' and '.join(engines)} cannot compute in bfloat16 on this CPU. Leave --half out.")
    pairs = [*((name, "float32") for name in engines), *((name, "bfloat16") for name in able)]
    return [Setting(name, precision, count) for name, precision in pairs for count in threads]


def take_turns(
    segmenters: dict[Setting, Segmenter], photo: np.ndarray, *, runs: int, warmup: int, on_run: Callable[[], None]
) -> Iterator[Timing]:
    """Time all settings on one photo in turns, so that a noisy moment of the machine hits all of them.

    Args:
        segmenters: one per setting.
        photo: (H, W, 3) uint8 RGB.
        runs: measured runs of each.
        warmup: runs of each before, which do not count.
        on_run: called after each run, as for a progress bar.
    """
    network: dict[Setting, list[float]] = {setting: [] for setting in segmenters}
    whole_way: dict[Setting, list[float]] = {setting: [] for setting in segmenters}
    labels: dict[Setting, np.ndarray] = {}
    for _ in range(warmup + runs):
        for setting, segmenter in segmenters.items():
            start = perf_counter()
            result = segmenter(photo)
            whole_way[setting].append(1000 * (perf_counter() - start))
            network[setting].append(result.speed["infer"])
            labels[setting] = result.labels
            on_run()
    reference = next(iter(labels.values()))
    for setting in segmenters:
        yield Timing(
            setting=setting,
            size=(photo.shape[0], photo.shape[1]),
            network=tuple(network[setting][warmup:]),
            whole_way=tuple(whole_way[setting][warmup:]),
            labels_changed=float((labels[setting] != reference).mean()),
        )


def summarize(times_ms: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile of some times."""
    return {"median_ms": round(median(times_ms), 3), "p95_ms": round(float(np.percentile(times_ms, 95)), 3)}


def slope(megapixels: Sequence[float], times_ms: Sequence[float]) -> float | None:
    """Return the exponent of time in pixels, 1 for linear growth: the slope in a log-log plot; None for fewer than two sizes."""
    if len(set(megapixels)) < 2:
        return None
    return float(np.polyfit(np.log(megapixels), np.log(times_ms), 1)[0])
