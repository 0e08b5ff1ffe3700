import dataclasses
import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from galago import image as images
from galago._core.device import processor
from galago.benchmarking.profile import DeviceProfile
from galago.cli._options import RENAMED, join_sizes, read_size, replace_old_options
from galago.cli.main import app
from galago.errors import ConfigError, MissingDependencyError

pytestmark = pytest.mark.openvino
PROFILE = DeviceProfile(
    model="",
    model_sha256="",
    engine="openvino",
    precision="float32",
    threads=None,
    imgsz=(64, 64),
    image_size=(40, 60),
    median_ms=5.0,
    mean_iou=None,
    scored_on=None,
    device=processor(),
    galago_version="0.1.0",
)


@pytest.fixture
def place(tiny_onnx: Path, tmp_path: Path) -> Path:
    """A folder with photo.png and profile.json of the tiny model on this device."""
    images.save(tmp_path / "photo.png", np.full((40, 60, 3), (9, 0, 0), np.uint8))
    write(
        tmp_path,
        model=str(tiny_onnx),
        model_sha256=hashlib.sha256(tiny_onnx.read_bytes()).hexdigest(),
    )
    return tmp_path


def write(place: Path, **change: object) -> None:
    """Write profile.json, or change it."""
    path = place / "profile.json"
    profile = DeviceProfile.from_json(path.read_text()) if path.exists() else PROFILE
    path.write_text(dataclasses.replace(profile, **change).to_json())


def predict(place: Path, *flags: str) -> Result:
    return CliRunner().invoke(
        app, ["predict", str(place / "photo.png"), "--out", str(place / "out"), *flags]
    )


def test_predict_takes_a_profile_and_says_so(place: Path):
    done = predict(place, "--profile", str(place / "profile.json"), "--json")
    assert done.exit_code == 0, done.output
    first = (
        f"Profile: {place / 'tiny.onnx'}, openvino in float32, threads: auto, "
        "photos fitted into 64 x 64; "
    )
    assert done.stderr.startswith(f"{first}measured 5.0 ms for a photo of 40 x 60\n")
    assert "warning" not in done.stderr
    assert json.loads(done.stdout)["model"] == "tiny"
    assert images.load_labels(place / "out/photo.png").shape == (40, 60)


def test_a_profile_that_lies_there_is_not_taken_unasked(place: Path):
    done = predict(place, "--model", str(place / "tiny.onnx"))
    assert done.exit_code == 0
    assert "Profile" not in done.output


def test_another_device_is_one_warning_line(place: Path):
    write(place, device="Toaster (neon)")
    done = predict(place, "--profile", str(place / "profile.json"))
    assert done.exit_code == 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: The profile was measured on Toaster (neon), and this is ")
    assert line.endswith("times differ. Run `galago bench --budget` again.")


def test_another_model_is_misuse(place: Path):
    write(place, model_sha256="ab" * 32)
    done = predict(place, "--profile", str(place / "profile.json"))
    assert isinstance(done.exception, ConfigError)
    assert "The profile was measured with another model file" in str(done.exception)


def test_a_profile_whose_engine_is_missing_is_the_usual_error(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    write(place, engine="onnxruntime")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = predict(place, "--profile", str(place / "profile.json"))
    assert isinstance(done.exception, MissingDependencyError)
    assert str(done.exception) == "onnxruntime is missing. Run: pip install 'galago[onnxruntime]'"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--engine", "onnxruntime"), "The profile has engine openvino, got onnxruntime beside it"),
        (("--threads", "2"), "The profile has threads unset, got 2 beside it"),
        (("--precision", "bfloat16"), "The profile has precision float32, got bfloat16 beside it"),
        (("--imgsz", "32", "64"), "The profile has imgsz 64 x 64, got 32 x 64 beside it"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "val"])
def test_flags_that_contradict_a_profile_are_misuse(
    place: Path, command: str, flags: tuple[str, ...], message: str
):
    (place / "images/val").mkdir(parents=True)
    (place / "masks/val").mkdir(parents=True)
    images.save(place / "images/val/a.png", np.zeros((8, 8, 3), np.uint8))
    images.save_labels(place / "masks/val/a.png", np.zeros((8, 8), np.uint8), ((0, 0, 0),))
    (place / "data.yaml").write_text("names: [red, green, blue]")
    what = (
        ("--source", str(place / "photo.png")) if command == "predict" else ("--data", str(place))
    )
    done = CliRunner().invoke(
        app,
        [
            command,
            *what,
            "--profile",
            str(place / "profile.json"),
            "--out",
            str(place / "out"),
            *flags,
        ],
    )
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(message)
    assert not (place / "out").exists()


def test_a_flag_that_agrees_is_fine(place: Path):
    assert (
        predict(
            place, "--profile", str(place / "profile.json"), "--imgsz", "64", "--engine", "openvino"
        ).exit_code
        == 0
    )


@pytest.mark.parametrize(
    ("flags", "imgsz"), [(("64",), (64, 64)), (("32", "64"), (32, 64)), (("32x64",), (32, 64))]
)
def test_predict_fits_photos_into_a_size(
    place: Path, flags: tuple[str, ...], imgsz: tuple[int, int]
):
    assert predict(
        place, "--profile", str(place / "profile.json"), "--imgsz", *flags
    ).exit_code == (0 if imgsz == (64, 64) else 1)
    done = predict(place, "--model", str(place / "tiny.onnx"), "--imgsz", *flags)
    assert done.exit_code == 0, done.output
    assert images.load_labels(place / "out/photo.png").shape == (40, 60)


def test_a_size_that_is_none_is_misuse(place: Path):
    done = predict(place, "--model", str(place / "tiny.onnx"), "--imgsz", "0")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("Expected a size in pixels as height and width")
    assert (
        predict(place, "--model", str(place / "tiny.onnx"), "--imgsz", "1", "2", "3").exit_code == 2
    )
    assert predict(place, "--imgsz").exit_code == 2


@pytest.mark.parametrize(
    ("text", "size"), [("512x1024", (512, 1024)), ("64X32", (64, 32)), ("320", (320, 320))]
)
def test_sizes_are_height_and_width(text: str, size: tuple[int, int]):
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["0", "-5", "1x2x3", "", "x", "64x", "6.4", "\u0663"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(
        ConfigError, match=r"as height and width, for example --imgsz 512 1024, got"
    ):
        read_size(text)


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        ("--imgsz 512 1024 --json", "--imgsz 512x1024 --json"),
        ("--imgsz 512 --json", "--imgsz 512 --json"),
        ("--imgsz 512x1024", "--imgsz 512x1024"),
        ("--imgsz 1 2 3", "--imgsz 1x2 3"),  # and the third is an unknown argument
        ("--imgsz 1 2 --imgsz 3 4", "--imgsz 1x2 --imgsz 3x4"),
        ("--threads 1 2", "--threads 1 2"),
        ("--imgsz", "--imgsz"),
    ],
)
def test_two_numbers_after_imgsz_become_one_word(words: str, joined: str):
    assert join_sizes(words.split()) == joined.split()


def test_an_option_that_always_takes_two_numbers_keeps_them():
    words = ["--imgsz", "64", "96"]
    assert join_sizes(words, {"--imgsz"}) == words


@pytest.mark.parametrize(
    ("command", "old", "new", "note"),
    [
        ("predict", "--half", "--precision bfloat16", "--half is now --precision bfloat16"),
        ("predict", "--setting p.json", "--profile p.json", "--setting is now --profile"),
        ("predict", "--setting=p.json", "--profile=p.json", "--setting is now --profile"),
        ("predict", "--save-labels", "--frame-labels", "--save-labels is now --frame-labels"),
        ("predict", "--save", "", "--save is the default, leave it out"),
        ("val", "--half --half", "--precision bfloat16", "--half is now --precision bfloat16"),
        ("bench", "--half", "--precision float32,bfloat16", None),
        ("bench", "--photos 3", "--max-images 3", "--photos is now --max-images"),
        ("export", "--half", "--precision float16", "--half is now --precision float16"),
        ("export", "--int8", "--precision int8", "--int8 is now --precision int8"),
    ],
)
def test_an_option_of_before_is_replaced_with_a_note(
    command: str, old: str, new: str, note: str | None
):
    words, notes = replace_old_options(command, old.split())
    assert words == new.split()
    assert notes == [note or "--half is now --precision float32,bfloat16"]


@pytest.mark.parametrize(
    ("command", "words", "replaced"),
    [
        ("predict", "--source a.jpg --alpha 0", "--alpha 0 -- a.jpg"),
        ("predict", "--source=-", "-- -"),
        ("predict", "a.jpg", "a.jpg"),
        ("val", "--data d --model m", "--model m -- d"),
        ("check", "--data d", "-- d"),
        ("verify", "--model m", "-- m"),
        ("export", "--model m -- --half", "-- m --half"),
        ("bench", "--model a --model b", "-- b"),  # the last one counts, as for other options
        ("verify", "m --data d", "m --data d"),
    ],
)
def test_what_a_command_acts_on_may_be_an_option(command: str, words: str, replaced: str):
    assert replace_old_options(command, words.split()) == (replaced.split(), [])


def test_an_option_of_before_beside_its_new_form_is_misuse(place: Path):
    done = predict(place, "--half", "--precision", "float32")
    assert done.exit_code == 2
    assert "--half is --precision bfloat16: give one --precision." in done.stderr
    done = CliRunner().invoke(app, ["export", "x.safetensors", "--half", "--int8"])
    assert done.exit_code == 2
    assert "give one --precision" in done.stderr


def test_an_argument_that_is_missing_or_has_no_value_is_misuse():
    assert CliRunner().invoke(app, ["predict", "--json"]).exit_code == 2
    done = CliRunner().invoke(app, ["predict", "--source"])
    assert done.exit_code == 2
    assert "'--source' requires an argument" in done.stderr


def test_no_help_shows_an_option_of_before():
    for command, renamed in RENAMED.items():
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout
        words = re.findall(r"(?<!\S)--[\w-]+", shown)
        assert not renamed.keys() & set(words), command
        targets = {new[0] for new in renamed.values() if new}
        assert targets <= set(words), command


def test_options_of_before_run_and_print_one_note_on_standard_error(place: Path):
    done = predict(place, "--setting", str(place / "profile.json"), "--json")
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("note: --setting is now --profile\nProfile: ")
    assert json.loads(done.stdout)["model"] == "tiny"
