"""What do the rewritten head and attention bring: the network as it is, exported plainly, against
galago's export?

    python benchmarks/head.py

Both take one size. The same weights in both, so that their logits are compared as well. Needs
torch, onnx and ONNX Runtime.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from measure import save_result, time_interleaved
from naive import naive_onnx, run_onnxruntime, run_openvino, with_resize

from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.onnx import write_onnx
from galago.labels import CAMVID
from galago.models.efficientvit import build_model
from galago.runtime.engines.table import open_engine
from galago.scenes.dataset import render_scene
from galago.spec import IMAGENET_MEAN, IMAGENET_STD, ModelSpec

SIZE = (512, 1024)
ENGINES = {"onnxruntime": run_onnxruntime, "openvino": run_openvino}


def measure(variant: str, folder: Path, runs: int) -> list[dict[str, object]]:
    """Time both exports of one network in each engine."""
    torch.manual_seed(0)
    spec = ModelSpec(
        name=variant, variant=variant, classes=CAMVID.names, palette=CAMVID.palette, input_size=SIZE
    )
    network = build_model(variant, spec.num_classes).eval()
    write_onnx(DeployedNetwork(network, spec), spec, folder / f"{variant}.onnx")
    plain = naive_onnx(with_resize(network), SIZE)
    photo = render_scene(0, SIZE).image
    planes = np.ascontiguousarray(
        ((photo / 255 - IMAGENET_MEAN) / IMAGENET_STD).astype(np.float32).transpose(2, 0, 1)[None]
    )
    rows = []
    for name, run in ENGINES.items():
        ours, theirs = open_engine(folder / f"{variant}.onnx", name), run(plain)
        gap = float(
            np.abs(ours.run(photo[None]) - theirs(planes)).max() / np.abs(theirs(planes)).max()
        )
        rivals = {
            "rewritten": lambda ours=ours: ours.run(photo[None]),
            "naive": lambda theirs=theirs: theirs(planes),
        }
        times = time_interleaved(rivals, runs=runs)
        ratio = round(times["rewritten"]["median_ms"] / times["naive"]["median_ms"], 3)
        rows.append(
            {
                "variant": variant,
                "engine": name,
                "size": SIZE,
                **times,
                "rewritten_over_naive": ratio,
                "gap": gap,
            }
        )
    return rows


def main() -> None:
    """Measure and save results/head.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        rows = [row for variant in ("b0", "b1") for row in measure(variant, Path(name), runs)]
    print(save_result("head", {"precision": "float32", "rows": rows}))


if __name__ == "__main__":
    main()
