"""What does int8 cost and bring: mean IoU, size and time of each format against float32?

    python benchmarks/int8.py --data CAMVID_FOLDER

Writes b0-camvid for 352 x 480 in float32 and in int8, calibrated on `train`, scores both on `val`,
and times the networks alone, in turns, in each engine. Needs torch, NNCF, ai-edge-quantizer and all
engines.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import save_result, time_interleaved

from galago.data import Dataset, open_dataset, subsample_evenly
from galago.evaluation import evaluate
from galago.export.int8 import Int8
from galago.export.reference import checkpoint_spec
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.table import WRITERS
from galago.models.checkpoint import load_checkpoint
from galago.runtime.engines.table import installed_engines, open_engine
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec

CHECKPOINT = Path(__file__).parent.parent / "checkpoints/b0-camvid.safetensors"
SIZE = (352, 480)  # what the photos of 360 x 480 are stretched to


def mean_iou(segmenter: Segmenter, val: Dataset) -> float:
    """Score a model on the photos of `val`."""
    return evaluate(lambda image: segmenter(image).labels, val).mean_iou


def measure(
    format: str, engine: str, files: tuple[Path, Path], spec: ModelSpec, val: Dataset, runs: int
) -> dict[str, Any]:
    """Score and time the float32 and the int8 file of one format in one engine."""
    whole, small = (Segmenter(open_engine(file, engine, threads=2), spec) for file in files)
    scores = [mean_iou(segmenter, val) for segmenter in (whole, small)]
    photo = np.ascontiguousarray(whole.prepare(val[0].image)[0][None])
    times = time_interleaved(
        {"float32": lambda: whole.engine.run(photo), "int8": lambda: small.engine.run(photo)},
        runs=runs,
    )
    sizes = [
        sum((file.parent / name).stat().st_size for name in WRITERS[format].files) for file in files
    ]
    return {
        "format": format,
        "engine": engine,
        "mean_iou_float32": scores[0],
        "mean_iou_int8": scores[1],
        **times,
        "time_ratio": round(times["int8"]["median_ms"] / times["float32"]["median_ms"], 3),
        "size_ratio": round(sizes[1] / sizes[0], 3),
        "bytes": sizes[1],
    }


def main() -> None:
    """Measure all formats and save results/int8.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="CamVid, or what has its classes")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--photos", type=int, default=1000, help="of val, at most")
    arguments = parser.parse_args()
    network, metadata = load_checkpoint(CHECKPOINT)
    spec = dataclasses.replace(
        checkpoint_spec(CHECKPOINT, metadata), input_size=SIZE, resize="stretch", precision="int8"
    )
    val = subsample_evenly(open_dataset(arguments.data, "val"), arguments.photos)
    plan = Int8(open_dataset(arguments.data, "train"), val, max_drop=0.005)
    deployed = DeployedNetwork(network, spec)
    rows = []
    for format in ("openvino", "onnx", "litert"):
        with tempfile.TemporaryDirectory() as temporary:
            first = WRITERS[format].files[0]
            whole, small = (
                Path(temporary) / precision / first for precision in ("float32", "int8")
            )
            for file in (whole, small):
                file.parent.mkdir()
            WRITERS[format].write(deployed, spec, whole)
            kept = plan.write(deployed, spec, small, format, lambda what: None).float_blocks
            for engine in installed_engines([first]):
                rows.append(
                    measure(format, engine, (whole, small), spec, val, arguments.runs)
                    | {"float_blocks": kept}
                )
                print(rows[-1], flush=True)
    print(
        save_result("int8", {"model": "b0-camvid", "size": SIZE, "photos": len(val), "rows": rows})
    )


if __name__ == "__main__":
    main()
