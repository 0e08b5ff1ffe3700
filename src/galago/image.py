"""Images and label maps: read, write, pad, resize, color."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from galago._core.atomic_io import write_beside, write_whole
from galago._core.image_decoder import (
    JPEG_START,
    UnreadableImageError,
    check_header,
    describe_damage,
    imdecode,
)
from galago._core.image_decoder import decode as decode_image
from galago._core.image_encoder import JPEG_SUFFIXES, encode
from galago._core.image_header import ImageHeader
from galago._core.image_header import read_header as read_header_of
from galago._core.png import SIGNATURE as PNG_SIGNATURE
from galago._core.png import IndexedPNG, indexed_as_gray
from galago._core.printable import drawable
from galago._core.write_errors import cannot_write
from galago.errors import DataError, ImageError
from galago.labels import Color
from galago.spec import SIZE_MULTIPLE

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
# long side over short side, up to which the short side is as told; the images of ADE20K stay below
# 4
NARROWEST = 16
SENSOR_BITS = 14  # the most that cameras put into a file of 16 bits without scaling them up


def load(path: str | Path) -> np.ndarray:
    """Read an image.

    Gray, 16-bit and transparent images are brought to the same form (transparency dropped), and the
    camera's orientation is applied. Of a TIFF of many bands come the first three, as stored; of 16
    bits the upper 8.

    Returns:
        (H, W, 3) uint8 RGB.
    Raises:
        ImageError: the file is missing, cut short or no image, or has more than 2^28 pixels.
    """
    return load_with_header(path)[0]


def load_with_header(path: str | Path) -> tuple[np.ndarray, ImageHeader]:
    """Read an image as `load` does, and its header: orientation, already applied, and depth as
    stored.

    Returns:
        (H, W, 3) uint8 RGB, and the header.
    Raises:
        ImageError: as `load`.
    """
    return _decode_named(_read(Path(path)), str(path))


def decode(data: bytes, name: str) -> np.ndarray:
    """Read an image from the bytes of its file, as `load` does.

    Args:
        data: the whole file.
        name: what messages call it.
    Returns:
        (H, W, 3) uint8 RGB.
    Raises:
        ImageError: as `load`.
    """
    return _decode_named(data, name)[0]


def _decode_named(data: bytes, name: str) -> tuple[np.ndarray, ImageHeader]:
    try:
        return decode_image(data)
    except UnreadableImageError as error:
        raise ImageError(f"{name} {error}") from error


def read_header(path: str | Path) -> ImageHeader:
    """Read what the header of an image file tells, without decoding it.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return read_header_of(file)
    except OSError as error:
        raise ImageError(f"Cannot read {path}: {error.strerror or error}.") from error


def describe_depth(depth: int, brightest: int) -> str | None:
    """Say that a file of 16 bits uses only some of them, so that its image is nearly black.

    None where it does not.

    Cameras and converters put 10, 12 or 14 bits into a file of 16 without scaling them up.

    Args:
        depth: bits per sample of the file.
        brightest: largest value of the image as `load` gives it, 0 to 255.
    """
    used = brightest.bit_length() + 8
    if depth != 16 or used > SENSOR_BITS:
        return None
    usual = next(bits for bits in (8, 10, 12, SENSOR_BITS) if used <= bits)
    return (
        f"holds {usual} bits or less in a file of 16: its brightest value is {brightest} of 255, "
        "nearly black. Scale it up, "
        f"for example by: magick IN -evaluate multiply {1 << (16 - usual)} OUT.png"
    )


def load_labels(path: str | Path) -> np.ndarray:
    """Read a mask: one class id per pixel.

    Returns:
        (H, W) uint8 ids, as stored: those of the palette in an indexed PNG, the gray values
            elsewhere; never turned.
    Raises:
        DataError: the file is missing, damaged, colored, of more than 8 bits or 2^28 pixels, or
            compressed with loss.
    """
    try:
        data = _read(Path(path))
    except ImageError as error:
        raise DataError(str(error)) from error
    if data.startswith(JPEG_START):
        raise DataError(
            f"{path} is a JPEG, which changes class ids. Expected a PNG mask; draw or export the "
            "masks again as PNG."
        )
    header = read_header_of(io.BytesIO(data))
    if header.readable:
        try:
            check_header(header)
        except UnreadableImageError as error:
            raise DataError(f"{path} {error}") from error
    problem, levels = describe_damage(data, header), 255
    if data.startswith(PNG_SIGNATURE) and not problem:
        data, levels = indexed_as_gray(data)
    ids = (
        imdecode(data, cv2.IMREAD_UNCHANGED)
        if header.readable and header.size and not problem
        else None
    )
    if ids is None:
        raise DataError(
            f"{path} is {problem or 'no image'}. Expected a single-channel PNG mask; copy or "
            "export it again."
        )
    if ids.ndim != 2 or ids.dtype != np.uint8:
        what = "16-bit" if ids.dtype != np.uint8 else "colored"
        form = f"{what} image of shape {ids.shape}"
        raise DataError(
            f"{path} is a {form}. Expected one 8-bit class id per pixel in a gray or indexed PNG."
        )
    return ids // (255 // levels) if levels < 255 else ids


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"Cannot read {path}: {error.strerror or error}.") from error
    if not data:
        raise ImageError(f"{path} is empty (0 bytes). Copy it again from its source.")
    return data


def save(path: str | Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image, whole or not at all; the suffix says the format.

    Raises:
        ImageError: the image has another form, the suffix is unknown, the size too large, or the
            file cannot be written.
    """
    check(image)
    path = Path(path)
    try:
        data = encode(image, path.suffix)
    except ValueError as error:
        reason = f"unknown suffix {path.suffix!r}. Use .jpg or .png."
        if path.suffix.lower() in (*JPEG_SUFFIXES, ".png"):
            height, width = image.shape[:2]
            reason = f"the format holds no image of {height} x {width} pixels."
        raise ImageError(f"Cannot write {path}: {reason}") from error
    _write(path, data)


def save_gray(path: str | Path, image: np.ndarray) -> None:
    """Write an (H, W) uint8 image as PNG, whole or not at all.

    Raises:
        ImageError: the file cannot be written.
    """
    _write(Path(path), encode(image, ".png"))


def save_labels(path: str | Path, labels: np.ndarray, palette: Sequence[Color]) -> None:
    """Write (H, W) uint8 labels as an indexed PNG: the ids are kept, and any viewer shows the
    palette's colors.

    Raises:
        ImageError: the file cannot be written.
    """
    with label_file(path, labels.shape, palette) as file:
        file.write(labels)


@contextmanager
def label_file(
    path: str | Path, size: tuple[int, ...], palette: Sequence[Color]
) -> Iterator[IndexedPNG]:
    """Give an indexed PNG to write rows of labels to.

    It is there when the block ends, and on any error nothing is.

    Args:
        path: its folder is made where it is missing.
        size: (height, width) in pixels.
        palette: one color per class.
    Raises:
        ImageError: the file cannot be written.
    """
    path = Path(path)
    height, width = size
    try:
        with write_beside(path) as file:
            png = IndexedPNG(file, (height, width), palette)
            yield png
            png.close()
    except OSError as error:
        raise _cannot_write(path, error) from error


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> ImageError:
    return ImageError(cannot_write(path, error))


def check(image: np.ndarray) -> None:
    """Check that an image has the form that all functions here expect.

    Raises:
        ImageError: it is not (H, W, 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ImageError(
            f"Expected an (H, W, 3) uint8 RGB image, got shape {image.shape}, dtype {image.dtype}. "
            "galago.image.load(path) brings any photo, gray ones included, into this form."
        )


def pad_to_multiple(
    image: np.ndarray, color: Sequence[int], multiple: int = SIZE_MULTIPLE
) -> np.ndarray:
    """Extend an image at the right and the bottom with one color until both sides are multiples of
    a number.

    Raises:
        ImageError: not an (H, W, 3) uint8 image.
    """
    check(image)
    height, width = image.shape[:2]
    return pad_to_size(image, color, (height + -height % multiple, width + -width % multiple))


def pad_to_size(image: np.ndarray, color: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Extend an image at the right and the bottom with one color to a (height, width) that is
    nowhere smaller than its own.

    Raises:
        ImageError: not an (H, W, 3) uint8 image.
    """
    check(image)
    bottom, right = size[0] - image.shape[0], size[1] - image.shape[1]
    if not bottom and not right:
        return image
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=tuple(color))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image to (height, width) with cubic interpolation, as the authors' evaluation does.

    Raises:
        ImageError: not an (H, W, 3) uint8 image.
    """
    check(image)
    if image.shape[:2] == size:
        return image
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)


def fitted_size(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Return the largest (height, width) of a size's aspect ratio that fits into a box.

    No side becomes 0.
    """
    scale = min(box[0] / size[0], box[1] / size[1])
    height, width = (
        min(limit, max(1, round(scale * side))) for side, limit in zip(size, box, strict=True)
    )
    return height, width


def short_side_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return (height, width), the short side as told, the long side rounded up to a multiple of 32:
    the ADE20K protocol.

    Of an image narrower than 1 to `NARROWEST` the long side is `NARROWEST` times as told and the
    short one less, with the same aspect ratio; otherwise 10 x 4000 pixels would become 100
    megapixels.
    """
    height, width = size
    long_side = -(-max(size) * short_side // min(size) // SIZE_MULTIPLE) * SIZE_MULTIPLE
    longest = -(-NARROWEST * short_side // SIZE_MULTIPLE) * SIZE_MULTIPLE
    if long_side > longest:
        return fitted_size(size, (longest, longest))
    return (short_side, long_side) if height <= width else (long_side, short_side)


def colorize(labels: np.ndarray, palette: Sequence[Color]) -> np.ndarray:
    """Return (H, W) uint8 labels in their colors, (H, W, 3) uint8 RGB.

    Ids without a color are black.
    """
    colors = np.zeros((256, 1, 3), np.uint8)
    colors[: len(palette), 0] = palette
    return cv2.applyColorMap(labels, colors)  # several times faster than an index by labels


def overlay(
    image: np.ndarray, labels: np.ndarray, palette: Sequence[Color], alpha: float = 0.5
) -> np.ndarray:
    """Blend an image with the colors of its labels, and draw the borders between classes dark.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        palette: one color per class.
        alpha: 0 shows the image, 1 the colors.
    """
    check(image)
    colors = colorize(labels, palette)
    blended = cv2.addWeighted(image, 1 - alpha, colors, alpha, 0, dst=colors)
    border = np.zeros(labels.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    darker = blended // 2  # everywhere: an index by border would take longer
    return cv2.copyTo(darker, border.view(np.uint8), dst=blended)


def draw_legend(
    image: np.ndarray, shares: Mapping[str, float], colors: Mapping[str, Color]
) -> np.ndarray:
    """Put a strip under a picture that names the classes in it, the largest first.

    Args:
        image: (H, W, 3) uint8 RGB.
        shares: share of each class, 0 to 1; those below one in a thousand are left out.
        colors: color of each class.
    Returns:
        (H + strip, W, 3) uint8 RGB.
    """
    shown = sorted(
        ((share, name) for name, share in shares.items() if share >= 0.001), reverse=True
    )
    scale = max(0.35, image.shape[1] / 1600)
    line, chip = round(34 * scale) + 4, round(20 * scale) + 2
    texts = [f"{drawable(name)} {share:.1%}" for share, name in shown]  # no surrogates
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(1.5 * scale))
    widest = max((cv2.getTextSize(text, font, scale, thickness)[0][0] for text in texts), default=0)
    column = widest + 3 * chip
    columns = max(1, image.shape[1] // column)
    strip = np.full(
        (line * -(-len(texts) // columns) + chip // 2, image.shape[1], 3), 250, np.uint8
    )
    for place, (text, (_, name)) in enumerate(zip(texts, shown, strict=True)):
        left, top = (place % columns) * column + chip // 2, (place // columns) * line + chip // 2
        cv2.rectangle(
            strip, (left, top), (left + chip, top + chip), colors[name], cv2.FILLED, cv2.LINE_AA
        )
        corner = (left + chip + chip // 2, top + chip - max(1, chip // 6))
        cv2.putText(strip, text, corner, font, scale, (30, 30, 30), thickness, cv2.LINE_AA)
    return np.vstack([image, strip])
