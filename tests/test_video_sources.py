import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawn_images as draw
import numpy as np
import pytest

from galago import image as images
from galago._core.isobmff import top_boxes
from galago._core.video_container import read_container
from galago.errors import ImageError, SourceError
from galago.sources import Video, open_source, read_frames, video_name

DrawClip = Callable[..., Path]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mov", ".mkv", ".MP4", ".m4v"])
def test_a_video_gives_its_frames_in_order(tmp_path: Path, draw_clip: DrawClip, suffix: str):
    video = open_source(str(draw_clip(tmp_path / f"clip{suffix}")))
    assert isinstance(video, Video)
    assert (video.name, video.num_frames, video.fps, video.size, video.live) == (
        "clip",
        12,
        12.5,
        (64, 96),
        False,
    )
    frames = list(read_frames(video))
    assert [frame.name for frame in frames] == [f"clip_{number:06d}" for number in range(12)]
    for number, frame in enumerate(frames):
        assert isinstance(frame.image, np.ndarray)
        assert (frame.image.shape, frame.image.dtype) == ((64, 96, 3), np.uint8)
        red = np.flatnonzero(frame.image[32, :, 0] > 128)  # the square's columns
        assert abs(red[0] - 4 * number) <= 2
        assert abs(red[-1] - (4 * number + 31)) <= 2


@pytest.mark.parametrize("suffix", [".ts", ".flv", ".3GP", ".mpg"])
def test_videos_of_recorders_and_phones_are_no_photos(
    tmp_path: Path, draw_clip: DrawClip, suffix: str
):
    clip = draw_clip(tmp_path / "clip.mp4").rename(tmp_path / f"clip{suffix}")
    assert len(list(read_frames(open_source(str(clip))))) == 12


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
    assert isinstance(frames[1].error, ImageError)
    assert frames[1].origin == str(tmp_path / "b.png")
    assert [frame.name for frame in read_frames(open_source(str(tmp_path)), limit=2)] == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"hello" * 100])
def test_a_file_that_is_no_video_is_an_error(tmp_path: Path, content: bytes):
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(
        ImageError,
        match=r"clip\.mp4 has no frame that can be read\. Expected a whole video .* copy it again",
    ):
        open_source(str(tmp_path / "clip.mp4"))


def test_a_video_cut_short_gives_what_it_has_and_then_the_error(
    tmp_path: Path, draw_clip: DrawClip
):
    content = draw_clip(tmp_path / "clip.avi", frames=40).read_bytes()
    (tmp_path / "half.avi").write_bytes(content[: len(content) // 2])
    video = open_source(str(tmp_path / "half.avi"))
    assert isinstance(video, Video)
    assert video.num_frames == 40
    *frames, last = read_frames(video)
    assert 5 < len(frames) < 30
    assert all(isinstance(frame.image, np.ndarray) for frame in frames)
    assert str(last.error).endswith(
        f"is damaged: it breaks off after {len(frames)} of 40 frames. Copy it again from where it "
        "came."
    )


def test_a_missing_camera_is_an_error_that_says_what_to_do():
    with pytest.raises(
        SourceError,
        match=r"Camera 99 gives no frames\. Expected the index of a connected camera.* Plug it in",
    ):
        open_source("99")


def test_a_photo_named_like_a_camera_is_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").touch()
    (frame,) = open_source("0")
    assert frame.path == Path("0")


def test_a_stream_that_does_not_answer_is_an_error():
    with pytest.raises(
        SourceError,
        match=r"rtsp://127\.0\.0\.1:9/cam gives no frames\. Expected the URL .* Check the address",
    ):
        open_source("rtsp://127.0.0.1:9/cam")


def test_a_missing_video_is_nothing_there(tmp_path: Path):
    with pytest.raises(SourceError, match=r"There is nothing at .*clip\.mp4"):
        open_source(str(tmp_path / "clip.mp4"))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("0", "camera0"),
        ("rtsp://user:pass@host/cam 1", "cam_1"),
        ("http://host:80/", "host"),
        ("a/b.c.mp4", "b.c"),
    ],
)
def test_files_about_a_video_are_named_after_it(source: str, name: str):
    assert video_name(source) == name


# --- times, and files that are whole or not ---

EVEN = [33 * number for number in range(40)]
SLOW = [
    *range(0, 660, 33),
    *range(1160, 6160, 500),
]  # a recorder of screens: 30 frames a second, then 2
PAUSE = [*EVEN[:20], *(20_000 + time_ms for time_ms in EVEN[20:])]


@pytest.mark.parametrize(
    ("times_ms", "settings"),
    [
        (EVEN, {"duration_ms": 1320}),
        (EVEN, {"live": True}),
        (EVEN, {"duration_ms": 1320, "default_ns": 1_000_000}),  # tells 1000 frames a second
        (SLOW, {"duration_ms": 6160}),
        (PAUSE, {"duration_ms": 21_320, "default_ns": 33_333_333}),
        ([0, 33, 66, 99], {"duration_ms": 60_000}),  # the last frame stays for a minute
    ],
    ids=["even", "live", "ticks", "slow", "pause", "last frame stays"],
)
def test_a_whole_video_of_any_timing_gives_its_frames_and_their_times(
    tmp_path: Path, times_ms: list[int], settings: Any
):
    video = open_source(str(draw.matroska(tmp_path / "a.mkv", times_ms, **settings)))
    assert isinstance(video, Video)
    assert video.fps == pytest.approx(30, abs=1)
    frames = list(read_frames(video))
    assert all(isinstance(frame.image, np.ndarray) for frame in frames)
    assert [frame.time_s for frame in frames] == pytest.approx(
        [time_ms / 1000 for time_ms in times_ms]
    )


@pytest.mark.parametrize(
    "settings", [{"duration_ms": 1320}, {"live": True}], ids=["announced", "live"]
)
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_matroska_file_that_is_cut_is_noticed(tmp_path: Path, part: float, settings: Any):
    path = draw.matroska(tmp_path / "a.mkv", EVEN, **settings)
    data = path.read_bytes()
    for kept in (
        data[: int(part * len(data))],
        data[: int(part * len(data))].ljust(len(data), b"\0"),
    ):
        if part == 0.9 and len(kept) == len(data):
            continue  # so few zeros may be padding
        path.write_bytes(kept)
        *frames, last = read_frames(open_source(str(path)))
        assert 0 < len(frames) < 40
        assert isinstance(last.error, ImageError)
        assert "a.mkv is damaged: it breaks off after" in str(last.error)


def test_an_mp4_that_a_phone_trimmed_by_its_edit_list_is_whole(tmp_path: Path, draw_clip: DrawClip):
    data = bytearray(draw_clip(tmp_path / "clip.mp4", frames=60, rate=30).read_bytes())
    clock = struct.unpack(">I", data[(place := data.index(b"mdhd")) + 20 : place + 24])[0]
    edit = data.index(b"elst")
    data[edit + 12 : edit + 20] = struct.pack(">II", 1333, clock * 20 // 60)
    (tmp_path / "clip.mp4").write_bytes(data)
    frames = list(read_frames(open_source(str(tmp_path / "clip.mp4"))))
    assert len(frames) == 40
    assert isinstance(frames[-1].image, np.ndarray)


def with_index_first(data: bytes) -> bytes:
    """Move an MP4's index to its beginning, as files for the web have it."""
    found = {kind: (start - 8, end) for kind, start, end in top_boxes(io.BytesIO(data))}
    index = bytearray(data[slice(*found[b"moov"])])
    head = data[: found[b"ftyp"][1]]
    rest = data[found[b"ftyp"][1] : found[b"moov"][0]]
    place = index.index(b"stco") + 8
    count = struct.unpack_from(">I", index, place)[0]
    for number in range(count):
        at = place + 4 + 4 * number
        struct.pack_into(">I", index, at, struct.unpack_from(">I", index, at)[0] + len(index))
    return head + bytes(index) + rest


@pytest.mark.parametrize("part", [1.0, 0.6, 0.95])
def test_an_mp4_for_the_web_is_whole_or_cut(tmp_path: Path, draw_clip: DrawClip, part: float):
    data = with_index_first(draw_clip(tmp_path / "clip.mp4", frames=60, rate=30).read_bytes())
    (tmp_path / "clip.mp4").write_bytes(data[: int(part * len(data))])
    frames = list(read_frames(open_source(str(tmp_path / "clip.mp4"))))
    if part == 1:
        assert len(frames) == 60
        assert isinstance(frames[-1].image, np.ndarray)
    else:
        assert "is damaged: it breaks off after" in str(frames[-1].error)


def test_what_follows_a_whole_mp4_does_not_matter(tmp_path: Path, draw_clip: DrawClip):
    path = draw_clip(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes() + b"\xff\xff\xff\xff\x01\x02" + bytes(500))
    assert len(list(read_frames(open_source(str(path))))) == 12


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there")
def test_a_video_whose_name_is_no_text_is_read_and_not_fatal(tmp_path: Path, draw_clip: DrawClip):
    folder = tmp_path / "d\udce9"
    folder.mkdir()
    for name in ("film\udce9.mp4", "plain.mp4"):
        draw_clip(tmp_path / "a.mp4").rename(folder / name)
        video = open_source(str(folder / name))
        assert isinstance(video, Video)
        assert (video.name, len(list(read_frames(video)))) == (name[:-4], 12)


def test_a_stream_whose_address_is_no_text_is_an_error():
    with pytest.raises(
        SourceError, match=r"rtsp://127\.0\.0\.1:9/\\xe9 is no UTF-8\. .* Check the address"
    ):
        open_source("rtsp://127.0.0.1:9/\udce9")


def test_a_damaged_container_ends_in_no_error(tmp_path: Path, draw_clip: DrawClip):
    random = np.random.default_rng(0)
    files = [draw_clip(tmp_path / f"a{suffix}") for suffix in (".mp4", ".avi")]
    for path in [*files, draw.matroska(tmp_path / "a.mkv", EVEN, live=True)]:
        whole = path.read_bytes()
        index = max(whole.find(b"moov"), 0)
        for _ in range(500):
            data = bytearray(whole)
            for place in random.integers(index, min(len(data), index + 700), 4):
                data[place] = random.choice([0, 1, 255, random.integers(256)])
            read_container(io.BytesIO(data))
