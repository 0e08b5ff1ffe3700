"""Where a file differs first, and which usual mistake explains it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec
from galago.verification.activations import ACTIVATION_READERS
from galago.verification.compare import TOLERANCES, find_shift
from galago.verification.fingerprints import (
    INPUT,
    LOGITS,
    LayerFingerprint,
    best_matches,
    explain_input,
    explain_logits,
    first_divergence,
    late_input,
    pool,
)
from galago.verification.reference import ExpectedOutput
from galago.verification.report import FileReport

FIRST_LAYER = "backbone.stages.0.0"


def diagnose(
    report: FileReport,
    path: Path,
    segmenter: Segmenter,
    expected: ExpectedOutput,
    labels: np.ndarray,
    layers: Sequence[LayerFingerprint],
) -> None:
    """Find the first layer that differs, and what explains it.

    Args:
        report: of the file; gets what is found.
        path: the file.
        segmenter: the file in its engine.
        expected: an image for which the file is out of tolerance.
        labels: (H, W) uint8, what the file gives for it.
        layers: of the trained network for that image; none if they are unknown.
    """
    image = expected.image[None]
    if layers and report.engine in ACTIVATION_READERS:
        read = ACTIVATION_READERS[report.engine]
        shapes = {layer.shape for layer in layers}
        report.layer_errors = best_matches(layers, read(path, image, shapes))
        allowed = TOLERANCES[report.precision].layer_error
        report.layer = first_divergence(layers, report.layer_errors, allowed)
        if report.layer in (INPUT, FIRST_LAYER):
            maps = [*read(path, image, {layers[0].shape})]
            _explain_first(report, segmenter.spec, layers[0], maps)
    if segmenter.spec.output == "logits" and report.layer in (LOGITS, None):
        order = explain_logits(expected.logits, segmenter.engine.run(image)[0])
        if order:
            moved = ", ".join(f"{new} for {old}" for old, new in enumerate(order) if new != old)
            report.cause = f"the classes are in another order: {moved}"
    if report.cause is None and (shift := find_shift(expected.labels, labels)):
        report.cause = (
            f"the labels are shifted by {shift[0]} rows and {shift[1]} columns; a crop or padding "
            "may be off by one"
        )


def _explain_first(
    report: FileReport, spec: ModelSpec, layer: LayerFingerprint, maps: Sequence[np.ndarray]
) -> None:
    """Explain what happened to the image before the first layer, possibly after a correct
    normalization.
    """
    norm = spec.mean, spec.std
    if report.layer == INPUT:
        report.cause = explain_input(layer, maps, norm)
    elif late := late_input(layer, maps):
        report.cause = explain_input(layer, late, norm)
        if report.cause:
            report.layer = INPUT
            report.layer_errors[INPUT] = layer.error(pool(late[0]))
