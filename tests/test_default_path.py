"""The way that the README shows, from labeled images to a verified model folder, with the flags
that nobody has to give.

Each recipe is trained once, on small drawn images of unequal sizes. Of the many pairs of kinds and
formats those that take seconds are tested always, the others as `slow`;
benchmarks/verify_folders.py tries all of them with all recipes.
"""

import csv
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("onnx")

from galago.cli.main import app
from galago.errors import GalagoError
from galago.export.writers.table import WRITERS, check_formats
from galago.models.checkpoint import read_metadata
from galago.runtime.engines.table import installed_engines
from galago.spec import ModelSpec
from galago.training.recipes import RECIPES

pytestmark = [pytest.mark.torch, pytest.mark.openvino]

SELF_TEST = Path(__file__).parent.parent / "examples/python-onnxruntime/self_test.py"
COLORS = np.array([(40, 90, 160), (60, 200, 60), (200, 60, 60)])
VAL_SIZES = ((75, 100), (50, 130), (96, 64))  # (height, width)
QUICK = (
    "--imgsz",
    "64x64",
)  # of drawn images that verify compares; 512 x 1024 and 1024 x 2048 take longer
KINDS = {  # flags of `galago export`
    "default": (),
    "fixed": ("--imgsz", "64x96"),
    "labels": ("--output", "labels"),
    "half": ("--precision", "float16"),
    "int8": ("--int8", "--max-drop", "50"),
    "fixed labels": ("--imgsz", "64x96", "--output", "labels"),
    "fixed int8": ("--imgsz", "64x96", "--int8", "--max-drop", "50"),
}
CHANGES = {
    "labels": {"output": "labels"},
    "half": {"precision": "float16"},
    "int8": {"precision": "int8"},
}
ALWAYS = {  # a file of any size takes 14 s of one core to write as ONNX, one of a fixed size 4 s
    ("folder", "default", "onnx"),
    ("plain", "default", "ncnn"),
    ("folder", "fixed", "openvino"),
    ("folder", "fixed labels", "onnx"),
    ("plain", "fixed int8", "onnx"),
}


def draw(root: Path, split: str, sizes: list[tuple[int, int]]) -> None:
    """Draw a disk and a bar, of colors with noise."""
    rng = np.random.default_rng(len(sizes))
    for index, (height, width) in enumerate(sizes):
        mask = np.zeros((height, width), np.uint8)
        center = int(width * rng.uniform(0.3, 0.7)), int(height * rng.uniform(0.3, 0.7))
        cv2.circle(mask, center, int(0.25 * min(height, width)), 1, -1)
        mask[:, (left := int(0.8 * width * rng.random())) : left + max(2, width // 12)] = 2
        image = (COLORS[mask] + rng.normal(0, 12, (height, width, 3))).clip(0, 255).astype(np.uint8)
        for kind, pixels in (("images", image), ("masks", mask)):
            path = root / kind / split / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data.yaml with 16 training images, as many as the largest batch of a recipe, and 3 for
    validation.
    """
    root = tmp_path_factory.mktemp("leaves")
    sizes = np.random.default_rng(1).integers(50, 130, (16, 2))
    draw(root, "train", [(int(height), int(width)) for height, width in sizes])
    draw(root, "val", [*VAL_SIZES])
    (root / "data.yaml").write_text("names: [background, leaf, stem]\n")
    return root / "data.yaml"


def galago(*arguments: object) -> None:
    """Run a command in this process, and show what it says where it fails."""
    done = CliRunner().invoke(app, [*map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit | GalagoError):
        raise done.exception
    assert done.exit_code == 0, f"{arguments}: {done.output}{done.exception}"


@pytest.fixture(scope="session")
def train(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Return a function that trains with a recipe, once, and gives the folder of the run."""
    runs: dict[str, Path] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "galago.training.cpu.tune_malloc", lambda: True
        )  # a setting of the whole process

        def once(recipe: str) -> Path:
            if recipe not in runs:
                run = tmp_path_factory.mktemp("runs") / recipe
                flags = (
                    "--epochs",
                    "2",
                    "--crop",
                    "64",
                    "64",
                    "--workers",
                    "0",
                )  # worker processes: tests/cli/test_train.py
                galago("train", "--data", data, "--recipe", recipe, "--out", run, *flags)
                runs[recipe] = run
            return runs[recipe]

        yield once


def trained_spec(run: Path) -> ModelSpec:
    return ModelSpec.from_json(read_metadata(run / "best.safetensors")["spec"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_leads_to_a_checkpoint_that_is_scored_as_in_training(
    recipe: str, train: Callable[[str], Path], data: Path, tmp_path: Path
):
    run = train(recipe)
    galago("val", "--data", data, "--model", run / "best.safetensors", "--out", tmp_path)
    spec, scores = trained_spec(run), json.loads((tmp_path / "metrics.json").read_text())
    with (run / "metrics.csv").open() as file:
        *_, last = csv.DictReader(file)
    if spec.resize == "keep":  # else training looks at the resized image and mask
        assert scores["mean_iou"] == pytest.approx(float(last["mean_iou"]), abs=1e-3)
    assert (spec.resize, spec.short_side) == (
        ("short_side", 64) if RECIPES[recipe]().short_side else ("keep", None)
    )


def kinds() -> Iterator[object]:
    """Yield recipe, kind and format of each model folder.

    `folder` resizes images, `plain` keeps them as they are.
    """
    spec = ModelSpec(name="x", variant="b0", classes=("a",), palette=((0, 0, 0),))
    for recipe in ("folder", "plain"):
        for kind in KINDS:
            for format in WRITERS:
                try:
                    check_formats(
                        [format],
                        dataclasses.replace(spec, **CHANGES.get(kind.removeprefix("fixed "), {})),
                    )
                except GalagoError:
                    continue  # which this format does not have
                marks = () if (recipe, kind, format) in ALWAYS else pytest.mark.slow
                yield pytest.param(
                    recipe, kind, format, marks=marks, id=f"{recipe}-{kind}-{format}"
                )


@pytest.mark.parametrize(("recipe", "kind", "format"), [*kinds()])
def test_what_default_flags_export_is_verified_and_predicts(
    recipe: str, kind: str, format: str, train: Callable[[str], Path], data: Path, tmp_path: Path
):
    if format != "coreml" and not installed_engines(WRITERS[format].files):
        pytest.skip(f"nothing that runs {format} is installed")
    checkpoint, model = train(recipe) / "best.safetensors", tmp_path / "model"
    labeled = ("--data", data) if "int8" in kind else ()
    try:
        galago(
            "export",
            "--model",
            checkpoint,
            "--out",
            model,
            "--format",
            format,
            *KINDS[kind],
            *labeled,
        )
    except AssertionError as error:
        if "Run: pip install" in str(error):
            pytest.skip(f"what writes {format} is not installed")
        raise
    spec = ModelSpec.from_json((model / "model.json").read_text())
    check_golden(model, spec, checkpoint)
    if format == "coreml":
        return  # nothing here runs it
    galago("verify", model, "--out", tmp_path / "golden")
    galago("verify", model, "--against", checkpoint, *QUICK, "--out", tmp_path / "against")
    galago(
        "verify", model, "--against", checkpoint, *QUICK, "--data", data, "--out", tmp_path / "data"
    )
    report = json.loads((tmp_path / "data/verify.json").read_text())
    assert {file["engine"] for file in report["files"]} == {
        *installed_engines(WRITERS[format].files)
    }
    if format == "onnx" and spec.output == "logits":
        done = subprocess.run(
            [sys.executable, SELF_TEST, model], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr, done.stdout[-5:]) == (0, "", "PASS\n")
    galago(
        "predict",
        "--model",
        model,
        "--source",
        data.parent / "images/val",
        "--out",
        tmp_path / "labels",
    )
    for index, size in enumerate(VAL_SIZES):
        assert cv2.imread(str(tmp_path / f"labels/{index}.png")).shape[:2] == size


def check_golden(model: Path, spec: ModelSpec, checkpoint: Path) -> None:
    """Check that golden/ is what the trained network gives for the golden image as it is, whatever
    the resize rule.
    """
    from galago.export.reference import load_reference

    image = cv2.cvtColor(cv2.imread(str(model / "golden/photo.png")), cv2.COLOR_BGR2RGB)
    logits = np.load(model / "golden/logits.npy")
    assert logits.shape == (
        3,
        image.shape[0] // spec.output_stride,
        image.shape[1] // spec.output_stride,
    )
    (expected,) = load_reference(checkpoint).engine.run(image[None])
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert cv2.imread(str(model / "golden/labels.png")).shape == image.shape
