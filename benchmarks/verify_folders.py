"""How many model folders pass `galago verify`: every recipe and every kind of model, in every
format.

    python benchmarks/verify_folders.py [--kinds folder,plain] [--formats onnx,ncnn]

Each recipe trains two epochs on drawn scenes of unequal sizes, with the flags that a user gets but
for the crop of 64 x 64. What comes of it is exported and verified three ways: against golden/
alone, against the checkpoint, and on labeled images. A folder counts where all three pass. Rows of
an earlier run that are not asked for again are kept.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import RESULTS, save_result

from galago import image as images
from galago.export.writers.table import WRITERS
from galago.labels import CAMVID
from galago.scenes.dataset import render_scene
from galago.training.recipes import RECIPES

SIZES = {
    "train": [(64 + 8 * index, 128 - 6 * index) for index in range(16)],
    "val": [(75, 100), (50, 130), (96, 64)],
}
RUNNABLE = tuple(name for name in WRITERS if name != "coreml")  # no engine here runs CoreML
LABELS = tuple(name for name in RUNNABLE if name != "ncnn")
ROUNDED = ("onnx", "openvino", "litert")


@dataclass(frozen=True)
class Kind:
    """A kind of model.

    Attributes:
        recipe: what trains it.
        train, export: flags beside the usual ones.
        formats: those that have it.
    """

    recipe: str
    train: tuple[str, ...] = ()
    export: tuple[str, ...] = ()
    formats: tuple[str, ...] = RUNNABLE


KINDS: Mapping[str, Kind] = {
    **{name: Kind(name) for name in RECIPES},
    "short_side=none": Kind("folder", train=("--set", "short_side=none")),
    "fixed size": Kind("folder", export=("--imgsz", "64x96")),
    "labels": Kind("folder", export=("--output", "labels"), formats=LABELS),
    "float16": Kind("folder", export=("--precision", "float16"), formats=ROUNDED),
    "int8": Kind("folder", export=("--precision", "int8", "--max-drop", "50"), formats=ROUNDED),
}


def main() -> None:
    """Verify the folders that are asked for, and write results/verify_folders.json after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", default=",".join(KINDS), help="by commas")
    parser.add_argument("--formats", default=",".join(RUNNABLE), help="by commas")
    asked = parser.parse_args()
    earlier = RESULTS / "verify_folders.json"
    kept = json.loads(earlier.read_text(encoding="utf-8"))["rows"] if earlier.is_file() else []
    rows = {(row["kind"], row["format"]): row for row in kept}
    with tempfile.TemporaryDirectory() as temporary:
        data = draw_data(Path(temporary) / "scenes")
        for name in asked.kinds.split(","):
            for row in verify_kind(name, asked.formats.split(","), data):
                rows[row["kind"], row["format"]] = row
                print(
                    f"{row['kind']:18} {row['format']:10} {row['verified'] or row['failure']}",
                    flush=True,
                )
                passed = sum(row["verified"] for row in rows.values())
                save_result(
                    "verify_folders",
                    {"verified": passed, "folders": len(rows), "rows": [*rows.values()]},
                )


def draw_data(folder: Path) -> Path:
    """Write drawn scenes and their masks as a data set; return its data.yaml."""
    for split, sizes in SIZES.items():
        for index, size in enumerate(sizes):
            scene = render_scene(1000 * (split == "val") + index, size)
            for kind in ("images", "masks"):
                (folder / kind / split).mkdir(parents=True, exist_ok=True)
            images.save(folder / f"images/{split}/{index}.png", scene.image)
            images.save_labels(folder / f"masks/{split}/{index}.png", scene.labels, CAMVID.palette)
    (folder / "data.yaml").write_text(f"names: [{', '.join(CAMVID.names)}]\n", encoding="utf-8")
    return folder / "data.yaml"


def verify_kind(name: str, formats: Sequence[str], data: Path) -> Iterator[dict[str, Any]]:
    """Train once, then export and verify in each format that the kind has."""
    kind = KINDS[name]
    with tempfile.TemporaryDirectory() as temporary:
        run, model = Path(temporary) / "run", Path(temporary) / "model"
        checkpoint = run / "best.safetensors"
        labeled = ("--data", data) if name == "int8" else ()
        usual = ("--epochs", "2", "--crop", "64", "64", "--workers", "0")
        trained = call("train", data, "--recipe", kind.recipe, "--out", run, *usual, *kind.train)
        for format in (format for format in kind.formats if format in formats):
            out = ("--out", Path(temporary) / "verified")
            against = ("--against", checkpoint, "--imgsz", "64x96")
            steps: list[tuple[Any, ...]] = [
                (
                    "export",
                    checkpoint,
                    "--out",
                    model,
                    "--format",
                    format,
                    *kind.export,
                    *labeled,
                ),
                ("verify", model, *out),
                ("verify", model, *against, *out),
                ("verify", model, *against, "--data", data, *out),
            ]
            failure = trained
            for step in steps:
                failure = failure or call(*step)
            yield {"kind": name, "format": format, "verified": failure is None, "failure": failure}


def call(*arguments: object) -> str | None:
    """Run a command as a user does; return what it says where it fails, else None."""
    galago = Path(sys.executable).parent / "galago"
    done = subprocess.run(
        [galago, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    output = (done.stdout + done.stderr).strip()
    if "Traceback" in output:
        raise RuntimeError(output)
    return f"galago {arguments[0]}: {output}"[-500:]


if __name__ == "__main__":
    main()
