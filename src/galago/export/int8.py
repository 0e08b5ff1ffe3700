"""int8 that keeps its accuracy: quantized on the user's photos, judged on labels in the engine that
will run it.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from galago.data import Dataset, subsample_evenly
from galago.errors import ConfigError, MissingDependencyError, ModelError
from galago.evaluation import evaluate
from galago.export.quantize import QUANTIZERS, block_of
from galago.export.writers.table import FORMATS
from galago.runtime.engines.table import installed_engines, open_engine
from galago.runtime.engines.trial import vouch
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec

ALWAYS_FLOAT = (
    "head.upsample",
)  # fixed weights, whose rounding costs 16 to 31 points, and of no size
CALIBRATION_PHOTOS = 100  # spread over the training split
JUDGED_PHOTOS = 500  # at most, spread over the validation split
Report = Callable[[str], None]


@dataclass(frozen=True)
class Int8Result:
    """What int8 costs in one format.

    Attributes:
        format, engine: of the file, and what judged it.
        mean_iou_float, mean_iou: of the float32 and of the int8 file, 0 to 1.
        photos: labeled ones on which they were measured.
        size_ratio: bytes of the int8 files over those of the float32 ones.
        float_blocks: blocks whose convolutions stayed in float, beside the quotient of the
            attention.
    """

    format: str
    engine: str
    mean_iou_float: float
    mean_iou: float
    photos: int
    size_ratio: float
    float_blocks: tuple[str, ...]

    @property
    def drop(self) -> float:
        """Lost mean IoU, 0 to 1; negative where int8 is better by chance."""
        return self.mean_iou_float - self.mean_iou

    def facts(self) -> dict[str, object]:
        """Return all of it for JSON."""
        return asdict(self) | {"drop": self.drop}


@dataclass(frozen=True)
class Int8:
    """How to make int8 files.

    Attributes:
        calibration: photos from which the ranges of activations are taken.
        judged: labeled photos on which the loss is measured; other ones.
        max_drop: largest loss of mean IoU, 0 to 1.
    """

    calibration: Dataset
    judged: Dataset
    max_drop: float

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < 1:
            raise ConfigError(
                f"--max-drop needs points of mean IoU from 0 to 100, got {100 * self.max_drop:g}."
            )

    def write(
        self, network: nn.Module, spec: ModelSpec, path: Path, format: str, report: Report
    ) -> Int8Result:
        """Write a network as int8 in one format, with as many blocks in float as its accuracy
        needs.

        Args:
            network: a trained segmentation network.
            spec: its description, precision int8.
            path: the first file of the format.
            format: onnx, openvino or litert.
            report: told what is being done.
        Raises:
            MissingDependencyError: the quantizer, or an engine that runs the format, is not
                installed.
            ModelError: the loss stays larger than allowed.
        """
        engines = installed_engines([path.name])
        if not engines:
            raise MissingDependencyError(
                f"Nothing that runs {path.name} is installed, so that int8 cannot be judged."
            )
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / path.name
            report(f"Writing {path.name} in float32")
            FORMATS[format].write(network, spec, source)
            vouch(source)
            segmenter = Segmenter(open_engine(source, engines[0]), spec)
            few = subsample_evenly(self.calibration, CALIBRATION_PHOTOS)
            photos = [segmenter.prepare(few[index].image)[0][None] for index in range(len(few))]
            report(f"Scoring {path.name} in float32")
            whole = self.score(segmenter)

            def attempt(kept: Sequence[str]) -> float:
                QUANTIZERS[format](source, path, photos, kept)
                vouch(path)
                return self.score(Segmenter(open_engine(path, engines[0]), spec))

            blocks = dict.fromkeys(
                block_of(name)
                for name, part in network.named_modules()
                if isinstance(part, nn.Conv2d)
            )
            kept, score = search([*blocks], attempt, whole - self.max_drop, report)
            ratio = total_size(path, format) / total_size(source, format)
        return Int8Result(
            format,
            engines[0],
            whole,
            score,
            min(len(self.judged), JUDGED_PHOTOS),
            ratio,
            tuple(kept),
        )

    def score(self, segmenter: Segmenter) -> float:
        """Return the mean IoU of a model."""
        return evaluate(
            lambda image: segmenter(image).labels, subsample_evenly(self.judged, JUDGED_PHOTOS)
        ).mean_iou


def search(
    blocks: Sequence[str], attempt: Callable[[Sequence[str]], float], needed: float, report: Report
) -> tuple[list[str], float]:
    """Find blocks to leave in float until a score is reached: those that help most by themselves,
    as few as will do.

    Args:
        blocks: all of them.
        attempt: quantizes with some blocks in float, and returns the score.
        needed: the score.
        report: told what is being done.
    Returns:
        the blocks, and the score with them, which `attempt` was called with last.
    Raises:
        ModelError: the score is not reached with all blocks in float.
    """
    kept = [*ALWAYS_FLOAT]
    report("Quantizing")
    score = attempt(kept)
    if score >= needed:
        return kept, score
    alone = {}
    for block in blocks:
        report(f"Quantizing: what {block} alone costs")
        alone[block] = attempt([*kept, block])
    order = sorted(blocks, key=lambda block: -alone[block])
    few, many = 0, len(order)  # with `few` blocks it is not reached
    while many - few > 1:
        middle = (few + many) // 2
        report(f"Quantizing with {middle} of {len(order)} blocks in float")
        few, many = (few, middle) if attempt([*kept, *order[:middle]]) >= needed else (middle, many)
    kept += order[:many]
    score = attempt(kept)
    if score < needed:
        raise ModelError(
            f"int8 does not reach a mean IoU of {needed:.4f}, even with every convolution in "
            f"float: {score:.4f}. "
            "Allow more with --max-drop, or export without --precision int8."
        )
    return kept, score


def total_size(path: Path, format: str) -> int:
    """Return the bytes of all files of a format."""
    return sum((path.parent / name).stat().st_size for name in FORMATS[format].files)


def int8_table(results: Sequence[Int8Result]) -> str:
    """Return what int8 costs in each format, in Markdown."""
    head = [
        "| file | judged in | mean IoU, float32 | int8 | lost points | size | blocks in float |",
        "|---" * 7 + "|",
    ]
    rows = [
        f"| {FORMATS[result.format].files[0]} | {result.engine}, {result.photos} photos | "
        f"{result.mean_iou_float:.4f} | "
        f"{result.mean_iou:.4f} | {100 * result.drop:+.2f} | {result.size_ratio:.2f} | "
        f"{', '.join(result.float_blocks)} |"
        for result in results
    ]
    return "\n".join(head + rows)
