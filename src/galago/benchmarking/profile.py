"""Setting: how to run a model on one device, as `galago bench --budget` chose and wrote it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from galago._core.dataclass_json import from_json, to_json
from galago._core.text_files import read_text
from galago.errors import ConfigError
from galago.spec import LONGEST_SIDE

SCHEMA_VERSION = 1
MOST_THREADS = 4096
MOST_PIXELS = 10**6  # on a side
MOST_MS = 10**9  # 11 days
AGAIN = "Run `galago bench --budget` again."


class DeviceMismatchWarning(UserWarning):
    """A setting was measured on another device than this one."""


@dataclass(frozen=True, kw_only=True)
class DeviceProfile:
    """How to run a model, and what was measured that way.

    Attributes:
        model: name of a bundled model, or path of a model folder or .onnx file.
        model_sha256: of the model file that was measured.
        engine: name of the engine.
        precision: float32 or bfloat16.
        threads: CPU threads; None lets the engine decide.
        imgsz: (height, width) that photos are fitted into; None for the model's own resize rule.
        photo_size: (height, width) of the photos that were measured; larger ones take longer.
        median_ms: milliseconds from decoded photo to label map.
        mean_iou: mean IoU, 0 to 1; None where it was not measured.
        scored_on: the photos that the mean IoU is of, in words.
        device: name of the processor.
        galago_version: version of galago that measured.
        schema_version: version of this description.
    """

    model: str
    model_sha256: str
    engine: str
    precision: str
    threads: int | None
    imgsz: tuple[int, int] | None
    photo_size: tuple[int, int]
    median_ms: float
    mean_iou: float | None
    scored_on: str | None
    device: str
    galago_version: str
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        for name, size in (("imgsz", self.imgsz), ("photo_size", self.photo_size)):
            if size is not None and min(size) < 1:
                raise ConfigError(
                    f"The setting has {name} = {list(size)}, expected [height, width] in pixels. "
                    f"{AGAIN}"
                )
        for name, value, most in (
            ("imgsz", self.imgsz and max(self.imgsz), LONGEST_SIDE),
            ("photo_size", max(self.photo_size), MOST_PIXELS),
            ("threads", self.threads, MOST_THREADS),
            ("median_ms", self.median_ms, MOST_MS),
            ("mean_iou", self.mean_iou, 1),
        ):
            if value is not None and not 0 <= value <= most:
                raise ConfigError(
                    f"The setting has {name} with {value}, expected at most {most:,}. {AGAIN}"
                )

    def to_json(self) -> str:
        """Write as JSON, the keys in the order of the attributes."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` wrote.

        Raises:
            ConfigError: not JSON, another schema version, or a key that is missing, unknown or of
                another type.
        """
        try:
            return from_json(cls, text, what="setting", version=SCHEMA_VERSION)
        except ValueError as error:
            raise ConfigError(f"{error} {AGAIN}") from error

    def describe(self) -> str:
        """Say in one line how photos are labeled, and how that was measured."""
        size = (
            "the model's own size"
            if self.imgsz is None
            else f"photos fitted into {self.imgsz[0]} x {self.imgsz[1]}"
        )
        threads = (
            "threads as the engine decides" if self.threads is None else f"threads {self.threads}"
        )
        score = (
            "" if self.mean_iou is None else f", mean IoU {self.mean_iou:.4f} on {self.scored_on}"
        )
        height, width = self.photo_size
        measured = f"measured {self.median_ms:.1f} ms for a photo of {height} x {width}{score}"
        return f"{self.model}, {self.engine} in {self.precision}, {threads}, {size}; {measured}"

    def check_flags(
        self, *, engine: str, threads: int | None, half: bool, imgsz: tuple[int, int] | None
    ) -> None:
        """Refuse what contradicts the setting: it was measured as a whole, and a change makes its
        numbers untrue.

        Args:
            engine: name, or `auto` for none named.
            threads, imgsz: None where not given.
            half: whether half precision is asked for.
        Raises:
            ConfigError: a value differs from that of the setting.
        """
        for name, given, written in (
            ("engine", None if engine == "auto" else engine, self.engine),
            ("threads", threads, self.threads),
            ("precision", "bfloat16" if half else None, self.precision),
            ("imgsz", imgsz, self.imgsz),
        ):
            if given is not None and given != written:
                raise ConfigError(
                    f"The setting has {name} {_words(written)}, got {_words(given)} beside it, for "
                    "which nothing was measured. "
                    f"Leave {name} or the setting out."
                )

    def check_model(self, sha256: str) -> None:
        """Refuse a model file other than the one that was measured.

        Raises:
            ConfigError: its checksum is another.
        """
        if sha256 != self.model_sha256:
            raise ConfigError(
                "The setting was measured with another model file: its SHA-256 is "
                f"{sha256[:12]}..., the setting has "
                f"{self.model_sha256[:12]}... {AGAIN}"
            )

    def device_warning(self, processor: str) -> str | None:
        """Say that this is another processor than the one measured on.

        None where it is the same.
        """
        if processor == self.device:
            return None
        return f"The setting was measured on {self.device}, and this is {processor}: times differ. {AGAIN}"


def read_setting(path: str | Path) -> DeviceProfile:
    """Read a setting file.

    Raises:
        ConfigError: it cannot be read, or is no setting.
    """
    try:
        text = read_text(Path(path))
    except OSError as error:
        raise ConfigError(
            f"Cannot read {path}: {error.strerror or error}. `galago bench --budget` writes "
            "setting files."
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path} is no setting file, which is JSON in UTF-8. {AGAIN}") from error
    try:
        return DeviceProfile.from_json(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _words(value: object) -> str:
    return (
        "unset"
        if value is None
        else " x ".join(map(str, value))
        if isinstance(value, tuple)
        else str(value)
    )
