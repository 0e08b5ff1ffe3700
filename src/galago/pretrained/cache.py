"""The cache of pretrained models: what is in it, which files are trusted, and the checks of a
download.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galago._core.atomic_io import CACHE_VARIABLE, cache_folder, sha256, write_whole
from galago._core.strict_json import parse_json
from galago._core.text_files import read_text
from galago.errors import ConfigError, DownloadError
from galago.pretrained.download import OnProgress, download, fetch_metadata, is_offline
from galago.pretrained.table import PretrainedModel

CHECKPOINT = "checkpoint.safetensors"
RECORD = "source.json"
MODEL = "model"
LAYOUT = 1  # of the cache; with another number the checkpoint is converted again


@dataclass(frozen=True)
class DownloadedFile:
    """A published file on this machine.

    Attributes:
        path: of the file.
        sha256: of its content.
        was_trusted: whether the SHA-256 was known before.
    """

    path: Path
    sha256: str
    was_trusted: bool


def weights_dir() -> Path:
    """Return the folder of all pretrained models.

    Raises:
        ConfigError: `GALAGO_CACHE` is empty, so there is no cache.
    """
    folder = cache_folder()
    if folder is None:
        raise ConfigError(
            f"Published weights are kept in galago's cache, and {CACHE_VARIABLE} forbids one. Set "
            "it to a folder."
        )
    return folder / "weights"


def model_dir(published: PretrainedModel) -> Path:
    """Return the folder of one model: `checkpoint.safetensors`, `source.json`, and `model/` where
    it was exported.
    """
    return weights_dir() / published.name


def cached_checkpoint(published: PretrainedModel) -> Path | None:
    """Return the checkpoint that was converted from the published file, None if there is none.

    Raises:
        DownloadError: its content has changed.
    """
    if not is_current(published):
        return None
    folder = model_dir(published)
    if sha256(folder / CHECKPOINT) != _read_json(folder / RECORD).get("checkpoint_sha256"):
        raise DownloadError(
            f"{folder / CHECKPOINT} is damaged: it is not what was written. Delete {folder} and "
            f"get {published.name} again."
        )
    return folder / CHECKPOINT


def is_current(published: PretrainedModel) -> bool:
    """Return whether the cache has a checkpoint of the published file, whatever its content."""
    record = _read_json(model_dir(published) / RECORD)
    known = record.get("layout") == LAYOUT and published.sha256 in (None, record.get("sha256"))
    return known and (model_dir(published) / CHECKPOINT).is_file()


def fetch(
    published: PretrainedModel, on_progress: OnProgress = lambda done, size: None
) -> DownloadedFile:
    """Download a published file unless it is cached, and check its SHA-256 before it is opened.

    Raises:
        DownloadError: it cannot be downloaded, or is not the published file.
        MissingDependencyError: huggingface_hub is not installed.
    """
    path = model_dir(published) / published.file
    expected = published.sha256 or trusted_sha256(published)
    if path.is_file() and expected and sha256(path) == expected:
        return DownloadedFile(path, expected, was_trusted=True)
    if is_offline():
        raise DownloadError(
            f"{published.name} is not on this machine, and --offline or HF_HUB_OFFLINE forbids to "
            f"download it. Run `galago models get {published.name}` with a connection, or copy "
            f"{model_dir(published)} from a machine that has it."
        )
    remote = fetch_metadata(published)
    if expected and remote.sha256 and remote.sha256 != expected:
        raise _wrong_file_error(published, remote.sha256, "Nothing was downloaded.")
    part = path.with_name(f".{path.name}.{remote.etag[:16]}.part")
    download(remote, part, on_progress)
    given = sha256(part)
    if remote.sha256 and given != remote.sha256:
        part.unlink()
        raise DownloadError(
            f"{published.file} arrived damaged from {remote.url}: its SHA-256 is {given[:12]}..., "
            f"the hub says {remote.sha256[:12]}... It was deleted unopened. Try again."
        )
    if expected and given != expected:
        part.unlink()
        raise _wrong_file_error(published, given, "It was deleted unopened.")
    part.replace(path)
    return DownloadedFile(path, given, was_trusted=expected is not None)


def record_trusted(published: PretrainedModel, downloaded: DownloadedFile) -> None:
    """Record a file as the trusted source of `checkpoint.safetensors`, and delete it."""
    folder = model_dir(published)
    record = {
        "layout": LAYOUT,
        "repo": published.repo,
        "file": published.file,
        "revision": published.revision,
        "sha256": downloaded.sha256,
        "checkpoint_sha256": sha256(folder / CHECKPOINT),
    }
    write_whole(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())
    if not downloaded.was_trusted:
        trusted = _read_json(_trust_file()) | {_key(published): downloaded.sha256}
        write_whole(_trust_file(), (json.dumps(trusted, indent=2, sort_keys=True) + "\n").encode())
    downloaded.path.unlink(missing_ok=True)


def trusted_sha256(published: PretrainedModel) -> str | None:
    """Return the SHA-256 that was recorded when a file was first used."""
    value = _read_json(_trust_file()).get(_key(published))
    return value if isinstance(value, str) else None


def _wrong_file_error(published: PretrainedModel, given: str, outcome: str) -> DownloadError:
    expected = published.sha256 or trusted_sha256(published) or ""
    if published.sha256:
        whose = "galago knows"
        remedy = "If its publishers replaced it, a newer galago may know the new one."
    else:
        whose = "was recorded on first use"
        remedy = f"If you trust the new one, remove {_key(published)} from {_trust_file()}."
    return DownloadError(
        f"{_key(published)} is not the file that {whose}: its SHA-256 is {given[:12]}..., expected "
        f"{expected[:12]}... {outcome} {remedy}"
    )


def _trust_file() -> Path:
    return weights_dir() / "trusted.json"


def _key(published: PretrainedModel) -> str:
    return f"{published.repo}/{published.file}"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(read_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{path} is damaged ({error}). Delete it, and get the model again."
        ) from error
    return content if isinstance(content, dict) else {}
