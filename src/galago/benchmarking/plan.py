"""What `galago bench` measures: budget, sizes, images, and labels if there are any."""

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

SIZES = ((360, 480), (512, 1024), (1024, 2048))  # of synthetic scenes
LARGEST_SCENE = (1024, 2048)  # from which --budget goes down
FACTORS = (0.5, 0.625, 0.75, 0.875, 1.0, 1.25)  # sides of the network's input over the image's
FINE_FACTORS = (0.125, 0.1875, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0)  # where only the time decides
MAX_TIMED_IMAGES = 8  # of a data set, held in memory at once
BUDGET = re.compile(r"(\d+\.?\d*|\.\d+) *(ms|s|fps)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class LabeledSource:
    """Labeled images to measure on.

    Attributes:
        path: folder or YAML file of the data set.
        split: train, val or test.
        max_images: how many images, spread evenly over the split; None for all.
    """

    path: str
    split: str = "val"
    max_images: int | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """Sizes, and images for each.

    Attributes:
        image: the images that are timed, in words.
        sizes: (height, width) of each round; None for the model's own resize rule.
        images_of: gives the (H, W, 3) uint8 RGB images of a round.
        fit: whether images keep their size, and the network's input is fitted into that of the
            round.
        dataset: labeled images to score, if there are any.
        scored_on: these, in words.
    """

    image: str
    sizes: "list[Size | None]"
    images_of: "Callable[[Size | None], list[np.ndarray]]"
    fit: bool
    dataset: "Dataset | None" = None
    scored_on: str | None = None

    def rounds(self) -> "Iterator[tuple[Size | None, list[np.ndarray]]]":
        """Yield what images are fitted into, None for the model's own rule, and the images."""
        for size in self.sizes:
            yield size if self.fit else None, self.images_of(size)


def read_budget(text: str) -> float:
    """Return the milliseconds per image that 30ms, 30, 0.03s or 33fps stand for.

    Raises:
        ConfigError: the text has another form, or is zero.
    """
    from galago.errors import ConfigError

    found = BUDGET.fullmatch(text.strip())
    value = float(found[1]) if found else 0.0
    if not found or not value:
        raise ConfigError(
            f"Expected a time per photo, for example 30ms, 0.03s or 30fps, got {text!r}."
        )
    unit = (found[2] or "ms").lower()
    return {"ms": value, "s": 1000 * value, "fps": 1000 / value}[unit]


def plan_image(
    segmenter: "Segmenter", source: Path | None, sizes: "list[Size]", *, fit: bool
) -> Plan:
    """Return the plan for one image at several sizes.

    Args:
        segmenter: of the model.
        source: the image; None for a synthetic street scene.
        sizes: those that the user wants, if any.
        fit: whether the sizes are to become a device profile, so that the network's input is
            fitted into each.
    """
    from galago import image as images
    from galago.scenes.dataset import render_scene

    image = images.load(source) if source else None
    fixed = segmenter.spec.input_size
    if not sizes and fixed:
        sizes = [fixed]
    elif not sizes and fit:
        largest = LARGEST_SCENE if image is None else (image.shape[0], image.shape[1])
        sizes = scaled(largest, FINE_FACTORS)

    def images_of(size: "Size | None") -> "list[np.ndarray]":
        assert size is not None
        return [render_scene(0, size).image if image is None else images.resize(image, size)]

    words = str(source) if source else "synthetic scene 0"
    return Plan(words, list(sizes or SIZES), images_of, fit=fit and fixed is None)


def plan_data(
    segmenter: "Segmenter", data: LabeledSource, sizes: "list[Size]", *, runs: int
) -> Plan:
    """Return the plan for labeled images of their own size, at several sizes of the input.

    Args:
        segmenter: of the model.
        data: the labeled images.
        sizes: those that the user wants; none for a row around the size that the model would take.
        runs: timed runs; more images than that would be loaded but unused.
    Raises:
        ConfigError: the model does not take a size, or knows other classes than the data set.
        DataError: the data set cannot be opened.
    """
    from galago.data import open_dataset, subsample_evenly
    from galago.evaluation.evaluate import check_classes
    from galago.runtime.segmenter import check_imgsz

    whole = open_dataset(data.path, data.split)
    check_classes(segmenter.spec.name, segmenter.spec.classes, whole)
    for size in sizes:
        check_imgsz(size, segmenter.spec)
    dataset = subsample_evenly(whole, data.max_images or len(whole))
    timed = subsample_evenly(dataset, min(MAX_TIMED_IMAGES, runs))
    images = [timed[index].image for index in range(len(timed))]
    named = f"{data.path}, {data.split}"
    count = f"all {len(whole)}" if len(dataset) == len(whole) else f"{len(dataset)} of {len(whole)}"
    return Plan(
        f"{len(images)} of the photos of {named}",
        [*(sizes or usual_sizes(segmenter, images))],
        lambda size: images,
        fit=True,
        dataset=dataset,
        scored_on=f"{count} photos of {named}",
    )


def usual_sizes(segmenter: "Segmenter", images: "list[np.ndarray]") -> "list[Size | None]":
    """Return a row of sizes around the one that the model gives the middle image.

    The only one of a model of one size. None is the model's own rule, where that already says how
    large any image becomes.
    """
    spec = segmenter.spec
    if spec.input_size:
        return [None if spec.resize == "stretch" else spec.input_size]
    middle = sorted(images, key=lambda image: image.shape[0] * image.shape[1])[len(images) // 2]
    own = segmenter.prepare(middle)[1]
    return [
        None if size == own and spec.resize == "short_side" else size
        for size in scaled(own, FACTORS)
    ]


def scaled(size: "Size", factors: tuple[float, ...]) -> "list[Size]":
    """Return a size times each factor, in multiples of 32; a factor of 1 keeps it as it is."""
    from galago.spec import SIZE_MULTIPLE

    def side(pixels: int, factor: float) -> int:
        if factor == 1:
            return pixels
        return max(1, round(factor * pixels / SIZE_MULTIPLE)) * SIZE_MULTIPLE

    return list(dict.fromkeys((side(size[0], factor), side(size[1], factor)) for factor in factors))


def add_scores(
    timings: "list[Timing]",
    segmenters: "dict[RunConfig, Segmenter]",
    plan: Plan,
    on_image: Callable[[], None],
) -> "list[Timing]":
    """Return one round's timings with their mean IoU on the plan's labels, if there are any.

    Each engine and precision is scored once, whatever the threads.

    Args:
        timings: of the round.
        segmenters: their segmenters.
        plan: holds the labels.
        on_image: called after each image, for example to advance a progress bar.
    """
    from galago.evaluation import evaluate

    if plan.dataset is None:
        return timings
    scores: dict[tuple[str, str], float] = {}
    for config, segmenter in segmenters.items():
        key = (config.engine, config.precision)
        if key not in scores:
            result = evaluate(
                _predict_fn(segmenter), plan.dataset, on_sample=lambda sample, pred: on_image()
            )
            scores[key] = result.mean_iou
    return [
        replace(timing, mean_iou=scores[timing.config.engine, timing.config.precision])
        for timing in timings
    ]


def _predict_fn(segmenter: "Segmenter") -> "Callable[[np.ndarray], np.ndarray]":
    return lambda image: segmenter(image).labels
