"""Text files as people save them: UTF-8 with or without byte order mark, with line ends of any
system.
"""

import codecs
from pathlib import Path

MAX_BYTES = 1 << 30  # of a text file; the largest COCO files have some 500 MB
_WIDE = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    r"""Read a UTF-8 text file; a byte order mark is dropped, every line ends in `\n`.

    Args:
        path: file to read.
        max_bytes: refuse a larger file.
    Raises:
        OSError: the file cannot be read.
        ValueError: it is UTF-16, UTF-32, another encoding, or too large; the message is one
            sentence.
    """
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    return decode_text(data, name=str(path), max_bytes=max_bytes)


def decode_text(data: bytes, *, name: str, max_bytes: int = MAX_BYTES) -> str:
    r"""Return the bytes of a text file as `read_text` does.

    Raises:
        ValueError: as `read_text`.
    """
    if len(data) > max_bytes:
        raise ValueError(
            f"{name} holds more than {max_bytes:,} bytes. Expected a smaller text file."
        )
    if data.startswith(_WIDE) or b"\0" in data[:200]:
        raise ValueError(
            f"{name} is UTF-16 or no text. Expected UTF-8; save it again with the encoding UTF-8."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{name} is no UTF-8 text, in line {line}. Save it again with the encoding UTF-8."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
