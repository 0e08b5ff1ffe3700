"""From a model's name to its path: bundled, published, or a path already."""

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
        ConfigError: there is no such name or path, or it is a published classifier.
        DownloadError, CheckpointError, MissingDependencyError: a published model is not in the
            cache and cannot be downloaded.
    """
    if "/" not in model and (ASSETS / model / "model.json").is_file():
        return ASSETS / model
    path = Path(model)
    if path.exists():
        return path
    if model in PUBLISHED:
        return exported_folder(PUBLISHED[model])
    names = ", ".join(bundled_models()) or "none is bundled"
    raise ConfigError(
        f"There is no model {model!r}. Give a model folder, an .onnx file, a bundled model's name "
        f"({names}), or that of a published one: `galago models` lists them."
    )


def exported_folder(published: PretrainedModel) -> Path:
    """Return the model folder of a published model, downloaded, converted and exported once.

    Raises:
        ConfigError: it classifies whole images.
        MissingDependencyError: it is not in the cache, and what downloads or converts it is not
            installed.
        DownloadError, CheckpointError, ModelError: see galago.pretrained.convert.export_published.
    """
    check_is_segmentation(published)
    folder = cache.model_dir(published) / cache.MODEL
    if not (folder / "model.json").is_file() or not cache.is_current(published):
        require("torch", "export")
        require("onnx", "export")
        from galago.pretrained.convert import export_published

        export_published(
            published, on_notice=lambda line: warnings.warn(line, TrustWarning, stacklevel=4)
        )
    return folder


def check_is_segmentation(published: PretrainedModel) -> None:
    """Refuse a classifier where a segmentation network is expected.

    Raises:
        ConfigError: the model is a classifier.
    """
    if not published.is_segmentation:
        raise ConfigError(
            f"{published.name} classifies whole photos: `galago classify --model "
            f"{published.name}`, or start a training from it "
            f"with --weights {published.name}. `galago models` lists those that label pixels."
        )
