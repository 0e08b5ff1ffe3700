"""Flat dataclasses to and from JSON, with every key and type checked."""

import dataclasses
import json
import reprlib
import types
from collections.abc import Collection
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from galago._core.printable import printable
from galago._core.strict_json import parse_json

T = TypeVar("T")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def to_json(value: Any) -> str:
    """Write a dataclass as JSON, the keys in the order of its attributes."""
    return json.dumps(dataclasses.asdict(value), indent=2) + "\n"


def from_json(
    kind: type[T], text: str, *, what: str, version: int, older: Collection[int] = ()
) -> T:
    """Return what `to_json` wrote.

    Args:
        kind: the dataclass; one of its attributes is `schema_version`.
        text: JSON.
        what: what it holds, in words for errors.
        version: the schema version that this galago writes, which the result has.
        older: earlier versions with the same keys, or fewer.
    Raises:
        ValueError: not JSON as `parse_json` wants it (no NaN, no key twice, numbers of 64 bits),
            another schema version, or a key that is missing, unknown or of another type; the
            message is one sentence, and short whatever came.
    """
    try:
        raw = parse_json(text)
    except ValueError as error:
        raise ValueError(f"The {what} is not JSON: {error}.") from error
    if not isinstance(raw, dict):
        raise ValueError(f"Expected the {what} to be a JSON object, got {type(raw).__name__}.")
    given = raw.get("schema_version")
    if type(given) is not int or given not in (version, *older):
        raise ValueError(
            f"This galago reads a {what} of schema version {version}, got {_SHORT.repr(given)}."
        )
    return _build(kind, raw | {"schema_version": version}, what)


def _build(kind: type[T], raw: dict[str, Any], what: str) -> T:
    """Return a dataclass from its values in JSON.

    Raises:
        ValueError: a key is missing, unknown or of another type.
    """
    hints = get_type_hints(kind)
    if unknown := sorted(raw.keys() - hints.keys()):
        raise ValueError(f"Unknown keys in the {what}: {_list(unknown)}.")
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    required = {
        item.name for item in fields if item.default is item.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - raw.keys()):
        raise ValueError(f"Missing keys in the {what}: {', '.join(missing)}.")
    return kind(
        **{key: _as_type(value, hints[key], f"The {what} has {key}") for key, value in raw.items()}
    )


def _list(names: list[str]) -> str:
    """Name some keys, not all of thousands, and none in whole that never ends."""
    shown = ", ".join(
        printable(name if len(name) <= 80 else f"{name[:77]}...") for name in names[:8]
    )
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _as_type(value: Any, hint: Any, place: str) -> Any:
    """Turn a JSON value into the type of an attribute: lists into tuples, the rest checked."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _as_type(value, arguments[0], place)
    if origin is tuple and isinstance(value, list):
        inner = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(inner) == len(value):
            return tuple(
                _as_type(item, kind, place) for item, kind in zip(value, inner, strict=True)
            )
    elif isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(hint, value, place.removeprefix("The ").replace(" has ", "'s "))
    elif origin not in (None, tuple) and isinstance(value, dict):  # a mapping of strings
        return {str(name): _as_type(item, arguments[1], place) for name, item in value.items()}
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif origin is None and type(value) is hint:
        return value
    expected = getattr(hint, "__name__", hint) if origin is None else hint
    raise ValueError(f"{place} = {_SHORT.repr(value)}, expected {expected}.")
