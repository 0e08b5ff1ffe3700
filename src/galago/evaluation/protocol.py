"""Evaluation protocols: how published figures were measured, by name, to compare with them.

They are those of EfficientViT's authors: images resized with cubic interpolation, logits upsampled
bicubically to the mask's size, one confusion matrix over the set, one scale, no flip
(github.com/mit-han-lab/efficientvit, applications/efficientvit_seg/eval_efficientvit_seg_model.py,
commit 8d60c1c).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from galago.errors import ConfigError
from galago.labels import ADE20K_NAMES, CITYSCAPES_NAMES


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """An evaluation protocol.

    Attributes:
        name: as the user types it.
        classes: one name per class, in order.
        resize: the resize rule, in the words of a model description.
        input_size: (height, width) that images are resized to, for `stretch`.
        short_side: pixels of the short side, for `short_side`.
        upsampling: how logits are brought to the mask's size.
    """

    name: str
    classes: tuple[str, ...]
    resize: str
    input_size: tuple[int, int] | None = None
    short_side: int | None = None
    upsampling: str = "bicubic"

    def check_classes(self, names: tuple[str, ...]) -> None:
        """Refuse a data set of other classes.

        Of a name with synonyms, such as `building;edifice`, the first one counts.

        Raises:
            ConfigError: the classes, or their order, are others.
        """
        given = tuple(name.replace(",", ";").split(";")[0].strip().lower() for name in names)
        if given == self.classes:
            return
        pairs = zip(given, self.classes, strict=False)
        index = next(
            (index for index, pair in enumerate(pairs) if len(set(pair)) == 2),
            min(len(given), len(self.classes)),
        )
        expected, got = (
            words[index] if index < len(words) else "none" for words in (self.classes, names)
        )
        raise ConfigError(
            f"The protocol {self.name} belongs to its {len(self.classes)} classes, got "
            f"{len(given)}: class {index} should be "
            f"{expected}, got {got}. Name the classes in that order, or leave --protocol out."
        )


PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="cityscapes", classes=CITYSCAPES_NAMES, resize="stretch", input_size=(1024, 2048)
        ),
        Protocol(name="ade20k", classes=ADE20K_NAMES, resize="short_side", short_side=512),
    )
}
