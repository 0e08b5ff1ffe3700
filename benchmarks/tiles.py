"""What do large photos cost in tiles, and at once: seconds, and the most memory that a process
held?

    python benchmarks/tiles.py

Each turn is a process of its own that opens the bundled model, reads a TIFF file and writes labels
and overlay. The photo is a drawn scene, repeated. The rival is the whole photo at once, where it
fits into the memory that is free. Needs pyvips.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import psutil
import pyvips
from measure import in_own_process, save_result

from galago import image as images
from galago import load
from galago._core.device import peak_memory_mb
from galago.runtime.result import written_files
from galago.runtime.tiling.stream import save_in_tiles
from galago.runtime.tiling.tiles import OVERLAP, TILE, TileConfig
from galago.scenes.dataset import render_scene

SIDES = (2_000, 5_000, 10_000, 20_000)
SCENE = (1024, 1536)
WHOLE_MB_PER_MEGAPIXEL = 120  # some more than what b0 takes at once
NEW_SIZES = (
    (1024, 1024),
    (512, 1024),
    (544, 1024),
    (1024, 736),
    (352, 480),
    (384, 480),
    (1024, 1024),
)


def draw(path: Path, side: int) -> None:
    """Write a TIFF of side x side pixels, row by row."""
    scene = pyvips.Image.new_from_array(render_scene(0, SCENE).image)
    across, down = -(-side // SCENE[1]), -(-side // SCENE[0])
    scene.replicate(across, down).crop(0, 0, side, side).tiffsave(
        str(path), compression="lzw", bigtiff=True
    )


def label(way: str, photo: Path, out: Path) -> dict[str, Any]:
    """Label one photo file in this process."""
    segmenter = load("b0-camvid")
    start = perf_counter()
    if way == "tiles":
        speed: Mapping[str, float] = save_in_tiles(
            segmenter, photo, files=written_files(out, way), config=TileConfig()
        ).speed
    else:
        result = segmenter(photo)
        result.save(out, way)
        speed = result.speed
    seconds = perf_counter() - start
    return {
        "seconds": seconds,
        "peak_memory_mb": peak_memory_mb(),
        "speed_ms": {name: round(ms) for name, ms in speed.items()},
    }


def measure(side: int, runs: int, folder: Path) -> dict[str, object]:
    """Label a photo of side x side pixels, both ways in turns."""
    photo = folder / f"{side}.tif"
    draw(photo, side)
    fits = WHOLE_MB_PER_MEGAPIXEL * side**2 / 1e6 < psutil.virtual_memory().available / 1e6
    turns: dict[str, list[dict[str, Any]]] = {
        way: [] for way in (("tiles", "whole") if fits else ("tiles",))
    }
    for _ in range(runs):
        for way, done in turns.items():
            done.append(in_own_process(label, way, photo, folder))
    photo.unlink()
    row: dict[str, object] = {"side": side}
    for way, done in turns.items():
        middle = sorted(done, key=lambda turn: turn["seconds"])[len(done) // 2]
        peak = round(median(turn["peak_memory_mb"] for turn in done))
        row[way] = {
            "seconds": round(middle["seconds"], 2),
            "peak_memory_mb": peak,
            "speed_ms": middle["speed_ms"],
        }
    if fits:
        maps = [images.load_labels(folder / f"{way}.png") for way in turns]
        row["same_labels"] = round(float((maps[0] == maps[1]).mean()), 4)
    print(row, flush=True)
    return row


def new_sizes() -> list[dict[str, object]]:
    """Time the network's first calls with each of some sizes: is anything compiled anew?"""
    engine = load("b0-camvid").engine
    rows: list[dict[str, object]] = []
    for size in NEW_SIZES:
        photo, times = np.zeros((1, *size, 3), np.uint8), []
        for _ in range(4):
            start = perf_counter()
            engine.run(photo)
            times.append(round(1000 * (perf_counter() - start), 1))
        rows.append({"size": size, "calls_ms": times})
    return rows


def main() -> None:
    """Measure every size and save results/tiles.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(side, arguments.runs, Path(folder)) for side in arguments.sides]
    result = {
        "tile": TILE,
        "overlap": OVERLAP,
        "runs": arguments.runs,
        "rows": rows,
        "new_sizes": new_sizes(),
    }
    print(save_result("tiles", result))


if __name__ == "__main__":
    main()
