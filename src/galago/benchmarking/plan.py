"""What `galago bench` measures: budget, sizes, photos, and labels if there are any."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from galago.benchmarking.measure import RunConfig, Timing
    from galago.data import Dataset
    from galago.runtime.segmenter import Segmenter

    Size = tuple[int, int]

SIZES = ((360, 480), (512, 1024), (1024, 2048))  # of drawn scenes
LARGEST_SCENE = (1024, 2048)  # from which --budget goes down
FACTORS = (
    0.5,
    0.625,
    0.75,
    0.875,
    1.0,
    1.25,
)  # sides of the network's input over those of the photos
FINE_FACTORS = (0.125, 0.1875, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0)  # where only the time decides
TIMED_PHOTOS = 8  # of a data set, held in memory at once
BUDGET = re.compile(r"(\d+\.?\d*|\.\d+) *(ms|s|fps)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, eq=False)
class Plan:
    """Sizes, and photos for each.

    Attributes:
        photo: the photos that are timed, in words.
        sizes: (height, width) of each round; None for the model's own resize rule.
        photos_of: gives the (H, W, 3) uint8 RGB photos of a round.
        fit: whether photos keep their size, and the network's input is fitted into that of the
            round.
        dataset: labeled photos to score, if there are any.
        scored_on: these, in words.
    """

    photo: str
    sizes: "list[Size | None]"
    photos_of: "Callable[[Size | None], list[np.ndarray]]"
    fit: bool
    dataset: "Dataset | None" = None
    scored_on: str | None = None

    def rounds(self) -> "Iterator[tuple[Size | None, list[np.ndarray]]]":
        """Yield what photos are fitted into, or None for the model's own rule, and the photos."""
        for size in self.sizes:
            yield size if self.fit else None, self.photos_of(size)


def read_budget(text: str) -> float:
    """Read milliseconds per photo from 30ms, 30, 0.03s or 33fps.

    Raises:
        ConfigError: the text has another form, or is zero.
    """
    from galago.errors import ConfigError

    found = BUDGET.fullmatch(text.strip())
    value = float(found[1]) if found else 0.0
    if not found or not value:
        raise ConfigError(f"Expected a time for one photo, as 30ms, 0.03s or 30fps, got {text!r}.")
    unit = (found[2] or "ms").lower()
    return {"ms": value, "s": 1000 * value, "fps": 1000 / value}[unit]


def plan_photo(
    segmenter: "Segmenter", source: Path | None, sizes: "list[Size]", *, fit: bool
) -> Plan:
    """Plan for one photo at several sizes.

    Args:
        segmenter: of the model.
        source: the photo; a drawn street scene without it.
        sizes: those that the user wants, if any.
        fit: whether the sizes are to become a setting, so that the network's input is fitted into
            each.
    """
    from galago import image as images
    from galago.scenes.dataset import render_scene

    photo = images.load(source) if source else None
    fixed = segmenter.spec.input_size
    if not sizes and fixed:
        sizes = [fixed]
    elif not sizes and fit:
        sizes = scaled(
            LARGEST_SCENE if photo is None else (photo.shape[0], photo.shape[1]), FINE_FACTORS
        )

    def photos_of(size: "Size | None") -> "list[np.ndarray]":
        assert size is not None
        return [render_scene(0, size).image if photo is None else images.resize(photo, size)]

    words = str(source) if source else "drawn scene 0"
    return Plan(words, list(sizes or SIZES), photos_of, fit=fit and fixed is None)


def plan_data(
    segmenter: "Segmenter", data: tuple[str, str, int | None], sizes: "list[Size]", *, most: int
) -> Plan:
    """Plan for labeled photos at their own size, and several sizes of the network's input.

    Args:
        segmenter: of the model.
        data: path of the data set, split, and how many photos, spread evenly; None for all.
        sizes: those that the user wants; a row around the size that the model would take without
            them.
        most: number of measured runs, so that no photo waits in vain.
    Raises:
        ConfigError: the model does not take a size, or knows other classes than the data set.
        DataError: the data set cannot be opened.
    """
    from galago.data import open_dataset, subsample_evenly
    from galago.evaluation.evaluate import check_classes
    from galago.runtime.segmenter import check_imgsz

    path, split, count = data
    whole = open_dataset(path, split)
    check_classes(segmenter.spec.name, segmenter.spec.classes, whole)
    for size in sizes:
        check_imgsz(size, segmenter.spec)
    dataset = subsample_evenly(whole, count or len(whole))
    timed = subsample_evenly(dataset, min(TIMED_PHOTOS, most))
    photos = [timed[index].image for index in range(len(timed))]
    rounds: list[Size | None] = [*(sizes or usual_sizes(segmenter, photos))]
    named = f"{path}, {split}"
    share = f"all {len(whole)}" if len(dataset) == len(whole) else f"{len(dataset)} of {len(whole)}"
    words = f"{len(photos)} of the photos of {named}"
    return Plan(
        words,
        rounds,
        lambda size: photos,
        fit=True,
        dataset=dataset,
        scored_on=f"{share} photos of {named}",
    )


def usual_sizes(segmenter: "Segmenter", photos: "list[np.ndarray]") -> "list[Size | None]":
    """Return a row of sizes around the one that the model gives the middle photo.

    The only one of a model of one size.

    None stands for the model's own rule, where that already says how large any photo becomes.
    """
    spec = segmenter.spec
    if spec.input_size:
        return [None if spec.resize == "stretch" else spec.input_size]
    middle = sorted(photos, key=lambda photo: photo.shape[0] * photo.shape[1])[len(photos) // 2]
    own = segmenter.prepare(middle)[1]
    return [
        None if size == own and spec.resize == "short_side" else size
        for size in scaled(own, FACTORS)
    ]


def scaled(size: "Size", factors: tuple[float, ...]) -> "list[Size]":
    """Return a size times each factor, in multiples of 32; a factor of 1 keeps it as it is."""
    from galago.spec import SIZE_MULTIPLE

    def side(pixels: int, factor: float) -> int:
        return (
            pixels
            if factor == 1
            else max(1, round(factor * pixels / SIZE_MULTIPLE)) * SIZE_MULTIPLE
        )

    return list(dict.fromkeys((side(size[0], factor), side(size[1], factor)) for factor in factors))


def add_scores(
    timings: "list[Timing]",
    segmenters: "dict[RunConfig, Segmenter]",
    plan: Plan,
    on_photo: Callable[[], None],
) -> "list[Timing]":
    """Score one round's ways on the plan's labels, if there are any: once for each engine and
    precision, whatever the threads.

    Args:
        timings: of the round.
        segmenters: their segmenters.
        plan: holds the labels.
        on_photo: called after each photo, as for a progress bar.
    """
    from galago.evaluation import evaluate

    if plan.dataset is None:
        return timings
    scores: dict[tuple[str, str], float] = {}
    for way, segmenter in segmenters.items():
        if (way.engine, way.precision) not in scores:
            scored = evaluate(
                label_with(segmenter), plan.dataset, on_sample=lambda sample, guess: on_photo()
            )
            scores[way.engine, way.precision] = scored.mean_iou
    return [
        replace(timing, mean_iou=scores[timing.way.engine, timing.way.precision])
        for timing in timings
    ]


def label_with(segmenter: "Segmenter") -> "Callable[[np.ndarray], np.ndarray]":
    """Return what labels a photo."""
    return lambda image: segmenter(image).labels
