"""`galago.load`: from a model's name or path to a Segmenter."""

import warnings
from pathlib import Path

from galago._core.atomic_io import sha256
from galago._core.device import processor
from galago.benchmarking.profile import DeviceMismatchWarning, DeviceProfile, read_setting
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
    half: bool = False,
    imgsz: tuple[int, int] | None = None,
    setting: DeviceProfile | str | Path | None = None,
) -> Segmenter:
    """Open a model for labeling photos.

    Threads may share what comes back: each gets the labels that it would get alone. OpenVINO, ONNX
    Runtime, ncnn and torch take calls side by side, LiteRT and ExecuTorch one after the other. A
    `Smoother` belongs to one video, so to one thread at a time. After a fork the child may go on
    using it: with ncnn and torch on one thread, whatever `threads` says, as theirs do not come with
    it; LiteRT and ncnn read their files again there. A child of a bare `os.fork` has to end with
    `os._exit`, as those of `multiprocessing` do: ONNX Runtime waits for its lost threads otherwise.

    Args:
        model: name of a bundled model, of a published one as `galago models` lists it (downloaded
            and converted the first time, which takes torch), a model folder, or a single .onnx file
            that galago wrote; `b0-camvid` without it, or the one that the setting names.
        engine: `openvino`, `onnxruntime`, `ncnn`, `litert`, `executorch`, `torch`, or `auto` for
            the first of them that is installed and whose file the model has;
            `segmenter.engine.name` says which.
        threads: CPU threads; the engine decides without it.
        half: compute in bfloat16, which changes a few labels; float32 without it.
        imgsz: (height, width) in pixels that photos are fitted into, scaled up or down with their
            aspect ratio kept and padded to multiples of 32; labels still have the photo's own size.
            The model's own resize rule without it.
        setting: what `galago bench --budget` wrote, or the path of that file: all of the above. A
            value beside it that says something else is an error, as nothing was measured that way.
            Warns where it was measured on another processor.
    Raises:
        ConfigError: the model's name, the engine or the setting is unknown, threads is less than 1,
            engine or CPU have no bfloat16, the model takes no such imgsz, or the setting belongs to
            another model file or contradicts the rest.
        DownloadError, CheckpointError: a published model cannot be had, or is not what it should
            be.
        MissingDependencyError: the engine, or what downloads and converts a published model, is not
            installed.
        ModelError: the model is missing, damaged, its checksums do not match, or it has no file for
            the engine.
    """
    if setting is not None:
        setting = setting if isinstance(setting, DeviceProfile) else read_setting(setting)
        setting.check_flags(engine=engine, threads=threads, half=half, imgsz=imgsz)
        model = _find_model(setting) if model is None else model
        engine, threads, imgsz = setting.engine, setting.threads, setting.imgsz
    precision = setting.precision if setting is not None else "bfloat16" if half else "float32"
    opened = open_model(resolve(DEFAULT_MODEL if model is None else str(model)))
    name = choose_engine(engine, opened.files)
    file = opened.file_for(name)
    if setting is not None:
        setting.check_model(sha256(file))
        if message := setting.device_warning(processor()):
            warnings.warn(message, DeviceMismatchWarning, stacklevel=2)
    return Segmenter(
        open_engine(file, name, threads=threads, precision=precision), opened.spec, imgsz=imgsz
    )


def _find_model(setting: DeviceProfile) -> str:
    """Return the model that a setting names.

    Raises:
        ConfigError: it is not there any more.
    """
    if setting.model not in [*bundled_models(), *PUBLISHED] and not Path(setting.model).exists():
        raise ConfigError(
            f"The setting names the model {setting.model}, which is not there. Say beside it where "
            "the model is now."
        )
    return setting.model
