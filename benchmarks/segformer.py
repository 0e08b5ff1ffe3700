"""EfficientViT beside SegFormer-B0 of transformers, in the same engines: the network alone, and
from decoded photo to label map.

    pip install transformers -c constraints.txt
    python benchmarks/segformer.py

19 classes, random weights, which do not change times. After SegFormer, PyTorch interpolates all
logits and takes the largest, as `post_process_semantic_segmentation` of transformers does.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from measure import save_result, time_interleaved
from naive import naive_onnx, run_onnxruntime, run_openvino, run_torch, with_pytorch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.onnx import write_onnx
from galago.models.efficientvit import build_model
from galago.models.inference import TorchEngine
from galago.runtime.engines.table import open_engine
from galago.runtime.segmenter import Segmenter
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec

SIZES = ((512, 1024), (1024, 2048))
NUM_CLASSES = 19
GRAYS = tuple((12 * index, 12 * index, 12 * index) for index in range(NUM_CLASSES))
Ways = dict[
    str, tuple[Callable[[], object], Callable[[], object]]
]  # by engine: the network alone, and the whole way


class SegFormer(nn.Module):
    """SegFormer-B0, whose settings are the defaults of transformers, giving nothing but logits at
    stride 4.
    """

    def __init__(self) -> None:
        super().__init__()
        from transformers import SegformerConfig, SegformerForSemanticSegmentation

        config = SegformerConfig()
        config.num_labels = NUM_CLASSES
        self.network = SegformerForSemanticSegmentation(config)

    def forward(self, planes: Tensor) -> Tensor:
        """Map (1, 3, H, W) float32 to (1, K, H / 4, W / 4)."""
        logits: Tensor = self.network(planes).logits
        return logits


def segformer_ways(network: nn.Module, photo: np.ndarray) -> Ways:
    """Return what runs SegFormer on a photo."""
    planes = np.zeros((1, 3, *photo.shape[:2]), np.float32)
    onnx = naive_onnx(network, photo.shape[:2])
    engines = {
        "openvino": run_openvino(onnx),
        "onnxruntime": run_onnxruntime(onnx),
        "torch": run_torch(network),
    }
    return {
        name: (partial(run, planes), partial(with_pytorch(run), photo))
        for name, run in engines.items()
    }


def galago_ways(variant: str, network: nn.Module, folder: Path, photo: np.ndarray) -> Ways:
    """Return what runs EfficientViT on a photo."""
    names = tuple(f"class {index}" for index in range(NUM_CLASSES))
    spec = ModelSpec(
        name=variant, variant=variant, classes=names, palette=GRAYS, upsampling="bilinear"
    )
    write_onnx(DeployedNetwork(network, spec), spec, folder / "model.onnx")
    engines = {
        name: open_engine(folder / "model.onnx", name) for name in ("openvino", "onnxruntime")
    }
    engines["torch"] = TorchEngine(network, spec)
    return {
        name: (partial(engine.run, photo[None]), partial(Segmenter(engine, spec), photo))
        for name, engine in engines.items()
    }


def count(network: nn.Module, size: tuple[int, int]) -> dict[str, float]:
    """Return millions of parameters, and billions of multiply-adds."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, *size))
    parameters = sum(values.numel() for values in network.parameters())
    return {
        "parameters_m": round(parameters / 1e6, 2),
        "gmac": round(counter.get_total_flops() / 2e9, 2),
    }


def measure(name: str, size: tuple[int, int], runs: int) -> list[dict[str, object]]:
    """Time one network at one size, all engines in turns."""
    torch.manual_seed(0)
    network = (SegFormer() if name == "segformer-b0" else build_model(name, NUM_CLASSES)).eval()
    photo = render_scene(0, size).image
    with tempfile.TemporaryDirectory() as folder:
        ways = (
            segformer_ways(network, photo)
            if name == "segformer-b0"
            else galago_ways(name, network, Path(folder), photo)
        )
        rivals = {
            (engine, part): way for engine, both in ways.items() for part, way in enumerate(both)
        }
        times = time_interleaved(rivals, runs=runs, warmup=2)
    about = {"network": name, "size": size, **count(network, size)}
    return [
        {**about, "engine": engine, "alone": times[engine, 0], "whole_way": times[engine, 1]}
        for engine in ways
    ]


def main() -> None:
    """Measure and save results/segformer.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    rows = [
        row
        for size in SIZES
        for name in ("b0", "b1", "segformer-b0")
        for row in measure(name, size, runs)
    ]
    print(save_result("segformer", {"precision": "float32", "classes": NUM_CLASSES, "rows": rows}))


if __name__ == "__main__":
    main()
