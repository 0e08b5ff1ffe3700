import dataclasses
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from galago.cli.main import app
from galago.pretrained.table import PUBLISHED


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})


def test_the_table_shows_every_name_its_figures_and_three_license_lines(store: Path):
    shown = run("models").stdout
    for name in ("b0-camvid", *PUBLISHED):
        assert f" {name} " in shown
    row = next(line for line in shown.splitlines() if " b1-cityscapes " in line)
    for value in ("1024x2048", "80.547 mean IoU", "4.8 M", "25 G", "19.39 MB"):
        assert value in row
    assert "weights: Apache-2.0, as huggingface.co/han-cai/efficientvit-seg says" in shown
    assert "data: Cityscapes, non-commercial use only" in shown


def test_what_is_not_known_is_na(store: Path):
    row = next(line for line in run("models").stdout.splitlines() if " b0-r224 " in line)
    assert row.count("n/a") == 2  # score and MACs were never published


def test_the_list_is_json_when_asked_for(store: Path):
    listed = json.loads(run("models", "--json").stdout)
    assert [row["name"] for row in listed["published"]] == list(PUBLISHED)
    assert listed["bundled"][0]["name"] == "b0-camvid"
    assert listed["bundled"][0]["score"] == 67.88  # of its model.json
    assert set(listed["published"][0]["licenses"]) == {"code", "weights", "data"}


def test_an_unknown_name_is_misuse(store: Path):
    done = run("models", "get", "b9-cityscapes")
    assert "Unknown model 'b9-cityscapes'. Choose one of: b0-cityscapes," in str(done.exception)


def test_eleven_segmentation_checkpoints_are_listed_and_every_file_once():
    assert sum(row.is_segmentation for row in PUBLISHED.values()) == 11
    assert len({(row.repo, row.file) for row in PUBLISHED.values()}) == len(PUBLISHED)
    assert all(row.sha256 is None or len(row.sha256) == 64 for row in PUBLISHED.values())


@pytest.fixture
def b0(hub, monkeypatch: pytest.MonkeyPatch):
    """The authors' b0-cityscapes on the hub, filled, and its SHA-256 in the table."""
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from hub_server import golden_tensors, pickled

    content = pickled(golden_tensors("seg-b0-cityscapes"))
    row = dataclasses.replace(
        PUBLISHED["b0-cityscapes"], sha256=hashlib.sha256(content).hexdigest()
    )
    monkeypatch.setitem(PUBLISHED, "b0-cityscapes", row)
    hub.files[f"{row.repo}/{row.file}"] = content
    return hub


@pytest.mark.torch
def test_get_says_the_licenses_where_it_is_kept_and_what_comes_next(b0, store: Path):
    done = run("models", "get", "b0-cityscapes")
    assert done.exit_code == 0, done.output
    assert "License of data: Cityscapes, non-commercial use only" in done.stdout
    assert f"Kept: {store / 'b0-cityscapes/checkpoint.safetensors'}" in done.stdout
    assert "Next: galago predict PHOTO --model b0-cityscapes" in done.stdout
    row = next(line for line in run("models").stdout.splitlines() if " b0-cityscapes " in line)
    assert " yes " in row


@pytest.mark.torch
def test_offline_a_model_that_is_here_is_found_and_another_one_is_an_error(b0, store: Path):
    run("models", "get", "b0-cityscapes")
    asked = len(b0.requests)
    assert run("models", "get", "b0-cityscapes", "--offline").exit_code == 0
    missing = run("--offline", "models", "get", "b1-cityscapes")
    assert "b1-cityscapes is not on this machine, and --offline or HF_HUB_OFFLINE forbids" in str(
        missing.exception
    )
    assert len(b0.requests) == asked


@pytest.mark.torch
@pytest.mark.openvino
def test_a_published_name_becomes_a_model_folder_in_one_command(b0, tmp_path: Path):
    import galago
    from galago.labels import CITYSCAPES

    done = run(
        "export",
        "--model",
        "b0-cityscapes",
        "--out",
        str(tmp_path / "city"),
        "--imgsz",
        "64",
        "128",
        "--json",
    )
    assert done.exit_code == 0, done.output
    assert (
        json.loads(done.stdout)["differences"]["onnx"] < 1e-4
    )  # against the authors' network in torch
    spec = galago.load(str(tmp_path / "city")).spec
    assert (spec.name, spec.variant, spec.classes, spec.palette) == (
        "b0-cityscapes",
        "b0",
        CITYSCAPES.names,
        CITYSCAPES.palette,
    )
    assert (spec.resize, spec.input_size, spec.upsampling) == ("stretch", (64, 128), "bicubic")
    assert spec.licenses["data"].startswith("Cityscapes, non-commercial")
    card = (tmp_path / "city/CARD.md").read_text()
    assert (
        "Published: mean IoU 75.653 % on Cityscapes val at 1024 x 2048. Not measured by galago"
        in card
    )
    assert (
        "Converted by galago from han-cai/efficientvit-seg/efficientvit_seg_b0_cityscapes.pt"
        in card
    )


@pytest.mark.torch
@pytest.mark.openvino
@pytest.mark.slow
def test_load_takes_a_published_name_and_needs_no_network_the_second_time(
    b0, monkeypatch: pytest.MonkeyPatch
):
    import galago

    segmenter = galago.load("b0-cityscapes")
    assert segmenter.spec.input_size == (1024, 2048)
    labels = segmenter(np.zeros((64, 128, 3), np.uint8)).labels
    assert labels.shape == (64, 128)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = len(b0.requests)
    assert galago.load("b0-cityscapes").spec == segmenter.spec
    assert len(b0.requests) == asked


@pytest.mark.torch
def test_a_checkpoint_goes_back_into_the_authors_form(b0, tmp_path: Path):
    from hub_server import golden_tensors

    from galago.pretrained.convert import read_external_checkpoint

    done = run(
        "export",
        "--model",
        "b0-cityscapes",
        "--format",
        "authors",
        "--out",
        str(tmp_path / "theirs"),
    )
    assert done.exit_code == 0, done.output
    written, expected = (
        read_external_checkpoint(tmp_path / "theirs/theirs.pt"),
        golden_tensors("seg-b0-cityscapes"),
    )
    assert list(written) == list(expected)
    assert all((written[name] == tensor).all() for name, tensor in expected.items())
    done = run("export", "--model", "b0-cityscapes", "--format", "authors,onnx")
    assert str(done.exception).startswith(
        "--format authors writes a checkpoint, not a model folder."
    )


def test_a_measured_figure_stands_beside_the_published_one():
    from galago.cli.val import compare

    beside = compare("b1-cityscapes", "cityscapes", 0.80)
    assert beside == {"published": 80.547, "measured": 80.0, "difference": pytest.approx(-0.547)}
    assert compare("b1-cityscapes", "ade20k", 0.80) is None  # measured in another way
    assert compare("b1-cityscapes", None, 0.80) is None
    assert compare("leaves", "cityscapes", 0.80) is None


@pytest.mark.torch
@pytest.mark.openvino
@pytest.mark.slow
def test_a_published_model_is_measured_by_its_protocol_beside_the_published_figure(
    b0, tmp_path: Path
):
    from galago.labels import CITYSCAPES

    rng = np.random.default_rng(0)
    for kind, shape in (("images", (64, 128, 3)), ("masks", (64, 128))):
        (tmp_path / kind / "val").mkdir(parents=True)
        top = 256 if kind == "images" else len(CITYSCAPES)
        cv2.imwrite(str(tmp_path / kind / "val/a.png"), rng.integers(0, top, shape, dtype=np.uint8))
    (tmp_path / "data.yaml").write_text(f"names: {list(CITYSCAPES.names)}")
    flags = ["val", "--model", "b0-cityscapes", "--protocol", "cityscapes", "--data", str(tmp_path)]
    done = run(*flags, "--out", str(tmp_path / "out"), "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout.splitlines()[-1])
    measured = 100 * result["mean_iou"]
    beside = {
        "published": 75.653,
        "measured": pytest.approx(measured),
        "difference": pytest.approx(measured - 75.653),
    }
    assert (
        next(value for value in result.values() if isinstance(value, dict) and "published" in value)
        == beside
    )
    assert "75.653" in done.stderr


def test_load_refuses_a_classifier(store: Path):
    import galago
    from galago.errors import ConfigError

    with pytest.raises(ConfigError, match="b1-imagenet classifies whole photos: `galago classify"):
        galago.load("b1-imagenet")
