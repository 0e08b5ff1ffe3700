"""Palette files: names and colors of classes, in the forms that labeling tools write."""

import re
from pathlib import Path

import yaml

from galago.errors import ConfigError, DataError
from galago.labels import Color, LabelSet

PALETTE_NAMES = ("palette.yaml", "palette.yml", "labelmap.txt", "class_dict.csv", "label_colors.txt")
EXAMPLE = "road: [128, 64, 128]\ncar: [64, 0, 128]\n"
LINES = (
    re.compile(r"(?P<name>[^:]+):\s*(?P<rgb>\d+\s*,\s*\d+\s*,\s*\d+)\s*(:.*)?"),  # labelmap.txt of CVAT and Datumaro
    re.compile(r"(?P<name>[^,]+),\s*(?P<rgb>\d+\s*,\s*\d+\s*,\s*\d+)\s*"),  # class_dict.csv
    re.compile(r"(?P<rgb>\d+\s+\d+\s+\d+)\s+(?P<name>\S.*)"),  # label_colors.txt of CamVid
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
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read the palette {file}: {error}") from error
    pairs = _from_yaml(text, file) if file.suffix.lower() in (".yaml", ".yml") else _from_lines(text, file)
    owners: dict[Color, str] = {}
    for name, color in pairs:
        if color in owners:
            raise DataError(f"{file}: {owners[color]} and {name} have one color, {color}, so that nothing tells them apart.")
        owners[color] = name
    try:
        return LabelSet(tuple(name for name, _ in pairs), tuple(color for _, color in pairs))
    except ConfigError as error:
        raise DataError(f"{file}: {error}") from error


def _from_yaml(text: str, file: Path) -> list[tuple[str, Color]]:
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{file} is not readable as YAML: {error}") from error
    if not isinstance(raw, dict):
        raise DataError(f"{file} should hold a name and a color per line, as:\n{EXAMPLE}")
    pairs = []
    for name, color in raw.items():
        if not isinstance(name, str):  # YAML reads a bare `on` or `no` as true or false
            raise DataError(f"{file}: class names should be text, got {name!r}. Put quotes around it.")
        if not isinstance(color, list) or len(color) != 3 or not all(type(channel) is int for channel in color):
            raise DataError(f"{file}: {name} should have a color [red, green, blue], each 0 to 255, got {color!r}.")
        pairs.append((name, (color[0], color[1], color[2])))
    return pairs


def _from_lines(text: str, file: Path) -> list[tuple[str, Color]]:
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#") or (number == 1 and CSV_HEADER.fullmatch(line)):
            continue
        match = next((found for form in LINES if (found := form.fullmatch(line))), None)
        if match is None:
            forms = "`name:red,green,blue::`, `name,red,green,blue` or `red green blue name`"
            raise DataError(f"{file}, line {number}: expected {forms}, got {line!r}.")
        red, green, blue = (int(channel) for channel in re.findall(r"\d+", match["rgb"]))
        pairs.append((match["name"].strip(), (red, green, blue)))
    return pairs
