"""How do time and memory grow with the photo: ReLU linear attention against softmax, in the same block and in the same network?

    python benchmarks/attention_scaling.py

Each point runs in a process of its own, so that its peak memory is its own. torch, float32, b0; a form that needs more than
`LIMIT_S` for one run is not measured at larger sizes. Softmax runs through torch's scaled_dot_product_attention, which never
stores the (L, L) matrix: its memory is that of the best known way, its time is quadratic all the same.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from measure import save_result, summarize

from galago.device import peak_memory_mb

SIZES = ((256, 256), (512, 512), (512, 1024), (1024, 1024), (1024, 2048), (2048, 2048), (2048, 4096), (4096, 4096))
FORMS = ("linear", "softmax")
PARTS = ("block", "network")
FITTED_MEGAPIXELS = (0.25, 8.5)  # the slope is that of the sizes between
LIMIT_S = 60.0
LONG_ENOUGH_S = 4.0  # of measuring one point


def measure_point(part: str, form: str, size: tuple[int, int]) -> dict[str, float]:
    """Time one part of b0 with one form of attention on one size, and tell how much memory that took."""
    import torch

    from galago.models.attention import set_attention
    from galago.models.efficientvit import build_model

    network = build_model("b0", 19).eval()
    set_attention(network, form=form)
    if part == "network":
        run, example = network, torch.rand(1, 3, *size)
    else:  # the first attention block of stage 3, at stride 16
        run, example = network.backbone.stages[3][1], torch.rand(1, 64, size[0] // 16, size[1] // 16)
    before = peak_memory_mb()
    times: list[float] = []
    with torch.inference_mode():
        began = perf_counter()
        while len(times) < 2 or (perf_counter() - began < LONG_ENOUGH_S and len(times) < 40):
            start = perf_counter()
            run(example)
            times.append(1000 * (perf_counter() - start))
    return summarize(times[1:]) | {"memory_mb": round(peak_memory_mb() - before, 1)}


def in_own_process(part: str, form: str, size: tuple[int, int]) -> dict[str, float]:
    """Measure one point in a fresh process."""
    command = [sys.executable, __file__, "--point", part, form, *map(str, size)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def slope(points: list[dict], key: str) -> float:
    """Fit log(value) = slope * log(pixels) + constant."""
    low, high = FITTED_MEGAPIXELS
    fitted = [point for point in points if low <= point["megapixels"] <= high and point[key] > 0]
    return round(float(np.polyfit(np.log([p["megapixels"] for p in fitted]), np.log([p[key] for p in fitted]), 1)[0]), 3)


def draw(curves: list[dict]) -> None:
    """Draw time and memory against pixels, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    colors = {"linear": "tab:blue", "softmax": "tab:red"}
    for axis, key, label in zip(axes, ("median_ms", "memory_mb"), ("time, ms", "memory, MB"), strict=True):
        for curve in curves:
            pixels, values = zip(*((point["megapixels"], point[key]) for point in curve["points"]), strict=True)
            style = "-" if curve["part"] == "network" else "--"
            text = f"{curve['form']}, {curve['part']}: slope {curve['slopes'][key]:.2f}"
            axis.loglog(pixels, values, style, color=colors[curve["form"]], marker="o", markersize=4, label=text)
        axis.set(xlabel="photo, megapixels", ylabel=label)
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    figure.suptitle("EfficientViT-B0: ReLU linear attention and softmax attention in the same network")
    figure.savefig(Path(__file__).parent.parent / "docs/images/attention_scaling.png", dpi=110)


def main() -> None:
    """Measure all curves, save results/attention_scaling.json, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--point", nargs=4, metavar=("PART", "FORM", "H", "W"), help=argparse.SUPPRESS)
    point = parser.parse_args().point
    if point:
        print(json.dumps(measure_point(point[0], point[1], (int(point[2]), int(point[3])))))
        return
    curves = []
    for part in PARTS:
        for form in FORMS:
            points: list[dict] = []
            for size in SIZES:
                points.append({"size": size, "megapixels": size[0] * size[1] / 1e6} | in_own_process(part, form, size))
                print(part, form, points[-1], flush=True)
                if points[-1]["median_ms"] > 1000 * LIMIT_S:
                    break
            slopes = {key: slope(points, key) for key in ("median_ms", "memory_mb")}
            curves.append({"part": part, "form": form, "slopes": slopes, "points": points})
    print(save_result("attention_scaling", {"variant": "b0", "precision": "float32", "engine": "torch", "curves": curves}))
    draw(curves)


if __name__ == "__main__":
    main()
