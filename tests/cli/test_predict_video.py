import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import drawn_images as draw
import numpy as np
import pytest

from galago import image as images

pytestmark = pytest.mark.openvino
COMMAND = [
    sys.executable,
    "-c",
    "from galago.cli.main import main; main()",
    "predict",
    "--model",
    "tiny.onnx",
    "--out",
    "out",
]
DrawClip = Callable[..., Path]
needs_signals = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


@pytest.fixture
def place(tmp_path: Path, tiny_onnx: Path, draw_clip: DrawClip) -> Path:
    """A folder with tiny.onnx, whose classes are red, green and blue, and with a clip of 12 frames
    of red and blue.
    """
    draw_clip(tmp_path / "clip.mp4")
    return tiny_onnx.parent


def predict(place: Path, source: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--source", source, *flags],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )


def start(place: Path, source: str, *flags: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "--source", source, *flags]
    return subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def written(place: Path) -> list[str]:
    """Return what is in the folder, but for index.json, which has tests of its own."""
    return sorted(path.name for path in (place / "out").glob("*") if path.name != "index.json")


def frames_of(path: Path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (frame := capture.read()[1]) is not None:
        frames.append(frame)
    return frames


def interrupt(process: subprocess.Popen[str], place: Path) -> str:
    """Press Ctrl-C once frames are being written, and return what it printed to standard error."""
    while process.poll() is None and not any(
        path.stat().st_size for path in (place / "out").glob(".*")
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=60)[1]


def test_a_video_becomes_one_overlay_video(place: Path):
    done = predict(place, "clip.mp4")
    assert done.returncode == 0, done.stderr
    assert written(place) == ["clip_overlay.mp4"]
    assert "mean area over 12 frames" in done.stdout
    assert "Saved: out/clip_overlay.mp4" in done.stdout
    before, after = frames_of(place / "clip.mp4"), frames_of(place / "out/clip_overlay.mp4")
    assert [frame.shape for frame in after] == [frame.shape for frame in before]
    assert cv2.VideoCapture(str(place / "out/clip_overlay.mp4")).get(cv2.CAP_PROP_FPS) == 12.5
    for number, frame in enumerate(after):  # in order: the square moves 4 pixels a frame
        assert abs(np.flatnonzero(frame[32, :, 2] > 128)[0] - 4 * number) <= 8


def test_label_maps_of_frames_are_written_when_asked_for(place: Path):
    done = predict(place, "clip.mp4", "--save-labels", "--max-frames", "3")
    assert done.returncode == 0, done.stderr
    assert written(place) == [
        "clip_000000.png",
        "clip_000001.png",
        "clip_000002.png",
        "clip_overlay.mp4",
    ]
    labels = images.load_labels(place / "out/clip_000000.png")
    assert labels.shape == (64, 96)
    assert (labels[20:44, 4:28] == 0).all()  # red
    assert (labels[:, 48:] == 2).all()  # blue
    assert len(frames_of(place / "out/clip_overlay.mp4")) == 3


def test_the_last_line_is_json_with_frames_times_and_areas(place: Path):
    done = predict(place, "clip.mp4", "--json", "--smooth", "0.5")
    summary = json.loads(done.stdout)
    assert (summary["frames"], summary["failed"]) == (12, {})
    assert summary["areas"].keys() == {"red", "blue"}
    assert sum(summary["areas"].values()) == pytest.approx(1)
    assert list(summary["speed"]) == ["read", "pre", "infer", "post"]
    assert summary["save_ms"] > 0
    assert summary["frames_per_second"] > 0


def test_no_save_writes_no_video(place: Path):
    done = predict(place, "clip.mp4", "--no-save")
    assert done.returncode == 0
    assert written(place) == []
    assert "mean area over 12 frames" in done.stdout


def test_an_overlay_lasts_as_long_as_a_video_of_variable_rate(place: Path):
    times_ms = [*range(0, 660, 33), *range(1160, 6160, 500)]  # 30 frames a second, then 2
    draw.matroska(place / "screen.mkv", times_ms, duration_ms=6160)
    done = predict(place, "screen.mkv")
    assert done.returncode == 0, done.stderr
    assert len(frames_of(place / "out/screen_overlay.mp4")) == pytest.approx(6.16 * 30, abs=1)


def test_a_damaged_video_keeps_what_came_and_fails(place: Path, draw_clip: DrawClip):
    content = draw_clip(place / "whole.avi", frames=40).read_bytes()
    (place / "half.avi").write_bytes(content[: len(content) // 2])
    done = predict(place, "half.avi")
    assert done.returncode == 1
    frames = len(frames_of(place / "out/half_overlay.mp4"))
    assert f"error: half.avi is damaged: it breaks off after {frames} of 40 frames." in done.stderr


@pytest.mark.parametrize(
    ("source", "flags", "code", "message"),
    [
        (
            "noise.mp4",
            (),
            1,
            "error: noise.mp4 has no frame that can be read. Expected a whole video",
        ),
        ("99", (), 2, "error: Camera 99 gives no frames. Expected the index of a connected camera"),
        (
            "clip.mp4",
            ("--smooth", "1"),
            2,
            "error: Expected a smoothing of at least 0 and below 1, got 1.0",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_no_file(
    place: Path, source: str, flags: tuple[str], code: int, message: str
):
    (place / "noise.mp4").write_bytes(b"hello" * 100)
    done = predict(place, source, *flags)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1, done.stderr
    assert written(place) == []


def test_the_video_itself_is_never_replaced(place: Path):
    (place / "out").mkdir()
    (place / "clip.mp4").rename(place / "out/clip_overlay.mp4")
    (place / "out/clip_overlay_overlay.mp4").symlink_to("clip_overlay.mp4")
    before = (place / "out/clip_overlay.mp4").read_bytes()
    done = predict(place, "out/clip_overlay.mp4")
    assert done.returncode == 2
    assert "would replace the video" in done.stderr
    assert (place / "out/clip_overlay.mp4").read_bytes() == before


@needs_signals
def test_an_interrupt_of_a_file_leaves_nothing(place: Path, draw_clip: DrawClip):
    draw_clip(place / "long.mp4", frames=3000, size=(480, 640))
    process = start(place, "long.mp4")
    error = interrupt(process, place)
    assert process.returncode == 130, error
    assert error.rstrip().endswith("interrupted")
    assert "Traceback" not in error
    assert written(place) == []


class Camera(BaseHTTPRequestHandler):
    """Sends a gray picture that gets brighter, as network cameras do: JPEG after JPEG in one answer
    without end.
    """

    def do_GET(self) -> None:  # the name is that of http.server
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        try:
            while True:
                number += 1
                jpeg = cv2.imencode(".jpg", np.full((64, 96, 3), number % 256, np.uint8))[
                    1
                ].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(0.01)
        except OSError:  # the other side hung up
            pass

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stream() -> Iterator[str]:
    """Run a network camera and return its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/door.mjpg"
    server.shutdown()
    server.server_close()


@needs_signals
def test_an_interrupt_is_the_normal_end_of_a_stream(place: Path, stream: str):
    process = start(place, stream, "--json")
    while process.poll() is None and not any(
        path.stat().st_size for path in (place / "out").glob(".*")
    ):
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    printed, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert written(place) == ["door_overlay.mp4"]
    assert (
        json.loads(printed.splitlines()[-1])["frames"]
        == len(frames_of(place / "out/door_overlay.mp4"))
        > 0
    )


def test_a_stream_ends_after_the_most_frames_asked_for(place: Path, stream: str):
    done = predict(place, stream, "--max-frames", "7")
    assert done.returncode == 0, done.stderr
    assert len(frames_of(place / "out/door_overlay.mp4")) == 7
