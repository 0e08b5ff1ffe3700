"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def camvid() -> Path:
    """Folder of the real CamVid data set, which is no part of the repository."""
    root = Path(os.environ.get("GALAGO_CAMVID", REPOSITORY.parent / "shared/data/CamVid"))
    if not (root / "val.txt").is_file():
        pytest.skip(f"CamVid is not at {root}; set GALAGO_CAMVID to its folder")
    return root
