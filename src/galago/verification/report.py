"""What a verification finds, in words and for JSON."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from galago.evaluation import Scores
from galago.verification.compare import Difference, Tolerance


@dataclass(frozen=True, kw_only=True)
class Check:
    """One file in one engine on one photo.

    Attributes:
        photo: which, in words.
        difference: to the trained network.
        faults: what is out of tolerance, in words.
    """

    photo: str
    difference: Difference
    faults: list[str]


@dataclass(frozen=True, kw_only=True)
class HostCheck:
    """One file in one engine on one image that went the whole way of a host.

    Attributes:
        image: which, in words.
        faults: what is wrong, in words.
        compared: whether its labels were compared with the trained network's; else only looked for
            what is not finite.
    """

    image: str
    faults: list[str]
    compared: bool = False


@dataclass(kw_only=True)
class FileReport:
    """One file in one engine.

    Attributes:
        file: its name in the folder.
        engine: what ran it.
        checks: on each photo.
        host: on images that are resized and padded, and on such of one color.
        precision: what the file holds, which decides the tolerance.
        stage: the first stage that differs, None where none was looked for or found.
        stage_errors: relative error of each stage that was found, where they were looked for.
        cause: what explains it, if a usual mistake does.
        scores, mean_iou_drop, score_fault: on labeled photos, if there were any.
        expected: scores of the trained network in the file's place, with its sizes and its output.
        fixed_size: the one (height, width) that the file takes, if it does and was scored.
        pictures: photo, expected labels, given labels, (H, W, ...) uint8, of the photo that agrees
            least.
        overflow: what float16 could not hold, of a float16 file.
        trouble: what the engine says where it cannot run the file at all.
    """

    file: str
    engine: str
    precision: str = "float32"
    checks: list[Check] = field(default_factory=list)
    host: list[HostCheck] = field(default_factory=list)
    stage: str | None = None
    stage_errors: dict[str, float] = field(default_factory=dict)
    cause: str | None = None
    scores: Scores | None = None
    mean_iou_drop: float | None = None
    score_fault: str | None = None
    expected: Scores | None = None
    fixed_size: tuple[int, int] | None = None
    pictures: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    overflow: str | None = None
    trouble: str | None = None

    @property
    def faults(self) -> list[str]:
        """All that is out of tolerance, with the photo it was seen on, then stage and cause."""
        found = [f"{check.photo}: {fault}" for check in self.checks for fault in check.faults]
        found += [f"{check.image}: {fault}" for check in self.host for fault in check.faults]
        found += [text for text in (self.trouble, self.score_fault, self.overflow) if text]
        if found and self.stage:
            found.append(
                f"first stage that differs: {self.stage} (relative error "
                f"{self.stage_errors[self.stage]:.1e})"
            )
        if found and self.cause:
            found.append(f"cause: {self.cause}")
        return found

    def facts(self) -> dict[str, Any]:
        """Return all of it for JSON, but for the pictures."""
        checks = [
            {"photo": check.photo, **vars(check.difference), "faults": check.faults}
            for check in self.checks
        ]
        scores = self.scores.summary() if self.scores else None
        return {
            "file": self.file, "engine": self.engine, "precision": self.precision, "ok": not self.faults, "faults": self.faults,
            "checks": checks, "host": [vars(check) for check in self.host],
            "stage": self.stage, "cause": self.cause, "stage_errors": self.stage_errors,
            "mean_iou": scores and scores["mean_iou"], "mean_iou_drop": self.mean_iou_drop,
            "mean_iou_expected": self.expected.mean_iou if self.expected else None,
            "classes": scores and scores["classes"],
        }  # fmt: skip


@dataclass(kw_only=True)
class Report:
    """What was found in a model folder.

    Attributes:
        name, precision: of the model.
        against: what it was compared with, in words.
        tolerance: what its precision may cost.
        description: what model.json and golden/ tell wrongly.
        files: each file in each engine.
        skipped: files that were not checked, and why.
        scores: of the trained network on the labeled photos, if there were any, in the place of the
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
            and not any(file.faults for file in self.files)
        )

    def facts(self) -> dict[str, Any]:
        """Return all of it for JSON, but for the pictures."""
        facts: dict[str, Any] = finite({
            "model": self.name, "precision": self.precision, "ok": self.ok, "against": self.against,
            "tolerance": vars(self.tolerance), "description": self.description, "files": [file.facts() for file in self.files],
            "skipped": self.skipped, "mean_iou": self.scores.mean_iou if self.scores else None,
        })  # fmt: skip
        return facts


def finite(value: Any) -> Any:
    """Return facts with None for each number that is not finite, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
