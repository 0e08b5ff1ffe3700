import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from galago.data.folder import KEYS

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text()
CODE = "".join(re.findall(r"^```\w*\n(.*?)^```", README, re.DOTALL | re.MULTILINE))
COMMANDS = re.findall(r"^galago +(\w+) +(.*)$", CODE, re.MULTILINE)
MAP = re.findall(
    r"^\| `((?:src|tests|benchmarks|checkpoints|examples|docs)[\w/-]*)` \|", README, re.MULTILINE
)


def test_the_readme_shows_the_whole_way_from_training_to_a_setting_for_the_device():
    assert [command for command, _ in COMMANDS] == [
        "predict", "data", "train", "val", "export", "predict", "bench", "predict", "verify",
    ]  # fmt: skip


@pytest.mark.parametrize(("command", "flags"), COMMANDS)
def test_the_flags_of_every_command_exist(command: str, flags: str):
    shown = subprocess.run(
        [sys.executable, "-c", "from galago.cli.main import main; main()", command, "--help"],
        capture_output=True, text=True, check=True, env={"COLUMNS": "200", "PATH": "", "PYTHONPATH": str(REPOSITORY / "src")},
    )  # fmt: skip
    for flag in (word for word in shlex.split(flags) if word.startswith("--")):
        assert flag in shown.stdout


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
