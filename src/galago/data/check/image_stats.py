"""What one image and its mask are like: sizes, ids, damage."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from galago import image as images
from galago._core.image_header import JPEG_START, ImageHeader
from galago.data.check.layout import Item
from galago.data.colors import count_colors
from galago.data.id_lookup import count_ids
from galago.data.listing import MASK_SUFFIX
from galago.errors import DataError, ImageError
from galago.labels import Color

NO_HEADER = ImageHeader("")
MAX_COLORS = 8  # colors of a colored mask that are kept


@dataclass(frozen=True)
class MaskFault:
    """Why a mask cannot be used.

    Attributes:
        kind: unreadable, jpeg, colored, three-channel or 16-bit.
        message: the reason, in words.
        colors: the commonest colors of a colored mask with their pixels.
    """

    kind: str
    message: str
    colors: tuple[tuple[Color, int], ...] = ()


@dataclass(frozen=True, eq=False)
class ImageStats:
    """What was found in the files of an item; None where there is no file, or it cannot be read.

    Attributes:
        item: the files.
        photo_size: (height, width) in pixels.
        photo_hash: the same for two images of the same pixels.
        photo_fault: why the image cannot be read.
        header: what the image's file says of itself.
        brightest: largest value in the image as galago reads it, 0 to 255.
        mask_size: (height, width) in pixels.
        mask_fault: why the mask cannot be used.
        counts: (256,) int64 pixels of each id in the mask.
    """

    item: Item
    image_size: tuple[int, int] | None = None
    image_hash: str | None = None
    image_fault: str | None = None
    header: ImageHeader = NO_HEADER
    brightest: int = 255
    mask_size: tuple[int, int] | None = None
    mask_fault: MaskFault | None = None
    counts: np.ndarray | None = None


def inspect(item: Item) -> ImageStats:
    """Read both files of an item; whatever is wrong with them becomes part of the facts."""
    image_stats = _inspect_image(item) if item.has_image else ImageStats(item)
    mask_size = mask_fault = counts = None
    if item.has_mask:
        try:
            ids = images.load_labels(item.mask)
            mask_size = ids.shape[0], ids.shape[1]
            counts = count_ids(ids)
        except DataError as error:
            mask_fault = _explain(item.mask, str(error))
        if mask_fault is None and item.mask.suffix.lower() != MASK_SUFFIX:
            message = f"{item.mask} is not looked for: masks end in {MASK_SUFFIX}."
            mask_fault = MaskFault("suffix", message)
    return replace(image_stats, mask_size=mask_size, mask_fault=mask_fault, counts=counts)


def _inspect_image(item: Item) -> ImageStats:
    try:
        image, header = images.load_with_header(item.image)
    except ImageError as error:
        return ImageStats(item, image_fault=str(error))
    width = str(image.shape[1]).encode()
    return ImageStats(
        item,
        image_size=(image.shape[0], image.shape[1]),
        image_hash=hashlib.blake2b(image.data, digest_size=16, salt=width).hexdigest(),
        header=header,
        brightest=int(image.max()),
    )


def _explain(mask: Path, message: str) -> MaskFault:
    """Tell what kind of file a mask is that holds no ids."""
    try:
        data = mask.read_bytes()
    except OSError:
        return MaskFault("unreadable", message)
    if data.startswith(JPEG_START):
        return MaskFault("jpeg", message)
    try:
        pixels = images.load(mask)
    except ImageError:
        return MaskFault("unreadable", message)
    raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is not None and raw.dtype != np.uint8:
        return MaskFault("16-bit", message)
    if (pixels == pixels[..., :1]).all():
        return MaskFault("three-channel", message)
    return MaskFault("colored", message, tuple(count_colors(pixels)[:MAX_COLORS]))
