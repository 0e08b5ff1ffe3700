import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import NoneType
from typing import get_args, get_type_hints

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("torch")

from galago.cli.main import app
from galago.cli.train import override
from galago.data import Sample, open_dataset
from galago.data.image_mask_dataset import ImageMaskDataset
from galago.errors import CheckpointError, ConfigError, DataError, TrainingError
from galago.models.checkpoint import read_metadata, read_tensors
from galago.spec import ModelSpec
from galago.training.config import TrainConfig, parse_settings
from galago.training.recipes import RECIPES

pytestmark = pytest.mark.torch

TINY = ("--batch", "2", "--crop", "64", "64", "--workers", "0", "--threads", "1")


def write(root: Path, name: str, photo: np.ndarray, mask: np.ndarray) -> None:
    for kind, pixels in (("images", photo), ("masks", mask)):
        path = root / kind / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Doors in walls: 4 photos for training, 2 for validation, of two drives."""
    for index in range(6):
        mask = np.zeros((64, 96), np.uint8)
        mask[:, 20 + 10 * index :] = 1
        photo = np.array([(160, 90, 40), (60, 60, 200)], np.uint8)[mask]
        write(
            tmp_path / "data",
            f"{'train' if index < 4 else 'val'}/drive{index % 2}_{index}",
            photo,
            mask,
        )
    (tmp_path / "data/data.yaml").write_text("names: [wall, door]")
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def leave_the_allocator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a setting of the whole process out of the tests that come after."""
    monkeypatch.setattr("galago.training.cpu.tune_malloc", lambda: True)
    monkeypatch.setattr("galago.cli._training.interrupt_once", lambda: None)


def train(data: Path | str, *flags: str) -> Result:
    return CliRunner().invoke(app, ["train", "--data", str(data), *TINY, *flags])


def galago(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from galago.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def mean_iou(data: Path, model: Path) -> float:
    done = galago(
        "val", "--data", str(data), "--model", str(model), "--out", str(data / "val"), "--json"
    )
    assert done.returncode == 0, done.stderr
    return float(json.loads(done.stdout.splitlines()[-1])["mean_iou"])


@pytest.mark.slow
@pytest.mark.openvino
def test_training_leads_to_a_checkpoint_a_model_folder_and_labels(data: Path, tmp_path: Path):
    pytest.importorskip("onnx")
    run = tmp_path / "run"
    done = galago("train", "--data", str(data), *TINY, "--epochs", "2", "--out", str(run))
    assert done.returncode == 0, done.stderr
    assert f"Next: galago export {run}/best.safetensors --out {run}/model" in done.stdout
    done = galago("export", "--model", f"{run}/best.safetensors", "--out", f"{run}/model")
    assert done.returncode == 0, done.stderr
    assert mean_iou(data, run / "best.safetensors") == pytest.approx(
        mean_iou(data, run / "model"), abs=1e-3
    )
    done = galago(
        "predict",
        "--model",
        f"{run}/model",
        "--source",
        str(data / "images/val"),
        "--out",
        str(tmp_path / "labels"),
    )
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / "labels/drive0_4.png")).shape == (64, 96, 3)


def test_a_run_says_what_it_learned_from_and_where_its_files_are(data: Path, tmp_path: Path):
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"))
    assert done.exit_code == 0, done.output
    assert (
        f"Training b0 for 1 epoch on {data}: 4 photos, 2 for validation, 2 classes" in done.stderr
    )
    assert (
        f"Saved: {tmp_path}/run/best.safetensors, {tmp_path}/run/metrics.csv, "
        f"{tmp_path}/run/panel.jpg" in done.stdout
    )
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert (run["data"], run["train_images"], run["val_images"]) == (str(data), 4, 2)
    assert run["config"]["crop_size"] == [64, 64]


def test_a_run_leaves_a_page_and_curves_where_asked_for(data: Path, tmp_path: Path):
    pytest.importorskip("tensorboard")
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"), "--tensorboard")
    assert done.exit_code == 0, done.output
    assert f"{tmp_path}/run/report.html" in done.stdout
    assert (
        f"galago val {data} --model {tmp_path}/run/best.safetensors"
        in (tmp_path / "run/report.html").read_text()
    )
    assert list((tmp_path / "run/tensorboard").glob("events.out.tfevents.*"))


def test_an_early_end_is_said_aloud(data: Path, tmp_path: Path):
    flags = (
        "--set",
        "peak_learning_rate=1e-30",
        "--set",
        "validate_every=1",
        "--set",
        "ema_decay=0",
        "--set",
        "patience=1",
    )
    done = train(data, "--epochs", "9", "--out", str(tmp_path / "run"), *flags)
    assert done.exit_code == 0, done.output
    said = (
        r"Stopped after epoch (\d) of 9: 1 validation brought no better mean IoU than epoch (\d)\. "
        "To go on: --resume"
    )
    found = re.search(said, done.stdout)
    assert found, done.stdout
    assert int(found[1]) == int(found[2]) + 1


def test_a_slow_disk_is_said_aloud_with_what_helps(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    read = ImageMaskDataset.__getitem__

    def slow(self: ImageMaskDataset, index: int) -> Sample:
        time.sleep(0.5)
        return read(self, index)

    monkeypatch.setattr(ImageMaskDataset, "__getitem__", slow)
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"))
    assert re.search(
        r"The network waited for photos \d+% of the time\. More --workers \(now 0\), or --cache",
        done.stdout,
    )


def test_standard_output_is_one_json_object_when_asked_for(data: Path, tmp_path: Path):
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"), "--json")
    last = json.loads(done.stdout)
    assert last.keys() == {"out", "epochs", "best_mean_iou"}
    assert last["epochs"] == 1


def test_a_drive_that_is_left_out_is_validated_on(data: Path, tmp_path: Path):
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"), "--holdout", "drive1")
    assert done.exit_code == 0, done.output
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert (run["train_images"], run["val_images"]) == (2, 2)
    assert run["data"] == f"{data}, names that start with drive1 held out for validation"


def test_flags_and_settings_of_galago_0_1_still_work_with_a_note(data: Path, tmp_path: Path):
    flags = ("--mix", str(data), "--set", "mix=0.5", "--set", "rare_crop=0.25")
    old = ("--imgsz", "64", "96", "--leave-out", "drive1_1")
    command = ["train", "--data", str(data), "--batch", "2", "--workers", "0", "--threads", "1"]
    out = tmp_path / "run"
    done = CliRunner().invoke(app, [*command, "--epochs", "1", "--out", str(out), *flags, *old])
    assert done.exit_code == 0, done.output
    run = json.loads((out / "run.json").read_text())
    assert run["config"]["extra_data_ratio"] == 0.5
    assert run["config"]["class_balanced_crop"] == 0.25
    assert run["config"]["crop_size"] == [64, 96]
    assert (run["train_images"], run["val_images"]) == (3, 1)
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: --imgsz is now --crop",
        "note: --leave-out is now --holdout",
        "note: --mix is now --extra-data DATA:SHARE",
        "note: --set rare_crop= is now --set class_balanced_crop=",
    ]


def test_the_score_of_a_checkpoint_is_that_of_val_to_the_last_digit(data: Path, tmp_path: Path):
    """For images as they are and for those of a short side, whose labels have their own size."""
    for name, flags in (("keep", ()), ("short", ("--set", "short_side=96"))):
        run = tmp_path / name
        done = train(
            data,
            "--recipe",
            "camvid",
            "--epochs",
            "2",
            "--set",
            "validate_every=1",
            "--set",
            "precision=float32",
            "--out",
            str(run),
            *flags,
        )
        assert done.exit_code == 0, done.output
        model = str(run / "last.safetensors")
        arguments = ["--data", str(data), "--model", model, "--out", str(tmp_path / "val")]
        done = CliRunner().invoke(app, ["val", *arguments, "--json"])
        assert done.exit_code == 0, done.output
        measured = json.loads(done.stdout.splitlines()[-1])
        recorded = json.loads(read_metadata(run / "last.safetensors")["scores"])
        for score in ("mean_iou", "pixel_accuracy"):
            assert measured[score] == recorded[score]
        assert [entry["iou"] for entry in measured["classes"]] == [
            entry["iou"] for entry in recorded["classes"]
        ]


def write_coarse(root: Path) -> Path:
    """Describe the drawn data set again, as one whose masks know coarse labels."""
    file = root / "coarse.yaml"
    names = open_dataset(root, "train").label_set.names
    file.write_text(
        f"names: [{', '.join(names)}]\nsource_names: [first, any]\nholdout: [drive1]\nval: "
        "images/none\n"
        f"label_mapping: {{first: {names[0]}, any: ignore}}\nnot_labeled: {{}}\nshort_side: 64\n"
    )
    return file


def test_extra_data_is_learned_from_and_scored_by_name(data: Path, tmp_path: Path):
    flags = (
        "--extra-data",
        f"{write_coarse(data)}:0.4",
        "--extra-data",
        str(data),
        "--set",
        "best_by=mean",
    )
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"), *flags)
    assert done.exit_code == 0, done.output
    assert "coarse (2 photos, 40% of the samples, 2 for validation)" in done.stderr
    assert "(4 photos, 30% of the samples, " in done.stderr
    assert (
        "The best weights are those of the best mean IoU on the mean over all sets" in done.stderr
    )
    header, row = (
        line.split(",") for line in (tmp_path / "run/metrics.csv").read_text().splitlines()
    )
    measured = dict(zip(header, row, strict=True))
    sets = [float(value) for name, value in measured.items() if name.startswith("mean_iou ")]
    assert len(sets) == 3
    assert float(measured["mean_iou"]) == pytest.approx(sum(sets) / 3)
    assert json.loads((tmp_path / "run/run.json").read_text())["config"][
        "extra_data_ratio"
    ] == pytest.approx(0.7)
    assert "<h3>coarse</h3>" in (tmp_path / "run/report.html").read_text()


@pytest.mark.parametrize("spec", ["street:1.5", "street:0", ":0.3"])
def test_a_share_lies_between_0_and_1(data: Path, spec: str):
    done = train(data, "--extra-data", spec)
    assert isinstance(done.exception, ConfigError)
    assert "Expected a share of the samples between 0 and 1" in str(done.exception)


def test_names_are_held_out_by_several_beginnings(data: Path, tmp_path: Path):
    done = train(
        data,
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "run"),
        "--holdout",
        "drive1_1",
        "--holdout",
        "drive1_3",
    )
    assert done.exit_code == 0, done.output
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert (run["train_images"], run["val_images"]) == (2, 2)


def test_a_second_run_does_not_overwrite_the_first(data: Path, tmp_path: Path):
    assert train(data, "--epochs", "1", "--out", str(tmp_path / "run")).exit_code == 0
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"))
    assert isinstance(done.exception, TrainingError)
    assert "holds a run already" in str(done.exception)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--recipe", "secret"),
            "Unknown recipe 'secret'. Choose one of: ade20k, camvid, cityscapes, cityscapes-large, "
            "folder, plain, scenes.",
        ),
        (("--model", "b9"), "Unknown network 'b9'. Choose one of: b0, b1, b2, b3, l0, l1, l2, l3."),
        (
            ("--crop", "100", "100"),
            "crop_size needs multiples of 32 as (height, width), got (100, 100).",
        ),
        (("--batch", "0"), "batch_size needs to be positive, got 0."),
        (("--epochs", "0"), "epochs needs to be positive, got 0."),
        (("--workers", "-1"), "workers cannot be negative, got -1."),
        (
            ("--set", "extra_data_ratio=0.5"),
            "Extra data needs a data set and its share of the samples: --extra-data DATA:SHARE, "
            "for example --extra-data scenes/:0.3.",
        ),
        (
            ("--holdout", "drive9"),
            "None of the 4 samples was selected. Their names look like this: drive0_0, drive0_2, "
            "drive1_1.",
        ),
    ],
)
def test_a_wrong_flag_is_misuse(data: Path, tmp_path: Path, flags: tuple[str, ...], message: str):
    done = train(data, "--out", str(tmp_path / "run"), *flags)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == message


@pytest.mark.parametrize(
    "flags", [("--threads", "0"), ("--seed", "-1"), ("--epochs", "many"), ("--crop", "64")]
)
def test_a_flag_that_is_no_number_of_its_kind_is_misuse(data: Path, flags: tuple[str, ...]):
    assert train(data, *flags).exit_code == 2


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("scenes:", (), "Expected a number of scenes, for example scenes:2000, got 'scenes:'."),
        ("scenes:0", (), "Expected a number of scenes, for example scenes:2000, got 'scenes:0'."),
        (
            "scenes:9",
            ("--holdout", "a"),
            "Synthetic scenes have no names to hold out, got --holdout a.",
        ),
    ],
)
def test_scenes_need_a_count_and_nothing_left_out(name: str, flags: tuple[str, ...], message: str):
    done = train(name, *flags)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == message


def test_missing_data_is_a_clear_error(tmp_path: Path):
    done = train(tmp_path / "nowhere", "--out", str(tmp_path / "run"))
    assert isinstance(done.exception, DataError)
    assert "There is no data set at" in str(done.exception)


def test_a_bad_mask_for_validation_ends_a_run_before_it_begins(data: Path, tmp_path: Path):
    (data / "masks/val/drive0_4.png").write_bytes(b"not a mask")
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"))
    assert isinstance(done.exception, DataError)
    assert "drive0_4.png is no image" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_ids_without_a_class_are_a_clear_error(data: Path, tmp_path: Path):
    for name in ("drive0_0", "drive1_1", "drive0_2", "drive1_3"):
        write(
            data, f"train/{name}", np.zeros((64, 96, 3), np.uint8), np.full((64, 96), 9, np.uint8)
        )
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"))
    assert isinstance(done.exception, DataError)
    assert "holds ids that mean nothing here: 9 (6144 pixels). Known ids: 0-1, 255." in str(
        done.exception
    )


def test_a_mask_of_another_size_is_a_clear_error(data: Path, tmp_path: Path):
    cv2.imwrite(str(data / "masks/train/drive0_0.png"), np.zeros((32, 96), np.uint8))
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"))
    assert isinstance(done.exception, DataError)
    assert "drive0_0.png is 96 x 32, but its photo" in str(done.exception)


def test_too_few_photos_are_a_clear_error(data: Path, tmp_path: Path):
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"), "--batch", "5")
    assert isinstance(done.exception, TrainingError)
    assert "has 4 images, fewer than one batch of 5. Use --batch 4 or less" in str(done.exception)


def test_nothing_to_resume_is_a_clear_error(data: Path, tmp_path: Path):
    done = train(data, "--out", str(tmp_path / "run"), "--resume")
    assert isinstance(done.exception, TrainingError)
    assert "There is nothing to resume" in str(done.exception)


@pytest.mark.parametrize("content", [b"", b"a letter to a friend"])
def test_weights_that_are_no_checkpoint_are_a_clear_error(
    data: Path, tmp_path: Path, content: bytes
):
    (tmp_path / "w.safetensors").write_bytes(content)
    done = train(data, "--out", str(tmp_path / "run"), "--weights", str(tmp_path / "w.safetensors"))
    assert isinstance(done.exception, CheckpointError)
    assert "is not a whole safetensors file" in str(done.exception)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("workers", ["0", "1"])
def test_an_interrupt_is_one_line_that_says_how_to_go_on(data: Path, tmp_path: Path, workers: str):
    flags = [
        "train",
        "--data",
        str(data),
        *TINY,
        "--workers",
        workers,
        "--epochs",
        "9999",
        "--out",
        str(tmp_path / "run"),
    ]
    script = tmp_path / "run_galago.py"  # a file: workers import it again
    script.write_text("from galago.cli.main import main\nif __name__ == '__main__': main()")
    process = subprocess.Popen(
        [sys.executable, str(script), *flags],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (tmp_path / "run/state").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    (line,) = (line for line in error.splitlines() if line.startswith("interrupted"))
    assert line.startswith(
        f"interrupted; go on from the last saved epoch with: galago train --data {data} "
    )
    assert line.endswith(f"--out {tmp_path}/run --resume")


def test_the_size_of_the_crop_is_that_of_the_photos_where_a_recipe_fits_them():
    assert override(RECIPES["folder"](), {"crop_size": (256, 384)}).short_side == 256
    assert (
        override(RECIPES["folder"](), {"crop_size": (256, 384)}, {"short_side": 320}).short_side
        == 320
    )
    assert override(RECIPES["camvid"](), {"crop_size": (256, 384)}).short_side is None


def optional_settings() -> dict[str, object]:
    """Return the settings that may be None, each with another value that it may have."""
    values = {int: 320, str: "b0-cityscapes"}
    hints = get_type_hints(TrainConfig)
    return {
        name: values[get_args(hint)[0]]
        for name, hint in hints.items()
        if NoneType in get_args(hint)
    }


@pytest.mark.parametrize("crop_size", [None, (64, 96)])
@pytest.mark.parametrize("name", optional_settings())
def test_none_is_a_value_of_a_setting_and_no_flag_that_was_left_out(
    name: str, crop_size: tuple[int, int] | None
):
    recipe = dataclasses.replace(RECIPES["folder"](), **{name: optional_settings()[name]})
    flags = {"crop_size": crop_size, "epochs": None}
    for text in (f"{name}=none", f"{name}=None"):
        config = override(recipe, flags, parse_settings([text]))
        assert getattr(config, name) is None
        assert config.epochs == recipe.epochs  # this flag was left out


@pytest.mark.parametrize("crop", [(), ("--crop", "64", "64")])
def test_a_short_side_of_none_leaves_photos_as_they_are(
    data: Path, tmp_path: Path, crop: tuple[str, ...]
):
    flags = (
        "--batch",
        "2",
        "--workers",
        "0",
        "--threads",
        "1",
        "--epochs",
        "1",
        "--set",
        "crop_size=64x64",
        *crop,
    )
    command = [
        "train",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "run"),
        *flags,
        "--set",
        "short_side=none",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run/run.json").read_text())["config"]["short_side"] is None
    metadata = read_metadata(tmp_path / "run/best.safetensors")
    spec = ModelSpec.from_json(metadata["spec"])
    assert (spec.resize, spec.short_side) == ("keep", None)


def test_a_cache_changes_no_weight_and_is_gone_afterwards(data: Path, tmp_path: Path):
    for out, flags in (("plain", ()), ("cached", ("--cache",))):
        done = train(
            data,
            "--out",
            str(tmp_path / out),
            "--epochs",
            "2",
            "--set",
            "precision=float32",
            *flags,
        )
        assert done.exit_code == 0, done.output
    plain, cached = (
        read_tensors(tmp_path / out / "last.safetensors")[0] for out in ("plain", "cached")
    )
    assert all((cached[name] == tensor).all() for name, tensor in plain.items())
    assert not (tmp_path / "cached/cache").exists()


@pytest.mark.skipif(
    sys.platform != "linux", reason="needs a file system that takes any bytes as a name"
)
def test_a_run_folder_whose_name_is_no_utf_8_is_refused_before_the_training(tmp_path: Path):
    out = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(ConfigError, match="is no UTF-8"):
        CliRunner().invoke(
            app, ["train", "--data", "scenes:2", "--out", str(out), *TINY], catch_exceptions=False
        )
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform == "win32", reason="interrupts a group of processes as a terminal does"
)
@pytest.mark.parametrize("workers", ["0", "1"])
def test_an_impatient_user_sees_no_traceback(data: Path, tmp_path: Path, workers: str):
    flags = [
        "--epochs",
        "500",
        "--workers",
        workers,
        "--threads",
        "1",
        "--batch",
        "2",
        "--crop",
        "64",
        "64",
    ]
    code = "from galago.cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "train",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "run"),
        *flags,
    ]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        end = time.monotonic() + 120
        while not (tmp_path / "run/run.json").exists() and time.monotonic() < end:
            time.sleep(0.05)
        for _ in range(5):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.1)
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith("interrupted")


def test_the_first_lines_say_what_is_kept_of_other_weights(data: Path, tmp_path: Path):
    train(data, "--epochs", "1", "--out", str(tmp_path / "one"))
    weights = ("--weights", str(tmp_path / "one/last.safetensors"), "--epochs", "1")
    said = []
    for index, names in enumerate(("wall, door", "door, wall", "leaf, stem", "wall, leaf")):
        (data / "data.yaml").write_text(f"names: [{names}]")
        done = train(data, *weights, "--out", str(tmp_path / f"run{index}"))
        assert done.exit_code == 0, done.output
        said.append(
            done.stderr.splitlines()[1].removeprefix(
                f"Starting from {tmp_path}/one/last.safetensors"
            )
        )
    assert said == [
        ", of the same classes: its classifier is kept.",
        ": its classifier is kept, in the order of our classes.",
        ", of other classes: the classifier is re-initialized.",
        ": its classifier keeps 1 of 2 classes; leaf is re-initialized.",
    ]


def test_few_images_make_smaller_batches_unless_a_size_was_asked_for(data: Path, tmp_path: Path):
    flags = ("--epochs", "1", "--crop", "64", "64", "--workers", "0", "--threads", "1")
    done = CliRunner().invoke(app, ["train", str(data), "--out", str(tmp_path / "run"), *flags])
    assert done.exit_code == 0, done.output
    assert "Batches of 4 instead of 8: there are no more images in train." in done.stderr
    assert json.loads((tmp_path / "run/run.json").read_text())["config"]["batch_size"] == 4


def test_swapped_names_are_not_resumed(data: Path, tmp_path: Path):
    train(data, "--epochs", "1", "--out", str(tmp_path / "run"))
    (data / "data.yaml").write_text("names: [door, wall]")
    done = train(data, "--epochs", "1", "--out", str(tmp_path / "run"), "--resume")
    assert isinstance(done.exception, TrainingError)
    assert "the training data had the classes wall, door, now door, wall" in str(done.exception)
