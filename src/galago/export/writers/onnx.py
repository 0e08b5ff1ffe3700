"""A network as an ONNX file that carries its own description."""

import copy
import logging
import warnings
from pathlib import Path
from typing import Any

import onnx
import onnxslim
import torch
from torch.export import Dim

from galago.export.rewrite.deploy import DeployedNetwork, shuffle_upsampling
from galago.runtime.model_folder import METADATA_KEY
from galago.spec import SIZE_MULTIPLE, ModelSpec

# any multiples of 32 that differ; the file takes every size unless the spec fixes one
TRACED_SIZE = (96, 128)
LARGEST_SIDE = 65536  # pixels; the converter needs a bound


def write_onnx(deployed: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write a network as ONNX: input `image` (1, H, W, 3) uint8 RGB, output `logits` (1, K, H / 8,
    W / 8) float32 or `labels` (1, H, W) uint8.

    Args:
        deployed: the network; left as it is.
        spec: kept in the file's metadata; its input_size fixes H and W, None leaves them free;
            float16 is the precision of weights and sums.
        path: file to write.
    """
    network = shuffle_upsampling(copy.deepcopy(deployed))
    if spec.precision == "float16":
        network.get_submodule("network").half()
    example = torch.zeros(1, *(spec.input_size or TRACED_SIZE), 3, dtype=torch.uint8)
    # it reports that torchvision, which we do not use, is missing
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # of torch's own pytree use inside the exporter, 2.13
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=[spec.output],
            dynamic_shapes=dynamic_shapes(spec),
            verbose=False,
        )
    assert program is not None
    model = onnxslim.slim(program.model_proto)
    _name_free_axes(model, spec)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, spec.to_json()
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def dynamic_shapes(spec: ModelSpec) -> tuple[dict[int, Any]] | None:
    """Return which axes of the image are free, for torch's exporters; None where none is."""
    if spec.input_size:
        return None
    largest = LARGEST_SIDE // SIZE_MULTIPLE
    return (
        {
            1: SIZE_MULTIPLE * Dim("rows", max=largest),
            2: SIZE_MULTIPLE * Dim("columns", max=largest),
        },
    )


def _name_free_axes(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Give the free axes names that a reader understands: the converter invents symbols."""
    if spec.input_size:
        return
    axes = model.graph.output[0].type.tensor_type.shape.dim
    stride = f"/{spec.output_stride}" if spec.output == "logits" else ""
    axes[-2].dim_param, axes[-1].dim_param = f"height{stride}", f"width{stride}"
    axes = model.graph.input[0].type.tensor_type.shape.dim
    axes[1].dim_param, axes[2].dim_param = "height", "width"
