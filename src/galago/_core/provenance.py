"""Which galago runs, and with what: commit, versions, command line."""

import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

OWN_NAME = re.compile(r'^name = "galago"$', re.MULTILINE)


def version(package: str) -> str | None:
    """Return the version of an installed package, None where it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def command() -> str:
    """Return the command line of this process, as it can be pasted into a shell.

    The program without its folder.
    """
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def commit(source: Path = Path(__file__).parent.parent) -> str | None:
    """Return the commit of the galago that runs, with `+` where its code was changed since.

    Args:
        source: folder of the package.
    Returns:
        the full hash; None unless the package is `src/galago` of galago's own checkout. An
        installed copy has no commit, also where it is inside the repository of another project.
    """
    if not _is_own_checkout(source):
        return None
    try:
        revision = _git(source, "rev-parse", "HEAD")
        changed = _git(source, "status", "--porcelain", ".")
    except (
        OSError,
        subprocess.CalledProcessError,
    ):  # no git, or one that mistrusts the folder's owner
        return None
    return revision + ("+" if changed else "")


def _is_own_checkout(source: Path) -> bool:
    root = source.parent.parent
    if source.parent.name != "src" or not (root / ".git").exists():
        return False
    try:
        return OWN_NAME.search((root / "pyproject.toml").read_text(encoding="utf-8")) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _git(folder: Path, *words: str) -> str:
    """Ask git about the repository of a folder, and not of the one that GIT_DIR names, as within a
    hook.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
