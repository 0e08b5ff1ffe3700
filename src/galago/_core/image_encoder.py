"""Images to the bytes of a file."""

import cv2
import numpy as np

JPEG_QUALITY = 92
JPEG_SUFFIXES = (".jpg", ".jpeg")


def encode(image: np.ndarray, suffix: str, *, jpeg_quality: int = JPEG_QUALITY) -> bytes:
    """Return the content of an image file.

    Args:
        image: (H, W, 3) uint8 RGB or (H, W) uint8.
        suffix: names the format, for example `.png`.
        jpeg_quality: 0 to 100; other formats ignore it.
    Raises:
        ValueError: the suffix is unknown, or the format cannot hold an image of this size.
    """
    settings = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality] if suffix.lower() in JPEG_SUFFIXES else []
    pixels = image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])  # OpenCV: BGR
    try:
        done, data = cv2.imencode(suffix, pixels, settings)
    except cv2.error as error:
        raise ValueError(f"no image format {suffix!r}") from error
    if not done:
        raise ValueError(f"{suffix} holds no image of shape {image.shape}")
    return data.tobytes()
