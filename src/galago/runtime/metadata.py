"""Read the description inside an .onnx file without any engine.

An ONNX file is one protobuf message, ModelProto. Field numbers: github.com/onnx/onnx/blob/main/onnx/onnx.proto; how fields are
written: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from pathlib import Path

from galago.errors import ModelError

METADATA_PROPS = 14  # of ModelProto: repeated StringStringEntryProto
KEY, VALUE = 1, 2  # of StringStringEntryProto
VARINT, EIGHT_BYTES, LENGTH_FIRST, FOUR_BYTES = 0, 1, 2, 5  # how a field is written
LONGEST_VARINT = 10  # bytes


def read_metadata(file: Path, key: str) -> str | None:
    """Return an entry of an ONNX file's metadata, None where it has no such entry.

    Raises:
        ModelError: the file cannot be read, is damaged or no ONNX.
    """
    try:
        for number, content in fields(memoryview(file.read_bytes())):
            entry = dict(fields(content)) if number == METADATA_PROPS else {}
            if bytes(entry.get(KEY, b"")) == key.encode():
                return bytes(entry.get(VALUE, b"")).decode()
    except OSError as error:
        raise ModelError(f"Cannot read {file}: {error.strerror or error}.") from error
    except ValueError as error:
        raise ModelError(f"{file} is no whole ONNX file. Copy it again, or export it again with `galago export`.") from error
    return None


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
