"""What `galago bench` writes: bench.json, plots, the command to use, and profile.json."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galago._core.printable import printable
from galago.benchmarking.measure import area, describe_config, format_ms, format_size

if TYPE_CHECKING:
    from galago.benchmarking.measure import Timing
    from galago.benchmarking.plan import Plan
    from galago.benchmarking.profile import DeviceProfile
    from galago.runtime.model_folder import OpenedModel

PACKAGES = (
    "galago",
    "numpy",
    "opencv-python-headless",
    "openvino",
    "onnxruntime",
    "ncnn",
    "ai-edge-litert",
)


SCHEMA_VERSION = 2  # of bench.json; 1 had other names for times and images, and no version


@dataclass(frozen=True)
class TestedModel:
    """The model that is timed.

    Attributes:
        given: its name or path, as the user typed it.
        path: where it is.
        opened: its files and description.
    """

    given: str
    path: Path
    opened: "OpenedModel"

    @property
    def lasting_name(self) -> str:
        """The name that finds it from any folder, or its absolute path."""
        return str(self.path.resolve()) if Path(self.given) == self.path else self.given


class Report:
    """All timings of a run, and what follows from them.

    Attributes:
        tested: the model.
        model: as the user named it.
        plan: what was measured.
        timings: one per configuration and size.
        runs, warmup: of each.
        budget_ms: milliseconds per image; None where no device profile is wanted.
    """

    def __init__(
        self,
        model: "TestedModel",
        plan: "Plan",
        timings: "list[Timing]",
        *,
        runs: int,
        warmup: int,
        budget_ms: float | None,
    ) -> None:
        from galago._core.atomic_io import sha256
        from galago._core.device import describe_run, peak_memory_mb

        self.tested = model
        self.model = model.given
        self.name = model.opened.spec.name
        engines = dict.fromkeys(timing.config.engine for timing in timings)
        self.model_sha256 = {engine: sha256(model.opened.file_for(engine)) for engine in engines}
        self.plan = plan
        self.timings = timings
        self.runs = runs
        self.warmup = warmup
        self.budget_ms = budget_ms
        self.peak_memory_mb = peak_memory_mb()
        self.made_with = describe_run(PACKAGES)

    @cached_property
    def best(self) -> "Timing | None":
        """The configuration and size to use: within the budget or, without one, the most accurate.

        None where there is none.
        """
        from galago.benchmarking.measure import choose_within

        if self.budget_ms is not None:
            return choose_within(self.timings, self.budget_ms)
        return choose_within(self.timings, float("inf")) if self.plan.dataset else None

    @cached_property
    def fastest(self) -> "Timing":
        """The fastest configuration for the largest image."""
        largest = max(area(timing.size) for timing in self.timings)
        return min(
            (timing for timing in self.timings if area(timing.size) == largest),
            key=lambda timing: timing.median_ms,
        )

    def summary(self) -> dict[str, Any]:
        """Return the content of bench.json."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.name,
            "model_sha256": self.model_sha256,
            "image": self.plan.image,
            "scored_on": self.plan.scored_on,
            "runs": self.runs,
            "warmup": self.warmup,
            "budget_ms": self.budget_ms,
            "rows": [as_row(timing) for timing in self.timings],
            "fastest": {"size": self.fastest.size, "command": command(self.model, self.fastest)},
            "best": {**as_row(self.best), "command": command(self.model, self.best)}
            if self.best
            else None,
            "peak_memory_mb": self.peak_memory_mb,
            "made_with": self.made_with,
        }

    def profile(self) -> "DeviceProfile | None":
        """Return what is best within the budget as a device profile.

        None without a budget, or if nothing is within it.
        """
        from importlib.metadata import version

        from galago.benchmarking.profile import DeviceProfile

        if self.budget_ms is None or self.best is None:
            return None
        best = self.best
        config = best.config
        return DeviceProfile(
            model=self.tested.lasting_name,
            model_sha256=self.model_sha256[config.engine],
            engine=config.engine,
            precision=config.precision,
            threads=config.threads,
            imgsz=best.imgsz,
            image_size=best.size,
            median_ms=round(best.median_ms, 3),
            mean_iou=as_row(best)["mean_iou"],
            scored_on=self.plan.scored_on,
            device=self.made_with["processor"],
            galago_version=version("galago"),
        )

    def save(self, out: Path) -> list[Path]:
        """Write bench.json, plots where matplotlib is installed, and profile.json if there is one.

        Returns:
            the paths.
        """
        from json import dumps

        from galago._core.atomic_io import write_whole
        from galago.benchmarking.plots import draw_accuracy, draw_latency, have_matplotlib

        files = {"bench.json": (dumps(self.summary(), indent=2) + "\n").encode()}
        if have_matplotlib():
            device = f"{self.made_with['processor']}, {self.made_with['cores']} cores"
            files["bench.png"] = draw_latency(
                self.timings,
                f"{printable(self.name)} on {device}",
                fitted=self.plan.dataset is not None,
            )
            if self.plan.dataset:
                title = f"{printable(self.name)} on {printable(self.plan.scored_on)}\n{device}"
                files["accuracy.png"] = draw_accuracy(
                    self.timings, title, self.best, self.budget_ms
                )
        if profile := self.profile():
            files["profile.json"] = profile.to_json().encode()
        for name, content in files.items():
            write_whole(out / name, content)
        return [out / name for name in files]

    def conclusion(self, out: Path) -> list[str]:
        """Return lines that say what to use, and with which command."""
        from shlex import quote

        if self.budget_ms is None and self.best is None:
            return [
                f"Fastest at {format_size(self.fastest.size)}: {command(self.model, self.fastest)}"
            ]
        if self.best is None:
            return []  # check_budget says more
        if self.budget_ms is None:
            return [
                f"Most accurate: {self.describe(self.best)}",
                f"Use it: {command(self.model, self.best)}",
            ]
        kind = "Best" if self.plan.dataset else "Largest"
        lines = [
            f"{kind} within {format_ms(self.budget_ms)} ms (end to end, median): "
            f"{self.describe(self.best)}"
        ]
        if not self.plan.dataset:
            lines.append("No accuracy was measured: give labeled photos with --data for that.")
        return [
            *lines,
            f"Use it: galago predict PHOTO --profile {quote(str(out / 'profile.json'))}",
        ]

    def describe(self, timing: "Timing") -> str:
        """Return a configuration and size, its times and its mean IoU in words."""
        times = as_row(timing)["end_to_end_ms"]
        size = (
            format_size(timing.imgsz)
            if timing.imgsz
            else f"the model's own size for photos of {format_size(timing.size)}"
        )
        score = "" if timing.mean_iou is None else f", mean IoU {timing.mean_iou:.4f}"
        return (
            f"{size}, {describe_config(timing.config)}: median {times['median']:.1f} ms, "
            f"p95 {times['p95']:.1f} ms{score}"
        )

    def check_budget(self) -> None:
        """Refuse a budget that no configuration keeps.

        Raises:
            BudgetError: none does.
        """
        from galago.errors import BudgetError

        if self.budget_ms is None or self.best:
            return
        fastest = min(self.timings, key=lambda timing: timing.median_ms)
        height, width = fastest.imgsz or fastest.size
        raise BudgetError(
            f"Nothing keeps within {format_ms(self.budget_ms)} ms, so no device profile is "
            f"written. The fastest: {self.describe(fastest)}. "
            f"Allow more time, or try a smaller size, for example --imgsz {-(-height // 2)} "
            f"{-(-width // 2)}, --threads, or --precision bfloat16."
        )


def as_row(timing: "Timing") -> dict[str, Any]:
    """Return a timing as bench.json has it."""
    from galago._core.provenance import version
    from galago.benchmarking.measure import summarize
    from galago.runtime.engines.table import ENGINES

    config = timing.config
    return {
        "engine": config.engine,
        "engine_version": version(ENGINES[config.engine].distribution),
        "precision": config.precision,
        "threads": config.threads,
        "size": timing.size,
        "imgsz": timing.imgsz,
        "input_size": timing.input_size,
        "network_ms": summarize(timing.network_ms),
        "end_to_end_ms": summarize(timing.end_to_end_ms),
        "labels_changed": round(timing.labels_changed, 6),
        "mean_iou": None if timing.mean_iou is None else round(timing.mean_iou, 6),
    }


def command(model: str, timing: "Timing") -> str:
    """Return the `galago predict` command that runs the model in this configuration."""
    from shlex import quote

    config = timing.config
    options = f"--model {quote(model)} --engine {config.engine}"
    options += f" --threads {config.threads}" if config.threads else ""
    options += f" --precision {config.precision}" if config.precision != "float32" else ""
    options += f" --imgsz {timing.imgsz[0]} {timing.imgsz[1]}" if timing.imgsz else ""
    return f"galago predict PHOTO {options}"
