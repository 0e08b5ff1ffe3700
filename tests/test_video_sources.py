from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from galago import image as images
from galago.errors import ImageError, SourceError
from galago.sources import Video, open_source, read_frames, video_name

DrawClip = Callable[..., Path]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mov", ".mkv", ".MP4"])
def test_a_video_gives_its_frames_in_order(tmp_path: Path, draw_clip: DrawClip, suffix: str):
    video = open_source(str(draw_clip(tmp_path / f"clip{suffix}")))
    assert isinstance(video, Video)
    assert (video.name, video.length, video.rate, video.size, video.live) == ("clip", 12, 12.5, (64, 96), False)
    frames = list(read_frames(video))
    assert [frame.name for frame in frames] == [f"clip_{number:06d}" for number in range(12)]
    for number, frame in enumerate(frames):
        assert isinstance(frame.image, np.ndarray)
        assert (frame.image.shape, frame.image.dtype) == ((64, 96, 3), np.uint8)
        red = np.flatnonzero(frame.image[32, :, 0] > 128)  # the square's columns
        assert abs(red[0] - 4 * number) <= 2
        assert abs(red[-1] - (4 * number + 31)) <= 2


def test_frames_are_decoded_when_asked_for(tmp_path: Path, draw_clip: DrawClip):
    frames = read_frames(open_source(str(draw_clip(tmp_path / "clip.mp4"))))
    assert next(frames).name == "clip_000000"
    frames.close()


def test_a_limit_ends_the_frames(tmp_path: Path, draw_clip: DrawClip):
    video = open_source(str(draw_clip(tmp_path / "clip.mp4")))
    assert len(list(read_frames(video, limit=5))) == 5


def test_photos_are_read_one_by_one_and_a_broken_one_stands_for_itself(tmp_path: Path):
    for name in ("a", "c"):
        images.save(tmp_path / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"hello")
    frames = list(read_frames(open_source(str(tmp_path))))
    assert [frame.name for frame in frames] == ["a", "b", "c"]
    assert isinstance(frames[1].image, ImageError)
    assert frames[1].origin == str(tmp_path / "b.png")
    assert [frame.name for frame in read_frames(open_source(str(tmp_path)), limit=2)] == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"hello" * 100])
def test_a_file_that_is_no_video_is_an_error(tmp_path: Path, content: bytes):
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(ImageError, match=r"clip\.mp4 has no frame that can be read\. Expected a whole video .* copy it again"):
        open_source(str(tmp_path / "clip.mp4"))


def test_a_video_cut_short_gives_what_it_has_and_then_the_error(tmp_path: Path, draw_clip: DrawClip):
    content = draw_clip(tmp_path / "clip.avi", frames=40).read_bytes()
    (tmp_path / "half.avi").write_bytes(content[: len(content) // 2])
    video = open_source(str(tmp_path / "half.avi"))
    assert isinstance(video, Video)
    assert video.length == 40
    *frames, last = read_frames(video)
    assert 5 < len(frames) < 30
    assert all(isinstance(frame.image, np.ndarray) for frame in frames)
    assert str(last.image).endswith(
        f"is damaged: it breaks off after {len(frames)} of 40 frames. Copy it again from where it came."
    )


def test_a_missing_camera_is_an_error_that_says_what_to_do():
    with pytest.raises(SourceError, match=r"Camera 99 gives no frames\. Expected the index of a connected camera.* Plug it in"):
        open_source("99")


def test_a_photo_named_like_a_camera_is_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").touch()
    (frame,) = open_source("0")
    assert frame.path == Path("0")


def test_a_stream_that_does_not_answer_is_an_error():
    with pytest.raises(SourceError, match=r"rtsp://127\.0\.0\.1:9/cam gives no frames\. Expected the URL .* Check the address"):
        open_source("rtsp://127.0.0.1:9/cam")


def test_a_missing_video_is_nothing_there(tmp_path: Path):
    with pytest.raises(SourceError, match=r"There is nothing at .*clip\.mp4"):
        open_source(str(tmp_path / "clip.mp4"))


@pytest.mark.parametrize(
    ("source", "name"),
    [("0", "camera0"), ("rtsp://user:pass@host/cam 1", "cam_1"), ("http://host:80/", "host"), ("a/b.c.mp4", "b.c")],
)
def test_files_about_a_video_are_named_after_it(source: str, name: str):
    assert video_name(source) == name
