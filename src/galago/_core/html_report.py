"""HTML pages of all reports: Jinja2 templates, one file per page, styles and images inside.

The templates are in `templates/`. All text is escaped, and control characters in it are replaced.
"""

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from galago._core.image_encoder import encode
from galago._core.printable import printable
from galago.errors import MissingDependencyError, require

JPEG_QUALITY = 80


def can_render() -> bool:
    """Tell whether Jinja2 is installed."""
    try:
        require("jinja2", "report")
    except MissingDependencyError:
        return False
    return True


def render(template: str, context: Mapping[str, object]) -> str:
    """Return a page.

    Args:
        template: file name in `templates/`.
        context: values by the names that the template uses; `title` for a whole page.
    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    page: str = _environment().get_template(template).render(context)
    return page


@cache
def _environment() -> Any:
    jinja2 = require("jinja2", "report")

    def finalize(value: object) -> object:
        undefined_or_html = isinstance(value, jinja2.Undefined) or hasattr(value, "__html__")
        return value if undefined_or_html else printable(value)

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    environment.filters |= {
        "png": _png,
        "jpeg": _jpeg,
        "score": _score,
        "percent": _percent,
        "thousands": "{:,}".format,
    }
    return environment


def _png(image: np.ndarray) -> str:
    return _data_uri("png", encode(image, ".png"))


def _jpeg(image: np.ndarray) -> str:
    return _data_uri("jpeg", encode(image, ".jpg", jpeg_quality=JPEG_QUALITY))


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _score(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"


def _percent(share: float, digits: int = 0) -> str:
    return f"{share:.{digits}%}"
