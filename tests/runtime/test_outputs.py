"""What `galago predict` leaves in --out: traceable, never replaced without being asked, and one bad
file ends nothing.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from galago import image as images

pytestmark = pytest.mark.openvino
COMMAND = "from galago.cli.main import main; main()"
DISK_FULL_AT = """
import errno, os
from galago import image
real = image.save
def save(path, picture):
    if path.name == {name!r}:
        error = image.ImageError(f"Cannot write {{path}}: full.")
        raise error from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real(path, picture)
image.save = save
"""
needs_bytes = pytest.mark.skipif(
    sys.platform != "linux", reason="needs a file system that takes any bytes as a name"
)


@pytest.fixture
def place(tmp_path: Path, tiny_onnx: Path) -> Path:
    """A folder with tiny.onnx, and photos of two days whose names are alike: all red on Monday,
    blue on Tuesday.
    """
    for day, color in (("mon", (255, 0, 0)), ("tue", (0, 0, 255))):
        for name in ("0001", "0002"):
            images.save(tmp_path / f"{day}/{name}.png", np.full((32, 48, 3), color, np.uint8))
    return tiny_onnx.parent


def predict(
    place: Path, source: str, *flags: str, code: str = ""
) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        code + COMMAND,
        "predict",
        "--source",
        source,
        "--model",
        "tiny.onnx",
        "--out",
        "out",
    ]
    return subprocess.run(
        [*command, *flags], cwd=place, capture_output=True, text=True, check=False
    )


def class_of(place: Path, name: str) -> int:
    return int(images.load_labels(place / "out" / name)[0, 0])


def index_of(place: Path) -> dict[str, str]:
    sources = json.loads((place / "out/index.json").read_text())["sources"]
    return {name: os.path.relpath(source, place) for name, source in sources.items()}


def test_of_two_photos_of_one_name_all_is_told_which_is_whose(place: Path):
    done = predict(place, "*/*.png", "--json")
    assert done.returncode == 0, done.stderr
    expected = {
        "0001.png": "mon/0001.png",
        "0002.png": "mon/0002.png",
        "0001_2.png": "tue/0001.png",
        "0002_2.png": "tue/0002.png",
    }
    assert json.loads(done.stdout)["sources"] == expected
    assert "tue/0001.png as 0001_2.png" in done.stderr
    assert "mon/0001.png as" not in done.stderr
    overlays = {name.replace(".png", "_overlay.jpg"): source for name, source in expected.items()}
    assert index_of(place) == expected | overlays
    assert (class_of(place, "0001.png"), class_of(place, "0001_2.png")) == (0, 2)


def test_a_second_run_of_other_photos_replaces_nothing(place: Path):
    assert predict(place, "mon").returncode == 0
    before = {file.name: file.read_bytes() for file in (place / "out").iterdir()}
    done = predict(place, "tue")
    assert done.returncode == 2
    assert "0001.png (of " in done.stderr
    assert "mon/0001.png)" in done.stderr
    assert "--overwrite" in done.stderr
    assert {file.name: file.read_bytes() for file in (place / "out").iterdir()} == before


def test_a_second_run_of_other_photos_replaces_what_it_is_told_to(place: Path):
    assert predict(place, "mon").returncode == 0
    done = predict(place, "tue/0001.png", "--overwrite")
    assert done.returncode == 0, done.stderr
    assert "Replaced: the files of 1 photos" in done.stdout
    assert class_of(place, "0001.png") == 2
    assert index_of(place)["0001.png"] == "tue/0001.png"
    assert index_of(place)["0002.png"] == "mon/0002.png"


def test_a_second_run_of_the_same_photos_replaces_their_labels_and_says_so(place: Path):
    assert predict(place, "mon").returncode == 0
    done = predict(place, "mon/0001.png")
    assert done.returncode == 0, done.stderr
    assert "Replaced: the files of 1 photos from an earlier run" in done.stdout


def test_photos_of_other_names_join_those_of_an_earlier_run(place: Path):
    assert predict(place, "mon/0001.png").returncode == 0
    done = predict(place, "tue/0002.png")
    assert done.returncode == 0, done.stderr
    assert "Replaced" not in done.stdout
    assert {"0001.png", "0002.png"} < index_of(place).keys()


@pytest.mark.parametrize("content", [b"mine", b"[" * 100_000, b'{"sources": 1}', b"\xff"])
def test_an_index_of_somebody_else_is_not_replaced(place: Path, content: bytes):
    (place / "out").mkdir()
    (place / "out/index.json").write_bytes(content)
    done = predict(place, "mon")
    assert done.returncode == 2
    assert "was not written by `galago predict`" in done.stderr
    assert [file.read_bytes() for file in (place / "out").iterdir()] == [content]


def test_labels_whose_source_is_not_known_are_not_replaced(place: Path):
    images.save_gray(place / "out/0001.png", np.zeros((4, 4), np.uint8))
    done = predict(place, "mon")
    assert done.returncode == 2
    assert "0001.png (of an unknown source)" in done.stderr


def test_two_photos_that_would_become_one_file_are_told_apart_first(place: Path):
    (place / "mon/0002.png").rename(place / "mon/0001_confidence.png")
    done = predict(place, "mon", "--confidence")
    assert done.returncode == 2
    assert "would both become" in done.stderr
    assert predict(place, "mon").returncode == 0


@pytest.mark.parametrize("blocked", ["0001.png", "0001_overlay.jpg"])
def test_a_folder_in_the_way_of_one_photo_ends_no_other(place: Path, blocked: str):
    (place / "out" / blocked / "inside").mkdir(parents=True)
    done = predict(place, "mon", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["photos"] == 1
    assert list(report["failed"]) == ["mon/0001.png"]
    assert "Free space" not in done.stderr
    assert "Traceback" not in done.stderr
    left = {file.name for file in (place / "out").iterdir()}
    assert left == {
        blocked,
        "0002.png",
        "0002_overlay.jpg",
        "index.json",
    }  # of the other photo all files or none
    assert "0001.png" not in index_of(place)


@pytest.mark.skipif(os.name == "nt", reason="names are short there")
def test_a_name_that_is_too_long_ends_no_other_photo(place: Path):
    (place / "mon/0001.png").rename(place / ("mon/" + "0" * 250 + ".png"))
    done = predict(place, "mon", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["photos"] == 1
    assert "Give it a shorter name." in done.stderr
    assert {file.name for file in (place / "out").iterdir()} == {
        "0002.png",
        "0002_overlay.jpg",
        "index.json",
    }


def test_a_full_disk_ends_the_run_at_once(place: Path):
    done = predict(place, "*/*.png", "--json", code=DISK_FULL_AT.format(name="0002_overlay.jpg"))
    assert done.returncode == 1
    assert done.stderr.endswith("error: Cannot write out/0002_overlay.jpg: full.\n")
    assert json.loads(done.stdout) == {"error": "Cannot write out/0002_overlay.jpg: full."}
    assert {file.name for file in (place / "out").iterdir()} == {
        "0001.png",
        "0001_overlay.jpg",
        "index.json",
    }
    assert index_of(place) == {"0001.png": "mon/0001.png", "0001_overlay.jpg": "mon/0001.png"}


@needs_bytes
def test_a_name_that_is_no_utf_8_is_labeled_under_its_own_bytes(place: Path):
    (place / "mon/0001.png").rename(place / os.fsdecode(b"mon/caf\xe9.png"))
    done = predict(place, "mon", "--json")
    assert done.returncode == 0, done.stderr
    assert b"caf\xe9.png" in {os.fsencode(file.name) for file in (place / "out").iterdir()}
    assert json.loads(done.stdout)["sources"][os.fsdecode(b"caf\xe9.png")] == os.fsdecode(
        b"mon/caf\xe9.png"
    )
