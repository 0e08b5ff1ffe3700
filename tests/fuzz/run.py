"""Read damaged files for as long as told.

run.py --seconds 1200 --seed 3 [--target image] [--first 17 --count 1]

Each reader succeeds or raises a GalagoError with a message of one line. Anything else is a finding:
another exception, a process that ends, an input that takes longer than it may, or memory beyond
the limit. What is found is kept under --keep. Input n of a target depends on target, seed and n
alone, so `--first n --count 1` repeats it.
"""

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
EXPORT = "torch onnx onnxscript"
PACKAGES = {  # without which a target is left out
    "coco": "pycocotools", "checkpoint": "safetensors torch", "onnx-metadata": "onnx",
    "openvino-onnx": f"{EXPORT} openvino", "openvino-ir": f"{EXPORT} openvino",
    "onnxruntime": f"{EXPORT} onnxruntime", "ncnn": f"{EXPORT} ncnn pnnx",
    "litert": f"{EXPORT} litert_torch ai_edge_litert", "executorch": f"{EXPORT} executorch",
    "torch": EXPORT,
}  # fmt: skip
TARGETS = (
    "image", "rows", "mask", "video", "data-yaml", "palette", "folder", "golden", "setting",
    "coco", "checkpoint", "onnx-metadata",
    "openvino-onnx", "openvino-ir", "onnxruntime", "ncnn", "litert", "executorch", "torch",
)  # fmt: skip
START_S = (
    300.0  # the longest that a child may take until it is ready: the first one exports a network
)


@dataclass
class Tally:
    """What became of a target's inputs.

    Attributes:
        counts: inputs by outcome: ok, refused, or `crash refused` where an engine crashes on a
            file that `galago.load` refuses.
        findings: number of an input, and what was wrong with it.
        next: number of the next input.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)
    next: int = 0


class Child:
    """A process that reads damaged files, its lines in a queue so that waiting for one can end."""

    def __init__(self, arguments: list[str], work: Path) -> None:
        self.errors = work / "stderr.txt"
        with self.errors.open("wb") as errors:
            settings = os.environ | {
                "OMP_NUM_THREADS": "1",
                "GALAGO_CACHE": "",
                "OPENCV_FFMPEG_LOGLEVEL": "-8",
            }
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "child.py"), *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                env=settings,
                text=True,
            )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def line(self, longest_s: float) -> str | None:
        """Return the next line, empty at the end, None where none comes in time."""
        try:
            return self.lines.get(timeout=longest_s)
        except queue.Empty:
            return None

    def stop(self) -> str:
        """End the process; return its exit code and the end of what it said."""
        if self.process.poll() is None:
            self.process.kill()
        said = self.errors.read_text(errors="replace")
        fatal = (
            said[said.find("Fatal Python error") :][:400]
            if "Fatal Python error" in said
            else said[-300:]
        )
        return f"exit code {self.process.wait()}: {fatal!r}"


def fuzz(name: str, tally: Tally, args: argparse.Namespace, seconds: float) -> None:
    """Read inputs of one target for so many seconds, or so many inputs."""
    end = time.monotonic() + seconds
    last = tally.next + args.count if args.count else None
    while time.monotonic() < end and (last is None or tally.next < last):
        if not read_some(name, tally, args, end, last):
            return


def read_some(
    name: str, tally: Tally, args: argparse.Namespace, end: float, last: int | None
) -> bool:
    """Read inputs until a child process ends; return whether to go on."""
    work = Path(tempfile.mkdtemp(prefix="galago-fuzz-"))
    left = str(max(0.1, end - time.monotonic()))
    child = Child([name, str(args.corpus), str(work), str(args.seed), str(tally.next), left], work)
    try:
        if child.line(START_S) != "READY\n":
            tally.findings.append((tally.next, f"the child did not start: {child.stop()}"))
            return False
        while line := child.line(args.longest):
            kind, number, *rest = line.split(" ", 2)
            if kind == "START":
                tally.next = int(number) + 1
                continue
            result = json.loads(rest[0])
            tally.counts[result["outcome"]] += 1
            if "what" in result:
                note(name, tally, int(number), f"{result['outcome']}: {result['what']}", work, args)
            if last is not None and tally.next >= last:
                return True
        told = f"hang: more than {args.longest:.0f} s" if line is None else "crash"
        if line is not None:
            child.process.wait(START_S)
        ended = child.stop()
        if line is None or child.process.returncode:
            tell_end(name, tally, f"{told}, {ended}", work, args)
        return True
    finally:
        child.stop()
        shutil.rmtree(work, ignore_errors=True)


def tell_end(name: str, tally: Tally, what: str, work: Path, args: argparse.Namespace) -> None:
    """Note that an input ended a child, unless it is a model file that `galago.load` refuses."""
    number = tally.next - 1
    if name in PACKAGES and name not in ("coco", "checkpoint", "onnx-metadata"):
        again = work / "again"
        again.mkdir()
        child = Child(
            [name, str(args.corpus), str(again), str(args.seed), str(number), "1", "guarded"], again
        )
        lines = [child.line(START_S), child.line(args.longest * 2), child.line(args.longest * 4)]
        ended = child.stop()
        if lines[2] and "refused" in lines[2]:
            tally.counts["crash refused"] += 1
            return
        what = f"{what}; galago.load: {lines[2]} {ended}"
    note(name, tally, number, what, work, args)


def note(
    name: str, tally: Tally, number: int, what: str, work: Path, args: argparse.Namespace
) -> None:
    """Keep a finding and its input."""
    tally.findings.append((number, what))
    place = args.keep / f"{name}-{args.seed}-{number}"
    shutil.rmtree(place, ignore_errors=True)
    if (
        kept := next(
            (path for path in (work / f"found-{number}", work / "input") if path.is_dir()), None
        )
    ) is not None:
        shutil.copytree(kept, place)
    print(f"FOUND {name} --seed {args.seed} --first {number} --count 1: {what}", flush=True)


def installed(name: str) -> bool:
    from importlib.util import find_spec

    return all(find_spec(package) for package in PACKAGES.get(name, "").split())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--target", choices=TARGETS, action="append", help="all without it; may be repeated"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument(
        "--count", type=int, default=0, help="so many inputs a target, however long they take"
    )
    parser.add_argument("--longest", type=float, default=30.0, help="seconds for one input")
    parser.add_argument(
        "--corpus", type=Path, default=Path("build/fuzz/corpus"), help="whole files, made once"
    )
    parser.add_argument(
        "--keep",
        type=Path,
        default=Path("build/fuzz/found"),
        help="where inputs with a finding are kept",
    )
    args = parser.parse_args()
    args.corpus.mkdir(parents=True, exist_ok=True)
    names = [name for name in args.target or TARGETS if installed(name)]
    tallies = {name: Tally(next=args.first) for name in names}
    for name, tally in tallies.items():
        fuzz(name, tally, args, 1e9 if args.count else args.seconds / len(names))
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.counts.items()))
        print(
            f"{name}: {tally.next - args.first} inputs, {told}, {len(tally.findings)} findings",
            flush=True,
        )
    return any(tally.findings for tally in tallies.values())


if __name__ == "__main__":
    sys.exit(main())
