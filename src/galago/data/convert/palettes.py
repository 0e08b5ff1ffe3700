"""Palette files: names and colors of classes, in the forms that labeling tools write."""

import re
from pathlib import Path

from galago._core.printable import printable
from galago._core.shown import shown
from galago._core.strict_yaml import parse_yaml
from galago._core.text_files import read_text
from galago.errors import ConfigError, DataError
from galago.labels import Color, LabelSet

PALETTE_NAMES = (
    "palette.yaml",
    "palette.yml",
    "labelmap.txt",
    "class_dict.csv",
    "label_colors.txt",
)
MAX_BYTES = 1 << 20
EXAMPLE = "road: [128, 64, 128]\ncar: [64, 0, 128]\n"
LINES = (
    re.compile(
        r"(?P<name>[^:]+):\s*(?P<rgb>[0-9]{1,9}\s*,\s*[0-9]{1,9}\s*,\s*[0-9]{1,9})\s*(:.*)?"
    ),  # labelmap.txt of CVAT and Datumaro
    re.compile(
        r"(?P<name>[^,]+),\s*(?P<rgb>[0-9]{1,9}\s*,\s*[0-9]{1,9}\s*,\s*[0-9]{1,9})\s*"
    ),  # class_dict.csv
    re.compile(
        r"(?P<rgb>[0-9]{1,9}\s+[0-9]{1,9}\s+[0-9]{1,9})\s+(?P<name>\S.*)"
    ),  # label_colors.txt of CamVid
)
CSV_HEADER = re.compile(r"name\s*,\s*r\s*,\s*g\s*,\s*b\s*", re.IGNORECASE)


def find_palette(folder: Path) -> Path | None:
    """Return the palette file of a folder, if there is one of a usual name."""
    return next((folder / name for name in PALETTE_NAMES if (folder / name).is_file()), None)


def read_palette(file: Path) -> LabelSet:
    """Read names and colors; their order becomes that of the class ids.

    Raises:
        DataError: the file is missing, of no known form, or gives two classes one color.
    """
    try:
        text = read_text(file, max_bytes=MAX_BYTES)
    except OSError as error:
        raise DataError(f"Cannot read the palette {file}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(str(error)) from error
    pairs = (
        _from_yaml(text, file)
        if file.suffix.lower() in (".yaml", ".yml")
        else _from_lines(text, file)
    )
    owners: dict[Color, str] = {}
    for name, color in pairs:
        if color in owners:
            raise DataError(
                f"{file}: {owners[color]} and {name} have one color, {color}, so that nothing "
                "tells them apart."
            )
        owners[color] = name
    try:
        return LabelSet(tuple(name for name, _ in pairs), tuple(color for _, color in pairs))
    except ConfigError as error:
        raise DataError(f"{file}: {error}") from error


def _from_yaml(text: str, file: Path) -> list[tuple[str, Color]]:
    try:
        raw = parse_yaml(text, name=str(file))
    except ValueError as error:
        raise DataError(str(error)) from error
    if not isinstance(raw, dict):
        raise DataError(f"{file} should hold a name and a color per line, as:\n{EXAMPLE}")
    pairs = []
    for name, color in raw.items():
        if not isinstance(name, str):  # YAML reads a bare `on` or `no` as true or false
            raise DataError(
                f"{file}: class names should be text, got {shown(name)}. Put quotes around it."
            )
        if (
            not isinstance(color, list)
            or len(color) != 3
            or not all(type(channel) is int for channel in color)
        ):
            raise DataError(
                f"{file}: {printable(name)} should have a color [red, green, blue], each 0 to 255, "
                f"got {shown(color)}."
            )
        pairs.append((name, (color[0], color[1], color[2])))
    return pairs


def _from_lines(text: str, file: Path) -> list[tuple[str, Color]]:
    pairs = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#") or (number == 1 and CSV_HEADER.fullmatch(line)):
            continue
        match = next((found for form in LINES if (found := form.fullmatch(line))), None)
        if match is None:
            forms = "`name:red,green,blue::`, `name,red,green,blue` or `red green blue name`"
            raise DataError(f"{file}, line {number}: expected {forms}, got {shown(line)}.")
        red, green, blue = (int(channel) for channel in re.findall("[0-9]+", match["rgb"]))
        pairs.append((match["name"].strip(), (red, green, blue)))
    return pairs
