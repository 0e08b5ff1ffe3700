"""Measure how long a model takes on this device, in every way that the user may choose."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np

from galago.errors import ConfigError
from galago.runtime.engines.table import ENGINES
from galago.runtime.segmenter import Segmenter

PASSES = 5  # over all sizes
SAME_IOU = 4  # decimals; engines in float32 differ behind them, by rounding


@dataclass(frozen=True)
class RunConfig:
    """One way to run a model.

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
    """What one way takes for one size.

    Attributes:
        way: the way.
        imgsz: (height, width) that photos are fitted into; None for the model's own resize rule.
        size: (height, width) of the photo in pixels; of the middle one by area where there are
            several.
        input_size: (height, width) that the network got for it, padding included.
        network: milliseconds of each run of the network alone.
        whole_way: milliseconds of each run from decoded photo to full-size label map.
        labels_changed: share of pixels with another label than in the first way, 0 to 1.
        mean_iou: mean IoU, 0 to 1; None where it was not measured.
    """

    way: RunConfig
    imgsz: tuple[int, int] | None
    size: tuple[int, int]
    input_size: tuple[int, int]
    network: tuple[float, ...]
    whole_way: tuple[float, ...]
    labels_changed: float
    mean_iou: float | None = None

    @property
    def median_ms(self) -> float:
        """Median of the whole way."""
        return median(self.whole_way)


def list_configs(
    engines: Sequence[str], threads: Sequence[int | None], *, half: bool
) -> list[RunConfig]:
    """List all ways, those in float32 first.

    Args:
        engines: names of installed engines.
        threads: numbers of CPU threads.
        half: whether to add bfloat16 for the engines that compute in it on this CPU.
    Raises:
        ConfigError: bfloat16 is asked for, but nothing here computes in it.
    """
    able = [name for name in engines if half and "bfloat16" in ENGINES[name].precisions()]
    if half and not able:
        raise ConfigError(
            f"{' and '.join(engines)} cannot compute in bfloat16 on this CPU. Leave --half out."
        )
    pairs = [*((name, "float32") for name in engines), *((name, "bfloat16") for name in able)]
    return [RunConfig(name, precision, count) for name, precision in pairs for count in threads]


def time_interleaved(
    segmenters: dict[RunConfig, Segmenter],
    photos: Sequence[np.ndarray],
    *,
    runs: int,
    warmup: int,
    on_run: Callable[[], None],
) -> Iterator[Timing]:
    """Time all ways on the same photos in turns, so that a noisy moment of the machine hits all of
    them.

    Of several ways each runs twice a turn, and the second run counts.

    Args:
        segmenters: one per way, all of one imgsz.
        photos: (H, W, 3) uint8 RGB each; run after run takes the next one, and the first one after
            the last.
        runs: measured runs of each way.
        warmup: runs of each before, which do not count.
        on_run: called after each run, as for a progress bar.
    """
    network: dict[RunConfig, list[float]] = {way: [] for way in segmenters}
    whole_way: dict[RunConfig, list[float]] = {way: [] for way in segmenters}
    changed: dict[RunConfig, list[float]] = {way: [] for way in segmenters}
    for turn in range(warmup + runs):
        photo = photos[turn % len(photos)]
        labels: dict[RunConfig, np.ndarray] = {}
        for way, segmenter in segmenters.items():
            if (
                len(segmenters) > 1
            ):  # the engine before may still wait busily for more work, and has filled the caches
                segmenter(photo)
            start = perf_counter()
            result = segmenter(photo)
            whole_way[way].append(1000 * (perf_counter() - start))
            network[way].append(result.speed["infer"])
            labels[way] = result.labels
            on_run()
        if turn >= warmup + runs - len(photos):  # each photo once at most
            reference = next(iter(labels.values()))
            for way, map_ in labels.items():
                changed[way].append(float((map_ != reference).mean()))
    middle = sorted(photos, key=lambda photo: photo.shape[0] * photo.shape[1])[len(photos) // 2]
    for way, segmenter in segmenters.items():
        seen = segmenter.prepare(middle)[0].shape
        yield Timing(
            way=way,
            imgsz=segmenter.imgsz,
            size=(middle.shape[0], middle.shape[1]),
            input_size=(seen[0], seen[1]),
            network=tuple(network[way][warmup:]),
            whole_way=tuple(whole_way[way][warmup:]),
            labels_changed=float(np.mean(changed[way])),
        )


def count_runs(sizes: int, ways: int, *, runs: int, warmup: int) -> int:
    """Return how often `time_in_passes` labels a photo."""
    return sizes * ways * (runs + warmup + (min(PASSES, runs) - 1) * min(warmup, 1))


def time_in_passes(
    rounds: Sequence[tuple[dict[RunConfig, Segmenter], Sequence[np.ndarray]]],
    *,
    runs: int,
    warmup: int,
    on_run: Callable[[], None],
) -> list[list[Timing]]:
    """Time all ways at all sizes in several passes, so that a noisy minute of the machine hits all
    sizes, too.

    Within a pass each size has its runs one after the other, as a change of size costs the engines
    time.

    Args:
        rounds: for each size its segmenters and photos, as for `time_interleaved`.
        runs: measured runs of each way and size.
        warmup: runs of each before; a later pass has one at most.
        on_run: called after each run.
    Returns:
        the timings of each round.
    """
    parts: list[list[list[Timing]]] = [[] for _ in rounds]
    passes, done = min(PASSES, runs), 0
    for number in range(passes):
        share = (number + 1) * runs // passes - done
        before = min(warmup, 1) if number else warmup
        for index, (segmenters, photos) in enumerate(rounds):
            start = (done - before) % len(
                photos
            )  # the measured runs go on where those of the last pass ended
            turned = [*photos[start:], *photos[:start]]
            parts[index].append(
                list(time_interleaved(segmenters, turned, runs=share, warmup=before, on_run=on_run))
            )
        done += share
    return [[merge(timings) for timings in zip(*part, strict=True)] for part in parts]


def merge(timings: Sequence[Timing]) -> Timing:
    """Put several timings of one way and size together."""
    return replace(
        timings[0],
        network=tuple(value for timing in timings for value in timing.network),
        whole_way=tuple(value for timing in timings for value in timing.whole_way),
        labels_changed=float(np.mean([timing.labels_changed for timing in timings])),
    )


def summarize(times_ms: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile of some times."""
    return {
        "median_ms": round(median(times_ms), 3),
        "p95_ms": round(float(np.percentile(times_ms, 95)), 3),
    }


def slope(megapixels: Sequence[float], times_ms: Sequence[float]) -> float | None:
    """Return the exponent of time in pixels, 1 for linear growth: the slope in a log-log plot.

    None for fewer than two sizes.
    """
    if len(set(megapixels)) < 2:
        return None
    return float(np.polyfit(np.log(megapixels), np.log(times_ms), 1)[0])


def choose_within(timings: Iterable[Timing], budget_ms: float) -> Timing | None:
    """Return the best timing whose median is at most a budget, None where there is none.

    The best has the largest mean IoU to four decimals or, where none was measured, the most pixels
    for the network. The fastest of several wins.
    """
    affordable = [timing for timing in timings if timing.median_ms <= budget_ms]

    def rank(timing: Timing) -> tuple[float, float]:
        height, width = timing.input_size
        worth = height * width if timing.mean_iou is None else round(timing.mean_iou, SAME_IOU)
        return worth, -timing.median_ms

    return max(affordable, key=rank, default=None)


def pareto_front(timings: Iterable[Timing]) -> list[Timing]:
    """Return the scored timings that nothing faster equals in mean IoU, the fastest first."""
    front: list[Timing] = []
    for timing in sorted(timings, key=lambda timing: (timing.median_ms, -(timing.mean_iou or 0))):
        if timing.mean_iou is not None and (
            not front or timing.mean_iou > (front[-1].mean_iou or 0)
        ):
            front.append(timing)
    return front


def area(size: tuple[int, int]) -> int:
    """Return the pixels of a size."""
    return size[0] * size[1]


def format_size(size: tuple[int, int] | None) -> str:
    """Write a size as 360x480; `own` stands for the model's own rule."""
    return f"{size[0]}x{size[1]}" if size else "own"


def format_ms(milliseconds: float) -> str:
    """Write milliseconds with up to two decimals, or more where nothing would be left."""
    return f"{round(milliseconds, 2) or milliseconds:g}"


def describe_config(way: RunConfig) -> str:
    """Name a way in a few words."""
    threads = f", {way.threads} thread{'s' * (way.threads > 1)}" if way.threads else ""
    return f"{way.engine} {way.precision}{threads}"
