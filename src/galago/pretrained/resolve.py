"""The one place that turns a model's name into a path: bundled, published, or a path already."""

import warnings
from pathlib import Path

from galago.errors import ConfigError, require
from galago.pretrained import cache
from galago.pretrained.table import PUBLISHED, PretrainedModel

DEFAULT_MODEL = "b0-camvid"
ASSETS = Path(__file__).parent.parent / "assets"  # the bundled models


class TrustWarning(UserWarning):
    """A file whose SHA-256 was not known was downloaded, and is trusted from now on."""


def bundled_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in ASSETS.glob("*/model.json"))


def resolve(model: str) -> Path:
    """Return the path of a model: a model folder, or a single .onnx file.

    Args:
        model: the name of a bundled or a published model, or a path. A path wins over the name of a
            published model.
    Raises:
        ConfigError: there is no such name or path, or a published classifier has it.
        DownloadError, CheckpointError, MissingDependencyError: a published model is not here and
            cannot be downloaded.
    """
    if "/" not in model and (ASSETS / model / "model.json").is_file():
        return ASSETS / model
    path = Path(model)
    if path.exists():
        return path
    if model in PUBLISHED:
        return model_folder(PUBLISHED[model])
    names = ", ".join(bundled_models()) or "none is bundled"
    raise ConfigError(
        f"There is no model {model!r}. Give a model folder, an .onnx file, a bundled model's name "
        f"({names}), or that of "
        "a published one: `galago models` lists them."
    )


def model_folder(published: PretrainedModel) -> Path:
    """Return the model folder of a published model.

    The first time it is downloaded, converted and exported.

    Raises:
        ConfigError: it classifies whole images.
        MissingDependencyError: it is not here, and what downloads or converts it is not installed.
        DownloadError, CheckpointError, ModelError: as galago.pretrained.convert.export_published.
    """
    check_segments(published)
    folder = cache.home(published) / cache.MODEL
    if not (folder / "model.json").is_file() or not cache.is_current(published):
        require("torch", "export")
        require("onnx", "export")
        from galago.pretrained.convert import export_published

        export_published(
            published, say=lambda line: warnings.warn(line, TrustWarning, stacklevel=4)
        )
    return folder


def check_segments(published: PretrainedModel) -> None:
    """Refuse a classifier where a segmentation network is wanted.

    Raises:
        ConfigError: it is one.
    """
    if not published.is_segmentation:
        raise ConfigError(
            f"{published.name} classifies whole photos: `galago classify --model "
            f"{published.name}`, or start a training from it "
            f"with --weights {published.name}. `galago models` lists those that label pixels."
        )
