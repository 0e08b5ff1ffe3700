"""Read the description inside an .onnx file without any engine.

An ONNX file is one protobuf message, ModelProto. Field numbers:
github.com/onnx/onnx/blob/main/onnx/onnx.proto; how fields are written:
protobuf.dev/programming-guides/encoding.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from galago.errors import ModelError

AGAIN = "Copy it again, or export it again with `galago export`."
METADATA_PROPS = 14  # of ModelProto: repeated StringStringEntryProto
KEY, VALUE = 1, 2  # of StringStringEntryProto
VARINT = 0  # wire types: how a field is written
EIGHT_BYTES = 1
LENGTH_FIRST = 2
FOUR_BYTES = 5
LONGEST_VARINT = 10  # bytes
DIMS, DATA_TYPE = 1, 2  # of TensorProto
# of TensorProto.DataType, uint8 and int8 alike
DATA_TYPES = {1: "float32", 10: "float16", 2: "int8", 3: "int8"}
INPUTS = 11  # of GraphProto
INPUT_DIMS = (7, INPUTS, 2, 1, 2, 1)  # model, graph, input, type, tensor type, shape, dim
DEEPEST = 16  # graphs inside the branches and loops of graphs
# of TensorProto; the first is 1 if the second names another file with the data
DATA_LOCATION, EXTERNAL_DATA = 14, 13
# Where tensors are: for each kind of message the fields that hold other messages, and their kinds.
MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}


@contextmanager
def reading_onnx(file: Path) -> Iterator[memoryview]:
    """Give the bytes of an ONNX file to a block, whose ValueErrors mean that the file is damaged.

    Raises:
        ModelError: the file cannot be read, is damaged or no ONNX.
    """
    try:
        yield memoryview(file.read_bytes())
    except OSError as error:
        raise ModelError(f"Cannot read {file}: {error.strerror or error}.") from error
    except ValueError as error:
        raise ModelError(f"{file} is no whole ONNX file. {AGAIN}") from error


def read_metadata(file: Path, key: str) -> str | None:
    """Return an entry of an ONNX file's metadata, None where it has no such entry.

    Raises:
        ModelError: the file cannot be read, is damaged or no ONNX.
    """
    with reading_onnx(file) as model:
        for number, content in fields(model):
            entry = dict(fields(content)) if number == METADATA_PROPS else {}
            if bytes(entry.get(KEY, b"")) == key.encode():
                return bytes(entry.get(VALUE, b"")).decode()
    return None


def check_self_contained(file: Path) -> None:
    """Refuse an ONNX file with weights in other files, which no checksum covers.

    Raises:
        ModelError: it has such weights, cannot be read, is damaged or no ONNX.
    """
    with reading_onnx(file) as model:
        outside = any(_outside(tensor) for tensor in _tensors("model", model))
    if outside:
        raise ModelError(
            f"{file} keeps weights in another file, which nothing proves to be those that were "
            "exported. Save it with all of "
            "them inside (onnx.save_model with save_as_external_data=False), or export it again."
        )


def onnx_weights(file: Path) -> Counter[str]:
    """Count the weights of an ONNX file's convolutions, constants of four axes, by their precision.

    Raises:
        ModelError: the file cannot be read, is damaged or no ONNX.
    """
    counts: Counter[str] = Counter()
    with reading_onnx(file) as model:
        for tensor in _tensors("model", model):
            shape: list[int] = []
            kind = None
            for number, content in fields(tensor):
                if number == DIMS:  # each by itself, or all in one field
                    shape += _varints(content)
                elif number == DATA_TYPE:
                    kind = DATA_TYPES.get(_varint(content, 0)[0])
            if kind and len(shape) == 4:
                counts[kind] += math.prod(shape)
    return counts


def onnx_input_size(file: Path) -> tuple[int, int] | None:
    """Return the one (height, width) that an ONNX file takes; None where it takes any, or no image.

    Raises:
        ModelError: the file cannot be read, is damaged or no ONNX.
    """
    with reading_onnx(file) as model:
        sides = [dict(fields(side)).get(1) for side in _inside(model, INPUT_DIMS)]
        lengths = [_varint(side, 0)[0] if side else 0 for side in sides]
    return (lengths[1], lengths[2]) if len(lengths) == 4 and all(lengths[1:3]) else None


def _inside(message: memoryview, path: tuple[int, ...]) -> Iterator[memoryview]:
    """Yield what a path of field numbers leads to; of the first input only."""
    if not path:
        yield message
        return
    for number, content in fields(message):
        if number == path[0]:
            yield from _inside(content, path[1:])
            if number == INPUTS and len(path) == len(INPUT_DIMS) - 1:
                return


def _varints(content: memoryview) -> list[int]:
    numbers, position = [], 0
    while position < len(content):
        number, position = _varint(content, position)
        numbers.append(number)
    return numbers


def _outside(tensor: memoryview) -> bool:
    return any(
        number == EXTERNAL_DATA or (number == DATA_LOCATION and _varint(content, 0)[0] == 1)
        for number, content in fields(tensor)
    )


def _tensors(kind: str, message: memoryview, depth: int = 0) -> Iterator[memoryview]:
    """Yield every TensorProto within a message of one kind.

    Raises:
        ValueError: not protobuf, cut short, or graphs within graphs without end.
    """
    if depth > 4 * DEEPEST:  # a graph, its node, its attribute, and the graph in that
        raise ValueError("graphs within graphs")
    if kind == "tensor":
        yield message
        return
    for number, content in fields(message):
        if number in MESSAGES[kind]:
            yield from _tensors(MESSAGES[kind][number], content, depth + 1)


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field of a message, numbers as they are written.

    Raises:
        ValueError: not protobuf, or cut short.
    """
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            end = _varint(message, position)[1]
        elif kind == LENGTH_FIRST:
            length, position = _varint(message, position)
            end = position + length
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            end = position + (8 if kind == EIGHT_BYTES else 4)
        else:
            raise ValueError(f"field {number} is written in an unknown way")
        if number == 0 or end > len(message):
            raise ValueError(f"field {number} ends at byte {end} of {len(message)}")
        yield number, message[position:end]
        position = end


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read a number, 7 bits a byte, the lowest first; return it and the place behind it."""
    value = 0
    for index, byte in enumerate(message[position : position + LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError(f"the number at byte {position} has no end")
