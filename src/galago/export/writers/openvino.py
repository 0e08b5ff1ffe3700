"""A network as OpenVINO IR: model.xml, the graph, and model.bin, its weights."""

import tempfile
from pathlib import Path

from torch import nn

from galago.errors import require
from galago.export.writers.onnx import to_onnx
from galago.spec import ModelSpec


def to_openvino(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write a network as OpenVINO IR, by way of the ONNX file, whose contract it has.

    In float16 weights and graph are float16; a CPU computes them in float32 all the same, a GPU in
    float16.

    Args:
        network: a segmentation network; left as it is.
        spec: as for `to_onnx`.
        path: the .xml file to write; the .bin file lies beside it.
    """
    from galago.runtime.engines.openvino import package, read_model
    from galago.runtime.engines.trial import vouch

    transformations = require("openvino._offline_transformations", "openvino")
    with tempfile.TemporaryDirectory() as temporary:
        onnx = Path(temporary) / "model.onnx"
        to_onnx(network, spec, onnx)
        vouch(onnx)
        model = read_model(onnx)
        transformations.apply_moc_transformations(
            model, False
        )  # as on reading ONNX, so that the IR is as fast
        package().save_model(model, path, compress_to_fp16=False)
