"""Device profile: how to run a model on one device, as `galago bench --budget` chose it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from galago._core.dataclass_json import from_json, to_json
from galago._core.strict_json import parse_json
from galago._core.text_files import read_text
from galago.errors import ConfigError
from galago.spec import LONGEST_SIDE

SCHEMA_VERSION = 2
KEYS_OF_VERSION_1 = {"photo_size": "image_size"}  # old key -> new key
_MAX_THREADS = 4096
_MAX_SIDE = 10**6  # pixels
_MAX_MS = 10**9  # 11 days
AGAIN = "Run `galago bench --budget` again."


class DeviceMismatchWarning(UserWarning):
    """The profile was measured on another device than this one."""


@dataclass(frozen=True, kw_only=True)
class DeviceProfile:
    """How to run a model, and what was measured that way.

    Attributes:
        model: name of a bundled model, or path of a model folder or .onnx file.
        model_sha256: of the model file that was measured.
        engine: name of the engine.
        precision: float32, bfloat16 or float16.
        threads: CPU threads; None lets the engine decide.
        imgsz: (height, width) that images are fitted into; None for the model's own resize rule.
        image_size: (height, width) of the images that were measured; larger ones take longer.
        median_ms: milliseconds from decoded image to label map.
        mean_iou: mean IoU, 0 to 1; None where it was not measured.
        scored_on: the images that the mean IoU is of, in words.
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
    image_size: tuple[int, int]
    median_ms: float
    mean_iou: float | None
    scored_on: str | None
    device: str
    galago_version: str
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        for name, size in (("imgsz", self.imgsz), ("image_size", self.image_size)):
            if size is not None and min(size) < 1:
                raise ConfigError(
                    f"The profile has {name} = {list(size)}, expected [height, width] in pixels. "
                    f"{AGAIN}"
                )
        for name, value, limit in (
            ("imgsz", self.imgsz and max(self.imgsz), LONGEST_SIDE),
            ("image_size", max(self.image_size), _MAX_SIDE),
            ("threads", self.threads, _MAX_THREADS),
            ("median_ms", self.median_ms, _MAX_MS),
            ("mean_iou", self.mean_iou, 1),
        ):
            if value is not None and not 0 <= value <= limit:
                raise ConfigError(
                    f"The profile has {name} with {value}, expected at most {limit:,}. {AGAIN}"
                )

    def to_json(self) -> str:
        """Write as JSON, the keys in the order of the attributes."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` wrote, now or in version 1, as a profile.

        Raises:
            ConfigError: not JSON, another schema version, or a key that is missing, unknown or of
                another type.
        """
        try:
            return from_json(cls, _upgrade(text), what="profile", version=SCHEMA_VERSION)
        except ValueError as error:
            raise ConfigError(f"{error} {AGAIN}") from error

    def describe(self) -> str:
        """Return in one line how images are labeled, and how that was measured."""
        size = (
            "the model's own size"
            if self.imgsz is None
            else f"photos fitted into {self.imgsz[0]} x {self.imgsz[1]}"
        )
        threads = "threads: auto" if self.threads is None else f"threads {self.threads}"
        score = (
            "" if self.mean_iou is None else f", mean IoU {self.mean_iou:.4f} on {self.scored_on}"
        )
        height, width = self.image_size
        measured = f"measured {self.median_ms:.1f} ms for a photo of {height} x {width}{score}"
        return f"{self.model}, {self.engine} in {self.precision}, {threads}, {size}; {measured}"

    def check_options(
        self, *, engine: str, threads: int | None, precision: str, imgsz: tuple[int, int] | None
    ) -> None:
        """Refuse options that contradict the profile: its numbers hold for the whole of it only.

        Args:
            engine, precision: names, or `auto` where not given.
            threads, imgsz: None where not given.
        Raises:
            ConfigError: a value differs from that of the profile.
        """
        for name, given, measured in (
            ("engine", None if engine == "auto" else engine, self.engine),
            ("threads", threads, self.threads),
            ("precision", None if precision == "auto" else precision, self.precision),
            ("imgsz", imgsz, self.imgsz),
        ):
            if given is not None and given != measured:
                raise ConfigError(
                    f"The profile has {name} {_words(measured)}, got {_words(given)} beside it, "
                    f"for which nothing was measured. Leave {name} or the profile out."
                )

    def check_model(self, sha256: str) -> None:
        """Refuse another model file than the one that was measured.

        Raises:
            ConfigError: its checksum is another.
        """
        if sha256 != self.model_sha256:
            raise ConfigError(
                "The profile was measured with another model file: its SHA-256 is "
                f"{sha256[:12]}..., the profile has "
                f"{self.model_sha256[:12]}... {AGAIN}"
            )

    def device_warning(self, processor: str) -> str | None:
        """Return the message for another processor than the measured one, None for the same."""
        if processor == self.device:
            return None
        return (
            f"The profile was measured on {self.device}, and this is {processor}: times differ. "
            f"{AGAIN}"
        )


def read_profile(path: str | Path) -> DeviceProfile:
    """Return the profile in a file, profile.json or the setting.json of before.

    Raises:
        ConfigError: the file cannot be read, or holds no profile.
    """
    try:
        text = read_text(Path(path))
    except OSError as error:
        raise ConfigError(
            f"Cannot read {path}: {error.strerror or error}. `galago bench --budget` writes "
            "device profiles."
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{path} is no device profile, which is JSON in UTF-8. {AGAIN}"
        ) from error
    try:
        return DeviceProfile.from_json(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _upgrade(text: str) -> str:
    """Return the JSON of a profile of version 1 with the keys of this version, other text as is."""
    try:
        raw = parse_json(text)
    except ValueError:
        return text  # `from_json` reports it
    if (
        not isinstance(raw, dict)
        or type(raw.get("schema_version")) is not int
        or raw["schema_version"] != 1
    ):
        return text
    renamed = {KEYS_OF_VERSION_1.get(key, key): value for key, value in raw.items()}
    return json.dumps(renamed | {"schema_version": SCHEMA_VERSION})


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    return "unset" if value is None else str(value)
