"""Text that galago did not write itself, made safe to show on a terminal and in a log."""

import re

MAX_DRAWN = 60  # characters

# C0 and C1 control characters, line and paragraph separators, and the marks that turn the direction
# of writing (https://trojansource.codes). Lone surrogates stand for the bytes of a file name that
# is no UTF-8 (PEP 383).
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: object) -> str:
    r"""Return text as one line without control characters: each becomes an escape such as `\x1b`.

    A byte of a file name that is no UTF-8 becomes that byte, as `\xe9`.
    """
    return UNPRINTABLE.sub(_escape, str(text))


def drawable(text: object) -> str:
    """Return text as `printable` does, cut where it is too long to be drawn into a picture."""
    shown = printable(text)
    return shown if len(shown) <= MAX_DRAWN else f"{shown[: MAX_DRAWN - 3]}..."


def printable_lines(text: object) -> str:
    """Return text without control characters, line breaks kept."""
    return "\n".join(printable(line) for line in str(text).split("\n"))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
