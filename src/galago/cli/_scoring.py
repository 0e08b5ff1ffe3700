"""How `galago val` shows photos to the network: the flags of test time, protocols, and what they
make of a model.
"""

from typing import TYPE_CHECKING

from galago.cli._options import read_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np

    from galago.evaluation import Prediction, TTAConfig
    from galago.labels import LabelSet
    from galago.runtime.segmenter import Segmenter


def read_views(
    slide: str | None, stride: str | None, scales: str | None, flip: bool
) -> "TTAConfig":
    """Turn flags into views.

    Raises:
        ConfigError: a flag has another form, or they do not suit each other.
    """
    from galago.evaluation import TTAConfig

    window = read_size(slide, "--slide") if slide else None
    step = read_size(stride, "--stride") if stride else None
    return TTAConfig(
        window=window, stride=step, scales=read_scales(scales) if scales else (1.0,), flip=flip
    )


def read_scales(text: str) -> tuple[float, ...]:
    """Read `0.5,1,1.5`.

    Raises:
        ConfigError: the text has another form.
    """
    from galago.errors import ConfigError

    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"Expected numbers with commas between, for example --scales 0.5,1,1.5, got {text!r}."
        ) from error


def describe(views: "TTAConfig", protocol: str | None) -> "dict[str, Any]":
    """Return how photos are shown, as JSON knows it: in words as `how`, and each flag."""
    words = f"protocol {protocol}, {views.describe()}" if protocol else views.describe()
    return {"how": words, "protocol": protocol, **views.summary()}


def check_plain(views: "TTAConfig") -> None:
    """Refuse views beside a protocol.

    Raises:
        ConfigError: there are some.
    """
    from galago.errors import ConfigError

    if not views.plain:
        raise ConfigError(
            "A protocol shows each photo once and whole. Leave --slide, --stride, --scales and "
            "--flip out, or it."
        )


def apply_protocol(segmenter: "Segmenter", name: str, labels: "LabelSet") -> "Segmenter":
    """Return the same model with the resize rule and the upsampling of a protocol.

    Raises:
        ConfigError: there is no such protocol, the data set has other classes, or the model gives
            labels, takes another size, was told a size or asks for another resize rule.
    """
    from dataclasses import replace

    from galago.errors import ConfigError, choose
    from galago.evaluation.protocol import PROTOCOLS
    from galago.runtime.segmenter import Segmenter

    protocol, spec = choose(PROTOCOLS, name, "protocol"), segmenter.spec
    protocol.check_classes(labels.names)
    segmenter.check_logits("A protocol")
    size = (
        "1024 x 2048 pixels"
        if protocol.input_size
        else f"a short side of {protocol.short_side} pixels"
    )
    if segmenter.imgsz:
        raise ConfigError(
            f"The protocol {name} resizes photos to {size}. Leave --imgsz and --profile out, or "
            "--protocol."
        )
    if segmenter.input_size and segmenter.input_size != protocol.input_size:
        raise ConfigError(
            f"The protocol {name} resizes photos to {size}, but the file takes "
            f"{segmenter.input_size} (height, width) and "
            "nothing else. Export the model without a fixed size."
        )
    wanted = (protocol.resize, protocol.input_size, protocol.short_side)
    if spec.resize != "keep" and (spec.resize, spec.input_size, spec.short_side) != wanted:
        raise ConfigError(
            f"The protocol {name} resizes photos to {size}, but {spec.name} asks for another "
            f"resize rule: {spec.resize} "
            f"{spec.short_side or spec.input_size}. Leave --protocol out."
        )
    resize, input_size, short_side = wanted
    changed = replace(
        spec,
        resize=resize,
        input_size=input_size,
        short_side=short_side,
        upsampling=protocol.upsampling,
    )
    return Segmenter(segmenter.engine, changed)


def make_predict_fn(
    segmenter: "Segmenter", views: "TTAConfig", *, confidence: bool
) -> "Callable[[np.ndarray], Prediction]":
    """Return what labels a photo, through views if there are any.

    Raises:
        ConfigError: views or confidence need logits, and the model gives labels.
    """
    from galago.evaluation import Prediction
    from galago.evaluation.tta import argmax_classes, probabilities
    from galago.runtime.labelmap.full_resolution import FullResolutionLogits, top_probabilities

    if views.plain and not confidence:
        return lambda image: Prediction(segmenter(image).labels)
    if views.plain:

        def label(image: "np.ndarray") -> Prediction:
            result = segmenter(image, confidence=True)
            assert result.logits
            return Prediction(
                result.labels,
                top_probabilities(result.logits, result.size, segmenter.spec.upsampling),
            )

        return label
    logits = FullResolutionLogits(segmenter)

    def average(image: "np.ndarray") -> Prediction:
        height, width = image.shape[:2]
        return Prediction(
            *argmax_classes(probabilities(logits, segmenter.resize(image), (height, width), views))
        )

    return average
