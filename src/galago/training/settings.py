"""`name=value` as people type it, for any setting of a config."""

import dataclasses
import re
import types
from collections.abc import Sequence
from typing import Any, get_args, get_origin, get_type_hints

from galago.errors import ConfigError, choose
from galago.training.config import Config, TrainConfig


def parse_settings(texts: Sequence[str], config: type[Config] = TrainConfig) -> dict[str, Any]:
    """Read settings, as `epochs=40`, `crop_size=192x256` or `head=none`, into values of the types
    that a config has.

    Raises:
        ConfigError: one is not of the form, has an unknown name, or a value of another type.
    """
    hints = get_type_hints(config)
    settings = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(
                f"Expected a setting as name=value, for example epochs=40, got {text!r}."
            )
        choose({field.name: field for field in dataclasses.fields(config)}, name, "setting")
        settings[name] = _parse(value, hints[name], text)
    return settings


def _parse(value: str, hint: Any, text: str) -> Any:
    if get_origin(hint) is types.UnionType:
        return None if value.lower() == "none" else _parse(value, get_args(hint)[0], text)
    try:
        if get_origin(hint) is tuple:
            kinds, parts = get_args(hint), re.split("[x,]", value)
            if kinds[-1] is Ellipsis:
                kinds = kinds[:1] * len(parts)
            return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
        if hint is bool:
            return {"true": True, "false": False}[value.lower()]
        return hint(value)
    except (ValueError, KeyError) as error:
        kind = "true or false" if hint is bool else getattr(hint, "__name__", str(hint))
        raise ConfigError(f"The setting {text!r} needs a value of type {kind}.") from error
