"""Does every file format give what torch gives: trained networks, and the structure of a large one?

    python benchmarks/agreement.py [--checkpoint NAME=FILE ...] [--parity NAME ...]

Each network is written in every format, in float32, and runs on a drawn photo of 512 x 1024 in
every engine that is installed. Needs torch and all converters; some ten minutes.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from measure import save_result
from parity import parity_network
from torch import nn

from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.table import WRITERS
from galago.labels import CAMVID
from galago.models.checkpoint import load_checkpoint
from galago.models.inference import TorchEngine
from galago.runtime.engines.table import ENGINES, installed_engines, open_engine
from galago.scenes.dataset import render_scene
from galago.spec import ModelSpec

REPOSITORY = Path(__file__).parent.parent
SIZE = (512, 1024)
SEED = 0


def measure(name: str, network: nn.Module, folder: Path) -> list[dict[str, object]]:
    """Write one network in every format and compare each file in each engine with torch."""
    spec = ModelSpec(
        name=name,
        variant="b0",
        classes=CAMVID.names,
        palette=CAMVID.palette,
        input_size=SIZE,
        resize="stretch",
    )
    photo = render_scene(SEED, SIZE).image[None]
    expected = TorchEngine(network, spec).run(photo)
    rows: list[dict[str, object]] = []
    deployed = DeployedNetwork(network, spec)
    for format, writer in WRITERS.items():
        file = folder / writer.files[0]
        writer.write(deployed, spec, file)
        for engine in installed_engines([file.name]):
            given = open_engine(file, engine).run(photo)
            error = float(np.linalg.norm(given - expected) / np.linalg.norm(expected))
            agree = float((given.argmax(1) == expected.argmax(1)).mean())
            rows.append(
                {
                    "network": name,
                    "format": format,
                    "engine": engine,
                    "relative_error": error,
                    "labels_agree": agree,
                }
            )
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure all networks and save results/agreement.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoint",
        nargs="*",
        default=[f"b0-camvid={REPOSITORY / 'checkpoints/b0-camvid.safetensors'}"],
    )
    parser.add_argument("--parity", nargs="*", default=["l1-cityscapes"])
    arguments = parser.parse_args()
    networks = {
        name: load_checkpoint(Path(file))[0]
        for name, _, file in (text.partition("=") for text in arguments.checkpoint)
    }
    networks |= {f"{name} (parity weights)": parity_network(name) for name in arguments.parity}
    rows = []
    for name, network in networks.items():
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(name, network, Path(folder))
    print(save_result("agreement", {"size": SIZE, "engines": sorted(ENGINES), "rows": rows}))


if __name__ == "__main__":
    main()
