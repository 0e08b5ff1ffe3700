import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.errors import ConfigError, ImageError
from galago.runtime.video import VideoFile, Window, count_frames


def fill(file: VideoFile, frames: int, size: tuple[int, int] = (32, 48)) -> None:
    for number in range(frames):
        file.write(np.full((*size, 3), (20 * number, 0, 255 - 20 * number), np.uint8))


def test_a_video_appears_whole_in_its_place(tmp_path: Path):
    path = tmp_path / "new/a b.mp4"
    with VideoFile(path, (32, 48), fps=12.5) as file:
        fill(file, 12)
        assert not path.exists()
    assert [found.name for found in path.parent.iterdir()] == ["a b.mp4"]
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == 12.5
    frames = [frame for _ in range(13) if (frame := capture.read()[1]) is not None]
    assert len(frames) == 12
    assert {frame.shape for frame in frames} == {(32, 48, 3)}
    np.testing.assert_allclose(
        frames[0][16, 24], (255, 0, 0), atol=12
    )  # blue, in OpenCV's order; the codec loses a little


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_nothing_is_left_and_an_older_file_stays(
    tmp_path: Path, error: type[BaseException]
):
    (tmp_path / "a.mp4").write_bytes(b"older")
    with pytest.raises(error), VideoFile(tmp_path / "a.mp4", (32, 48), fps=25) as file:  # noqa: PT012
        fill(file, 3)
        raise error
    assert [found.name for found in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"older"


def test_no_frame_leaves_no_file(tmp_path: Path):
    with VideoFile(tmp_path / "a.mp4", (32, 48), fps=25):
        pass
    assert not list(tmp_path.iterdir())


def test_odd_sides_lose_a_pixel_and_frames_of_another_size_are_fitted(tmp_path: Path):
    with VideoFile(tmp_path / "a.mp4", (33, 49), fps=25) as file:
        fill(file, 2, (33, 49))
        fill(file, 2, (64, 64))
    assert count_frames(tmp_path / "a.mp4") == 4
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).read()[1].shape == (32, 48, 3)


@pytest.mark.parametrize("rate", [1, 23.976, 29.97, 59.94006, 119.88, 240])
def test_any_usual_rate_can_be_written(tmp_path: Path, rate: float):
    with VideoFile(tmp_path / "a.mp4", (32, 48), fps=rate) as file:
        fill(file, 3)
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(
        rate, rel=0.002
    )


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path):
    (tmp_path / "out").touch()
    with pytest.raises(ImageError, match=r"Cannot write .*a\.mp4: .*Choose another folder"):
        VideoFile(tmp_path / "out/a.mp4", (32, 48), fps=25)


def test_frames_that_do_not_arrive_are_an_error(tmp_path: Path):
    file = VideoFile(tmp_path / "a.mp4", (32, 48), fps=25)
    fill(file, 3)
    file.count += 1  # as when OpenCV cannot write one: it says nothing
    with pytest.raises(ImageError, match=r"only 3 of 4 frames arrived\. Free space"):
        file.close()
    assert not list(tmp_path.iterdir())


def test_opencv_without_windows_says_what_to_do():
    try:
        cv2.namedWindow("probe")
    except cv2.error:
        with pytest.raises(ConfigError, match=r"opens no windows .* Leave out --show, or run: pip"):
            Window()
    else:
        cv2.destroyAllWindows()
        pytest.skip("this OpenCV opens windows")


@pytest.mark.parametrize(
    ("times_s", "frames"),
    [
        ([0, 0.1, 0.2, 0.3], 4),  # even: none is repeated
        ([0, 0.1, 0.6, 1.1], 16),  # 1.1 s, and the last one as long as the one before
        ([0, 0.01, 0.02, 1.0], 20),  # a burst: none is left out, and the end is where it should be
        ([0.5, 0.6], 7),  # the first ones failed
    ],
)
def test_frames_are_repeated_until_the_next_is_due(
    tmp_path: Path, times_s: list[float], frames: int
):
    with VideoFile(tmp_path / "a.mp4", (32, 48), fps=10) as file:
        for number, time_s in enumerate(times_s):
            file.write(np.full((32, 48, 3), 60 * number, np.uint8), time_s=time_s)
    assert file.count == count_frames(tmp_path / "a.mp4") == frames


def test_a_pause_of_days_does_not_fill_the_disk(tmp_path: Path):
    with VideoFile(tmp_path / "a.mp4", (32, 48), fps=1) as file:
        for time_s in (0, 1e6, 1e6 + 1):
            file.write(np.zeros((32, 48, 3), np.uint8), time_s=time_s)
    assert file.left_out_s == pytest.approx(1e6 - 601, abs=1)
    assert count_frames(tmp_path / "a.mp4") == pytest.approx(603, abs=1)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there")
def test_a_video_is_written_where_names_are_no_text(tmp_path: Path):
    path = tmp_path / "d\udce9/film\udce9.mp4"
    with VideoFile(path, (32, 48), fps=25) as file:
        fill(file, 3)
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert count_frames(path) == 3
