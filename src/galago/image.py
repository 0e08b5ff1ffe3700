"""Photos and label maps: read, write, pad, resize, color."""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from galago.errors import DataError, ImageError
from galago.files import write_whole
from galago.labels import Color
from galago.spec import SIZE_MULTIPLE

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
INDEXED, GRAY = 3, 0  # PNG color types
JPEG_START = b"\xff\xd8"
JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # those that a length follows, and the end
JPEG_END = b"\xff\xd9"
JPEG_QUALITY = 92
JPEG_SUFFIXES = (".jpg", ".jpeg")


def load(path: str | Path) -> np.ndarray:
    """Read a photo.

    Gray, 16-bit and transparent photos are brought to the same form (transparency dropped), and the camera's orientation is
    applied.

    Returns:
        (H, W, 3) uint8 RGB.
    Raises:
        ImageError: the file is missing, cut short or no photo.
    """
    data = _read(Path(path))
    if problem := _damage(data):
        raise ImageError(f"{path} is {problem}. Copy it again from where it came.")
    pixels = _decode(data, cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise ImageError(f"{path} is no photo that can be read. Expected JPEG, PNG, WebP, TIFF or BMP.")
    return pixels


def load_labels(path: str | Path) -> np.ndarray:
    """Read a mask: one class id per pixel.

    Returns:
        (H, W) uint8 ids, as stored: those of the palette in an indexed PNG, the gray values elsewhere.
    Raises:
        DataError: the file is missing, damaged, colored, of more than 8 bits, or compressed with loss.
    """
    try:
        data = _read(Path(path))
    except ImageError as error:
        raise DataError(str(error)) from error
    if data.startswith(JPEG_START):
        raise DataError(f"{path} is a JPEG, which changes class ids. Expected a PNG mask; draw or export the masks again as PNG.")
    problem, levels = _damage(data), 255
    if data.startswith(PNG_SIGNATURE) and not problem:
        data, levels = _indexed_as_gray(data)
    ids = None if problem else _decode(data, cv2.IMREAD_UNCHANGED)
    if ids is None:
        raise DataError(f"{path} is {problem or 'no image'}. Expected a single-channel PNG mask; copy or export it again.")
    if ids.ndim != 2 or ids.dtype != np.uint8:
        what = "16-bit" if ids.dtype != np.uint8 else "colored"
        form = f"{what} image of shape {ids.shape}"
        raise DataError(f"{path} is a {form}. Expected one 8-bit class id per pixel in a gray or indexed PNG.")
    return ids // (255 // levels) if levels < 255 else ids


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"Cannot read {path}: {error.strerror or error}.") from error
    if not data:
        raise ImageError(f"{path} is empty (0 bytes). Copy it again from where it came.")
    return data


def _decode(data: bytes, how: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:  # more pixels than OpenCV, or the memory, holds
        return None


def _damage(data: bytes) -> str | None:
    """Say how a file is incomplete; OpenCV would show half a photo without a word."""
    if data.startswith(PNG_SIGNATURE):
        try:
            kinds = [kind for kind, _ in _png_chunks(data)]
        except ValueError as error:
            return f"a PNG that is {error}"
        return None if kinds[0] == b"IHDR" else "a PNG that is damaged"
    if data.startswith(JPEG_START) and not _has_jpeg_end(data):
        return "a JPEG that is cut short"
    return None


def _has_jpeg_end(data: bytes) -> bool:
    """Go from marker to marker: what lies in a thumbnail, or behind the end as the film of a moving photo, does not count."""
    position = len(JPEG_START)
    while marker := JPEG_MARKER.search(data, position):
        if marker[0] == JPEG_END:
            return True
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return False


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of each chunk of a PNG up to its end.

    Raises:
        ValueError: the file is cut short, or the checksum of a chunk that matters is wrong.
    """
    kind, position = b"", len(PNG_SIGNATURE)
    while kind != b"IEND":
        start = position + 8
        if start > len(data):
            raise ValueError("cut short")
        length, kind = struct.unpack(">I4s", data[position:start])
        body, position = data[start : start + length], start + length + 4
        if position > len(data):
            raise ValueError("cut short")
        if kind[:1].isupper() and data[position - 4 : position] != struct.pack(">I", zlib.crc32(kind + body)):
            raise ValueError("damaged")
        yield kind, body


def _indexed_as_gray(data: bytes) -> tuple[bytes, int]:
    """Turn an indexed PNG into a gray one, whose gray values tell the ids; OpenCV would look up the colors and lose them.

    Returns:
        the PNG file, and the largest id that its bit depth can hold (a decoder spreads these over 0 to 255).
    """
    depth, color_type = data[24], data[25]
    if color_type not in (INDEXED, GRAY) or depth > 8:
        return data, 255
    chunks = [PNG_SIGNATURE]
    for kind, body in _png_chunks(data):
        if kind == b"IHDR":
            body = body[:9] + bytes([GRAY]) + body[10:]
        if kind in (b"IHDR", b"IDAT", b"IEND"):
            chunks.append(_png_chunk(kind, body))
    return b"".join(chunks), 2**depth - 1


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def save(path: str | Path, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image, whole or not at all; the suffix says the format.

    Raises:
        ImageError: the image has another form, the suffix is unknown, the size too large, or the file cannot be written.
    """
    _check(image)
    path = Path(path)
    try:
        settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix.lower() in JPEG_SUFFIXES else []
        done, data = cv2.imencode(path.suffix, image[..., ::-1], settings)
    except cv2.error:
        done = False
    if not done and path.suffix.lower() in (".jpg", ".jpeg", ".png"):
        raise ImageError(f"Cannot write {path}: the format holds no image of {image.shape[0]} x {image.shape[1]} pixels.")
    if not done:
        raise ImageError(f"Cannot write {path}: unknown suffix {path.suffix!r}. Use .jpg or .png.")
    _write(path, data.tobytes())


def save_labels(path: str | Path, labels: np.ndarray, palette: Sequence[Color]) -> None:
    """Write (H, W) uint8 labels as an indexed PNG: the ids are kept, and any viewer shows the palette's colors.

    Raises:
        ImageError: the file cannot be written.
    """
    height, width = labels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # PNG starts each row with its filter, 0 = none
    rows[:, 1:] = labels
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(palette)] = palette
    header = struct.pack(">IIBBBBB", width, height, 8, INDEXED, 0, 0, 0)
    body = (
        _png_chunk(b"IHDR", header)
        + _png_chunk(b"PLTE", colors.tobytes())
        + _png_chunk(b"IDAT", zlib.compress(rows.tobytes(), level=1))
        + _png_chunk(b"IEND", b"")
    )
    _write(Path(path), PNG_SIGNATURE + body)


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise ImageError(f"Cannot write {path}: {error.strerror or error}. Free space or choose another folder.") from error


def _check(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ImageError(
            f"Expected an (H, W, 3) uint8 RGB image, got shape {image.shape}, dtype {image.dtype}. "
            "galago.image.load(path) brings any photo, gray ones included, into this form."
        )


def pad_to_multiple(image: np.ndarray, color: Sequence[int], multiple: int = SIZE_MULTIPLE) -> np.ndarray:
    """Extend an image at the right and the bottom with one color until both sides are multiples of a number.

    Raises:
        ImageError: not an (H, W, 3) uint8 image.
    """
    _check(image)
    bottom, right = -image.shape[0] % multiple, -image.shape[1] % multiple
    if not bottom and not right:
        return image
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=tuple(color))


def pad_to_size(image: np.ndarray, size: tuple[int, int], color: Sequence[int]) -> np.ndarray:
    """Extend an image at the right and the bottom with one color to (height, width).

    Raises:
        ImageError: not an (H, W, 3) uint8 image, or larger than that.
    """
    _check(image)
    bottom, right = size[0] - image.shape[0], size[1] - image.shape[1]
    if bottom < 0 or right < 0:
        raise ImageError(f"Cannot pad an image of {image.shape[:2]} to {size}. Resize it first.")
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=tuple(color))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image to (height, width) with cubic interpolation, as the authors' evaluation does.

    Raises:
        ImageError: not an (H, W, 3) uint8 image.
    """
    _check(image)
    if image.shape[:2] == size:
        return image
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)


def colorize(labels: np.ndarray, palette: Sequence[Color]) -> np.ndarray:
    """Return (H, W) uint8 labels in their colors, (H, W, 3) uint8 RGB; ids without a color are black."""
    colors = np.zeros((1, 256, 3), np.uint8)
    colors[0, : len(palette)] = palette
    return cv2.LUT(cv2.merge([labels] * 3), colors)  # several times faster than an index by labels


def overlay(image: np.ndarray, labels: np.ndarray, palette: Sequence[Color], alpha: float = 0.5) -> np.ndarray:
    """Blend a photo with the colors of its labels, and draw the borders between classes dark.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        palette: one color per class.
        alpha: 0 shows the photo, 1 the colors.
    """
    _check(image)
    blended = cv2.addWeighted(image, 1 - alpha, colorize(labels, palette), alpha, 0)
    border = np.zeros(labels.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    blended[border] = blended[border] // 2
    return blended


def draw_legend(image: np.ndarray, shares: Mapping[str, float], colors: Mapping[str, Color]) -> np.ndarray:
    """Put a strip under a picture that names the classes in it, the largest first.

    Args:
        image: (H, W, 3) uint8 RGB.
        shares: share of each class, 0 to 1; those below one in a thousand are left out.
        colors: color of each class.
    Returns:
        (H + strip, W, 3) uint8 RGB.
    """
    shown = sorted(((share, name) for name, share in shares.items() if share >= 0.001), reverse=True)
    scale = max(0.35, image.shape[1] / 1600)
    line, chip = round(34 * scale) + 4, round(20 * scale) + 2
    texts = [f"{name} {share:.1%}" for share, name in shown]
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(1.5 * scale))
    widest = max((cv2.getTextSize(text, font, scale, thickness)[0][0] for text in texts), default=0)
    column = widest + 3 * chip
    columns = max(1, image.shape[1] // column)
    strip = np.full((line * -(-len(texts) // columns) + chip // 2, image.shape[1], 3), 250, np.uint8)
    for place, (text, (_, name)) in enumerate(zip(texts, shown, strict=True)):
        left, top = (place % columns) * column + chip // 2, (place // columns) * line + chip // 2
        cv2.rectangle(strip, (left, top), (left + chip, top + chip), colors[name], cv2.FILLED, cv2.LINE_AA)
        corner = (left + chip + chip // 2, top + chip - max(1, chip // 6))
        cv2.putText(strip, text, corner, font, scale, (30, 30, 30), thickness, cv2.LINE_AA)
    return np.vstack([image, strip])
