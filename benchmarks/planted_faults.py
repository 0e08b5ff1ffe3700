"""Does `galago verify` find faults that are planted in a model folder, and does it name the layer?

python benchmarks/planted_faults.py [--model FOLDER] [--layers 300] [--engine onnxruntime]

Single-layer faults change one constant of the ONNX graph: weights times 1.01, 1.05 or 1.2, zero,
two output channels swapped, the sign of one channel, no bias. A fault that does not change what the
network gives is no fault: scaled queries cancel in the quotient of the attention. Further faults
change model.json, the description inside the file, or the graph as a whole; checksums are made to
fit. Nothing is compared with a checkpoint: golden/ alone has to do.
"""

import argparse
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from measure import save_result
from onnx import helper, numpy_helper

from galago.pretrained.resolve import ASSETS
from galago.spec import ModelSpec
from galago.verification import Report, verify
from galago.verification.golden import read_golden

SEED = 7
# relative change of the golden logits, from which on a fault is one: the tolerance of float32
CHANGED = 1e-4
LAYER = re.compile(r"network\.((?:backbone|head)\..+)\.(weight|bias)")
WEIGHT_FAULTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "x1.01": lambda w: 1.01 * w,
    "x1.05": lambda w: 1.05 * w,
    "x1.2": lambda w: 1.2 * w,
    "zero": lambda w: 0 * w,
    "channels swapped": lambda w: w[[1, 0, *range(2, len(w))]],
    "sign of a channel": lambda w: np.concatenate([-w[:1], w[1:]]),
}


class Folder:
    """A copy of a model folder in which faults are planted, one after the other."""

    def __init__(self, source: Path, place: Path, engine: str) -> None:
        self.source, self.engine = source, engine
        self.path = Path(shutil.copytree(source, place / "model"))
        self.graph = onnx.load(source / "model.onnx")
        self.text = json.loads((source / "model.json").read_text())
        self.layers = [layer.name for layer in read_golden(source).layers]

    def plant(self, model: Any = None, text: Mapping[str, Any] | None = None) -> Report:
        """Write a changed graph or description, verify the folder, and return what is found."""
        content = (model or self.graph).SerializeToString()
        (self.path / "model.onnx").write_bytes(content)
        sums = self.text["files"] | {"model.onnx": hashlib.sha256(content).hexdigest()}
        (self.path / "model.json").write_text(
            json.dumps(self.text | dict(text or {}) | {"files": sums})
        )
        return verify(str(self.path), engines=[self.engine])

    def changed(self, name: str, make: Callable[[np.ndarray], np.ndarray]) -> Any:
        """Return the graph with one constant changed."""
        model = copy_of(self.graph)
        tensor = next(item for item in model.graph.initializer if item.name == name)
        values = make(numpy_helper.to_array(tensor)).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, name))
        return model

    def block_of(self, layer: str) -> str:
        """Return the smallest recorded layer that a layer is part of."""
        return max((block for block in self.layers if f"{layer}.".startswith(f"{block}.")), key=len)


def copy_of(model: Any) -> Any:
    """Return a copy of an ONNX model."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def single_layers(folder: Folder, count: int) -> list[dict[str, Any]]:
    """Plant faults in single layers, a part of all drawn at random, every layer in turn.

    Return one row each.
    """
    names = [
        tensor.name for tensor in folder.graph.graph.initializer if LAYER.fullmatch(tensor.name)
    ]
    faults = [
        (name, kind)
        for name in names
        for kind in (WEIGHT_FAULTS if name.endswith(".weight") else ("bias dropped",))
    ]
    chosen = np.random.default_rng(SEED).permutation(len(faults))[:count]
    rows = []
    for name, kind in (faults[index] for index in sorted(chosen)):
        found = LAYER.fullmatch(name)
        assert found
        report = folder.plant(folder.changed(name, WEIGHT_FAULTS.get(kind, np.zeros_like)))
        (file,) = report.files
        error = file.checks[0].difference.relative_error
        rows.append(
            {
                "layer": found[1],
                "kind": kind,
                "error": error,
                "is_fault": error is None or not error <= CHANGED,
                "found": not report.ok,
                "layer_found": file.layer,
                "expected": folder.block_of(found[1]),
                "cause": file.cause,
            },
        )
    return rows


def description_faults(text: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what can be wrong in a description: F2, F3 and F5 of the list of faults."""
    classes = [*text["classes"]]
    swapped = [classes[1], classes[0], *classes[2:]]
    return {
        "stretch to the golden size": {
            "resize": "stretch",
            "input_size": [192, 256],
            "short_side": None,
        },
        "stretch to another size": {
            "resize": "stretch",
            "input_size": [96, 128],
            "short_side": None,
        },
        "input size alone": {"input_size": [192, 256]},
        "short side of the golden image": {"resize": "short_side", "short_side": 192},
        "another short side": {"resize": "short_side", "short_side": 512},
        "class order": {"classes": swapped},
        "palette": {"palette": text["palette"][::-1]},
        "mean": {"mean": [0.5, 0.5, 0.5]},
        "std": {"std": [0.5, 0.5, 0.5]},
        "upsampling": {"upsampling": "bicubic"},
        "output stride": {"output_stride": 4},
        "output": {"output": "labels"},
        "ignore id": {"ignore_id": 0},
        "network": {"variant": "b1"},
        "int8": {"precision": "int8"},
        "float16": {"precision": "float16"},
        "bfloat16": {"precision": "bfloat16"},
    }


def with_description(folder: Folder, change: Mapping[str, Any]) -> Any:
    """Return the graph with a changed description inside."""
    model = copy_of(folder.graph)
    (entry,) = [entry for entry in model.metadata_props if entry.key == "galago"]
    entry.value = ModelSpec.from_json(json.dumps(json.loads(entry.value) | dict(change))).to_json()
    return model


def without_guards(folder: Folder) -> Any:
    """Return the graph without the smallest divisor of its attentions: F6."""
    model = copy_of(folder.graph)
    guards = [node for node in model.graph.node if node.op_type in ("Clip", "Max")]
    for node in guards:
        for other in model.graph.node:
            for index, name in enumerate(other.input):
                if name == node.output[0]:
                    other.input[index] = node.input[0]
        model.graph.node.remove(node)
    return model


def normalized_twice(folder: Folder) -> Any:
    """Return the graph with the normalization of the image doubled."""
    model = copy_of(folder.graph)
    place, last = next(
        (index, node) for index, node in enumerate(model.graph.node) if "deviation" in node.input
    )
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == last.output[0]:
                node.input[index] = "twice"
    model.graph.node.insert(place + 1, helper.make_node("Sub", [last.output[0], "mean"], ["again"]))
    model.graph.node.insert(place + 2, helper.make_node("Div", ["again", "deviation"], ["twice"]))
    return model


def whole_folder(folder: Folder) -> list[dict[str, Any]]:
    """Plant what is no fault of one layer; return one row each."""
    rows = []

    def add(group: str, name: str, report: Report) -> None:
        told = [
            *report.description,
            *(failure for file in report.files for failure in file.failures),
        ]
        rows.append({"group": group, "name": name, "found": not report.ok, "told": told[:3]})

    for name, change in description_faults(folder.text).items():
        add("model.json", name, folder.plant(text=change))
        add("model.onnx", name, folder.plant(with_description(folder, change)))
    layers = [
        tensor.name
        for tensor in folder.graph.graph.initializer
        if tensor.name.endswith("conv.weight")
    ]
    for factor in (1.05, 1.2):
        for name in layers[:: max(1, len(layers) // 3)][:3]:
            model = folder.changed(name, partial(np.multiply, factor))
            add(
                "precision",
                f"{name} x{factor}, said to be int8",
                folder.plant(model, {"precision": "int8"}),
            )
    add("graph", "guards of the divisor", folder.plant(without_guards(folder)))
    add("graph", "normalized twice", folder.plant(normalized_twice(folder)))
    return rows


def main() -> None:
    """Plant the faults, print what is missed, and save results/planted_faults.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", type=Path, default=ASSETS / "b0-camvid", help="model folder with model.onnx"
    )
    parser.add_argument("--layers", type=int, default=300, help="number of single-layer faults")
    parser.add_argument("--engine", default="onnxruntime", help="engine that runs the file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(arguments.model, Path(place), arguments.engine)
        alarm = not folder.plant().ok
        whole = whole_folder(folder)
        layers = single_layers(folder, arguments.layers)
    faults = [row for row in layers if row["is_fault"]]
    found = [row for row in faults if row["found"]]
    right = [row for row in found if row["layer_found"] == row["expected"]]
    summary = {
        "model": arguments.model.name,
        "engine": arguments.engine,
        "seed": SEED,
        "planted_in_layers": len(layers),
        "faults": len(faults),
        "found": len(found),
        "stage_right": len(right),
        "stage_none": sum(row["layer_found"] is None for row in found),
        "whole": len(whole),
        "whole_found": sum(row["found"] for row in whole),
        "false_alarm_without_fault": alarm,
    }
    for row in [
        *(row for row in found if row not in right),
        *(row for row in faults + whole if not row["found"]),
    ]:
        print(row)
    print(summary)
    print(save_result("planted_faults", summary | {"whole_rows": whole, "rows": layers}))


if __name__ == "__main__":
    main()
