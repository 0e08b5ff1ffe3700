import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago import image as images
from galago import load
from galago.spec import ModelSpec

pytestmark = pytest.mark.openvino
COMMAND = [sys.executable, "-c", "from galago.cli.main import main; main()", "predict"]
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def place(tmp_path: Path, tiny_onnx: Path) -> Path:
    """A folder with tiny.onnx, whose classes are red, green and blue, and with two photos, one of
    them with a strange name.
    """
    photo = np.zeros((33, 48, 3), np.uint8)
    photo[:, :24], photo[:, 24:] = RED, BLUE
    images.save(tmp_path / "my photos/ä b.png", photo)
    images.save(tmp_path / "my photos/c.png", photo[:, :24])
    return tmp_path


def predict(
    place: Path, source: str | Path, *flags: str, model: str = "tiny.onnx", typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--source", str(source), "--model", model, "--out", "out", *flags],
        cwd=place,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


def written(place: Path) -> list[str]:
    """Return what is in the folder, but for index.json, which has tests of its own."""
    return sorted(path.name for path in (place / "out").glob("*") if path.name != "index.json")


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr


def test_a_photo_becomes_labels_and_an_overlay(place: Path):
    done = predict(place, "my photos/ä b.png")
    assert done.returncode == 0, done.stderr
    assert written(place) == ["ä b.png", "ä b_overlay.jpg"]
    labels = images.load_labels(place / "out/ä b.png")
    assert (labels[:, :24] == 0).all()
    assert (labels[:, 24:] == 2).all()
    for row in (("red", "50.00%"), ("blue", "50.00%")):
        assert any(all(word in line for word in row) for line in done.stdout.splitlines()), row
    assert "Saved: 1 label maps (.png) and overlays (_overlay.jpg) in out" in done.stdout


@pytest.mark.parametrize("source", ["my photos", "my photos/*.png", "list.txt"])
def test_folder_glob_and_list_are_all_labeled(place: Path, source: str):
    (place / "list.txt").write_text("my photos/c.png\nmy photos/ä b.png\n", encoding="utf-8")
    done = predict(place, source)
    assert done.returncode == 0, done.stderr
    assert written(place) == ["c.png", "c_overlay.jpg", "ä b.png", "ä b_overlay.jpg"]
    assert "mean area over 2 photos" in done.stdout


def test_a_dash_reads_paths_from_standard_input(place: Path):
    done = predict(place, "-", typed="my photos/c.png\n")
    assert done.returncode == 0, done.stderr
    assert written(place) == ["c.png", "c_overlay.jpg"]


def test_photos_of_one_name_get_files_of_their_own(place: Path):
    shutil.copytree(place / "my photos", place / "more")
    predict(place, "*/c.png")
    assert written(place) == ["c.png", "c_2.png", "c_2_overlay.jpg", "c_overlay.jpg"]


def test_the_rest_of_a_folder_is_labeled_when_photos_are_broken(place: Path):
    (place / "my photos/a.jpg").write_bytes(b"hello")
    (place / "my photos/b.png").touch()
    done = predict(place, "my photos", "--json")
    assert done.returncode == 1
    assert written(place) == ["c.png", "c_overlay.jpg", "ä b.png", "ä b_overlay.jpg"]
    last = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert last[0] == "error: 2 of 4 photos failed:"
    assert "a.jpg is no photo that can be read" in last[1]
    assert "b.png is empty (0 bytes)" in last[2]
    summary = json.loads(done.stdout)
    assert summary["photos"] == 2
    assert [Path(path).name for path in summary["failed"]] == ["a.jpg", "b.png"]


def test_one_broken_photo_is_one_line(place: Path):
    (place / "a.jpg").write_bytes(b"hello")
    assert_one_line(
        predict(place, "a.jpg"), 1, "error: a.jpg is no photo that can be read. Expected JPEG"
    )


def test_standard_output_is_one_json_object_when_asked_for(place: Path):
    done = predict(place, "my photos", "--json")
    summary = json.loads(done.stdout)  # and the table goes to standard error
    assert (summary["model"], summary["photos"], summary["failed"]) == ("tiny", 2, {})
    assert summary["areas"] == {"red": pytest.approx(0.75), "blue": pytest.approx(0.25)}
    assert list(summary["speed"]) == ["read", "pre", "infer", "post"]


def test_confidence_is_a_gray_picture_beside_the_labels(place: Path):
    done = predict(place, "my photos/c.png", "--confidence")
    assert done.returncode == 0, done.stderr
    assert written(place) == ["c.png", "c_confidence.png", "c_overlay.jpg"]
    assert "confidence (_confidence.png)" in done.stdout
    gray = cv2.imread(str(place / "out/c_confidence.png"), cv2.IMREAD_UNCHANGED)
    photo = images.load(place / "my photos/c.png")
    expected = load(place / "tiny.onnx")(photo, confidence=True).confidence
    assert gray.dtype == np.uint8
    assert np.abs(gray - 255 * expected).max() <= 0.5
    assert_one_line(
        predict(place, "my photos/c.png", "--confidence", "--tile", "64"),
        2,
        "labeled at once, without --tile",
    )


def test_no_save_writes_nothing(place: Path):
    done = predict(place, "my photos", "--no-save")
    assert done.returncode == 0
    assert written(place) == []
    assert "Saved" not in done.stdout


def test_names_with_square_brackets_are_shown_as_they_are(
    place: Path, write_onnx: Callable[..., Path]
):
    names = ("[bold]", "[/]", "road [main]")
    write_onnx(
        place / "odd.onnx",
        ModelSpec(name="odd", variant="tiny", classes=names, palette=(RED, RED, BLUE)),
    )
    done = predict(place, "my photos/ä b.png", "--out", "out [/x]", model="odd.onnx")
    assert done.returncode == 0, done.stderr
    assert "[bold]" in done.stdout
    assert "road [main]" in done.stdout
    assert "in out [/x]" in done.stdout


@pytest.mark.parametrize(
    ("photos", "out"),
    [
        (["a.png"], "photos"),
        (["a.jpg", "a.png"], "photos"),
        (["a.jpg", "a_overlay.jpg"], "photos/../photos"),
    ],
)
def test_photos_are_never_replaced(place: Path, photos: list[str], out: str):
    for name in photos:
        images.save(place / "photos" / name, np.zeros((8, 8, 3), np.uint8))
    before = {file.name: file.read_bytes() for file in (place / "photos").iterdir()}
    done = predict(place, "photos", "--out", out)
    assert_one_line(done, 2, "would replace the photo")
    assert {file.name: file.read_bytes() for file in (place / "photos").iterdir()} == before


def test_a_file_in_place_of_the_folder_is_one_line(place: Path):
    (place / "out").write_bytes(b"mine")
    assert_one_line(
        predict(place, "my photos/c.png"), 1, "out is a file, not a folder. Choose another folder."
    )
    assert (place / "out").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "There is nothing at nowhere. Give a photo, a folder"),
        ("empty", "No photo in empty. Expected files that end in .jpg"),
        ("*.bmp", "No photo in *.bmp"),
        ("-", "Standard input names no photo"),
    ],
)
def test_a_source_without_photos_is_misuse(place: Path, source: str, message: str):
    (place / "empty").mkdir()
    assert_one_line(predict(place, source, typed=""), 2, message)


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("nowhere", 2, "There is no model 'nowhere'"),
        ("my photos", 1, "is no model folder: it has no model.json"),
        ("noise.onnx", 1, "noise.onnx is no whole ONNX file"),
        ("my photos/c.png", 1, "c.png is no whole ONNX file"),
        ("empty.onnx", 1, "empty.onnx is empty (0 bytes)"),
    ],
)
def test_a_bad_model_is_one_line(place: Path, model: str, code: int, message: str):
    (place / "empty.onnx").touch()
    (place / "noise.onnx").write_bytes(bytes(range(256)) * 20)
    assert_one_line(predict(place, "my photos", model=model), code, message)
    assert written(place) == []


def test_a_damaged_model_folder_is_one_line(place: Path, tiny_folder: Path):
    with (tiny_folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    assert_one_line(
        predict(place, "my photos", model="tiny"), 1, "model.onnx is not the file that was exported"
    )


@pytest.mark.parametrize(
    "flags", [("--threads", "0"), ("--alpha", "2"), ("--engine", "cuda"), ("--imgsize", "3")]
)
def test_a_wrong_flag_is_misuse(place: Path, flags: tuple[str, str]):
    done = predict(place, "my photos", *flags)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert written(place) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_under_standard_output_is_one_line(place: Path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [
                *COMMAND,
                "--source",
                "my photos/c.png",
                "--model",
                "tiny.onnx",
                "--no-save",
                "--json",
            ],
            cwd=place,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_an_interrupt_leaves_no_half_file(place: Path):
    photo = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    images.save(place / "many/0.jpg", photo)
    for number in range(1, 500):
        os.link(place / "many/0.jpg", place / f"many/{number}.jpg")
    process = subprocess.Popen(
        [*COMMAND, "--source", "many", "--model", "tiny.onnx", "--out", "out"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(written(place)) < 6 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.rstrip().endswith("interrupted")
    assert "Traceback" not in error
    files = [place / "out" / name for name in written(place)]
    assert 6 <= len(files) < 1000
    assert {file.suffix for file in files} == {".png", ".jpg"}  # and no temporary ones
    for file in files:
        assert images.load(file).shape[1] == 512


def test_what_a_phones_folder_holds_besides_is_told(place: Path):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    for name in ("1.HEIC", "2.heic", "3.gif", "._c.png"):
        (place / "my photos" / name).write_bytes(heic)
    done = predict(place, "my photos", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["photos"] == 2
    assert (
        "Note: Left out 3 pictures of kinds that are not read (1 .gif, 2 .heic). Convert them first"
        in done.stderr
    )


def test_a_heic_named_jpg_is_called_so(place: Path):
    (place / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert_one_line(
        predict(place, "a.jpg"), 1, "a.jpg is HEIC, which galago does not read. Expected JPEG, PNG"
    )


@pytest.mark.parametrize("flags", [(), ("--tile", "64", "--overlap", "32")], ids=["whole", "tiles"])
def test_12_bits_in_a_file_of_16_are_told(place: Path, flags: tuple[str, ...]):
    for name in ("a", "b"):
        cv2.imwrite(str(place / f"my photos/{name}.png"), np.full((96, 96, 3), 4095, np.uint16))
    done = predict(place, "my photos", *flags)
    assert done.returncode == 0, done.stderr
    assert (
        "a.png holds 12 bits or less in a file of 16: its brightest value is 15 of 255"
        in done.stderr
    )
    assert "The same holds for 1 more of 4 photos." in done.stderr


def test_a_link_to_its_own_folder_labels_each_photo_once(place: Path):
    (place / "my photos/self").symlink_to(".", target_is_directory=True)
    assert json.loads(predict(place, "my photos/**/*", "--json").stdout)["photos"] == 2


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there")
def test_photos_whose_names_are_no_text_are_labeled(place: Path):
    (place / "my photos/c.png").rename(place / "my photos/caf\udce9.png")
    done = predict(place, "my photos")
    assert done.returncode == 0, done.stderr
    assert "caf\udce9.png" in written(place)
