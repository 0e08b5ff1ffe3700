"""Protocols against a slow implementation of their own, and what the flags of `galago val` make of
a model.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from galago.cli._scoring import apply_protocol, make_predict_fn, read_scales, read_tta_config
from galago.data import Sample
from galago.errors import ConfigError
from galago.evaluation import TTAConfig, evaluate_full
from galago.evaluation.protocol import PROTOCOLS
from galago.labels import ADE20K_NAMES, CAMVID, CITYSCAPES_NAMES, LabelSet, distinct_palette
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec


class Mixer:
    """An engine whose logits are fixed mixtures of the colors of 8 x 8 pixels and of their places."""

    name = "mixer"

    def __init__(self, num_classes: int, input_size: tuple[int, int] | None = None) -> None:
        self.input_size = input_size
        self.weight = np.random.default_rng(7).normal(size=(num_classes, 5)).astype(np.float32)

    def run(self, image: np.ndarray) -> np.ndarray:
        _, height, width, _ = image.shape
        colors = (
            cv2.resize(
                image[0].astype(np.float32), (width // 8, height // 8), interpolation=cv2.INTER_AREA
            )
            / 64
        )
        rows, columns = np.meshgrid(
            *(np.linspace(-1, 1, side // 8) for side in (height, width)), indexing="ij"
        )
        features = np.dstack([colors, np.sin(9 * rows), np.cos(7 * columns)]).astype(np.float32)
        return np.einsum("kf,hwf->khw", self.weight, features)[None]


class Drawn:
    """Photos of colored blobs, with masks that have little to do with them."""

    def __init__(self, label_set: LabelSet, sizes: tuple[tuple[int, int], ...]) -> None:
        self.label_set, self.sizes = label_set, sizes
        self.names = tuple(f"{height}x{width}" for height, width in sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Sample:
        height, width = self.sizes[index]
        rng = np.random.default_rng(index)
        blobs = cv2.resize(
            rng.integers(0, 256, (6, 8, 3), np.uint8),
            (width, height),
            interpolation=cv2.INTER_CUBIC,
        )
        masks = rng.integers(0, len(self.label_set) + 1, (5, 7), np.uint8)
        masks[masks == len(self.label_set)] = 255
        return Sample(
            self.names[index],
            blobs,
            cv2.resize(masks, (width, height), interpolation=cv2.INTER_NEAREST),
        )


def label_set(names: tuple[str, ...]) -> LabelSet:
    return LabelSet(names, distinct_palette(len(names)))


def segmenter(names: tuple[str, ...], **changes: object) -> Segmenter:
    spec = ModelSpec(
        name="mixer", variant="b0", classes=names, palette=distinct_palette(len(names))
    )
    return Segmenter(Mixer(len(names)), replace(spec, **changes))


def cityscapes_size(height: int, width: int) -> tuple[int, int]:
    return 1024, 2048


def ade20k_size(height: int, width: int) -> tuple[int, int]:
    """Resize as the authors' data set of ADE20K does, with a size of 512."""
    if height < width:
        return 512, math.ceil(width / height * 512 / 32) * 32
    return math.ceil(height / width * 512 / 32) * 32, 512


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "names", "network_size", "sizes"),
    [
        ("cityscapes", CITYSCAPES_NAMES, cityscapes_size, ((96, 192), (100, 150))),
        ("ade20k", ADE20K_NAMES, ade20k_size, ((90, 121), (110, 80), (64, 64))),
    ],
)
def test_a_protocol_gives_the_figures_of_a_slow_implementation(
    name: str,
    names: tuple[str, ...],
    network_size: Callable[[int, int], tuple[int, int]],
    sizes: tuple[tuple[int, int], ...],
):
    torch = pytest.importorskip("torch")
    dataset, model = Drawn(label_set(names), sizes), segmenter(names)
    engine = model.engine
    shared, union = (np.zeros(len(names), np.int64) for _ in range(2))
    for index in range(len(dataset)):
        sample = dataset[index]
        height, width = network_size(*sample.image.shape[:2])
        image = cv2.resize(sample.image, (width, height), interpolation=cv2.INTER_CUBIC)
        logits = torch.from_numpy(engine.run(image[None]))
        grown = torch.nn.functional.interpolate(
            logits, size=sample.labels.shape, mode="bicubic", align_corners=False
        )
        pred, known = grown[0].argmax(0).numpy(), sample.labels < len(names)
        for class_id in range(len(names)):
            true, predicted = (sample.labels == class_id) & known, (pred == class_id) & known
            shared[class_id] += (true & predicted).sum()
            union[class_id] += (true | predicted).sum()
    scores = evaluate_full(
        make_predict_fn(
            apply_protocol(model, name, dataset.label_set), TTAConfig(), confidence=False
        ),
        dataset,
    ).scores
    assert (
        scores.confusion.sum(axis=0) > 0
    ).sum() > 5  # the drawn network says more than one thing
    # rounding may turn a pixel whose two best classes are as good as tied
    np.testing.assert_allclose(np.diag(scores.confusion), shared, atol=2)
    # the authors' code averages over all classes, and gives NaN where one occurs nowhere
    assert scores.mean_iou_all_classes == pytest.approx(
        (shared / np.maximum(union, 1))[union > 0].mean(), abs=1e-4
    )


def test_a_protocol_sets_resize_rule_and_upsampling():
    city = apply_protocol(
        segmenter(CITYSCAPES_NAMES), "cityscapes", label_set(CITYSCAPES_NAMES)
    ).spec
    assert (city.resize, city.input_size, city.upsampling) == ("stretch", (1024, 2048), "bicubic")
    ade = apply_protocol(segmenter(ADE20K_NAMES), "ade20k", label_set(ADE20K_NAMES)).spec
    assert (ade.resize, ade.short_side, ade.upsampling) == ("short_side", 512, "bicubic")


def test_a_model_that_asks_for_the_same_rule_is_welcome_and_another_rule_an_error():
    labels = label_set(ADE20K_NAMES)
    apply_protocol(segmenter(ADE20K_NAMES, resize="short_side", short_side=512), "ade20k", labels)
    with pytest.raises(ConfigError, match="asks for another resize rule: short_side 256"):
        apply_protocol(
            segmenter(ADE20K_NAMES, resize="short_side", short_side=256), "ade20k", labels
        )


def test_a_file_of_another_size_is_an_error():
    with pytest.raises(
        ConfigError, match=r"resizes photos to 1024 x 2048 pixels, but the file takes \(512, 1024\)"
    ):
        apply_protocol(
            segmenter(CITYSCAPES_NAMES, input_size=(512, 1024)),
            "cityscapes",
            label_set(CITYSCAPES_NAMES),
        )
    fixed = Segmenter(Mixer(150, input_size=(512, 512)), segmenter(ADE20K_NAMES).spec)
    with pytest.raises(
        ConfigError, match=r"a short side of 512 pixels, but the file takes \(512, 512\)"
    ):
        apply_protocol(fixed, "ade20k", label_set(ADE20K_NAMES))


def test_a_size_beside_a_protocol_is_an_error():
    model = Segmenter(Mixer(19), segmenter(CITYSCAPES_NAMES).spec, imgsz=(512, 1024))
    with pytest.raises(ConfigError, match="Leave --imgsz and --profile out, or --protocol"):
        apply_protocol(model, "cityscapes", label_set(CITYSCAPES_NAMES))


def test_a_data_set_of_other_classes_is_an_error_that_names_the_first():
    model = segmenter(CAMVID.names)
    with pytest.raises(
        ConfigError, match="its 19 classes, got 11: class 0 should be road, got sky"
    ):
        apply_protocol(model, "cityscapes", CAMVID)
    with pytest.raises(
        ConfigError, match="its 19 classes, got 18: class 18 should be bicycle, got none"
    ):
        PROTOCOLS["cityscapes"].check_classes(CITYSCAPES_NAMES[:18])
    with pytest.raises(
        ConfigError, match=r"Unknown protocol 'voc'. Choose one of: ade20k, cityscapes"
    ):
        apply_protocol(model, "voc", CAMVID)


def test_of_synonyms_the_first_counts():
    names = ("wall", "building, edifice", "Sky", *ADE20K_NAMES[3:])
    PROTOCOLS["ade20k"].check_classes(names)


def test_the_classes_of_both_data_sets_are_complete_and_differ():
    assert len(set(CITYSCAPES_NAMES)) == 19
    assert len(set(ADE20K_NAMES)) == 150


def test_flags_become_views():
    assert read_tta_config(None, None, None, flip=False) == TTAConfig()
    assert read_tta_config("512x1024", "256", "0.5,1", flip=True) == TTAConfig(
        window=(512, 1024), stride=(256, 256), scales=(0.5, 1), flip=True
    )


@pytest.mark.parametrize("text", ["a", "1,", "1;2"])
def test_scales_of_another_form_are_an_error(text: str):
    with pytest.raises(ConfigError, match="Expected numbers with commas between"):
        read_scales(text)


def test_the_message_about_a_size_names_the_flag():
    with pytest.raises(ConfigError, match="for example --slide 512 1024, got '5x'"):
        read_tta_config("5x", None, None, flip=False)


def test_one_whole_view_twice_is_as_labels_without_views():
    names = CAMVID.names
    dataset, model = Drawn(CAMVID, ((90, 121), (64, 96))), segmenter(names)
    whole = evaluate_full(make_predict_fn(model, TTAConfig(), confidence=False), dataset).scores
    window = evaluate_full(
        make_predict_fn(model, TTAConfig(window=(200, 200)), confidence=False), dataset
    ).scores
    # a window as large as the photo: the same logits, grown in another order
    assert np.abs(whole.confusion - window.confusion).sum() <= 4


def test_confidence_comes_with_views_and_without():
    model, sample = segmenter(CAMVID.names), Drawn(CAMVID, ((64, 96),))[0]
    once = make_predict_fn(model, TTAConfig(), confidence=True)(sample.image)
    assert once.confidence is not None
    np.testing.assert_array_equal(once.labels, model(sample.image).labels)
    whole = make_predict_fn(model, TTAConfig(window=(200, 200)), confidence=True)(sample.image)
    np.testing.assert_allclose(
        once.confidence, whole.confidence, atol=1e-5
    )  # the same logits, grown in another order
    averaged = make_predict_fn(model, TTAConfig(flip=True), confidence=True)(sample.image)
    assert averaged.confidence is not None
    assert averaged.confidence.shape == (64, 96)
    assert 1 / 11 <= averaged.confidence.min() <= averaged.confidence.max() <= 1
