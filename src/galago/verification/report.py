"""What a verification finds, for people and for JSON."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from galago.evaluation import Scores
from galago.verification.compare import Difference, Tolerance

SCHEMA_VERSION = 2  # of verify.json; 1 said faults, stage and photo for failures, layer and image


@dataclass(frozen=True, kw_only=True)
class Check:
    """One file in one engine on one image.

    Attributes:
        image: its name.
        difference: to the trained network.
        failures: what is out of tolerance, as sentences.
    """

    image: str
    difference: Difference
    failures: list[str]


@dataclass(frozen=True, kw_only=True)
class HostCheck:
    """One file in one engine on one image, resized and padded by a host.

    Attributes:
        image: its name.
        failures: what is wrong, as sentences.
        compared: whether its labels were compared with the trained network's; else only checked for
            values that are not finite.
    """

    image: str
    failures: list[str]
    compared: bool = False


@dataclass(kw_only=True)
class FileReport:
    """One file in one engine.

    Attributes:
        file: its name in the folder.
        engine: what ran it.
        precision: of the file, which decides the tolerance.
        checks: on each image that needs no resizing.
        host: on images that are resized and padded, and on images of one color.
        layer: the first layer that differs, None if none was searched or found.
        layer_errors: relative error of each layer that was found, if layers were searched.
        cause: the usual mistake that explains it, if one does.
        scores, mean_iou_drop, score_failure: on labeled images, if there were any.
        expected: scores of the trained network in the file's place, with its sizes and its output.
        fixed_size: the one (height, width) that the file takes, if it takes one and was scored.
        pictures: image, expected labels, given labels, (H, W, ...) uint8, of the image that agrees
            least.
        overflow: what overflows in float16, of a float16 file.
        error: the engine's message if it cannot run the file at all.
    """

    file: str
    engine: str
    precision: str = "float32"
    checks: list[Check] = field(default_factory=list)
    host: list[HostCheck] = field(default_factory=list)
    layer: str | None = None
    layer_errors: dict[str, float] = field(default_factory=dict)
    cause: str | None = None
    scores: Scores | None = None
    mean_iou_drop: float | None = None
    score_failure: str | None = None
    expected: Scores | None = None
    fixed_size: tuple[int, int] | None = None
    pictures: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    overflow: str | None = None
    error: str | None = None

    @property
    def failures(self) -> list[str]:
        """All that is out of tolerance, with the name of the image, then layer and cause."""
        found = [f"{check.image}: {failure}" for check in self.checks for failure in check.failures]
        found += [f"{check.image}: {failure}" for check in self.host for failure in check.failures]
        found += [text for text in (self.error, self.score_failure, self.overflow) if text]
        if found and self.layer:
            found.append(
                f"first layer that differs: {self.layer} (relative error "
                f"{self.layer_errors[self.layer]:.1e})"
            )
        if found and self.cause:
            found.append(f"cause: {self.cause}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON, without the pictures."""
        checks = [
            {"image": check.image, **vars(check.difference), "failures": check.failures}
            for check in self.checks
        ]
        scores = self.scores.summary() if self.scores else None
        return {
            "file": self.file,
            "engine": self.engine,
            "precision": self.precision,
            "ok": not self.failures,
            "failures": self.failures,
            "checks": checks,
            "host": [vars(check) for check in self.host],
            "layer": self.layer,
            "cause": self.cause,
            "layer_errors": self.layer_errors,
            "mean_iou": scores and scores["mean_iou"],
            "mean_iou_drop": self.mean_iou_drop,
            "mean_iou_expected": self.expected.mean_iou if self.expected else None,
            "classes": scores and scores["classes"],
        }


@dataclass(kw_only=True)
class Report:
    """What was found in a model folder.

    Attributes:
        name, precision: of the model.
        against: what it was compared with, for people.
        tolerance: what its precision may cost.
        description: what model.json and golden/ say wrongly.
        files: each file in each engine.
        skipped: files that were not checked, and why.
        scores: of the trained network on the labeled images, if there were any, in the place of the
            first file.
    """

    name: str
    precision: str
    against: str
    tolerance: Tolerance
    description: list[str] = field(default_factory=list)
    files: list[FileReport] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    scores: Scores | None = None

    @property
    def ok(self) -> bool:
        """Whether something was checked and nothing is out of tolerance."""
        return (
            bool(self.files)
            and not self.description
            and not any(file.failures for file in self.files)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON, without the pictures."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "model": self.name,
            "precision": self.precision,
            "ok": self.ok,
            "against": self.against,
            "tolerance": vars(self.tolerance),
            "description": self.description,
            "files": [file.to_dict() for file in self.files],
            "skipped": self.skipped,
            "mean_iou": self.scores.mean_iou if self.scores else None,
        }
        finite_content: dict[str, Any] = finite(content)
        return finite_content


def finite(value: Any) -> Any:
    """Return a value for JSON with None for each number that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
