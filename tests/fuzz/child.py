"""Read damaged files in a process of its own, which may die of one.

child.py TARGET CORPUS WORK SEED FIRST SECONDS [guarded]

On what was standard output it writes `START n` before each input and `END n {"outcome": ...}` after
it, so that whoever started it knows which input ended it. Input n of a target depends on target,
seed and n alone.
"""

import contextlib
import faulthandler
import json
import os
import shutil
import sys
import time
import warnings
from pathlib import Path
from random import Random

LONGEST_MESSAGE = 4000  # characters
MOST_INPUTS = 3000  # then a new process goes on, so that no memory adds up


def limit_memory(size: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def judge(read: object, path: Path, most_lines: int) -> dict[str, str]:
    """Read a file; return `ok`, `refused`, or what breaks the contract."""
    from galago.errors import GalagoError

    try:
        read(path)  # type: ignore[operator]
    except GalagoError as error:
        text = str(error)
        if not text or len(text) > LONGEST_MESSAGE or len(text.splitlines()) > most_lines:
            return {
                "outcome": "message",
                "what": f"{len(text.splitlines())} lines, {len(text)} characters: {text[:300]!r}",
            }
        return {"outcome": "refused"}
    except BaseException as error:
        frames, at = [], error.__traceback__
        while at:
            frames.append(f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}")
            at = at.tb_next
        return {
            "outcome": "exception",
            "what": f"{type(error).__name__}: {str(error)[:300]!r} at {' '.join(frames[-4:])}",
        }
    return {"outcome": "ok"}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write a set of files into a new folder; return the first."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / next(iter(files))


def main(
    name: str, corpus: str, work: str, seed: str, first: str, seconds: str, *guarded: str
) -> None:
    said = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what engines print goes where errors go
    faulthandler.enable()
    import functools

    from targets import TARGETS, load_guarded

    target = TARGETS[name]
    seeds = target.make(Path(corpus))
    read = functools.partial(load_guarded, target.engine) if guarded else target.read
    limit_memory(target.memory)
    warnings.simplefilter("ignore")
    said.write("READY\n")
    end = time.monotonic() + float(seconds)
    for number in range(int(first), int(first) + (1 if guarded else MOST_INPUTS)):
        path = write(Path(work) / "input", target.draw(seeds, Random(f"{name}/{seed}/{number}")))
        said.write(f"START {number}\n")
        result = judge(read, path, target.most_lines)
        if "what" in result:
            (Path(work) / "input").rename(
                Path(work) / f"found-{number}"
            )  # the next input must not replace it
        said.write(f"END {number} {json.dumps(result)}\n")
        if time.monotonic() > end:
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # engines may hang or crash as they are given up after damage
