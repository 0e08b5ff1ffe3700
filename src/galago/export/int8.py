"""int8 that keeps its accuracy: calibrated on the user's images, measured on labels in the engine
that will run it.
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
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.writers.table import WRITERS
from galago.runtime.engines.table import installed_engines, open_engine
from galago.runtime.engines.trial import vouch
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec

# fixed weights without size, whose rounding costs 16 to 31 points
ALWAYS_FLOAT = ("head.upsample",)
CALIBRATION_IMAGES = 100  # spread over the training split
VALIDATION_IMAGES = 500  # at most, spread over the validation split
OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Int8Result:
    """What int8 costs in one format.

    Attributes:
        format, engine: of the file, and the engine in which it was measured.
        mean_iou_float, mean_iou: of the float32 and of the int8 file, 0 to 1.
        num_images: labeled ones on which they were measured.
        size_ratio: bytes of the int8 files over those of the float32 ones.
        float_blocks: blocks whose convolutions stayed in float, beside the quotient of the
            attention.
    """

    format: str
    engine: str
    mean_iou_float: float
    mean_iou: float
    num_images: int
    size_ratio: float
    float_blocks: tuple[str, ...]

    @property
    def drop(self) -> float:
        """Lost mean IoU, 0 to 1; negative where int8 is better by chance."""
        return self.mean_iou_float - self.mean_iou

    def to_dict(self) -> dict[str, object]:
        """Return the result for JSON."""
        return asdict(self) | {"drop": self.drop}


@dataclass(frozen=True)
class Int8:
    """How to make int8 files.

    Attributes:
        calibration_set: images from which the ranges of activations are taken.
        validation_set: labeled images on which the loss is measured; other ones.
        max_drop: largest loss of mean IoU, 0 to 1.
    """

    calibration_set: Dataset
    validation_set: Dataset
    max_drop: float

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < 1:
            raise ConfigError(
                f"--max-drop needs points of mean IoU from 0 to 100, got {100 * self.max_drop:g}."
            )

    def write(
        self, deployed: DeployedNetwork, spec: ModelSpec, path: Path, format: str, on_step: OnStep
    ) -> Int8Result:
        """Write a network as int8 in one format, with as many blocks in float as its accuracy
        needs.

        Args:
            deployed: the network; left as it is.
            spec: its description, precision int8.
            path: the first file of the format.
            format: onnx, openvino or litert.
            on_step: called with a line on each step.
        Raises:
            MissingDependencyError: the quantizer, or an engine that runs the format, is not
                installed.
            ModelError: the loss stays larger than allowed.
        """
        engines = installed_engines([path.name])
        if not engines:
            raise MissingDependencyError(
                f"Nothing that runs {path.name} is installed, so that int8 cannot be measured."
            )
        engine = engines[0]
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / path.name
            on_step(f"Writing {path.name} in float32")
            WRITERS[format].write(deployed, spec, source)
            vouch(source)
            segmenter = Segmenter(open_engine(source, engine), spec)
            samples = subsample_evenly(self.calibration_set, CALIBRATION_IMAGES)
            images = [
                segmenter.prepare(samples[index].image)[0][None] for index in range(len(samples))
            ]
            on_step(f"Scoring {path.name} in float32")
            mean_iou_float = self._score(segmenter)

            def quantize(float_blocks: Sequence[str]) -> float:
                QUANTIZERS[format](source, path, images, float_blocks)
                vouch(path)
                return self._score(Segmenter(open_engine(path, engine), spec))

            needed = mean_iou_float - self.max_drop
            blocks = _conv_blocks(deployed.network)
            float_blocks, mean_iou = select_float_blocks(blocks, quantize, needed, on_step)
            return Int8Result(
                format=format,
                engine=engine,
                mean_iou_float=mean_iou_float,
                mean_iou=mean_iou,
                num_images=min(len(self.validation_set), VALIDATION_IMAGES),
                size_ratio=_total_size(path, format) / _total_size(source, format),
                float_blocks=tuple(float_blocks),
            )

    def _score(self, segmenter: Segmenter) -> float:
        """Return the mean IoU of a model on the validation set, 0 to 1."""
        samples = subsample_evenly(self.validation_set, VALIDATION_IMAGES)
        return evaluate(lambda image: segmenter(image).labels, samples).mean_iou


def _conv_blocks(network: nn.Module) -> list[str]:
    """Return the blocks of a network that have convolutions, in order."""
    convolutions = (
        name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)
    )
    return [*dict.fromkeys(map(block_of, convolutions))]


def select_float_blocks(
    blocks: Sequence[str],
    quantize: Callable[[Sequence[str]], float],
    needed: float,
    on_step: OnStep,
) -> tuple[list[str], float]:
    """Find the fewest blocks to leave in float for a score: those that help most on their own.

    Args:
        blocks: all of them.
        quantize: quantizes with some blocks in float, and returns the score.
        needed: the score.
        on_step: called with a line on each step.
    Returns:
        the blocks, and the score with them, with which `quantize` was called last.
    Raises:
        ModelError: the score is not reached with all blocks in float.
    """
    selected = [*ALWAYS_FLOAT]
    on_step("Quantizing")
    score = quantize(selected)
    if score >= needed:
        return selected, score
    gains = {}
    for block in blocks:
        on_step(f"Quantizing: what {block} alone costs")
        gains[block] = quantize([*selected, block])
    order = sorted(blocks, key=lambda block: -gains[block])
    too_few, enough = 0, len(order)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        on_step(f"Quantizing with {middle} of {len(order)} blocks in float")
        if quantize([*selected, *order[:middle]]) >= needed:
            enough = middle
        else:
            too_few = middle
    selected += order[:enough]
    score = quantize(selected)
    if score < needed:
        raise ModelError(
            f"int8 does not reach a mean IoU of {needed:.4f}, even with every convolution in "
            f"float: {score:.4f}. Allow more with --max-drop, or export in float32."
        )
    return selected, score


def _total_size(path: Path, format: str) -> int:
    """Return the bytes of all files of a format."""
    return sum((path.parent / name).stat().st_size for name in WRITERS[format].files)


def int8_table(results: Sequence[Int8Result]) -> str:
    """Return what int8 costs in each format, in Markdown."""
    head = [
        "| file | measured in | mean IoU, float32 | int8 | lost points | size | blocks in float |",
        "|---" * 7 + "|",
    ]
    rows = [
        f"| {WRITERS[result.format].files[0]} | {result.engine}, {result.num_images} photos | "
        f"{result.mean_iou_float:.4f} | "
        f"{result.mean_iou:.4f} | {100 * result.drop:+.2f} | {result.size_ratio:.2f} | "
        f"{', '.join(result.float_blocks)} |"
        for result in results
    ]
    return "\n".join(head + rows)
