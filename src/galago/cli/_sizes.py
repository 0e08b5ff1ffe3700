"""Sizes on the command line: `--imgsz H [W]`, and flags like it."""

import typer
from typer.core import TyperCommand

FLAGS = ("--imgsz", "--slide", "--stride")


class SizeCommand(TyperCommand):
    """A command whose sizes, as `--imgsz`, take one number or two.

    Such commands have no arguments without a flag.
    """

    def parse_args(self, ctx: "typer.Context", args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own context
        """Read the words of the command line."""
        return super().parse_args(ctx, join_sizes(args))


def join_sizes(words: list[str]) -> list[str]:
    """Turn `--imgsz 512 1024` into `--imgsz 512x1024`: the parser knows flags with a fixed number
    of values only.
    """
    joined: list[str] = []
    for word in words:
        if len(joined) > 1 and joined[-2] in FLAGS and joined[-1].isdecimal() and word.isdecimal():
            joined[-1] += f"x{word}"
        else:
            joined.append(word)
    return joined


def read_size(text: str, flag: str = "--imgsz") -> tuple[int, int]:
    """Read (height, width) from HEIGHTxWIDTH, or from one number for a square.

    Raises:
        ConfigError: the text has another form, or a side is not positive.
    """
    from galago.errors import ConfigError

    sides = text.lower().split("x")
    if len(sides) > 2 or not all(
        side.isascii() and side.isdigit() and int(side) > 0 for side in sides
    ):
        raise ConfigError(
            f"Expected a size in pixels as height and width, for example {flag} 512 1024, got "
            f"{text!r}."
        )
    return int(sides[0]), int(sides[-1])
