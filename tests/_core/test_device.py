import os
import subprocess
import sys

import pytest

from galago._core import device


def test_a_run_is_described_with_the_versions_that_matter():
    run = device.describe_run(["numpy", "no-such-package"])
    assert run["cores"] == os.cpu_count()
    assert run["versions"].keys() == {"numpy", "no-such-package"}
    assert run["versions"]["numpy"].count(".") == 2
    assert run["versions"]["no-such-package"] is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_peak_memory_grows_with_what_is_held():
    code = (
        "from galago._core.device import peak_memory_mb; before = peak_memory_mb(); held = b'x' * "
        "100_000_000; "
        "print(peak_memory_mb() - before)"
    )
    grown = float(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
    )
    assert 80 < grown < 120  # megabytes
