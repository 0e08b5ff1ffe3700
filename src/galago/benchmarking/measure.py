"""Time a model on this device, in every configuration that the user may choose."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np

from galago.errors import ConfigError
from galago.runtime.engines.table import ENGINES
from galago.runtime.segmenter import Segmenter

PASSES = 5  # over all sizes
IOU_DECIMALS = 4  # engines in float32 differ beyond them, by rounding


@dataclass(frozen=True)
class RunConfig:
    """How to run a model: engine, precision and threads.

    Attributes:
        engine: name of the engine.
        precision: float32, bfloat16 or float16.
        threads: CPU threads; None lets the engine decide.
    """

    engine: str
    precision: str = "float32"
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one configuration takes at one size.

    Attributes:
        config: engine, precision and threads.
        imgsz: (height, width) that images are fitted into; None for the model's own resize rule.
        size: (height, width) of the image in pixels; of the middle one by area where there are
            several.
        input_size: (height, width) that the network got for it, padding included.
        network_ms: milliseconds of each run of the network alone.
        end_to_end_ms: milliseconds of each run from decoded image to full-size label map.
        labels_changed: share of pixels with another label than in the first configuration, 0 to 1.
        mean_iou: mean IoU, 0 to 1; None where it was not measured.
    """

    config: RunConfig
    imgsz: tuple[int, int] | None
    size: tuple[int, int]
    input_size: tuple[int, int]
    network_ms: tuple[float, ...]
    end_to_end_ms: tuple[float, ...]
    labels_changed: float
    mean_iou: float | None = None

    @property
    def median_ms(self) -> float:
        """Median of the end-to-end times."""
        return median(self.end_to_end_ms)


def list_configs(
    engines: Sequence[str],
    threads: Sequence[int | None],
    precisions: Sequence[str] = ("float32",),
) -> list[RunConfig]:
    """Return all configurations, precision by precision.

    Args:
        engines: names of installed engines.
        threads: numbers of CPU threads.
        precisions: names; each is measured in the engines that compute in it on this CPU.
    Raises:
        ConfigError: nothing here computes in one of the precisions.
    """
    configs: list[RunConfig] = []
    for precision in precisions:
        able = [name for name in engines if precision in ENGINES[name].precisions()]
        if not able:
            raise ConfigError(
                f"{' and '.join(engines)} cannot compute in {precision} on this CPU. Leave "
                f"{precision} out of --precision."
            )
        configs += [RunConfig(name, precision, count) for name in able for count in threads]
    return configs


def time_interleaved(
    segmenters: dict[RunConfig, Segmenter],
    images: Sequence[np.ndarray],
    *,
    runs: int,
    warmup: int,
    on_run: Callable[[], None],
) -> Iterator[Timing]:
    """Time all configurations on the same images in turns: a noisy moment hits all of them.

    Of several configurations each runs twice a turn, and the second run counts.

    Args:
        segmenters: one per configuration, all of one imgsz.
        images: (H, W, 3) uint8 RGB each; run after run takes the next one, and the first one after
            the last.
        runs: timed runs per configuration.
        warmup: runs of each before, which do not count.
        on_run: called after each run, for example to advance a progress bar.
    """
    network_ms: dict[RunConfig, list[float]] = {config: [] for config in segmenters}
    end_to_end_ms: dict[RunConfig, list[float]] = {config: [] for config in segmenters}
    changed: dict[RunConfig, list[float]] = {config: [] for config in segmenters}
    for turn in range(warmup + runs):
        image = images[turn % len(images)]
        labels: dict[RunConfig, np.ndarray] = {}
        for config, segmenter in segmenters.items():
            if len(segmenters) > 1:
                # The engine before may still wait busily for work, and has filled the caches.
                segmenter(image)
            start = perf_counter()
            result = segmenter(image)
            end_to_end_ms[config].append(1000 * (perf_counter() - start))
            network_ms[config].append(result.speed["infer"])
            labels[config] = result.labels
            on_run()
        if turn >= warmup + runs - len(images):  # each image once at most
            reference = next(iter(labels.values()))
            for config, map_ in labels.items():
                changed[config].append(float((map_ != reference).mean()))
    middle = sorted(images, key=lambda image: image.shape[0] * image.shape[1])[len(images) // 2]
    for config, segmenter in segmenters.items():
        prepared = segmenter.prepare(middle)[0].shape
        yield Timing(
            config=config,
            imgsz=segmenter.imgsz,
            size=(middle.shape[0], middle.shape[1]),
            input_size=(prepared[0], prepared[1]),
            network_ms=tuple(network_ms[config][warmup:]),
            end_to_end_ms=tuple(end_to_end_ms[config][warmup:]),
            labels_changed=float(np.mean(changed[config])),
        )


def count_runs(sizes: int, configs: int, *, runs: int, warmup: int) -> int:
    """Return how often `time_in_passes` labels an image."""
    return sizes * configs * (runs + warmup + (min(PASSES, runs) - 1) * min(warmup, 1))


@dataclass(frozen=True, eq=False)
class Round:
    """One size to time.

    Attributes:
        segmenters: one per configuration, all of one imgsz.
        images: (H, W, 3) uint8 RGB each.
    """

    segmenters: dict[RunConfig, Segmenter]
    images: Sequence[np.ndarray]


def time_in_passes(
    rounds: Sequence[Round], *, runs: int, warmup: int, on_run: Callable[[], None]
) -> list[list[Timing]]:
    """Time all configurations at all sizes in several passes: a noisy minute hits all sizes.

    Within a pass each size has its runs one after the other, as a change of size costs the engines
    time.

    Args:
        rounds: one per size.
        runs: timed runs per configuration and size.
        warmup: runs of each before; a later pass has one at most.
        on_run: called after each run.
    Returns:
        the timings of each round.
    """
    parts: list[list[list[Timing]]] = [[] for _ in rounds]
    passes, done = min(PASSES, runs), 0
    for number in range(passes):
        count = (number + 1) * runs // passes - done
        before = min(warmup, 1) if number else warmup
        for part, one in zip(parts, rounds, strict=True):
            # The timed runs go on with the image after the last one of the pass before.
            start = (done - before) % len(one.images)
            images = [*one.images[start:], *one.images[:start]]
            timings = time_interleaved(
                one.segmenters, images, runs=count, warmup=before, on_run=on_run
            )
            part.append(list(timings))
        done += count
    return [[merge(timings) for timings in zip(*part, strict=True)] for part in parts]


def merge(timings: Sequence[Timing]) -> Timing:
    """Return several timings of one configuration and size as one."""
    return replace(
        timings[0],
        network_ms=tuple(value for timing in timings for value in timing.network_ms),
        end_to_end_ms=tuple(value for timing in timings for value in timing.end_to_end_ms),
        labels_changed=float(np.mean([timing.labels_changed for timing in timings])),
    )


def summarize(times_ms: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile of some times, in milliseconds."""
    return {
        "median": round(median(times_ms), 3),
        "p95": round(float(np.percentile(times_ms, 95)), 3),
    }


def slope(megapixels: Sequence[float], times_ms: Sequence[float]) -> float | None:
    """Return the slope of a log-log plot: 1 for time that is linear in pixels.

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
    within = [timing for timing in timings if timing.median_ms <= budget_ms]

    def rank(timing: Timing) -> tuple[float, float]:
        pixels = area(timing.input_size)
        quality = pixels if timing.mean_iou is None else round(timing.mean_iou, IOU_DECIMALS)
        return quality, -timing.median_ms

    return max(within, key=rank, default=None)


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
    """Return a size as 360x480, and `own` for the model's own rule."""
    return f"{size[0]}x{size[1]}" if size else "own"


def format_ms(milliseconds: float) -> str:
    """Return milliseconds with two decimals at most, or more where these would be 0."""
    return f"{round(milliseconds, 2) or milliseconds:g}"


def describe_config(config: RunConfig) -> str:
    """Return a configuration in a few words."""
    threads = f", {config.threads} thread{'s' * (config.threads > 1)}" if config.threads else ""
    return f"{config.engine} {config.precision}{threads}"
