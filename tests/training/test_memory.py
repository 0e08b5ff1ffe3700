import platform
import subprocess
import sys

import pytest

pytest.importorskip("torch")

from galago.training.cpu import tune_malloc


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_glibc_takes_the_settings():
    code = "from galago.training.cpu import tune_malloc; assert tune_malloc()"
    subprocess.run([sys.executable, "-c", code], check=True)  # they are for a whole process


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not tune_malloc()
