"""Text that galago did not write itself, as Markdown that shows it as it is."""

import re

from galago._core.printable import printable

# What starts markup: an underscore between letters, an ampersand before no entity and a bracket
# without a link behind it stand for themselves.
SPECIAL = re.compile(r"[\\`*<>|~$]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|(?<=\])\(")


def plain(text: object) -> str:
    """Return text as Markdown without markup, on one line, fit for the cell of a table."""
    return SPECIAL.sub(lambda found: f"\\{found[0]}", printable(text))
