"""`galago.load`: from a model's name or path to a Segmenter."""

import warnings
from pathlib import Path

from galago._core.atomic_io import sha256
from galago._core.device import processor
from galago.benchmarking.profile import DeviceMismatchWarning, DeviceProfile, read_profile
from galago.errors import ConfigError
from galago.pretrained.resolve import DEFAULT_MODEL, bundled_models, resolve
from galago.pretrained.table import PUBLISHED
from galago.runtime.engines.table import choose_engine, open_engine
from galago.runtime.model_folder import open_model
from galago.runtime.segmenter import Segmenter


def load(
    model: str | Path | None = None,
    *,
    engine: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
    imgsz: tuple[int, int] | None = None,
    profile: DeviceProfile | str | Path | None = None,
    half: bool | None = None,
    setting: DeviceProfile | str | Path | None = None,
) -> Segmenter:
    """Open a model for labeling images.

    Threads may share what comes back: each gets the labels that it would get alone. OpenVINO, ONNX
    Runtime, ncnn and torch take calls side by side, LiteRT and ExecuTorch one after the other. A
    `Smoother` belongs to one video, so to one thread at a time. After a fork the child may go on
    using it: with ncnn and torch on one thread, whatever `threads` says, as theirs do not come with
    it; LiteRT and ncnn read their files again there. A child of a bare `os.fork` has to end with
    `os._exit`, like those of `multiprocessing`: ONNX Runtime waits for its lost threads otherwise.

    Args:
        model: name of a bundled model, of a published one as `galago models` lists it (downloaded
            and converted the first time, which takes torch), a model folder, or a single .onnx file
            that galago wrote (default: `b0-camvid`, or the model that the profile names).
        engine: `openvino`, `onnxruntime`, `ncnn`, `litert`, `executorch`, `torch`, or `auto` for
            the first of them that is installed and whose file the model has;
            `segmenter.engine.name` says which.
        threads: CPU threads (default: the engine decides).
        precision: `float32`, `bfloat16` or `float16` to compute in, where engine and CPU have it;
            the last two change a few labels. `auto` is float32, or the profile's.
        imgsz: (height, width) in pixels, the size that the network sees: images are fitted into it,
            scaled up or down with their aspect ratio kept and padded to multiples of 32; labels
            still have the image's own size (default: the model's own resize rule).
        profile: what `galago bench --budget` wrote, or the path of that file: all of the above. A
            value beside it that says something else is an error, as nothing was measured that way.
            Warns where it was measured on another processor.
        half: deprecated; `half=True` is `precision="bfloat16"`.
        setting: deprecated name of `profile`.
    Raises:
        ConfigError: the model's name, the engine, the precision or the profile is unknown, threads
            is less than 1, engine or CPU lack the precision, the model takes no such imgsz, or the
            profile belongs to another model file or contradicts the rest.
        DownloadError, CheckpointError: a published model cannot be downloaded, or is damaged.
        MissingDependencyError: the engine, or what downloads and converts a published model, is not
            installed.
        ModelError: the model is missing, damaged, its checksums do not match, or it has no file for
            the engine.
    """
    if half is not None:
        precision = _precision_of_half(half, precision)
    if setting is not None:
        profile = _profile_of_setting(setting, profile)
    if profile is not None:
        profile = profile if isinstance(profile, DeviceProfile) else read_profile(profile)
        profile.check_options(engine=engine, threads=threads, precision=precision, imgsz=imgsz)
        model = _find_model(profile) if model is None else model
        engine, threads, imgsz = profile.engine, profile.threads, profile.imgsz
        precision = profile.precision
    opened = open_model(resolve(DEFAULT_MODEL if model is None else str(model)))
    name = choose_engine(engine, opened.files)
    file = opened.file_for(name)
    if profile is not None:
        profile.check_model(sha256(file))
        if message := profile.device_warning(processor()):
            warnings.warn(message, DeviceMismatchWarning, stacklevel=2)
    precision = "float32" if precision == "auto" else precision
    return Segmenter(
        open_engine(file, name, threads=threads, precision=precision), opened.spec, imgsz=imgsz
    )


def _precision_of_half(half: bool, precision: str) -> str:
    """Return the precision that the deprecated `half` stands for.

    Raises:
        ConfigError: another one is given beside it.
    """
    warnings.warn(
        "half is deprecated: use precision='bfloat16', or leave it out for float32.",
        DeprecationWarning,
        stacklevel=3,
    )
    if not half:
        return precision
    if precision not in ("auto", "bfloat16"):
        raise ConfigError(f"half=True is precision='bfloat16', got {precision!r} beside it.")
    return "bfloat16"


def _profile_of_setting(
    setting: DeviceProfile | str | Path, profile: DeviceProfile | str | Path | None
) -> DeviceProfile | str | Path:
    """Return the profile that the deprecated `setting` names.

    Raises:
        ConfigError: a profile is given beside it.
    """
    warnings.warn("setting is deprecated: it is called profile.", DeprecationWarning, stacklevel=3)
    if profile is not None:
        raise ConfigError("setting is the old name of profile. Give profile alone.")
    return setting


def _find_model(profile: DeviceProfile) -> str:
    """Return the model that a profile names.

    Raises:
        ConfigError: it is not there any more.
    """
    if profile.model not in [*bundled_models(), *PUBLISHED] and not Path(profile.model).exists():
        raise ConfigError(
            f"The profile names the model {profile.model}, which is not there. Say where the "
            "model is now, with --model or `model`."
        )
    return profile.model
