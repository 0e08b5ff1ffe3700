"""A network as a .tflite file for LiteRT."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from galago.errors import require
from galago.export.rewrite.deploy import DEFAULT_SIZE, DeployedNetwork
from galago.spec import ModelSpec


def write_litert(deployed: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write a network for LiteRT: input (1, H, W, 3) uint8 RGB, output (1, K, H / 8, W / 8) float32
    logits or (1, H, W) labels.

    Args:
        deployed: the network; left as it is.
        spec: its input_size is the one (height, width) that the file takes, `DEFAULT_SIZE` if it
            has none; float16 is the precision of the weights, the device decides that of the sums.
        path: file to write.
    Raises:
        MissingDependencyError: the converter is not installed.
    """
    example = torch.zeros(1, *(spec.input_size or DEFAULT_SIZE), 3, dtype=torch.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet():
        warnings.simplefilter("ignore")  # of the converter's own calls
        converter = require("litert_torch", "export-litert")
        converter.convert(copy.deepcopy(deployed), (example,)).export(str(path))
        if spec.precision == "float16":
            _store_weights_in_float16(path)


def _store_weights_in_float16(path: Path) -> None:
    """Store the weights of a .tflite file in float16, in place.

    They are cast to float32 where they are used.
    """
    types = require("ai_edge_quantizer.qtyping", "export-litert")
    float16 = types.TensorQuantizationConfig(num_bits=16, dtype=types.TensorDataType.FLOAT)
    config = types.OpQuantizationConfig(
        weight_tensor_config=float16,
        compute_precision=types.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    quantizer = require("ai_edge_quantizer.quantizer", "export-litert").Quantizer(str(path))
    quantizer.update_quantization_recipe(
        ".*", types.TFLOperationName.ALL_SUPPORTED, config, "float_casting"
    )
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        content = quantizer.quantize().quantized_model
    path.write_bytes(content)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converter's steps off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
