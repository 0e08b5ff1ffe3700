"""Label a model folder's golden photo with NumPy and ONNX Runtime alone, and compare with what was
trained.

    python self_test.py FOLDER

Exit code 0: the same; 1: not the same, or the folder is damaged; 2: misused. Nothing here imports
galago: this is what any program does that runs a model folder.
"""

import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

MULTIPLE = 32  # pixels; both sides of what the network gets
# Precision of the file: largest relative L2 error of its logits, smallest share of pixels with the
# same label. float32 takes the same sums in another order; the others round, and the golden logits
# are those of the float32 network.
TOLERANCES = {"float32": (1e-4, 0.9999), "float16": (1e-2, 0.995), "int8": (3e-1, 0.95)}


def main(folder: Path) -> None:
    """Compare one folder's file with its golden logits and labels.

    End the process with code 1 where they differ.
    """
    spec = read_spec(folder)
    photo = read_png(folder / "golden/photo.png")
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    # The golden photo goes in as it is, whatever the resize rule. Photos of other sizes: `prepare`
    # first.
    (logits,) = session.run(None, {session.get_inputs()[0].name: photo[None]})[
        0
    ]  # (K, h, w) float32
    labels = label_map(logits, photo.shape[:2], 1 / spec["output_stride"])

    most, least = TOLERANCES[spec["precision"]]
    expected = np.load(folder / "golden/logits.npy")
    if logits.shape != expected.shape:
        sys.exit(f"FAIL: the logits have shape {logits.shape}, expected {expected.shape}.")
    error = float(np.linalg.norm(logits - expected) / np.linalg.norm(expected))
    equal = float((labels == read_png(folder / "golden/labels.png")[..., 0]).mean())
    print(f"{spec['name']}, {spec['precision']}: {len(spec['files'])} files as they were exported")
    print(f"logits: relative error {error:.1e}, at most {most:.0e} allowed")
    print(f"labels: {equal:.3%} of {labels.size} pixels equal, at least {least:.2%} needed")
    if not (error <= most and equal >= least):  # so that nan fails, too
        sys.exit("FAIL: this host does not give what was trained.")
    print("PASS")


def read_spec(folder: Path) -> dict[str, Any]:
    """Read model.json, and check that every file is the one that was exported and that this program
    can follow the rules.
    """
    try:
        spec: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"FAIL: {folder} is no model folder: model.json cannot be read ({error}).")
    files: dict[str, str] = spec.get("files", {})
    for name, expected in files.items():
        if not (folder / name).is_file():
            sys.exit(f"FAIL: {name} is missing. Copy the whole folder again.")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
            sys.exit(f"FAIL: {name} is not the file that was exported. Copy the folder again.")
    known = {
        "schema_version": (1, 2),
        "output": ("logits",),
        "upsampling": ("bilinear",),
        "precision": tuple(TOLERANCES),
    }
    for key, values in known.items():
        if spec.get(key) not in values:
            sys.exit(
                f"FAIL: {key} is {spec.get(key)!r}; this program knows "
                f"{', '.join(map(str, values))}."
            )
    if "model.onnx" not in files:
        sys.exit("FAIL: the folder has no model.onnx. Export it again with --format onnx.")
    return spec


def read_png(path: Path) -> np.ndarray:
    """Decode a PNG of 8 bits a channel without interlacing: (H, W, channels) uint8.

    An indexed one gives its indices.

    The filters are those of the PNG specification, third edition, section 9.
    """
    data, position, packed = path.read_bytes(), 8, b""
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if depth != 8 or interlaced:
        sys.exit(
            f"FAIL: {path} has {depth} bits a channel or is interlaced; this program reads 8 bits, "
            "not interlaced."
        )
    while position < len(data):
        (length,), kind = (
            struct.unpack(">I", data[position : position + 4]),
            data[position + 4 : position + 8],
        )
        packed += data[position + 8 : position + 8 + length] if kind == b"IDAT" else b""
        position += 12 + length
    step = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[
        color
    ]  # channels: gray, RGB, indexed, gray with alpha, RGB with alpha
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * step)
    pixels = np.zeros((height + 1, width + 1, step), np.uint8)  # what lies outside counts as 0
    for y, row in enumerate(rows):
        line, above = pixels[y + 1], pixels[y]
        line[1:] = row[1:].reshape(width, step)
        if row[0] == 1:
            np.cumsum(line, axis=0, dtype=np.uint8, out=line)
        elif row[0] == 2:
            line += above
        elif row[0]:
            unfilter(line.reshape(-1), above.reshape(-1), step, paeth if row[0] == 4 else average)
    return pixels[1:, 1:]


def unfilter(line: np.ndarray, above: np.ndarray, step: int, predict: Any) -> None:
    """Add to each byte, in place, what is predicted from those at its left, above, and above at the
    left.
    """
    values, over = line.tolist(), above.tolist()
    for x in range(step, len(values)):
        values[x] = (values[x] + predict(values[x - step], over[x], over[x - step])) % 256
    line[:] = values


def average(left: int, up: int, _: int) -> int:
    """Predict the mean of two neighbors."""
    return (left + up) // 2


def paeth(left: int, up: int, corner: int) -> int:
    """Predict the neighbor that is nearest to left + up - corner."""
    distances = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    return (left, up, corner)[distances.index(min(distances))]


def prepare(photo: np.ndarray, spec: dict[str, Any]) -> np.ndarray:
    """Pad an (H, W, 3) uint8 RGB photo at the right and the bottom with the mean color, to what the
    network takes.

    The golden photo needs none of this; it is here for photos of your own.
    """
    if spec["resize"] != "keep" and list(photo.shape[:2]) != spec["input_size"]:
        sys.exit(
            f"FAIL: a photo of {photo.shape[:2]} has to be resized ({spec['resize']}), which this "
            "program does not do."
        )
    height, width = (-(-side // MULTIPLE) * MULTIPLE for side in photo.shape[:2])
    padded = np.empty((height, width, 3), np.uint8)
    padded[:] = [round(255 * channel) for channel in spec["mean"]]
    padded[: photo.shape[0], : photo.shape[1]] = photo
    return padded


def label_map(logits: np.ndarray, size: tuple[int, int], scale: float) -> np.ndarray:
    """Interpolate (K, h, w) logits bilinearly to (height, width) pixels, `scale` logits to a pixel,
    and take the largest.

    Row by row, so that memory holds K rows at full width and not K maps.
    """
    (top, bottom, down), (left, right, across) = (
        neighbors(pixels, logits, scale)
        for pixels, logits in zip(size, logits.shape[1:], strict=True)
    )
    labels = np.empty(size, np.uint8)
    for y in range(size[0]):
        row = logits[:, top[y]] * (1 - down[y]) + logits[:, bottom[y]] * down[y]  # (K, w)
        labels[y] = (row[:, left] * (1 - across) + row[:, right] * across).argmax(axis=0)
    return labels


def neighbors(pixels: int, logits: int, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find, along one axis, the two logits around each pixel (half-pixel centers, borders repeated)
    and the second's share.
    """
    place = (np.arange(pixels) + 0.5) * scale - 0.5
    before = np.floor(place).astype(int)
    return (
        before.clip(0, logits - 1),
        (before + 1).clip(0, logits - 1),
        (place - before).astype(np.float32),
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: python self_test.py FOLDER", file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]))
