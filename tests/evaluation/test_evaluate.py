import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data import Sample
from galago.errors import ConfigError, DataError
from galago.evaluation import Evaluation, Prediction, evaluate, evaluate_full
from galago.evaluation.report import save_scores
from galago.labels import LabelSet


class Halves:
    """Two photos of 2 x 2 pixels: red is class 0, black class 1.

    The last pixel of each is unlabeled.
    """

    label_set = LabelSet(("red", "black"), ((255, 0, 0), (0, 0, 0)))
    names = ("half", "all")

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        labels = np.array([[[0, 1], [0, 255]], [[0, 0], [0, 255]]][index], np.uint8)
        image = np.zeros((2, 2, 3), np.uint8)
        image[labels == 0] = (255, 0, 0)
        return Sample(self.names[index], image, labels)


def by_color(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] == 0).astype(np.uint8)


def test_a_perfect_function_scores_one():
    scores = evaluate(by_color, Halves())
    assert scores.names == ("red", "black")
    assert scores.confusion.tolist() == [[5, 0], [0, 1]]
    assert scores.mean_iou == scores.pixel_accuracy == 1.0


def test_a_function_that_always_says_red_gets_five_of_six_pixels():
    scores = evaluate(lambda image: np.zeros(image.shape[:2], np.uint8), Halves())
    assert scores.pixel_accuracy == pytest.approx(5 / 6)
    assert scores.iou == (pytest.approx(5 / 6), 0.0)


def test_reports_each_sample_with_its_prediction():
    seen = []
    evaluate(
        by_color,
        Halves(),
        on_sample=lambda sample, pred: seen.append((sample.name, int(pred.sum()))),
    )
    assert seen == [("half", 2), ("all", 1)]


def test_an_error_names_the_sample():
    with pytest.raises(DataError, match="half: Expected predicted labels 0 to 1, got 7"):
        evaluate(lambda image: np.full(image.shape[:2], 7, np.uint8), Halves())


class Stripes:
    """Photos of 1 x 4 pixels whose first ones are class 0, the others class 1.

    The last one is unlabeled.
    """

    label_set = LabelSet(("left", "right"), ((255, 0, 0), (0, 0, 0)))
    names = ("a", "b")

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        labels = np.array([[[0, 0, 1, 255]], [[0, 1, 1, 255]]][index], np.uint8)
        return Sample(self.names[index], np.zeros((1, 4, 3), np.uint8), labels)


def left(image: np.ndarray) -> Prediction:
    return Prediction(
        np.zeros(image.shape[:2], np.uint8), np.full(image.shape[:2], 0.7, np.float32)
    )


@pytest.fixture
def result() -> Evaluation:
    return evaluate_full(left, Stripes(), boundary=True, calibration=True)


def test_one_pass_finds_everything(result: Evaluation):
    assert result.scores.confusion.tolist() == [[3, 0], [3, 0]]
    assert result.scores.mean_iou == pytest.approx(0.25)
    # draws hold 2, 3 or 4 pixels of class 0 among 6
    assert result.interval == (pytest.approx(1 / 6), pytest.approx(1 / 3))
    assert result.boundary
    assert result.boundary.iou == (pytest.approx(0.5), 0.0)
    assert result.calibration
    assert result.calibration.error == pytest.approx(0.7 - 0.5)
    assert [photo.name for photo in result.worst] == ["b", "a"]


def test_without_being_asked_nothing_more_is_counted():
    seen = []
    result = evaluate_full(
        lambda image: Prediction(left(image).labels), Stripes(), on_sample=lambda: seen.append(None)
    )
    assert result.boundary is result.calibration is None
    assert result.summary()["boundary"] is None
    assert len(seen) == 2


def test_calibration_without_confidence_is_an_error():
    with pytest.raises(ConfigError, match="the prediction has no confidence"):
        evaluate_full(lambda image: Prediction(left(image).labels), Stripes(), calibration=True)


def test_an_error_of_a_full_evaluation_names_the_sample():
    with pytest.raises(
        DataError, match=r"a: Expected predicted labels of the mask's shape \(1, 4\), got \(2, 2\)"
    ):
        evaluate_full(lambda image: Prediction(np.zeros((2, 2), np.uint8)), Stripes())


def test_saves_metrics_and_picture_and_nothing_else(result: Evaluation, tmp_path: Path):
    folder = tmp_path / "runs/val"
    for _ in range(2):  # again, over the first
        save_scores(result, folder, {"flip": False})
    assert sorted(file.name for file in folder.iterdir()) == [
        "confusion.png",
        "metrics.json",
    ]
    assert json.loads((folder / "metrics.json").read_text()) == result.summary() | {
        "setup": {"flip": False}
    }
    assert cv2.imread(str(folder / "confusion.png")) is not None


def test_the_figures_of_the_set_stand_beside_their_meaning(result: Evaluation):
    figures = {meaning: value for value, meaning in result.figures()}
    assert figures["mean boundary IoU of the classes that occur in the ground truth"] == "0.2500"
    assert figures["expected calibration error of the class probabilities"] == "0.2000"
    assert "0.1667 to 0.3333: its 95% interval over 1000 draws of the photos" in figures
