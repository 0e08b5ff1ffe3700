"""JSON as the standard has it: no NaN, no key twice, no endless numbers or brackets."""

import json
import math
import re
from typing import Any

MAX_CHARS = 1 << 24  # of a document that galago reads whole: 16 million
MAX_DEPTH = 32  # of brackets inside brackets; our own documents need 4
MAX_DIGITS = 19  # of a whole number: 64 bits
_TOKENS = re.compile(
    r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL
)  # a string without end, too, in one step
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str, *, max_chars: int = MAX_CHARS, max_depth: int = MAX_DEPTH) -> Any:
    """Return the content of a JSON document.

    Args:
        text: the document.
        max_chars: refuse a longer one.
        max_depth: refuse more brackets inside brackets.
    Raises:
        ValueError: it is no JSON or longer, or has NaN, an infinite number, one of more than 64
            bits, a key that occurs twice in one object, more brackets inside brackets, or half a
            character. The message has no full stop, to stand after "is not JSON: ".
    """
    if len(text) > max_chars:
        raise ValueError(f"it has {len(text):,} characters, expected at most {max_chars:,}")
    _check_depth(text, max_depth)
    try:
        content = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=_refuse,
        )
    except (
        RecursionError
    ) as error:  # cannot come to pass after the check above, but must never be a crash
        raise ValueError("too many brackets inside brackets") from error
    if _SURROGATE.search(text) or (_ESCAPED_SURROGATE.search(text) and not _encodable(content)):
        raise ValueError("it has half of a character, a surrogate without its other half")
    return content


def _check_depth(text: str, max_depth: int) -> None:
    depth = 0
    for found in _TOKENS.finditer(text):
        token = found[0]
        if token in "[{":
            depth += 1
            if depth > max_depth:
                raise ValueError(f"more than {max_depth} brackets inside brackets")
        elif token in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        for twice, _ in pairs:
            if twice in seen:
                break
            seen.add(twice)
        raise ValueError(f"the key {_short(twice)} occurs twice")
    return content


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"the number {_short(digits)} is too large")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {_short(digits)} is too large")
    return number


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number in JSON")


def _encodable(content: Any) -> bool:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
