"""Short forms of foreign values for messages, whatever their size."""

import reprlib

from galago._core.printable import printable

MAX_LENGTH = 80  # characters of one value
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = MAX_LENGTH


def shown(value: object) -> str:
    """Return `repr(value)` without control characters, cut to 80 characters and a few levels."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = (
            f"a number of about {int(value).bit_length()} bits" if isinstance(value, int) else "..."
        )
    text = printable(text)
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 3]}..."
