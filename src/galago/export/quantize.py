"""int8 files from float32 ones, by the quantizers of their formats.

Blocks of the network can be left in float. The quotient of the attention always is: its divisor
spans many octaves, of which eight bits hold eight (Trio-ViT, arXiv:2405.03882).
"""

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from galago.errors import require
from galago.models.attention import AttentionBlock
from galago.models.layers import ConvNorm, ResidualBlock
from galago.verification.float16_overflow import WEIGHT, weight_of

# Operators of the attention's quotient, and of nothing else in the network, in the names of each
# format.
CORE_OPENVINO = ("MatMul", "Divide", "ReduceSum", "Clamp")
# with Add: OpenVINO 2026.4 loses 17 points with int8 sums from ONNX
CORE_ONNX = ("MatMul", "Div", "ReduceSum", "Clip", "Max", "Add")
CORE_LITERT = (
    *("BATCH_MATMUL", "DIV", "SUM", "MAXIMUM"),
    *("RELU", "RESHAPE", "TRANSPOSE", "CONCATENATION"),
)
# XNNPACK does not support it in int8, where it takes three times as long as all of the rest
SLOW_LITERT = ("HARD_SWISH",)
LITERT_INPUT = "args_0"  # litert-torch's name
LITERT_HEAD = {  # parts of the head in LiteRT's names
    "inputs": r"ConvNorm_\d",
    "upsample": r"BicubicUpsample_\d",
    "middle": "Sequential_middle",
    "expand": "ConvNorm_expand",
    "classify": "Conv2d_classify",
}
Quantize = Callable[[Path, Path, Sequence[np.ndarray], Collection[str]], None]


def block_of(layer: str | None) -> str:
    """Return the block that a layer belongs to: of the backbone one residual block, of the head one
    part.

    A layer without trained weights, None, belongs to the head's upsampling.
    """
    parts = (layer or "head.upsample").split(".")
    return ".".join(parts[:4] if parts[0] == "backbone" else parts[:2])


def quantize_openvino(
    source: Path, target: Path, images: Sequence[np.ndarray], float_blocks: Collection[str]
) -> None:
    """Write an OpenVINO IR in int8 by NNCF.

    Args:
        source: float32 .xml file.
        target: .xml file to write, .bin beside it.
        images: (1, H, W, 3) uint8 each, resized and padded for the network, from which the ranges
            of all activations are taken.
        float_blocks: blocks whose convolutions stay in float.
    Raises:
        MissingDependencyError: NNCF is not installed.
    """
    from galago.runtime.engines.openvino import package, read_model

    with _silent():
        nncf = nncf_package()
        model = read_model(source)
        in_float = [
            node.friendly_name
            for node in model.get_ordered_ops()
            if node.get_type_name() in ("Convolution", "GroupConvolution")
            and block_of(_layer_of(node)) in float_blocks
        ]
        scope = nncf.IgnoredScope(names=in_float, types=[*CORE_OPENVINO], validate=False)
        quantized = _quantize(nncf, model, images, scope)
        package().save_model(quantized, target, compress_to_fp16=False)


def quantize_onnx(
    source: Path, target: Path, images: Sequence[np.ndarray], float_blocks: Collection[str]
) -> None:
    """Write an ONNX file in int8 by NNCF, with QuantizeLinear and DequantizeLinear.

    Arguments and errors are those of `quantize_openvino`.
    """
    onnx = require("onnx", "export")
    with _silent():
        nncf = nncf_package()
        model = onnx.load(str(source))
        in_float = [
            node.name
            for node in model.graph.node
            if node.op_type == "Conv" and block_of(_onnx_layer_of(node)) in float_blocks
        ]
        scope = nncf.IgnoredScope(names=in_float, types=[*CORE_ONNX], validate=False)
        name = model.graph.input[0].name
        quantized = _quantize(nncf, model, [{name: image} for image in images], scope)
        target.write_bytes(quantized.SerializeToString())


def quantize_litert(
    source: Path, target: Path, images: Sequence[np.ndarray], float_blocks: Collection[str]
) -> None:
    """Write a .tflite file in int8 by ai-edge-quantizer.

    Arguments are those of `quantize_openvino`.

    Raises:
        MissingDependencyError: ai-edge-quantizer is not installed.
    """
    types = require("ai_edge_quantizer.qtyping", "export-litert")
    recipes = require("ai_edge_quantizer.recipe", "export-litert")
    operations = types.TFLOperationName
    with _silent():
        quantizer = require("ai_edge_quantizer.quantizer", "export-litert").Quantizer(str(source))
        quantizer.load_quantization_recipe(recipes.static_wi8_ai8())
        for name in (*CORE_LITERT, *SLOW_LITERT, "OUTPUT"):  # logits are float32
            quantizer.update_quantization_recipe(
                ".*", getattr(operations, name), algorithm_key="no_quantize"
            )
        for scope in map(_litert_scope, float_blocks):
            quantizer.update_quantization_recipe(
                scope, operations.ALL_SUPPORTED, algorithm_key="no_quantize"
            )
        ranges = quantizer.calibrate(
            {"serving_default": [{LITERT_INPUT: image} for image in images]}
        )
        target.write_bytes(quantizer.quantize(ranges).quantized_model)


def nncf_package() -> Any:
    """Import NNCF without its telemetry package, with which it sends reports.

    Raises:
        MissingDependencyError: it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return require("nncf", "int8")


def _quantize(nncf: Any, model: Any, images: Sequence[Any], scope: Any) -> Any:
    """Return a model quantized by NNCF: weights symmetrically, activations symmetrically or not.

    Weights take half of their eight bits: on a CPU without VNNI the sum of two full products
    saturates at 16 bits.
    """
    settings = require("nncf.quantization.advanced_parameters", "int8")
    return nncf.quantize(
        model,
        nncf.Dataset(images),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=scope,
        advanced_parameters=settings.AdvancedQuantizationParameters(
            overflow_fix=settings.OverflowFix.ENABLE
        ),
    )


def _layer_of(node: Any) -> str | None:
    """Return the layer whose weight an operator of OpenVINO has; None where it was not trained."""
    for entry in node.inputs():
        if layer := weight_of(entry.get_source_output().get_node()):
            return layer
    return None


def _onnx_layer_of(node: Any) -> str | None:
    """Return the layer whose weight a node of ONNX has; None where it was not trained."""
    match = WEIGHT.fullmatch(node.input[1])
    return match[1] if match else None


def _litert_scope(block: str) -> str:
    """Return the pattern of names that the operators of a block have in a .tflite file."""
    parts = block.split(".")
    if parts[0] == "backbone":
        kinds = "|".join(kind.__name__ for kind in (ConvNorm, ResidualBlock, AttentionBlock))
        stage = rf"Backbone_backbone/[\w.]*Sequential_{parts[2]}"
        return rf".*{stage}/[\w.]*({kinds})_{parts[3]}[/;].*"
    return rf".*SegHead_head/[\w.]*{LITERT_HEAD[parts[1]]}.*"


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep progress bars and reports of the quantizers off the terminal."""
    before, logging.root.manager.disable = logging.root.manager.disable, logging.WARNING
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.root.manager.disable = before


QUANTIZERS: Mapping[str, Quantize] = {
    "openvino": quantize_openvino,
    "onnx": quantize_onnx,
    "litert": quantize_litert,
}
