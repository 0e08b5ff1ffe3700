import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from galago.cli.data import KINDS
from galago.cli.main import app
from galago.data import open_dataset
from galago.data.convert import CONVERTERS
from galago.errors import ConfigError, DataError


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three photos of train, one of val, all of road and car."""
    root = tmp_path / "data"
    for number, name in enumerate(("train/a", "train/b", "train/c", "val/v")):
        for folder, pixels in (
            ("images", np.full((2, 2, 3), 60 * number, np.uint8)),
            ("masks", np.eye(2, dtype=np.uint8)),
        ):
            file = root / folder / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), pixels)
    (root / "data.yaml").write_text("names: [road, car]")
    return root


def test_a_sound_data_set_ends_with_0_and_shows_its_classes(data: Path, tmp_path: Path):
    done = run("check", data, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert any(
        all(word in line for word in ("car", "50.000%", "3", "1"))
        for line in done.stdout.splitlines()
    )
    assert "0 errors, 0 warnings." in done.stdout
    assert "label_mapping" not in done.stdout


def test_errors_end_with_1_and_everything_names_them(data: Path, tmp_path: Path):
    (data / "masks/train/b.png").unlink()
    (data / "images/train/c.png").write_bytes(b"")
    done = run("check", data, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 1
    last = json.loads(done.stdout)  # one object, and the rest goes to standard error
    assert (last["ok"], last["errors"]) == (False, 2)
    assert {finding["kind"] for finding in last["findings"]} == {
        "photo-without-mask",
        "unreadable-photo",
        "rare-class",
    }
    assert last["splits"]["val"]["classes"][1] == {
        "name": "car",
        "pixels": 2,
        "share": 0.5,
        "photos": 1,
    }
    for words in ("photo-without-mask", "unreadable-photo", "Add the masks", "train/b", "train/c"):
        assert words in done.stderr
        assert words in (tmp_path / "out/report.html").read_text()
    saved = json.loads((tmp_path / "out/check.json").read_text())
    for finding in saved["findings"]:
        assert len(finding.pop("found")) == finding["count"]  # all of them, not examples only
    assert saved == {key: value for key, value in last.items() if key != "out"}


def test_warnings_alone_end_with_0(data: Path, tmp_path: Path):
    (data / "data.yaml").write_text("names: [road, car, bus]")
    done = run("check", data, "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert "warning empty-class" in done.stdout


def test_the_label_mapping_is_shown(data: Path, tmp_path: Path):
    (data / "data.yaml").write_text("names: [road, car]\nlabel_mapping: {0: 1, 1: 0, 7: ignore}")
    rows = [
        line.replace("│", " ").split()
        for line in run("check", data, "--out", tmp_path / "out").stdout.splitlines()
    ]
    assert ["0", "car", "8"] in rows
    assert ["7", "ignore", "0"] in rows


def test_no_data_set_is_an_error(tmp_path: Path):
    done = run("check", tmp_path / "nowhere")
    assert isinstance(done.exception, DataError)


def test_a_converted_data_set_passes_the_check(data: Path, tmp_path: Path):
    source, out = tmp_path / "colored", tmp_path / "converted"
    for mask in data.glob("masks/*/*.png"):
        place = source / mask.relative_to(data)
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), cv2.merge([200 * np.eye(2, dtype=np.uint8)] * 3))
    (data / "images").rename(source / "images")
    (source / "labelmap.txt").write_text("road:0,0,0::\ncar:200,200,200::\n")
    done = run("convert", "colors", source, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "kind": "colors", "source": str(source), "out": str(out), "photos": {"train": 3, "val": 1},
        "classes": ["road", "car"], "notes": [],
    }  # fmt: skip
    assert "galago data check" in done.stderr
    assert open_dataset(out, "train")[0].labels.tolist() == [[1, 0], [0, 1]]
    assert run("check", out, "--out", tmp_path / "out").exit_code == 0


def test_ignored_pixels_without_a_name_are_told(data: Path, tmp_path: Path):
    (data / "palette.yaml").write_text("road: [0, 0, 0]")  # 1 of a gray mask is the color (1, 1, 1)
    done = run("convert", "colors", data, "--out", tmp_path / "out", "--unknown", "ignore")
    assert done.exit_code == 0
    assert "Ignored: 8 pixels of 1 colors without a name." in done.stderr
    failed = run("convert", "colors", data, "--out", tmp_path / "other")
    assert isinstance(failed.exception, DataError)
    assert not (tmp_path / "other").exists()


def test_misuse_ends_with_2(data: Path, tmp_path: Path):
    for words in (
        ("yolo", data, "--out", tmp_path / "out"),
        ("coco", data, "--out", data),
        ("ade20k", data, "--out", "x", "--images", "y"),
    ):
        error = run("convert", *words).exception
        assert isinstance(error, ConfigError)
        assert error.exit_code == 2
    assert run("convert", "coco", data).exit_code == 2  # --out is missing
    assert run().exit_code == 2


def test_help_names_the_commands_and_every_kind():
    shown = run("--help").stdout
    assert "check" in shown
    assert "convert" in shown
    assert set(KINDS.replace(" or ", ", ").split(", ")) == CONVERTERS.keys()
    assert KINDS in " ".join(run("convert", "--help").stdout.split())
    assert "Exit code 1 if there are errors" in run("check", "--help").stdout


def write_coco(root: Path, text: dict[str, object]) -> Path:
    root.mkdir()
    cv2.imwrite(str(root / "a.jpg"), np.zeros((4, 5, 3), np.uint8))
    entry = {"id": 1, "file_name": "a.jpg"}
    (root / "labels.json").write_text(
        json.dumps({"images": [entry], "categories": [{"id": 1, "name": "leaf"}]} | text)
    )
    return root


def test_what_a_conversion_leaves_out_is_told(tmp_path: Path):
    stray = {"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 2, 2]]}
    source = write_coco(tmp_path / "in", {"annotations": [stray]})
    done = run("convert", "coco", source, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert "polygons in annotation 5 of a.jpg" in done.stderr
    notes = json.loads(done.stdout.splitlines()[-1])["notes"]
    assert len(notes) == 3  # also that no area is left, and that the name tells no split


def test_a_faulty_coco_file_ends_with_1_or_without_its_faults(tmp_path: Path):
    broken = {
        "id": 5,
        "image_id": 1,
        "category_id": 1,
        "segmentation": [[float("nan"), 1, 2, 2, 3, 3]],
    }
    source = write_coco(tmp_path / "in", {"annotations": [broken]})
    failed = run("convert", "coco", source, "--out", tmp_path / "out").exception
    assert isinstance(failed, DataError)
    assert "--unknown ignore" in str(failed)
    done = run("convert", "coco", source, "--out", tmp_path / "out", "--unknown", "ignore")
    assert done.exit_code == 0
    assert "Left out, with 1 faults" in done.stderr
