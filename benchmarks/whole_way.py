"""How long does a user wait, from decoded photo to full-size label map, and how much of that is the network?

    python benchmarks/whole_way.py

The rival is what people write by hand: PyTorch normalizes, runs the network, interpolates all logits to the photo's size, takes
the largest. Needs the bundled model and torch. Weights do not change times, so the rival's network has random ones.
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from measure import save_result, summarize, take_turns

from galago import load
from galago.data.scenes import draw_scene
from galago.models.efficientvit import build_model
from galago.spec import IMAGENET_MEAN, IMAGENET_STD

SIZES = ((384, 480), (512, 1024), (1024, 2048))  # multiples of 32, so that the rival needs no padding


def plain_pytorch(num_classes: int):
    """Return a function from a photo to its label map, as PyTorch users write it."""
    network = build_model("b0", num_classes).eval()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))

    @torch.inference_mode()
    def predict(photo: np.ndarray) -> np.ndarray:
        pixels = (torch.from_numpy(photo).permute(2, 0, 1).float() / 255 - mean) / std
        logits = F.interpolate(network(pixels[None]), size=photo.shape[:2], mode="bilinear")
        return logits.argmax(1)[0].to(torch.uint8).numpy()

    return predict


def measure(size: tuple[int, int], runs: int) -> dict[str, object]:
    """Let galago and plain PyTorch label one drawn photo in turns."""
    photo = draw_scene(0, size).image
    segmenter = load("b0-camvid")
    rival = plain_pytorch(segmenter.spec.num_classes)
    network: list[float] = []

    def ours() -> None:
        network.append(segmenter(photo).speed["infer"])

    times = take_turns({"galago": ours, "pytorch": lambda: rival(photo)}, runs=runs)
    times["network"] = summarize(network[-runs:])
    return {"size": size, **times}


def main() -> None:
    """Measure every size and save results/whole_way.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    rows = [measure(size, parser.parse_args().runs) for size in SIZES]
    print(save_result("whole_way", {"model": "b0-camvid", "precision": "float32", "rows": rows}))


if __name__ == "__main__":
    main()
