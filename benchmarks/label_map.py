"""How long does it take from logits at stride 8 to a label for every pixel: galago, and OpenCV that interpolates everything?

    python benchmarks/label_map.py

Noise is the worst case: every cell lies on a border between classes. Patches are large areas of one class with a little
noise, as a network gives them.
"""

import argparse

import cv2
import numpy as np
from measure import save_result, take_turns

from galago.runtime.upsample import label_map

CASES = ((11, (1024, 2048)), (150, (512, 512)))  # classes, size of the label map
STRIDE = 8


def noise(shape: tuple[int, int, int]) -> np.ndarray:
    """Draw (K, h, w) float32 logits without any order."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def patches(shape: tuple[int, int, int]) -> np.ndarray:
    """Draw (K, h, w) float32 logits of large areas."""
    small = noise((shape[0], shape[1] // 12, shape[2] // 12))
    return np.stack([cv2.resize(plane, shape[:0:-1], interpolation=cv2.INTER_CUBIC) for plane in small]) + 0.1 * noise(shape)


def interpolate_all(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Label every pixel the plain way: OpenCV grows each class, NumPy takes the largest."""
    grown = np.stack([cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in logits])
    return grown.argmax(axis=0).astype(np.uint8)


def measure(num_classes: int, size: tuple[int, int], runs: int) -> list[dict[str, object]]:
    """Time one size on both kinds of logits."""
    shape, scale = (num_classes, size[0] // STRIDE, size[1] // STRIDE), (1 / STRIDE, 1 / STRIDE)
    rows = []
    for draw in (patches, noise):
        logits = draw(shape)
        rivals = {
            "galago": lambda logits=logits: label_map(logits, size, scale),
            "galago_bicubic": lambda logits=logits: label_map(logits, size, scale, "bicubic"),
            "opencv": lambda logits=logits: interpolate_all(logits, size),
        }
        rows.append({"logits": draw.__name__, "classes": num_classes, "size": size, **take_turns(rivals, runs=runs, warmup=1)})
    return rows


def main() -> None:
    """Measure every case and save results/label_map.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    rows = [row for num_classes, size in CASES for row in measure(num_classes, size, runs)]
    print(save_result("label_map", {"stride": STRIDE, "rows": rows}))


if __name__ == "__main__":
    main()
