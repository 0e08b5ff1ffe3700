"""Models that others published, by name: the one place where the running half calls the other, and only when asked by name."""

import warnings

from galago.errors import ConfigError, require
from galago.pretrained import cache as store
from galago.pretrained.table import PretrainedModel
from galago.runtime.model_folder import OpenedModel, open_folder


class TrustWarning(UserWarning):
    """A file whose SHA-256 was not known was downloaded, and is trusted from now on."""


def open_published(published: PretrainedModel) -> OpenedModel:
    """Open the model folder of a published model; the first time it is downloaded, converted and exported.

    Raises:
        ConfigError: it classifies whole photos.
        MissingDependencyError: it is not here, and what downloads or converts it is not installed.
        DownloadError, CheckpointError, ModelError: as galago.pretrained.convert.export_published.
    """
    check_segments(published)
    folder = store.home(published) / store.MODEL
    if not (folder / "model.json").is_file() or not store.is_current(published):
        require("torch", "export")
        require("onnx", "export")
        from galago.pretrained.convert import export_published

        export_published(published, say=lambda line: warnings.warn(line, TrustWarning, stacklevel=4))
    return open_folder(folder)


def check_segments(published: PretrainedModel) -> None:
    """Refuse a classifier where a segmentation network is wanted.

    Raises:
        ConfigError: it is one.
    """
    if not published.is_segmentation:
        raise ConfigError(
            f"{published.name} classifies whole photos: `galago classify --model {published.name}`, or start a training from it "
            f"with --weights {published.name}. `galago models` lists those that label pixels."
        )
