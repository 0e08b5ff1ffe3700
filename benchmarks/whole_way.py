"""How long does a user wait, from decoded photo to full-size label map, and how much of that is the
network?

    python benchmarks/whole_way.py

The rivals are what people write by hand: the network as its authors publish it, in PyTorch or in
OpenVINO; PyTorch or OpenCV normalize before it, and interpolate all logits and take the largest
after it. Needs the bundled model, torch and onnx. Weights do not change times, so the rivals'
network has random ones.
"""

import argparse

from measure import save_result, summarize, time_interleaved
from naive import naive_network, naive_onnx, run_openvino, run_torch, with_opencv, with_pytorch

from galago import load
from galago.scenes.dataset import render_scene

SIZES = (
    (384, 480),
    (512, 1024),
    (1024, 2048),
)  # multiples of 32, so that the rivals need no padding


def measure(size: tuple[int, int], precision: str, runs: int) -> dict[str, object]:
    """Let galago and its rivals label one drawn photo in turns."""
    photo = render_scene(0, size).image
    segmenter = load("b0-camvid", engine="openvino", precision=precision)
    network = naive_network("b0", segmenter.spec.num_classes)
    in_openvino = run_openvino(naive_onnx(network, size))
    ways = {
        "pytorch": with_pytorch(run_torch(network)),
        "openvino_pytorch": with_pytorch(in_openvino),
        "openvino_opencv": with_opencv(in_openvino),
    }
    alone: list[float] = []
    rivals = {name: lambda way=way: way(photo) for name, way in ways.items()}
    times = time_interleaved(
        {"galago": lambda: alone.append(segmenter(photo).speed["infer"]), **rivals}, runs=runs
    )
    times["network"] = summarize(alone[-2 * runs :][1::2])
    ours = times["galago"]["median_ms"]
    ratios = {f"over_{name}": round(times[name]["median_ms"] / ours, 2) for name in ways}
    ratios["over_network"] = round(ours / times["network"]["median_ms"], 2)
    return {"size": size, "precision": precision, **times, **ratios}


def main() -> None:
    """Measure every size and save results/whole_way.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    from galago.runtime.engines.openvino import available_precisions

    rows = [
        measure(size, precision, runs) for precision in available_precisions() for size in SIZES
    ]
    print(save_result("whole_way", {"model": "b0-camvid", "rows": rows}))


if __name__ == "__main__":
    main()
