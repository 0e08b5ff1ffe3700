"""A network as OpenVINO IR: model.xml, the graph, and model.bin, its weights."""

import tempfile
from pathlib import Path

from galago.errors import require
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.onnx import write_onnx
from galago.spec import ModelSpec


def write_openvino(deployed: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write a network as OpenVINO IR, converted from the ONNX file, with the same contract.

    In float16 weights and graph are float16; a CPU computes them in float32 all the same, a GPU in
    float16.

    Args:
        deployed: the network; left as it is.
        spec: see `write_onnx`.
        path: the .xml file to write; the .bin file is written beside it.
    """
    from galago.runtime.engines.openvino import package, read_model
    from galago.runtime.engines.trial import vouch

    transformations = require("openvino._offline_transformations", "openvino")
    with tempfile.TemporaryDirectory() as temporary:
        onnx = Path(temporary) / "model.onnx"
        write_onnx(deployed, spec, onnx)
        vouch(onnx)
        model = read_model(onnx)
        # what reading ONNX does, so that the IR is as fast
        transformations.apply_moc_transformations(model, False)
        package().save_model(model, path, compress_to_fp16=False)
