"""How long does it take from logits at stride 8 to a label for every pixel: galago, and OpenCV that
interpolates everything?

    python benchmarks/label_map.py [--data CAMVID_FOLDER]

Noise is the worst case: every cell lies on a border between classes. Patches are large areas of one
class with a little noise. With --data also what the bundled model gives for the first photo of
CamVid's validation split, enlarged to 1024 x 2048.
"""

import argparse

import cv2
import numpy as np
from measure import save_result, time_interleaved

from galago import load
from galago.data import open_dataset
from galago.image import resize
from galago.runtime.labelmap.label_map import label_map

CASES = ((11, (1024, 2048)), (150, (512, 512)))  # classes, size of the label map
STRIDE = 8


def noise(shape: tuple[int, int, int]) -> np.ndarray:
    """Draw (K, h, w) float32 logits without any order."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def patches(shape: tuple[int, int, int]) -> np.ndarray:
    """Draw (K, h, w) float32 logits of large areas."""
    small = noise((shape[0], shape[1] // 12, shape[2] // 12))
    return np.stack(
        [cv2.resize(plane, shape[:0:-1], interpolation=cv2.INTER_CUBIC) for plane in small]
    ) + 0.1 * noise(shape)


def interpolate_all(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Label every pixel the plain way: OpenCV grows each class, NumPy takes the largest."""
    grown = np.stack(
        [cv2.resize(plane, size[::-1], interpolation=cv2.INTER_LINEAR) for plane in logits]
    )
    labels: np.ndarray = grown.argmax(axis=0).astype(np.uint8)
    return labels


def real(data: str, size: tuple[int, int]) -> np.ndarray:
    """Return the (K, h, w) float32 logits of a photo."""
    return load("b0-camvid").logits(resize(open_dataset(data, "val")[0].image, size))


def measure(name: str, logits: np.ndarray, size: tuple[int, int], runs: int) -> dict[str, object]:
    """Time the ways from logits to labels of one size."""
    scale = (1 / STRIDE, 1 / STRIDE)
    rivals = {
        "galago": lambda: label_map(logits, size, scale),
        "galago_bicubic": lambda: label_map(logits, size, scale, "bicubic"),
        "opencv": lambda: interpolate_all(logits, size),
    }
    return {
        "logits": name,
        "classes": len(logits),
        "size": size,
        **time_interleaved(rivals, runs=runs, warmup=1),
    }


def main() -> None:
    """Measure every case and save results/label_map.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--data", help="folder of CamVid, with val.txt in it")
    arguments = parser.parse_args()
    cases = (
        [("a real photo", real(arguments.data, CASES[0][1]), CASES[0][1])] if arguments.data else []
    )
    for num_classes, size in CASES:
        shape = (num_classes, size[0] // STRIDE, size[1] // STRIDE)
        cases += [("patches", patches(shape), size), ("noise", noise(shape), size)]
    rows = [measure(name, logits, size, arguments.runs) for name, logits, size in cases]
    print(save_result("label_map", {"stride": STRIDE, "rows": rows}))


if __name__ == "__main__":
    main()
