"""How long does each engine take, and how long plain torch, for one network on one photo?

    python engines.py --folder MODEL_FOLDER

MODEL_FOLDER comes from:
    galago export ../checkpoints/b0-camvid.safetensors --out MODEL_FOLDER --format
    openvino,onnx,litert,ncnn,executorch
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import save_result, time_interleaved

import galago
from galago._core.provenance import version
from galago.export.reference import load_reference
from galago.runtime.engines.table import ENGINES, installed_engines
from galago.runtime.model_folder import open_model
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene

CHECKPOINT = Path(__file__).parent.parent / "checkpoints/b0-camvid.safetensors"
SIZE = (512, 1024)
DISTRIBUTIONS = {name: kind.distribution for name, kind in ENGINES.items()} | {"torch": "torch"}


def ways(
    segmenters: dict[str, Segmenter], photo: np.ndarray
) -> dict[tuple[str, str], Callable[[], object]]:
    """Return what to time: of each engine the network alone, and the whole way."""
    rivals: dict[tuple[str, str], Callable[[], object]] = {}
    for name, segmenter in segmenters.items():
        prepared = segmenter.prepare(photo)[0][None]
        rivals[name, "network"] = partial(segmenter.engine.run, prepared)
        rivals[name, "whole_way"] = partial(segmenter, photo)
    return rivals


def main() -> None:
    """Measure all engines and save results/engines.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, help="model folder with a file for each engine")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--note", default="", help="what else ran on the machine")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = installed_engines(open_model(arguments.folder).files)
    segmenters = {
        name: galago.load(arguments.folder, engine=name, threads=arguments.threads)
        for name in names
    }
    segmenters["torch"] = load_reference(CHECKPOINT)
    photo = render_scene(0, SIZE).image
    expected, labels = segmenters["torch"].logits(photo), segmenters["torch"](photo).labels
    times = time_interleaved(ways(segmenters, photo), runs=arguments.runs, warmup=arguments.warmup)
    rows: dict[str, dict[str, Any]] = {}
    for name in segmenters:
        given = segmenters[name].logits(photo)
        rows[name] = {
            "version": version(DISTRIBUTIONS[name]),
            **{part: times[name, part] for part in ("network", "whole_way")},
            "relative_error": float(np.linalg.norm(given - expected) / np.linalg.norm(expected)),
            "labels_agree": float((segmenters[name](photo).labels == labels).mean()),
        }
    for row in rows.values():
        row["ratio_to_openvino"] = round(
            row["network"]["median_ms"] / rows["openvino"]["network"]["median_ms"], 2
        )
    for name, row in rows.items():
        print(name, row)
    result = {
        "model": "b0-camvid",
        "size": SIZE,
        "precision": "float32",
        "threads": arguments.threads,
        "note": arguments.note,
    }
    print(
        save_result(
            "engines",
            {**result, "runs": arguments.runs, "warmup": arguments.warmup, "engines": rows},
        )
    )


if __name__ == "__main__":
    main()
