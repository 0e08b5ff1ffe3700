"""How do time and memory grow with the photo: ReLU linear attention against softmax, in the same block and in the same network?

    python benchmarks/attention_scaling.py

b0, float32. The block and the network run in torch, the network in OpenVINO as well. Each point runs in a process of its own, so
that its memory is its own: the most that the process held while running, less what it held before. A form that needs more than
`LIMIT_S` for one run is not measured at larger sizes. Softmax runs through scaled_dot_product_attention, which in torch never
stores the (L, L) similarities: its memory is that of the best known way, its time is quadratic all the same. OpenVINO does store
them, and ends where they no longer fit. Linux only.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from measure import save_result

from galago.device import peak_memory_mb
from galago.runtime.bench import summarize

SIZES = ((256, 256), (512, 512), (512, 1024), (1024, 1024), (1024, 2048), (2048, 2048), (2048, 4096), (4096, 4096))
PARTS = ("block", "network", "network in OpenVINO")
FORMS = ("linear", "softmax")
KEYS = ("median_ms", "memory_mb")
FITTED_MEGAPIXELS = (0.25, 8.5)  # the slope is that of the sizes between
LIMIT_S = 30.0
LONG_ENOUGH_S = 3.0  # of measuring one point in one pass
PASSES = {"linear": 3, "softmax": 1}  # over all sizes, so that a noisy minute hits all of them; softmax is far from any bound
COLORS = {"linear": "tab:blue", "softmax": "tab:red"}
STYLES = {"block": ":", "network": "-", "network in OpenVINO": "--"}


def make(part: str, form: str, size: tuple[int, int]) -> Callable[[], object]:
    """Return what runs one part of b0 with one form of attention on one size."""
    import torch

    from galago.models.attention import set_attention
    from galago.models.efficientvit import build_model
    from galago.training.memory import keep_freed_memory

    network: torch.nn.Module = build_model("b0", 19).eval()
    set_attention(network, form=form)
    if part == "network in OpenVINO":
        from naive import naive_onnx, run_openvino

        run = run_openvino(naive_onnx(network, size))
        planes = np.random.default_rng(0).random((1, 3, *size), np.float32)
        return lambda: run(planes)
    keep_freed_memory()  # else glibc gives large blocks back after each layer, and only large photos pay for that
    if part == "network":
        example = torch.rand(1, 3, *size)
    else:  # the first attention block of stage 3, at stride 16
        network, example = network.get_submodule("backbone.stages.3.1"), torch.rand(1, 64, size[0] // 16, size[1] // 16)
    return torch.inference_mode()(lambda: network(example))


def measure_point(part: str, form: str, size: tuple[int, int]) -> dict[str, Any]:
    """Time one point, and tell how much memory it took."""
    run = make(part, form, size)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = peak_memory_mb()
    run()
    peak = peak_memory_mb()
    assert before is not None  # Linux tells
    assert peak is not None
    times: list[float] = []
    began = perf_counter()
    while len(times) < 3 or (perf_counter() - began < LONG_ENOUGH_S and len(times) < 50):
        start = perf_counter()
        run()
        times.append(1000 * (perf_counter() - start))
        if times[-1] > 1000 * LIMIT_S / 3:
            break
    return {"times_ms": times, "memory_mb": round(peak - before, 1)}


def in_own_process(part: str, form: str, size: tuple[int, int]) -> dict[str, Any] | None:
    """Measure one point in a fresh process; None where it ends for want of memory."""
    command = [sys.executable, __file__, "--point", part, form, *map(str, size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stderr[-300:] if done.returncode else "", end="", file=sys.stderr)
    return None if done.returncode else json.loads(done.stdout.splitlines()[-1])


def measure_curve(part: str, form: str) -> dict[str, object]:
    """Measure one form of attention from small to large, as far as time and memory reach."""
    times: dict[tuple[int, int], list[float]] = {}
    memory: dict[tuple[int, int], float] = {}
    for number in range(PASSES[form]):
        for size in SIZES if number == 0 else list(times):
            found = in_own_process(part, form, size)
            if found is None:
                break
            times.setdefault(size, []).extend(found["times_ms"])
            memory[size] = max(memory.get(size, 0), found["memory_mb"])
            print(part, form, size, summarize(found["times_ms"]), found["memory_mb"], flush=True)
            if min(found["times_ms"]) / 1000 * (4 if form == "softmax" else 2) > LIMIT_S:
                break
    points = [
        {"size": size, "megapixels": size[0] * size[1] / 1e6, **summarize(values), "memory_mb": memory[size]}
        for size, values in times.items()
    ]
    return {"part": part, "form": form, "slopes": {key: slope(points, key) for key in KEYS}, "points": points}


def slope(points: list[dict[str, Any]], key: str) -> float:
    """Fit log(value) = slope * log(pixels) + constant."""
    low, high = FITTED_MEGAPIXELS
    fitted = [point for point in points if low <= point["megapixels"] <= high]
    return round(float(np.polyfit(np.log([p["megapixels"] for p in fitted]), np.log([p[key] for p in fitted]), 1)[0]), 3)


def draw(curves: list[dict[str, Any]], path: Path) -> None:
    """Draw time and memory against pixels, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, key, label in zip(axes, KEYS, ("time, ms", "memory, MB"), strict=True):
        for curve in curves:
            pixels, values = zip(*((point["megapixels"], point[key]) for point in curve["points"]), strict=True)
            text = f"{curve['form']}, {curve['part']}: slope {curve['slopes'][key]:.2f}"
            axis.loglog(pixels, values, STYLES[curve["part"]], color=COLORS[curve["form"]], marker="o", markersize=4, label=text)
        axis.set(xlabel="photo, megapixels", ylabel=label)
        axis.set_xticks(ticks := (0.1, 0.3, 1, 3, 10), [f"{tick:g}" for tick in ticks])
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    figure.suptitle("EfficientViT-B0: ReLU linear attention and softmax attention in the same network")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure all curves, save results/attention_scaling.json, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--point", nargs=4, metavar=("PART", "FORM", "H", "W"), help=argparse.SUPPRESS)
    point = parser.parse_args().point
    if point:
        print(json.dumps(measure_point(point[0], point[1], (int(point[2]), int(point[3])))))
        return
    curves = [measure_curve(part, form) for part in PARTS for form in FORMS]
    print(save_result("attention_scaling", {"variant": "b0", "precision": "float32", "curves": curves}))
    draw(curves, Path(__file__).parent.parent / "docs/images/attention_scaling.png")


if __name__ == "__main__":
    main()
