"""Does a network survive float16, and how near does its attention come to the largest float16
number, as trained and as exported?

    python benchmarks/float16.py [--checkpoint NAME=FILE ...] [--parity NAME ...]

Every operator computes in float32 and its result is rounded to float16, as GPUs and accelerators
do. Torch's own float16 gives the same at a hundredth of the speed. Needs torch; minutes for l1 at
2048 x 4096, a minute for b0.
"""

import argparse
import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from measure import save_result
from parity import parity_network
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from galago.export.ranges import SEED, measure_ranges
from galago.export.rewrite.attention import deploy_attention
from galago.export.rewrite.deploy import DeployedNetwork
from galago.labels import CAMVID
from galago.models.checkpoint import load_checkpoint
from galago.models.inference import normalize
from galago.models.layers import fold_norms
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec

REPOSITORY = Path(__file__).parent.parent
SIZES = ((352, 480), (512, 1024), (1024, 2048), (2048, 4096))
CASTS = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class RoundToFloat16(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's stubs lack it
    """Runs every operator on float16 tensors in float32 and rounds its result to float16."""

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Called by torch for each operator."""
        if operator in CASTS:
            return operator(*args, **(kwargs or {}))
        rounded = False

        def widen(value: object) -> object:
            nonlocal rounded
            if isinstance(value, Tensor) and value.dtype == torch.float16:
                rounded = True
                return value.float()
            return value

        result = operator(*tree_map(widen, args), **tree_map(widen, kwargs or {}))
        if not rounded:
            return result
        return tree_map(
            lambda value: (
                value.half()
                if isinstance(value, Tensor) and value.dtype == torch.float32
                else value
            ),
            result,
        )


def labels_in_float16(network: nn.Module, planes: Tensor, expected: Tensor) -> dict[str, Any]:
    """Return the share of logits that stay finite, and of labels that stay what they are."""
    half = copy.deepcopy(network).half()
    with RoundToFloat16():  # type: ignore[no-untyped-call]  # torch's stubs lack it
        logits = half(planes.half()).float()
    finite = float(logits.isfinite().float().mean())
    agree = float((logits.argmax(1) == expected.argmax(1)).float().mean())
    return {"finite": finite, "labels_agree": agree if finite == 1 else None}


@torch.inference_mode()
def measure(
    name: str, network: nn.Module, sizes: Sequence[tuple[int, int]]
) -> Iterator[dict[str, Any]]:
    """Measure one network at each size, as trained and as exported."""
    spec = ModelSpec(
        name=name, variant="b0", classes=CAMVID.names, palette=CAMVID.palette
    )  # for mean and std
    reference = fold_norms(network)
    deployed = DeployedNetwork(network, spec)
    networks = {
        "trained": deploy_attention(fold_norms(network)),
        "exported": deployed.network,
    }
    for size in sizes:
        image = torch.from_numpy(render_scene(SEED, size).image[None])
        planes = normalize(image.permute(0, 3, 1, 2), spec.mean, spec.std)
        expected = reference(planes)
        room: list[dict[str, Any]] = [
            {
                "layer": layer.trained.layer,
                "trained": layer.trained.headroom,
                "exported": layer.exported.headroom,
            }
            for layer in measure_ranges(network, deployed, spec, [size])
        ]
        row: dict[str, Any] = {"network": name, "size": size, "layers": room}
        for form, rival in networks.items():
            row[form] = {
                "headroom": min(layer[form] for layer in room),
                **labels_in_float16(rival, planes, expected),
            }
            print(name, size, form, row[form], flush=True)
        yield row


def main() -> None:
    """Measure all networks and save results/float16.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoint",
        nargs="*",
        default=[f"b0-camvid={REPOSITORY / 'checkpoints/b0-camvid.safetensors'}"],
    )
    parser.add_argument("--parity", nargs="*", default=["l1-cityscapes"])
    parser.add_argument(
        "--largest", type=int, default=4096, help="longest side to measure, in pixels"
    )
    arguments = parser.parse_args()
    sizes = tuple(size for size in SIZES if size[1] <= arguments.largest)
    networks = {
        name: load_checkpoint(Path(file))[0]
        for name, _, file in (text.partition("=") for text in arguments.checkpoint)
    }
    networks |= {f"{name} (parity weights)": parity_network(name) for name in arguments.parity}
    rows = [row for name, network in networks.items() for row in measure(name, network, sizes)]
    print(save_result("float16", {"rows": rows}))


if __name__ == "__main__":
    main()
