"""A network as an ONNX file that carries its own instructions."""

import logging
import warnings
from pathlib import Path

import onnx
import onnxslim
import torch
from torch import nn
from torch.export import Dim

from galago.export.rewrite.deploy import DeployedNetwork, shuffle_upsampling
from galago.spec import SIZE_MULTIPLE, ModelSpec

METADATA_KEY = "galago"  # of the ONNX file's metadata; holds the ModelSpec as JSON
TRACED_SIZE = (
    96,
    128,
)  # any multiples of 32 that differ; the file takes every size unless the spec fixes one
LARGEST_SIDE = 65536  # pixels; the converter wants a bound


def to_onnx(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write a network as ONNX: input `image` (1, H, W, 3) uint8 RGB, output `logits` (1, K, H / 8,
    W / 8) float32.

    Args:
        network: a segmentation network; left as it is.
        spec: kept in the file's metadata; its input_size fixes H and W, None leaves them free;
            float16 is that of weights and sums; for the output `labels`, (1, H, W) uint8, the file
            takes the largest logit itself.
        path: file to write.
    """
    deployed = DeployedNetwork(network, spec).eval()
    if spec.precision == "float16":
        deployed.network.half()
    height, width = spec.input_size or TRACED_SIZE
    example = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    bound = LARGEST_SIDE // SIZE_MULTIPLE
    free = {1: SIZE_MULTIPLE * Dim("rows", max=bound), 2: SIZE_MULTIPLE * Dim("columns", max=bound)}
    logging.getLogger("torch.onnx").setLevel(
        logging.ERROR
    )  # it reports that torchvision, which we do not use, is missing
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # of torch's own pytree use inside the exporter, 2.13
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.onnx.export(
            shuffle_upsampling(deployed),
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=[spec.output],
            dynamic_shapes=None if spec.input_size else (free,),
            verbose=False,
        )
    assert program is not None
    model = onnxslim.slim(program.model_proto)
    _name_output_axes(model, spec)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, spec.to_json()
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _name_output_axes(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Give the output's free axes names that a reader understands.

    The converter invents symbols.
    """
    if spec.input_size:
        return
    axes = model.graph.output[0].type.tensor_type.shape.dim
    stride = f"/{spec.output_stride}" if spec.output == "logits" else ""
    axes[-2].dim_param, axes[-1].dim_param = f"height{stride}", f"width{stride}"
    axes = model.graph.input[0].type.tensor_type.shape.dim
    axes[1].dim_param, axes[2].dim_param = "height", "width"
