"""What people write by hand around a network: float input normalized outside, bicubic Resize
inside, all logits interpolated.
"""

import io
import logging
import warnings
from collections.abc import Callable

import cv2
import numpy as np
import openvino
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from galago.models.efficientvit import build_model
from galago.models.layers import replace_modules
from galago.models.upsample import BicubicUpsample
from galago.spec import IMAGENET_MEAN, IMAGENET_STD

Network = Callable[[np.ndarray], np.ndarray]  # (1, 3, H, W) float32 to (1, K, H / 8, W / 8) float32


class ResizeOperator(nn.Module):
    """Bicubic upsampling as torch has it, which becomes a Resize operator."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, factor H, factor W)."""
        return F.interpolate(x, scale_factor=self.factor, mode="bicubic") if self.factor > 1 else x


def with_resize(network: nn.Module) -> nn.Module:
    """Put the Resize operator back into a network, in place."""
    return replace_modules(
        network, BicubicUpsample, lambda upsample: ResizeOperator(upsample.factor)
    )


def naive_network(variant: str, num_classes: int) -> nn.Module:
    """Return a network as the authors publish it, with random weights."""
    return with_resize(build_model(variant, num_classes)).eval()


def naive_onnx(network: nn.Module, size: tuple[int, int]) -> bytes:
    """Export a network as it is: float planes in, of one size."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network, (torch.zeros(1, 3, *size),), dynamo=True, verbose=False
        )
    assert program is not None
    onnx: bytes = program.model_proto.SerializeToString()
    return onnx


def run_openvino(onnx: bytes) -> Network:
    """Return a network that OpenVINO runs in float32."""
    core, settings = (
        openvino.Core(),
        {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"},
    )
    request = core.compile_model(
        core.read_model(io.BytesIO(onnx)), "CPU", settings
    ).create_infer_request()

    def run(planes: np.ndarray) -> np.ndarray:
        request.infer([planes], share_inputs=True)
        logits: np.ndarray = request.get_output_tensor(0).data
        return logits

    return run


def run_onnxruntime(onnx: bytes) -> Network:
    """Return a network that ONNX Runtime runs in float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(
        "session.force_spinning_stop", "1"
    )  # as galago does: leave the cores to what comes after
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda planes: session.run(None, {name: planes})[0]


def run_torch(network: nn.Module) -> Network:
    """Return a network that torch runs."""

    @torch.inference_mode()
    def run(planes: np.ndarray) -> np.ndarray:
        output = network(torch.from_numpy(planes))
        return (output if isinstance(output, Tensor) else output.logits).numpy()

    return run


def with_pytorch(network: Network) -> Network:
    """Return the whole way from (H, W, 3) uint8 RGB to (H, W) uint8 labels, with PyTorch around the
    network.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))

    @torch.inference_mode()
    def predict(photo: np.ndarray) -> np.ndarray:
        planes = (torch.from_numpy(photo).permute(2, 0, 1).float() / 255 - mean) / std
        logits = torch.from_numpy(network(planes[None].contiguous().numpy()))
        return (
            F.interpolate(logits, size=photo.shape[:2], mode="bilinear")
            .argmax(1)[0]
            .to(torch.uint8)
            .numpy()
        )

    return predict


def with_opencv(network: Network) -> Network:
    """Return the same with OpenCV and NumPy around the network."""

    def predict(photo: np.ndarray) -> np.ndarray:
        planes: np.ndarray = cv2.dnn.blobFromImage(
            photo, 1 / 255, mean=[255 * value for value in IMAGENET_MEAN]
        )
        planes /= np.array(IMAGENET_STD, np.float32)[:, None, None]
        size = photo.shape[1::-1]
        grown = np.stack(
            [
                cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
                for plane in network(planes)[0]
            ]
        )
        labels: np.ndarray = grown.argmax(axis=0).astype(np.uint8)
        return labels

    return predict
