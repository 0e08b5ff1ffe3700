"""int8 files from float32 ones, by the quantizers of their formats.

Blocks of the network can be left in float.

The quotient of the attention always is: its divisor spans many octaves, of which eight bits hold
eight (Trio-ViT, arXiv:2405.03882).
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
from galago.verification.float16_overflow import WEIGHT, weight_of

# Operators of the attention's quotient, and of nothing else in the network, as each format names
# them.
CORE_OPENVINO = ("MatMul", "Divide", "ReduceSum", "Clamp")
CORE_ONNX = (
    "MatMul",
    "Div",
    "ReduceSum",
    "Clip",
    "Max",
    "Add",
)  # OpenVINO 2026.4 loses 17 points with int8 sums from ONNX
CORE_LITERT = (
    "BATCH_MATMUL",
    "DIV",
    "SUM",
    "MAXIMUM",
    "RELU",
    "RESHAPE",
    "TRANSPOSE",
    "CONCATENATION",
)
SLOW_LITERT = ("HARD_SWISH",)  # in int8 none of XNNPACK's: three times as slow as all of the rest
LITERT_INPUT = "args_0"  # as litert-torch names it
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
    """
    words = (layer or "head.upsample").split(
        "."
    )  # the head's upsampling has no weights that were trained
    return ".".join(words[:4] if words[0] == "backbone" else words[:2])


def quantize_openvino(
    source: Path, target: Path, photos: Sequence[np.ndarray], keep: Collection[str]
) -> None:
    """Write an OpenVINO IR in int8 by NNCF.

    Args:
        source: float32 .xml file.
        target: .xml file to write, .bin beside it.
        photos: (1, H, W, 3) uint8 each, as the network gets them, from which the ranges of all
            activations are taken.
        keep: blocks whose convolutions stay in float.
    Raises:
        MissingDependencyError: NNCF is not installed.
    """
    from galago.runtime.engines.openvino import package, read_model

    with silent():
        nncf = nncf_package()
        model = read_model(source)
        kept = [
            node.friendly_name
            for node in model.get_ordered_ops()
            if is_convolution(node) and block_of(layer_of(node)) in keep
        ]
        scope = nncf.IgnoredScope(names=kept, types=[*CORE_OPENVINO], validate=False)
        package().save_model(_quantized(nncf, model, photos, scope), target, compress_to_fp16=False)


def quantize_onnx(
    source: Path, target: Path, photos: Sequence[np.ndarray], keep: Collection[str]
) -> None:
    """Write an ONNX file in int8 by NNCF, with QuantizeLinear and DequantizeLinear.

    As `quantize_openvino`.
    """
    onnx = require("onnx", "export")
    with silent():
        nncf = nncf_package()
        model = onnx.load(str(source))
        kept = [
            node.name
            for node in model.graph.node
            if node.op_type == "Conv" and block_of(onnx_layer(node)) in keep
        ]
        scope = nncf.IgnoredScope(names=kept, types=[*CORE_ONNX], validate=False)
        name = model.graph.input[0].name
        quantized = _quantized(nncf, model, [{name: photo} for photo in photos], scope)
        target.write_bytes(quantized.SerializeToString())


def quantize_litert(
    source: Path, target: Path, photos: Sequence[np.ndarray], keep: Collection[str]
) -> None:
    """Write a .tflite file in int8 by ai-edge-quantizer; as `quantize_openvino`."""
    types = require("ai_edge_quantizer.qtyping", "export-litert")
    recipes = require("ai_edge_quantizer.recipe", "export-litert")
    operations = types.TFLOperationName
    with silent():
        quantizer = require("ai_edge_quantizer.quantizer", "export-litert").Quantizer(str(source))
        quantizer.load_quantization_recipe(recipes.static_wi8_ai8())
        for name in (*CORE_LITERT, *SLOW_LITERT, "OUTPUT"):  # logits are float32
            quantizer.update_quantization_recipe(
                ".*", getattr(operations, name), algorithm_key="no_quantize"
            )
        for scope in map(litert_scope, keep):
            quantizer.update_quantization_recipe(
                scope, operations.ALL_SUPPORTED, algorithm_key="no_quantize"
            )
        ranges = quantizer.calibrate(
            {"serving_default": [{LITERT_INPUT: photo} for photo in photos]}
        )
        target.write_bytes(quantizer.quantize(ranges).quantized_model)


def nncf_package() -> Any:
    """Import NNCF, which reports to its maker unless what it reports with cannot be imported.

    Raises:
        MissingDependencyError: it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return require("nncf", "int8")


def _quantized(nncf: Any, model: Any, photos: Sequence[Any], scope: Any) -> Any:
    """Let NNCF quantize a model: weights symmetrically, activations as it suits them.

    Weights take half of their eight bits: on a CPU without VNNI the sum of two full products
    saturates at 16 bits.
    """
    settings = require("nncf.quantization.advanced_parameters", "int8")
    return nncf.quantize(
        model,
        nncf.Dataset(photos),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(photos),
        ignored_scope=scope,
        advanced_parameters=settings.AdvancedQuantizationParameters(
            overflow_fix=settings.OverflowFix.ENABLE
        ),
    )


def is_convolution(node: Any) -> bool:
    """Tell whether an operator of OpenVINO is a convolution."""
    return node.get_type_name() in ("Convolution", "GroupConvolution")


def layer_of(node: Any) -> str | None:
    """Return the layer whose weight an operator of OpenVINO has; None for what was not trained."""
    return next(
        (
            layer
            for entry in node.inputs()
            if (layer := weight_of(entry.get_source_output().get_node()))
        ),
        None,
    )


def onnx_layer(node: Any) -> str | None:
    """Return the layer whose weight a node of ONNX has; None for what was not trained."""
    found = WEIGHT.fullmatch(node.input[1])
    return found[1] if found else None


def litert_scope(block: str) -> str:
    """Return the pattern of names that the operators of a block have in a .tflite file."""
    words = block.split(".")
    if words[0] == "backbone":
        return rf".*Backbone_backbone/[\w.]*Sequential_{words[2]}/[\w.]*(ConvNorm|Residual|AttentionBlock)_{words[3]}[/;].*"
    return rf".*SegHead_head/[\w.]*{LITERT_HEAD[words[1]]}.*"


@contextlib.contextmanager
def silent() -> Iterator[None]:
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
