"""The commit that run.json and CARD.md record is galago's own, or none."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from galago._core import device, provenance

REPOSITORY = Path(__file__).parent.parent.parent


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of somebody, with one commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "leaves"\n')
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "Start")
    return root


def install(folder: Path) -> Path:
    """Put what the commit is asked of into a folder, as an installer puts a package."""
    package = folder / "galago/_core"
    package.mkdir(parents=True)
    (folder / "galago/__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    shutil.copy(provenance.__file__, package / "provenance.py")
    return folder


@pytest.mark.parametrize("place", [".venv/lib/python3.11/site-packages", "libraries", "src"])
def test_galago_installed_within_another_projects_checkout_has_no_commit(project: Path, place: str):
    folder = install(project / place)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from galago._core import provenance as "
        "p; print(p.__file__, p.commit())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{folder / 'galago/_core/provenance.py'} None\n"


def test_a_checkout_of_galago_tells_its_commit_and_whether_its_code_was_changed(project: Path):
    (project / "pyproject.toml").write_text('[project]\nname = "galago"\n')
    source = install(project / "src") / "galago"
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "Add galago")
    head = git(project, "rev-parse", "HEAD")
    assert len(head) == 40
    (project / "notes.txt").write_text("outside the package")
    assert provenance.commit(source) == head
    (source / "__init__.py").write_text("changed = True")
    assert provenance.commit(source) == f"{head}+"


def test_a_git_hook_of_another_repository_does_not_lend_its_commit(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (project / "pyproject.toml").write_text('[project]\nname = "galago"\n')
    source = install(project / "src") / "galago"
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "Add galago")
    head = git(project, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert provenance.commit(source) == head


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() is None


def test_the_command_can_be_pasted_into_a_shell(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/galago", "train", "--data", "my photos"])
    assert provenance.command() == "galago train --data 'my photos'"


def test_training_and_measuring_tell_the_same_commit_and_versions(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torch")
    from galago.training import run_dir as run
    from galago.training.config import TrainConfig

    measured = device.describe_run(["galago", "numpy"])
    trained = run.describe_run(
        TrainConfig(), data="doors", train_images=4, val_images=2, weights=None
    )
    assert (trained["commit"], trained["command"]) == (measured["commit"], measured["command"])
    assert trained["versions"]["numpy"] == measured["versions"]["numpy"]
