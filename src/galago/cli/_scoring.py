"""Test-time augmentation and evaluation protocols for `galago val`."""

from typing import TYPE_CHECKING

from galago.cli._options import read_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy as np

    from galago.evaluation import Prediction, TTAConfig
    from galago.labels import LabelSet
    from galago.runtime.segmenter import Segmenter


def read_tta_config(
    slide: str | None, stride: str | None, scales: str | None, flip: bool
) -> "TTAConfig":
    """Return the configuration of test-time augmentation that the flags ask for.

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
    """Return the scales of a text such as `0.5,1,1.5`.

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


def describe(tta: "TTAConfig", protocol: str | None) -> "dict[str, Any]":
    """Return how images are shown, as JSON values: in words as `how`, and each flag."""
    words = f"protocol {protocol}, {tta.describe()}" if protocol else tta.describe()
    return {"how": words, "protocol": protocol, **tta.summary()}


def check_plain(tta: "TTAConfig") -> None:
    """Refuse test-time augmentation beside a protocol.

    Raises:
        ConfigError: it is requested.
    """
    from galago.errors import ConfigError

    if not tta.plain:
        raise ConfigError(
            "A protocol shows each photo once and whole. Leave --slide, --stride, --scales and "
            "--flip out, or it."
        )


def apply_protocol(segmenter: "Segmenter", name: str, label_set: "LabelSet") -> "Segmenter":
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
    protocol.check_classes(label_set.names)
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
    segmenter: "Segmenter", tta: "TTAConfig", *, confidence: bool
) -> "Callable[[np.ndarray], Prediction]":
    """Return a function from an image to its prediction, with test-time augmentation if requested.

    Raises:
        ConfigError: augmentation or confidence needs logits, and the model gives labels.
    """
    from galago.evaluation import Prediction
    from galago.evaluation.tta import predict_probabilities
    from galago.runtime.labelmap.argmax import argmax
    from galago.runtime.labelmap.full_resolution import FullResolutionLogits, top_probabilities

    if tta.plain and not confidence:
        return lambda image: Prediction(segmenter(image).labels)
    if tta.plain:

        def label(image: "np.ndarray") -> Prediction:
            result = segmenter(image, confidence=True)
            assert result.logits
            return Prediction(
                result.labels,
                top_probabilities(result.logits, result.size, segmenter.spec.upsampling),
            )

        return label
    logits_fn = FullResolutionLogits(segmenter)

    def predict(image: "np.ndarray") -> Prediction:
        size = image.shape[0], image.shape[1]
        probs = predict_probabilities(logits_fn, segmenter.resize(image), size, tta)
        confidence, labels = argmax(probs)
        return Prediction(labels, confidence)

    return predict
