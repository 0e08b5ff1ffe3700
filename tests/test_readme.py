"""README and the how-to pages: every command runs, links and the map lead somewhere."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from documented import CLASSES, PALETTE, Documented, commands_in, draw_workspace, inline_commands
from typer.testing import CliRunner

from galago._core.atomic_io import sha256
from galago._core.device import processor
from galago.benchmarking.profile import DeviceProfile
from galago.cli.main import app
from galago.data.folder import KEYS
from galago.spec import ModelSpec

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/how-to/*.md"))]
COMMANDS = [command for page in PAGES for command in commands_in(page)]
MAP = re.findall(
    r"^\| `((?:src|tests|benchmarks|checkpoints|examples|docs)[\w/-]*)` \|", README, re.MULTILINE
)


def test_the_readme_shows_every_step_from_training_to_a_profile_for_the_device():
    names = [command.name for command in COMMANDS if command.page.name == "README.md"]
    assert names == [
        "predict",
        "data check",
        "train",
        "val",
        "export",
        "predict",
        "bench",
        "predict",
        "verify",
    ]


def case(command: Documented) -> object:
    """Return a test case of a command, with the marks that it needs."""
    marks = [pytest.mark.openvino, *([pytest.mark.torch] if command.needs_torch else [])]
    return pytest.param(command, marks=marks, id=f"{command.page.stem}: {command.text}")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data that the pages name."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_workspace(folder)
    return folder


@pytest.fixture(scope="module")
def trained(drawn: Path) -> Path:
    """The same folder with networks, a model folder and a device profile."""
    torch = pytest.importorskip("torch")
    from galago.models.checkpoint import save_checkpoint
    from galago.models.efficientvit import build_model

    torch.manual_seed(0)
    spec = ModelSpec(name="leaves", variant="b0", classes=CLASSES, palette=PALETTE)
    about = {"variant": "b0", "num_classes": "3", "head": "b0-cityscapes", "spec": spec.to_json()}
    checkpoint = drawn / "runs/train/best.safetensors"
    save_checkpoint(checkpoint, build_model("b0", 3), about)
    for run in ("leaves", "street"):
        shutil.copytree(checkpoint.parent, drawn / "runs" / run)
    about_b1 = about | {"variant": "b1", "head": "b1-cityscapes"}
    save_checkpoint(drawn / "runs/backbone/best.safetensors", build_model("b1", 3), about_b1)
    done = CliRunner().invoke(app, ["export", str(checkpoint), "--out", str(drawn / "leaves")])
    assert done.exit_code == 0, done.output
    shutil.copytree(drawn / "leaves", drawn / "leaves-model")
    profile = DeviceProfile(
        model="leaves",
        model_sha256=sha256(drawn / "leaves/model.onnx"),
        engine="openvino",
        precision="float32",
        threads=1,
        imgsz=(64, 96),
        image_size=(64, 96),
        median_ms=5.0,
        mean_iou=None,
        scored_on=None,
        device=processor(),
        galago_version="0.1.0",
    )
    (drawn / "runs/bench").mkdir()
    (drawn / "runs/bench/profile.json").write_text(profile.to_json(), encoding="utf-8")
    return drawn


@pytest.mark.parametrize("command", [case(one) for one in COMMANDS if one.reason is None])
def test_a_command_of_a_page_runs(
    command: Documented,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    prepared = request.getfixturevalue("trained" if command.needs_torch else "drawn")
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    words = command.words()
    if command.name == "train":  # a new run
        shutil.rmtree(tmp_path / words[words.index("--out") + 1], ignore_errors=True)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, f"{shlex.join(words)}\n{done.output}\n{done.exception}"
    assert "note: " not in done.stderr, "an option of before"


def test_a_command_that_is_not_run_says_why():
    skipped = [command for command in COMMANDS if command.reason]
    assert len(skipped) < len(COMMANDS) / 3
    assert all(len(command.reason or "") > 10 for command in skipped)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_the_text_have_options_that_exist(page: Path):
    shown: dict[str, str] = {}
    for text in inline_commands(page):
        name = Documented(page, re.sub(r"['\"]", "", text)).name
        options = re.findall(r"(?<!\S)--[\w-]+", text.partition(name)[2])
        if name in ("COMMAND",) or text.startswith("galago --"):
            continue
        if name not in shown:
            done = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "300"})
            assert done.exit_code == 0, f"{page.name}: {text}"
            shown[name] = done.stdout
        for option in options:
            assert re.search(rf"(?<!\S){option}(?!\S)", shown[name]), f"{page.name}: {text}"


def test_the_map_names_folders_that_exist():
    assert len(MAP) >= 11
    assert all((REPOSITORY / folder).is_dir() for folder in MAP)


def test_the_map_names_every_folder_of_the_source():
    source = REPOSITORY / "src/galago"
    folders = {
        f"src/galago/{path.name}"
        for path in source.iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }
    assert folders <= set(MAP)


def test_the_yaml_is_one_that_galago_reads():
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert yaml.safe_load(text).keys() <= KEYS


def test_links_and_pictures_exist():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert all((REPOSITORY / target).exists() for target in targets)


def test_the_tables_show_the_newest_results():
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "benchmarks/make_tables.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_card_of_the_bundled_model_shows_what_the_folds_gave():
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "benchmarks/ingredients.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout in (REPOSITORY / "src/galago/assets/b0-camvid/CARD.md").read_text(
        encoding="utf-8"
    )
