import dataclasses
import json
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from galago import image as images
from galago.benchmarking.plan import read_budget, scaled
from galago.benchmarking.profile import read_profile
from galago.cli.main import app
from galago.errors import BudgetError, ConfigError, DataError
from galago.spec import ModelSpec

pytestmark = pytest.mark.openvino


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six photos of 96 x 128 pixels in stripes of red and blue, which the tiny model names.

    Finer stripes in each next one.
    """
    for index in range(6):
        stripes = (np.arange(128) * (index + 1) // 64 % 2).astype(np.uint8)
        labels = np.broadcast_to(2 * stripes, (96, 128)).astype(np.uint8)
        photo = images.colorize(labels, ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
        images.save(tmp_path / f"data/images/val/{index}.png", photo)
        (tmp_path / "data/masks/val").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / f"data/masks/val/{index}.png"), labels)
    (tmp_path / "data/data.yaml").write_text("names: [red, green, blue]")
    return tmp_path / "data"


@pytest.fixture
def bench(tiny_onnx: Path, tmp_path: Path):
    """Return a function that measures the tiny model with one engine."""

    def run(*flags: str) -> Result:
        common = (
            "--model",
            str(tiny_onnx),
            "--engine",
            "openvino",
            "--runs",
            "2",
            "--warmup",
            "1",
            "--out",
            str(tmp_path / "out"),
        )
        return CliRunner().invoke(app, ["bench", *common, *flags])

    return run


def report(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "out/bench.json").read_text())


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("30ms", 30),
        ("30", 30),
        ("0.03s", 30),
        (".5 s", 500),
        ("25fps", 40),
        ("30 FPS", 1000 / 30),
        (" 12.5ms ", 12.5),
    ],
)
def test_a_budget_is_a_time_or_a_rate(text: str, milliseconds: float):
    assert read_budget(text) == pytest.approx(milliseconds)


@pytest.mark.parametrize(
    "text", ["fast", "", "0", "0fps", "-5ms", "30min", "1e3", "nan", "inf", "3,5", "30ms30"]
)
def test_what_is_no_budget_is_misuse(bench, text: str, tmp_path: Path):
    done = bench("--budget", text)
    assert isinstance(done.exception, ConfigError)
    assert (
        str(done.exception)
        == f"Expected a time per photo, for example 30ms, 0.03s or 30fps, got {text!r}."
    )
    assert not (tmp_path / "out").exists()


def test_labeled_photos_are_timed_and_scored_at_each_size(bench, data: Path, tmp_path: Path):
    pytest.importorskip("onnxruntime")
    flags = (
        "--engine",
        "onnxruntime",
        "--threads",
        "1",
        "--threads",
        "2",
        "--imgsz",
        "48",
        "64",
        "--imgsz",
        "96",
        "128",
    )
    done = bench("--data", str(data), *flags)
    assert done.exit_code == 0, done.output
    rows = report(tmp_path)["rows"]
    assert len(rows) == 8  # 2 engines x 2 numbers of threads x 2 sizes
    assert {tuple(row["size"]) for row in rows} == {(96, 128)}
    assert {(*row["imgsz"], *row["input_size"]) for row in rows} == {
        (48, 64, 64, 64),
        (96, 128, 96, 128),
    }
    assert all(0 < row["mean_iou"] <= 1 for row in rows)
    assert (
        len({(row["engine"], *row["imgsz"], row["mean_iou"]) for row in rows}) == 4
    )  # threads change no score
    assert report(tmp_path)["scored_on"] == f"all 6 photos of {data}, val"
    assert "mIoU" in done.stdout


def test_the_score_is_that_of_val(bench, data: Path, tiny_onnx: Path, tmp_path: Path):
    bench("--data", str(data), "--imgsz", "48", "64")
    common = (
        "--model",
        str(tiny_onnx),
        "--data",
        str(data),
        "--out",
        str(tmp_path / "val"),
        "--json",
    )
    last = json.loads(CliRunner().invoke(app, ["val", *common, "--imgsz", "48", "64"]).stdout)
    assert report(tmp_path)["rows"][0]["mean_iou"] == pytest.approx(last["mean_iou"], abs=1e-6)
    whole = json.loads(CliRunner().invoke(app, ["val", *common]).stdout)
    assert whole["mean_iou"] > last["mean_iou"]  # the stripes blur where the photo shrinks


def test_some_photos_are_spread_evenly(bench, data: Path, tmp_path: Path):
    for index in (0, 2, 4):
        (data / f"masks/val/{index}.png").write_bytes(b"broken")
    assert (
        bench("--data", str(data), "--imgsz", "32", "--max-images", "3").exit_code == 0
    )  # 1, 3 and 5
    assert report(tmp_path)["scored_on"] == f"3 of 6 photos of {data}, val"
    assert isinstance(bench("--data", str(data), "--imgsz", "32").exception, DataError)


def test_sizes_around_the_photos_own_are_measured_unless_others_are_wanted(
    bench, data: Path, tmp_path: Path
):
    done = bench("--data", str(data))
    assert done.exit_code == 0, done.output
    # 1/2, 5/8, 3/4, 7/8, 1 and 5/4 of 96 x 128; a half rounds to even: 2.5 x 32 to 64, 3.5 x 32 to
    # 128
    assert [row["imgsz"] for row in report(tmp_path)["rows"]] == [
        [64, 64],
        [64, 96],
        [96, 128],
        [128, 160],
    ]
    assert "Most accurate: " in done.stdout


def test_sizes_are_multiples_of_32_but_for_the_photos_own():
    assert scaled((360, 480), (0.5, 1.0, 1.25)) == [(192, 256), (360, 480), (448, 608)]
    assert scaled((10, 480), (0.5,)) == [(32, 256)]


def test_the_most_accurate_size_within_the_budget_becomes_a_profile(
    bench, data: Path, tiny_onnx: Path, tmp_path: Path
):
    done = bench(
        "--data",
        str(data),
        "--budget",
        "10s",
        "--max-images",
        "2",
        "--imgsz",
        "32",
        "--imgsz",
        "96",
        "128",
        "--threads",
        "1",
    )
    assert done.exit_code == 0, done.output
    profile = read_profile(tmp_path / "out/profile.json")
    assert (profile.model, profile.engine, profile.precision, profile.threads) == (
        str(tiny_onnx),
        "openvino",
        "float32",
        1,
    )
    assert (profile.imgsz, profile.image_size) == ((96, 128), (96, 128))
    assert (
        profile.mean_iou
        == report(tmp_path)["best"]["mean_iou"]
        == max(row["mean_iou"] for row in report(tmp_path)["rows"])
    )
    assert profile.scored_on == f"2 of 6 photos of {data}, val"
    assert profile.model_sha256 == report(tmp_path)["model_sha256"][profile.engine]
    assert profile.device == report(tmp_path)["made_with"]["processor"]
    assert (
        "Best within 10000 ms (end to end, median): 96x128, openvino float32, 1 thread: median"
        in done.stdout
    )


def test_the_command_at_the_end_works(bench, data: Path, tmp_path: Path):
    done = bench("--data", str(data), "--budget", "10s", "--imgsz", "32")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Use it: ")]
    assert line == f"Use it: galago predict PHOTO --profile {tmp_path}/out/profile.json"
    words = shlex.split(
        line.removeprefix("Use it: galago ").replace("PHOTO", str(data / "images/val"))
    )
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "labels")])
    assert done.exit_code == 0, done.output
    assert "photos fitted into 32 x 32; measured" in done.stderr
    assert images.load_labels(tmp_path / "labels/0.png").shape == (96, 128)


def test_without_labels_the_largest_size_within_the_budget_is_chosen(bench, tmp_path: Path):
    done = bench("--budget", "10s", "--imgsz", "32", "--imgsz", "64", "96")
    assert done.exit_code == 0, done.output
    profile = read_profile(tmp_path / "out/profile.json")
    assert (profile.imgsz, profile.image_size, profile.mean_iou, profile.scored_on) == (
        (64, 96),
        (64, 96),
        None,
        None,
    )
    assert "Largest within 10000 ms" in done.stdout
    assert "No accuracy was measured: give labeled photos with --data for that." in done.stdout


def test_a_row_of_sizes_is_tried_for_a_budget(bench, tmp_path: Path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((256, 512, 3), np.uint8))
    assert bench("--budget", "10s", "--source", str(tmp_path / "photo.png")).exit_code == 0
    sizes = [row["imgsz"] for row in report(tmp_path)["rows"]]
    assert sizes == [
        [32, 64],
        [64, 96],
        [64, 128],
        [96, 192],
        [128, 256],
        [160, 320],
        [192, 384],
        [256, 512],
    ]


def test_a_budget_that_nothing_keeps_writes_no_profile_and_names_the_fastest(
    bench, data: Path, tmp_path: Path
):
    done = bench("--data", str(data), "--budget", "0.0001ms", "--imgsz", "64", "96")
    assert isinstance(done.exception, BudgetError)
    assert done.exception.exit_code == 1
    assert str(done.exception).startswith(
        "Nothing keeps within 0.0001 ms, so no device profile is written. The fastest: 64x96, "
        "openvino "
        "float32: median "
    )
    assert (
        "or try a smaller size, for example --imgsz 32 48, --threads, or --precision bfloat16."
        in str(done.exception)
    )
    assert not (tmp_path / "out/profile.json").exists()


def test_standard_output_is_one_json_object_when_asked_for(bench, data: Path, tmp_path: Path):
    done = bench("--data", str(data), "--budget", "10s", "--imgsz", "32", "--json")
    last = json.loads(done.stdout)
    assert last.pop("out") == str(tmp_path / "out")
    assert last == report(tmp_path)
    assert last["budget_ms"] == 10_000


def test_both_plots_are_drawn(bench, data: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    done = bench("--data", str(data), "--budget", "10s")
    names = ("bench.json", "bench.png", "accuracy.png", "profile.json")
    assert f"Saved: {', '.join(f'{tmp_path}/out/{name}' for name in names)}" in done.stdout
    assert cv2.imread(str(tmp_path / "out/accuracy.png")).shape == (660, 960, 3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--split", "val"),
            "--split and --max-images choose among labeled photos. Name them with --data.",
        ),
        (
            ("--max-images", "3"),
            "--split and --max-images choose among labeled photos. Name them with --data.",
        ),
        (
            ("--data", "DATA", "--source", "a.jpg"),
            "--data brings its own photos. Leave out --source, or --data.",
        ),
        (("--data", "DATA", "--split", "dev"), "Unknown split 'dev'."),
        (
            ("--data", "DATA", "--imgsz", "99999"),
            "Expected imgsz as (height, width), each 1 to 16384 pixels",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_misuse(
    bench, data: Path, flags: tuple[str, ...], message: str
):
    done = bench(*(flag.replace("DATA", str(data)) for flag in flags))
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(message)


def test_labels_of_other_classes_are_refused_before_anything_is_measured(bench, data: Path):
    (data / "data.yaml").write_text("names: [road, car, sky]")
    done = bench("--data", str(data))
    assert isinstance(done.exception, ConfigError)
    assert "knows the classes red, green, blue, but the data set has road, car, sky" in str(
        done.exception
    )


def test_missing_data_is_one_clear_error(bench, tmp_path: Path):
    done = bench("--data", str(tmp_path / "none"))
    assert isinstance(done.exception, DataError)
    assert "There is no data set at" in str(done.exception)


def test_a_file_in_place_of_the_folder_is_told_before_anything_is_measured(
    bench, data: Path, tmp_path: Path
):
    (tmp_path / "out").write_bytes(b"mine")
    done = bench("--data", str(data))
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == f"{tmp_path}/out is a file, not a folder. Choose another --out."
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_bfloat16_competes_when_asked_for_and_is_scored_for_itself(
    bench, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "galago.runtime.engines.openvino.available_precisions", lambda: ("float32", "bfloat16")
    )
    scored: list[int] = []
    monkeypatch.setattr("galago.evaluation.evaluate", lambda *_, **__: Scored(scored))
    done = bench(
        "--data",
        str(data),
        "--imgsz",
        "64",
        "--precision",
        "float32,bfloat16",
        "--budget",
        "10s",
        "--threads",
        "1",
        "--threads",
        "2",
    )
    assert done.exit_code == 0, done.output
    rows = report(tmp_path)["rows"]
    assert [(row["precision"], row["threads"], row["mean_iou"]) for row in rows] == [
        ("float32", 1, 0.1), ("float32", 2, 0.1), ("bfloat16", 1, 0.2), ("bfloat16", 2, 0.2),
    ]  # fmt: skip
    assert read_profile(tmp_path / "out/profile.json").precision == "bfloat16"


class Scored:
    """Stands for scores: a tenth more each time."""

    def __init__(self, before: list[int]) -> None:
        before.append(1)
        self.mean_iou = len(before) / 10


def test_photos_upright_and_across_are_measured_together(bench, data: Path, tmp_path: Path):
    for kind in ("images", "masks"):
        path = data / f"{kind}/val/0.png"
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED).swapaxes(0, 1))
    assert bench("--data", str(data), "--imgsz", "64", "--runs", "6").exit_code == 0
    (row,) = report(tmp_path)["rows"]
    assert (row["size"], row["input_size"]) == ([96, 128], [64, 64])


@pytest.mark.parametrize(
    ("change", "imgsz"),
    [
        ({"input_size": (64, 64)}, [[64, 64]]),  # fitted, as the photos have another size
        ({"input_size": (64, 64), "resize": "stretch"}, [None]),  # the model's own rule
        (
            {"resize": "short_side", "short_side": 128},
            [[64, 96], [64, 128], [96, 128], [128, 160], None, [160, 256]],
        ),  # None is 128 x 192
    ],
    ids=["fixed", "stretch", "short side"],
)
def test_the_usual_sizes_follow_the_resize_rule_of_the_model(
    bench, data: Path, tmp_path: Path, write_onnx, tiny_spec: ModelSpec, change: dict, imgsz: list
):
    write_onnx(tmp_path / "other.onnx", dataclasses.replace(tiny_spec, **change))
    done = bench("--data", str(data), "--model", str(tmp_path / "other.onnx"), "--budget", "10s")
    assert done.exit_code == 0, done.output
    assert [row["imgsz"] for row in report(tmp_path)["rows"]] == imgsz
    assert "profile.json" in done.stdout


def test_a_model_of_one_size_takes_no_other(
    bench, data: Path, tmp_path: Path, write_onnx, tiny_spec: ModelSpec
):
    write_onnx(tmp_path / "fixed.onnx", dataclasses.replace(tiny_spec, input_size=(64, 64)))
    done = bench("--data", str(data), "--model", str(tmp_path / "fixed.onnx"), "--imgsz", "32")
    assert isinstance(done.exception, ConfigError)
    assert "takes 64 x 64 pixels and nothing else, got imgsz 32 x 32" in str(done.exception)
    done = bench("--model", str(tmp_path / "fixed.onnx"), "--budget", "10s")
    assert done.exit_code == 0, done.output
    assert read_profile(tmp_path / "out/profile.json").imgsz is None


@pytest.mark.slow
def test_camvid_is_labeled_best_at_its_own_size_or_above(camvid: Path, tmp_path: Path):
    flags = (
        "--engine",
        "openvino",
        "--max-images",
        "5",
        "--runs",
        "2",
        "--budget",
        "10s",
        "--out",
        str(tmp_path / "out"),
    )
    done = CliRunner().invoke(app, ["bench", "--data", str(camvid), *flags])
    assert done.exit_code == 0, done.output
    rows = report(tmp_path)["rows"]
    assert len(rows) == 6
    assert rows[0]["mean_iou"] < rows[4]["mean_iou"]  # half the size against the own one
    assert read_profile(tmp_path / "out/profile.json").model == "b0-camvid"
