"""How do time and memory grow with the photo: ReLU linear attention against softmax, in the same
block and in the same network?

    python benchmarks/attention_scaling.py

b0, float32. The block and the network run in torch, the network in OpenVINO as well. Memory is that
of a process which runs one size alone: the most that it held while running, less what it held
before. Then all sizes take turns in one process, so that a noisy minute hits all of them. A form
that needs more than `LIMIT_S` for one run is not measured at larger sizes. Softmax runs through
scaled_dot_product_attention, which in torch never stores the (L, L) similarities: its memory is
that of the best known way, its time is quadratic all the same. OpenVINO does store them, and ends
where they no longer fit. Linux only.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import in_own_process, save_result, time_interleaved

from galago._core.device import peak_memory_mb

if TYPE_CHECKING:
    from torch import Tensor

SIZES = (
    (256, 256),
    (512, 512),
    (512, 1024),
    (1024, 1024),
    (1024, 2048),
    (2048, 2048),
    (2048, 4096),
    (4096, 4096),
)
PARTS = ("block", "network", "network in OpenVINO")
FORMS = ("linear", "softmax")
KEYS = ("median_ms", "memory_mb")
FITTED_MEGAPIXELS = (0.25, 8.5)  # the slope is that of the sizes between
LIMIT_S = 30.0
TURNS = {"linear": 25, "softmax": 3}  # softmax is far from any bound
COLORS = {"linear": "tab:blue", "softmax": "tab:red"}
STYLES = {"block": ":", "network": "-", "network in OpenVINO": "--"}


def softmax_attention(q: "Tensor", k: "Tensor", v: "Tensor", eps: float) -> "Tensor":
    """Mix all pixels with softmax, at a cost quadratic in their number: the baseline.

    Args:
        q, k, v: (N, heads, D, L) each.
        eps: not used; `linear_attention` needs it.
    """
    import torch.nn.functional as F

    # contiguous, else torch takes the implementation that stores all (L, L) similarities
    q, k, v = q.mT.contiguous(), k.mT.contiguous(), v.mT.contiguous()
    return F.scaled_dot_product_attention(q, k, v).mT


def make(part: str, form: str, size: tuple[int, int]) -> Callable[[], object]:
    """Return what runs one part of b0 with one form of attention on one size."""
    import torch

    from galago.models.attention import linear_attention, set_attention
    from galago.models.efficientvit import build_model
    from galago.training.cpu import tune_malloc

    network: torch.nn.Module = build_model("b0", 19).eval()
    implementations = {"linear": linear_attention, "softmax": softmax_attention}
    set_attention(network, implementation=implementations[form])
    if part == "network in OpenVINO":
        from naive import naive_onnx, run_openvino

        run = run_openvino(naive_onnx(network, size))
        planes = np.random.default_rng(0).random((1, 3, *size), np.float32)
        return lambda: run(planes)
    # else glibc gives large blocks back after each layer, and only large photos pay for that
    tune_malloc()
    if part == "network":
        example = torch.rand(1, 3, *size)
    else:  # the first attention block of stage 3, at stride 16
        network, example = (
            network.get_submodule("backbone.stages.3.1"),
            torch.rand(1, 64, size[0] // 16, size[1] // 16),
        )
    return torch.inference_mode()(lambda: network(example))


def measure_alone(part: str, form: str, size: tuple[int, int]) -> tuple[float, float]:
    """Return the memory of one size in MB, and about how long it takes in seconds."""
    run = make(part, form, size)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = peak_memory_mb()
    run()
    peak = peak_memory_mb()
    assert before is not None  # Linux tells
    assert peak is not None
    start = perf_counter()
    run()
    return round(peak - before, 1), perf_counter() - start


def measure_in_turns(
    part: str, form: str, sizes: list[tuple[int, int]]
) -> dict[tuple[int, int], dict[str, float]]:
    """Return the median and p95 of each size in ms."""
    return time_interleaved(
        {size: make(part, form, size) for size in sizes}, runs=TURNS[form], warmup=1
    )


def measure_curve(part: str, form: str) -> dict[str, object]:
    """Measure one form of attention from small to large, as far as time and memory reach."""
    memory: dict[tuple[int, int], float] = {}
    for size in SIZES:
        try:
            memory[size], seconds = in_own_process(measure_alone, part, form, size)
        except (
            RuntimeError
        ) as error:  # no memory left: the engine says so, or the system has ended the process
            print(f"{part}, {form}, {size}: {str(error)[-200:]}", file=sys.stderr)
            break
        if seconds * (4 if form == "softmax" else 2) > LIMIT_S:  # the next one has twice the pixels
            break
    times = in_own_process(measure_in_turns, part, form, list(memory))
    points = [
        {
            "size": size,
            "megapixels": size[0] * size[1] / 1e6,
            **times[size],
            "memory_mb": memory[size],
        }
        for size in memory
    ]
    slopes = {key: slope(points, key) for key in KEYS}
    print(part, form, slopes, flush=True)
    return {"part": part, "form": form, "slopes": slopes, "points": points}


def slope(points: list[dict[str, Any]], key: str) -> float:
    """Fit log(value) = slope * log(pixels) + constant."""
    low, high = FITTED_MEGAPIXELS
    fitted = [point for point in points if low <= point["megapixels"] <= high]
    return round(
        float(
            np.polyfit(
                np.log([p["megapixels"] for p in fitted]), np.log([p[key] for p in fitted]), 1
            )[0]
        ),
        3,
    )


def draw(curves: list[dict[str, Any]], path: Path) -> None:
    """Draw time and memory against pixels, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, key, label in zip(axes, KEYS, ("time, ms", "memory, MB"), strict=True):
        for curve in curves:
            pixels, values = zip(
                *((point["megapixels"], point[key]) for point in curve["points"]), strict=True
            )
            text = f"{curve['form']}, {curve['part']}: slope {curve['slopes'][key]:.2f}"
            axis.loglog(
                pixels,
                values,
                STYLES[curve["part"]],
                color=COLORS[curve["form"]],
                marker="o",
                markersize=4,
                label=text,
            )
        axis.set(xlabel="photo, megapixels", ylabel=label)
        axis.set_xticks(ticks := (0.1, 0.3, 1, 3, 10), [f"{tick:g}" for tick in ticks])
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    figure.suptitle(
        "EfficientViT-B0: ReLU linear attention and softmax attention in the same network"
    )
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure all curves, save results/attention_scaling.json, and draw the figure."""
    curves = [measure_curve(part, form) for part in PARTS for form in FORMS]
    print(
        save_result(
            "attention_scaling", {"variant": "b0", "precision": "float32", "curves": curves}
        )
    )
    draw(curves, Path(__file__).parent.parent / "docs/images/attention_scaling.png")


if __name__ == "__main__":
    main()
