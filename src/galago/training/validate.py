"""Label whole photos with the network in training."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from galago.spec import SIZE_MULTIPLE


def normalize(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Bring (N, 3, H, W) uint8 images to float32 of zero mean and unit deviation: (x / 255 - mean)
    / std.
    """
    shift = torch.tensor(mean, device=images.device).view(3, 1, 1)
    scale = torch.tensor(std, device=images.device).view(3, 1, 1)
    return (images.float() / 255 - shift) / scale


def make_predict(
    network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from an (H, W, 3) uint8 image to (H, W) uint8 labels, as the exported model
    gives them.

    The photo is padded with the mean color to multiples of 32; logits grow bilinearly to its own
    size.
    """

    @torch.inference_mode()
    def predict(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        bottom, right = -height % SIZE_MULTIPLE, -width % SIZE_MULTIPLE
        padded = np.tile(
            np.array([round(255 * channel) for channel in mean], np.uint8),
            (height + bottom, width + right, 1),
        )
        padded[:height, :width] = image
        pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].to(device)
        logits = network(normalize(pixels, mean, std)).float()
        full = F.interpolate(logits, size=padded.shape[:2], mode="bilinear")[0, :, :height, :width]
        labels: np.ndarray = full.argmax(0).to(torch.uint8).cpu().numpy()
        return labels

    return predict
