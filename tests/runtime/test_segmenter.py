import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import galago
from galago import image as images
from galago.errors import ConfigError, ImageError, ModelError
from galago.image import fitted_size, short_side_size
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec

SIZES = [(1, 1), (33, 47), (360, 480), (64, 96), (1, 200)]


class Means:
    """Stands for an engine: logits are the mean colors of 8 x 8 pixels; keeps what it was given."""

    name = "means"
    input_size = None

    def run(self, image: np.ndarray) -> np.ndarray:
        self.given = image
        _, height, width, _ = image.shape
        return (
            image[0]
            .reshape(height // 8, 8, width // 8, 8, 3)
            .mean(axis=(1, 3), dtype=np.float32)
            .transpose(2, 0, 1)[None]
        )


class Constant:
    """Stands for an engine that gives the same logits for every photo."""

    name = "constant"
    input_size = None

    def __init__(self, logits: np.ndarray) -> None:
        self.logits = logits

    def run(self, image: np.ndarray) -> np.ndarray:
        return self.logits


def noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "change",
    [{}, {"resize": "stretch", "input_size": (64, 32)}, {"resize": "short_side", "short_side": 48}],
    ids=["keep", "stretch", "short side"],
)
def test_labels_have_the_size_of_the_photo(
    tiny_spec: ModelSpec, size: tuple[int, int], change: dict[str, object]
):
    result = Segmenter(Means(), dataclasses.replace(tiny_spec, **change))(noise(size))
    assert result.labels.shape == size
    assert result.labels.dtype == np.uint8
    assert result.image.shape == (*size, 3)


def test_halves_of_a_photo_get_their_class(tiny_spec: ModelSpec):
    photo = np.zeros((40, 96, 3), np.uint8)
    photo[:, :48, 0] = photo[:, 48:, 2] = 200  # red, then blue; the border lies between two cells
    labels = Segmenter(Means(), tiny_spec)(photo).labels
    assert (labels[:, :48] == 0).all()
    assert (labels[:, 48:] == 2).all()


def test_labels_are_those_of_all_logits_grown_eightfold_and_cropped(tiny_spec: ModelSpec):
    photo, engine = noise((33, 47)), Means()
    padded = images.pad_to_multiple(photo, [round(255 * channel) for channel in tiny_spec.mean])
    logits = engine.run(padded[None])[0]
    # OpenCV's linear resize has half-pixel centers and repeats borders as well
    grown = np.stack(
        [cv2.resize(plane, (64, 64), interpolation=cv2.INTER_LINEAR) for plane in logits]
    )
    assert np.array_equal(
        Segmenter(engine, tiny_spec)(photo).labels, grown.argmax(axis=0)[:33, :47]
    )


def test_a_photo_is_padded_with_the_mean_color(tiny_spec: ModelSpec):
    engine = Means()
    Segmenter(engine, tiny_spec)(np.zeros((33, 47, 3), np.uint8))
    assert engine.given.shape == (1, 64, 64, 3)
    assert not engine.given[0, :33, :47].any()
    assert (engine.given[0, 33:] == (124, 116, 104)).all()  # 255 times 0.485, 0.456, 0.406


def test_stretch_gives_the_network_the_one_size_that_it_takes(tiny_spec: ModelSpec):
    engine = Means()
    Segmenter(engine, dataclasses.replace(tiny_spec, resize="stretch", input_size=(64, 96)))(
        noise((33, 47))
    )
    assert engine.given.shape == (1, 64, 96, 3)


def test_a_stretched_photo_is_labeled_up_to_its_last_pixel(tiny_spec: ModelSpec):
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[:, :50, 0] = photo[:, 50:, 2] = 200
    labels = Segmenter(
        Means(), dataclasses.replace(tiny_spec, resize="stretch", input_size=(64, 64))
    )(photo).labels
    assert (labels[:, :50] == 0).all()
    assert (labels[:, 50:] == 2).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), (512, 512)),
        ((512, 683), (512, 704)),  # 683 rounded up to a multiple of 32
        ((683, 512), (704, 512)),
        ((100, 200), (512, 1024)),
        ((1, 1), (512, 512)),
    ],
)
def test_the_short_side_is_as_told_and_the_long_one_a_multiple_of_32(
    size: tuple[int, int], expected: tuple[int, int]
):
    assert short_side_size(size, 512) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((10, 4000), (21, 8192)),  # 16 x 512 is the limit of the long side; 10 x 8192 / 4000 = 20.5
        ((4000, 10), (8192, 20)),
        ((1, 100_000), (1, 8192)),
        ((100, 1600), (512, 8192)),  # 1 to 16 is not beyond
    ],
)
def test_a_very_narrow_photo_does_not_become_a_monster(
    size: tuple[int, int], expected: tuple[int, int]
):
    assert short_side_size(size, 512) == pytest.approx(expected, abs=1)
    assert max(short_side_size(size, 512)) == 8192


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((360, 480), (360, 480), (360, 480)),
        ((360, 480), (180, 480), (180, 240)),  # the height decides
        ((360, 480), (1000, 960), (720, 960)),  # and the width, upward
        ((1, 4000), (512, 1024), (1, 1024)),  # 0.256 pixels become one
        ((4000, 1), (32, 32), (32, 1)),
        ((1, 1), (64, 32), (32, 32)),
    ],
)
def test_a_fitted_size_keeps_the_aspect_ratio(
    size: tuple[int, int], box: tuple[int, int], expected: tuple[int, int]
):
    assert fitted_size(size, box) == expected


@pytest.mark.parametrize("size", [*SIZES, (1, 4000), (4000, 3)])
@pytest.mark.parametrize("imgsz", [(64, 96), (50, 33), (1, 1)])
def test_the_network_sees_what_fits_and_labels_have_the_size_of_the_photo(
    tiny_spec: ModelSpec, size: tuple[int, int], imgsz: tuple[int, int]
):
    engine = Means()
    result = Segmenter(engine, tiny_spec, imgsz=imgsz)(noise(size))
    assert result.labels.shape == size
    _, height, width, _ = engine.given.shape
    assert height % 32 == width % 32 == 0
    assert height < imgsz[0] + 32
    assert width < imgsz[1] + 32


def test_imgsz_takes_the_place_of_the_resize_rule(tiny_spec: ModelSpec):
    engine = Means()
    Segmenter(
        engine, dataclasses.replace(tiny_spec, resize="short_side", short_side=320), imgsz=(64, 64)
    )(noise((100, 200)))
    assert engine.given.shape == (1, 32, 64, 3)


def test_halves_of_a_fitted_photo_get_their_class(tiny_spec: ModelSpec):
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[:, :100, 0] = photo[:, 100:, 2] = 200
    labels = Segmenter(Means(), tiny_spec, imgsz=(64, 64))(photo).labels
    assert (labels[:, :100] == 0).all()
    assert (labels[:, 100:] == 2).all()


def test_a_model_of_one_size_gets_it_padded_to_the_full(tiny_spec: ModelSpec):
    engine = Means()
    spec = dataclasses.replace(tiny_spec, resize="stretch", input_size=(64, 96))
    assert Segmenter(engine, spec, imgsz=(64, 96))(noise((10, 100))).labels.shape == (10, 100)
    assert engine.given.shape == (1, 64, 96, 3)
    assert (engine.given[0, 10:] == (124, 116, 104)).all()


def test_a_model_of_one_size_takes_no_other_imgsz(tiny_spec: ModelSpec):
    with pytest.raises(
        ConfigError,
        match=r"takes 64 x 96 pixels and nothing else, got imgsz 32 x 96\. Leave imgsz out",
    ):
        Segmenter(Means(), dataclasses.replace(tiny_spec, input_size=(64, 96)), imgsz=(32, 96))


@pytest.mark.parametrize("imgsz", [(0, 32), (32, -1), (32,), (32, 32.0), 32, "3232", (32, 16385)])
def test_an_imgsz_of_another_form_is_refused(tiny_spec: ModelSpec, imgsz: object):
    with pytest.raises(
        ConfigError, match=r"Expected imgsz as \(height, width\), each 1 to 16384 pixels, got"
    ):
        Segmenter(Means(), tiny_spec, imgsz=imgsz)  # type: ignore[arg-type]


def test_a_model_of_one_size_refuses_another_one(tiny_spec: ModelSpec):
    with pytest.raises(
        ImageError,
        match=r"takes photos of \(64, 96\) .*, got \(33, 47\), \(64, 64\) when padded. Resize",
    ):
        Segmenter(Means(), dataclasses.replace(tiny_spec, input_size=(64, 96)))(noise((33, 47)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tiny_spec: ModelSpec, bad: float):
    logits = np.zeros((1, 3, 4, 4), np.float32)
    logits[0, 1, 2, 3] = bad
    with pytest.raises(ModelError, match="values that are not finite"):
        Segmenter(Constant(logits), tiny_spec)(noise((32, 32)))


def test_a_network_of_more_classes_than_names_is_refused(tiny_spec: ModelSpec):
    with pytest.raises(ModelError, match="gives 4 classes, but its description names 3"):
        Segmenter(Constant(np.zeros((1, 4, 4, 4), np.float32)), tiny_spec)(noise((32, 32)))


def test_labels_of_the_file_are_cut_and_grow_to_the_photo(tiny_spec: ModelSpec):
    labels = np.arange(64 * 64, dtype=np.uint8).reshape(1, 64, 64)
    segmenter = Segmenter(Constant(labels), dataclasses.replace(tiny_spec, output="labels"))
    np.testing.assert_array_equal(segmenter(noise((50, 40))).labels, labels[0, :50, :40])
    small = Segmenter(segmenter.engine, segmenter.spec, imgsz=(64, 64))
    grown = small(noise((128, 128))).labels
    np.testing.assert_array_equal(grown[::2, ::2], labels[0])
    np.testing.assert_array_equal(grown[1::2, 1::2], labels[0])


def test_a_model_that_gives_labels_has_no_logits_and_no_confidence(tiny_spec: ModelSpec):
    segmenter = Segmenter(
        Constant(np.zeros((1, 32, 32), np.uint8)), dataclasses.replace(tiny_spec, output="labels")
    )
    with pytest.raises(ConfigError, match="needs logits, but tiny gives labels"):
        segmenter(noise((32, 32)), confidence=True)
    with pytest.raises(ConfigError, match="needs logits, but tiny gives labels"):
        segmenter.logits(noise((32, 32)))


@pytest.mark.parametrize(
    "change", [{}, {"resize": "stretch", "input_size": (64, 64)}], ids=["keep", "stretch"]
)
@pytest.mark.parametrize(
    "photo", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_of_another_form_is_refused(
    tiny_spec: ModelSpec, photo: np.ndarray, change: dict[str, object]
):
    with pytest.raises(ImageError, match=r"Expected an \(H, W, 3\) uint8 RGB image, got shape"):
        Segmenter(Means(), dataclasses.replace(tiny_spec, **change))(photo)


def test_what_is_neither_array_nor_path_is_refused(tiny_spec: ModelSpec):
    with pytest.raises(ImageError, match="array or the path of a photo, got list"):
        Segmenter(Means(), tiny_spec)([[0]])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "view",
    [np.s_[::-1], np.s_[:, ::-1], np.s_[..., ::-1]],
    ids=["upside down", "mirrored", "from BGR"],
)
def test_a_view_is_labeled_as_its_copy(tiny_spec: ModelSpec, view: tuple[slice, ...]):
    segmenter, photo = Segmenter(Means(), tiny_spec), noise((32, 64))[view]
    assert np.array_equal(segmenter(photo).labels, segmenter(photo.copy()).labels)


def test_a_file_is_labeled_as_its_pixels_and_remembers_its_path(
    tiny_spec: ModelSpec, tmp_path: Path
):
    path = tmp_path / "ein Bild ö.png"
    images.save(path, noise((33, 47)))
    segmenter = Segmenter(Means(), tiny_spec)
    result = segmenter(str(path))
    assert result.path == path
    assert segmenter(noise((33, 47))).path is None
    assert np.array_equal(result.labels, segmenter(noise((33, 47))).labels)


def test_the_time_of_each_step_is_told(tiny_spec: ModelSpec):
    speed = Segmenter(Means(), tiny_spec)(noise((32, 32))).speed
    assert list(speed) == ["read", "pre", "infer", "post"]
    assert all(milliseconds >= 0 for milliseconds in speed.values())


@pytest.mark.openvino
def test_photos_of_all_sizes_go_through_one_segmenter(tiny_onnx: Path, tiny_spec: ModelSpec):
    segmenter = galago.load(tiny_onnx)
    for size in [*SIZES, *SIZES[::-1]]:
        photo = noise(size)
        np.testing.assert_array_equal(
            segmenter(photo).labels, Segmenter(Means(), tiny_spec)(photo).labels
        )


@pytest.mark.openvino
def test_logits_stay_when_the_next_photo_comes(tiny_onnx: Path):
    segmenter = galago.load(tiny_onnx)
    first = segmenter.logits(np.full((32, 32, 3), 10, np.uint8))
    segmenter.logits(np.full((32, 32, 3), 99, np.uint8))
    assert (first == 10).all()
    assert first.shape == (3, 4, 4)


@pytest.mark.openvino
def test_a_model_may_be_given_as_text_or_path(
    tiny_onnx: Path, tiny_folder: Path, write_onnx: Callable[..., Path]
):
    for model in (tiny_onnx, str(tiny_onnx), tiny_folder, f"{tiny_folder}/"):
        assert galago.load(model).spec.name == "tiny"


def test_confidence_and_margin_come_on_request(tiny_onnx: Path):
    photo = np.zeros((64, 96, 3), np.uint8)
    photo[..., 1] = 1  # the logits of this network are channel means: 0, 1, 0
    segmenter = galago.load(tiny_onnx)
    result = segmenter(photo, confidence=True)
    segmenter(np.zeros_like(photo))  # writes into the same memory
    share = np.e / (np.e + 2)
    assert result.confidence.shape == result.margin.shape == (64, 96)
    np.testing.assert_allclose(result.confidence, share, atol=1e-6)
    np.testing.assert_allclose(result.margin, share - 1 / (np.e + 2), atol=1e-6)
    with pytest.raises(ConfigError, match=r"Ask for them: segmenter\(photo, confidence=True\)"):
        _ = segmenter(photo).confidence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"output": "labels"},
            r"gives \(3, 8, 12\) for an image of 64 x 96, but its description says labels of "
            r"\(64, 96\)",
        ),
        ({"output_stride": 16}, r"gives \(3, 8, 12\) .* says logits of \(3, 4, 6\)"),
    ],
)
def test_an_output_of_another_form_than_described_is_an_error(
    tiny_spec: ModelSpec, change: dict[str, object], message: str
):
    segmenter = Segmenter(Means(), dataclasses.replace(tiny_spec, **change))
    with pytest.raises(ModelError, match=message):
        segmenter(noise((60, 90)))


def test_labels_where_the_description_says_logits_are_an_error(tiny_spec: ModelSpec):
    with pytest.raises(ModelError, match=r"gives \(64, 96\) .* says logits of \(3, 8, 12\)"):
        Segmenter(Constant(np.zeros((1, 64, 96), np.uint8)), tiny_spec)(noise((60, 90)))
