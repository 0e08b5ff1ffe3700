"""Finding: one kind of trouble in a data set, where it is, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ERROR, WARNING = "error", "warning"
MAX_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of trouble.

    Attributes:
        kind: an identifier, such as `size-mismatch`.
        severity: error where training would fail or learn wrong labels, else warning.
        message: what was found.
        advice: what to do.
        found: what it is about, files as a rule, each with a detail or "".
        unit: what `found` holds: images, masks, classes, splits, files or lines.
    """

    kind: str
    severity: str
    message: str
    advice: str
    found: Mapping[str, str]
    unit: str = "photos"

    @property
    def examples(self) -> list[str]:
        """The first few of `found`, with their details."""
        return [
            f"{name} ({detail})" if detail else name
            for name, detail in list(self.found.items())[:MAX_EXAMPLES]
        ]

    @property
    def num_more(self) -> int:
        """How many of `found` are not among the examples."""
        return len(self.found) - len(self.examples)

    def summary(self, *, whole: bool = False) -> dict[str, Any]:
        """Return what JSON holds of it; the whole of it names everything that was found."""
        facts = {
            "kind": self.kind,
            "severity": self.severity,
            "message": self.message,
            "advice": self.advice,
            "unit": self.unit,
            "count": len(self.found),
            "examples": self.examples,
        }
        return facts | {"found": dict(self.found)} if whole else facts


def plural(count: int, unit: str) -> str:
    """Write a number of things: `1 mask`, `2 masks`."""
    word = unit if count != 1 else "class" if unit == "classes" else unit.removesuffix("s")
    return f"{count:,} {word}"


def size_text(size: tuple[int, int]) -> str:
    """Write (height, width) as people do, the width first."""
    return f"{size[1]} x {size[0]}"
