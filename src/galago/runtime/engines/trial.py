"""Try in a process of its own what could end this one: OpenVINO may crash on a graph that it cannot
convert (2026.4).

Where one operator's conversion fails, some of those that follow read through a null pointer.
Nothing tells before which will.
"""

import json
import subprocess
import sys
from pathlib import Path

from galago.errors import ModelError

LONGEST_SECONDS = 300
WINDOWS_CRASH = 0xC0000000  # exit codes from here on are exceptions that nothing caught
CONVERT = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
sys.modules["openvino_telemetry"] = None
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
from openvino import frontend
reader = frontend.FrontEndManager().load_by_framework("onnx")
reader.convert(reader.load(sys.argv[1]))
"""


def can_try() -> bool:
    """Tell whether this process can start Python: not where it is part of a program that was packed
    into one file.
    """
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def try_conversion(file: Path, unusual: str = "") -> None:
    """Convert an .onnx file in a process of its own.

    An error that OpenVINO reports itself is none here.

    Args:
        file: the .onnx file.
        unusual: operators that galago does not write, for the message.

    Raises:
        ModelError: that process crashed, or took minutes.
    """
    arguments = [sys.executable, "-c", CONVERT, str(file), json.dumps(sys.path)]
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            arguments, stdin=quiet, stdout=quiet, stderr=quiet, check=False, timeout=LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"OpenVINO does not come to an end with {file}. Export it again with `galago export`."
        ) from error
    except OSError:  # nothing can be started here
        return
    if done.returncode < 0 or done.returncode >= WINDOWS_CRASH:
        raise ModelError(
            f"OpenVINO crashes on {file}: it cannot convert {unusual or 'one of its operators'}. "
            "Copy it again, export it "
            "again with `galago export`, or use --engine onnxruntime."
        )
