from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset, Sample
from galago.data.image_mask_dataset import ImageMaskDataset
from galago.errors import DataError, ImageError
from galago.training import preflight
from galago.training.config import TrainConfig
from galago.training.preflight import check_readable
from galago.training.train import train

pytestmark = pytest.mark.torch


def test_a_bad_mask_for_validation_ends_the_run_before_the_first_epoch(
    on_disk: Callable[[str], Any], tmp_path: Path
):
    data: ImageMaskDataset = on_disk("val")
    bad = tmp_path / "bad.png"
    bad.write_bytes(data.pairs[1].mask.read_bytes()[:60])
    data = replace(data, pairs=(data.pairs[0], replace(data.pairs[1], mask=bad)))
    rows: list[dict[str, float]] = []
    settings = TrainConfig(
        epochs=9, batch_size=2, crop_size=(64, 64), workers=0, precision="float32"
    )
    with pytest.raises(DataError, match=r"bad\.png is a PNG that is cut short"):
        train(settings, on_disk("train"), data, tmp_path / "run", on_progress=rows.append)
    assert not rows
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_photo_that_is_missing_is_named(
    on_disk: Callable[[str], Any], tmp_path: Path, threads: int
):
    data: ImageMaskDataset = on_disk("val")
    data = replace(data, pairs=(*data.pairs, replace(data.pairs[0], image=tmp_path / "gone.jpg")))
    with pytest.raises(ImageError, match=r"Cannot read .*gone\.jpg"):
        check_readable(data, threads=threads, on_progress=lambda row: None)


def test_a_split_in_which_nothing_is_labeled_is_refused(drawn: Callable[..., Any]):
    data = drawn(2)
    for sample in data.samples:
        sample.labels[:] = 255
    with pytest.raises(
        DataError, match=r"None of the 2 validation photos has a pixel with a class"
    ):
        check_readable(data, threads=1, on_progress=lambda row: None)


class Many:
    """A large split that notes what was read."""

    def __init__(self, data: Dataset, count: int) -> None:
        self.label_set, self.names, self.sample, self.read = (
            data.label_set,
            [str(index) for index in range(count)],
            data[0],
            [],
        )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        return self.sample


def test_of_a_large_split_an_even_choice_is_read(drawn: Callable[..., Dataset]):
    data = Many(drawn(1, size=(2, 96)), 4 * preflight.MAX_SAMPLES)
    check_readable(data, threads=1, on_progress=lambda row: None)
    assert len(data.read) == preflight.MAX_SAMPLES
    assert set(np.diff(data.read)) == {4}


def test_a_look_that_takes_long_is_reported(
    drawn: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(preflight, "REPORT_AFTER_S", -1.0)
    rows: list[dict[str, float]] = []
    check_readable(drawn(2), threads=1, on_progress=rows.append)
    assert rows == [
        {"epoch": 0, "checked": 1, "images": 2},
        {"epoch": 0, "checked": 2, "images": 2},
    ]
