"""Where published weights are kept, which files were trusted, and how a file comes here and proves
to be the right one.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from galago._core.atomic_io import CACHE_VARIABLE, cache_folder, sha256, write_whole
from galago._core.strict_json import parse_json
from galago._core.text_files import read_text
from galago.errors import ConfigError, DownloadError
from galago.pretrained.download import Progress, download, is_offline, look_up
from galago.pretrained.table import PretrainedModel

CHECKPOINT, RECORD, MODEL = "checkpoint.safetensors", "source.json", "model"
LAYOUT = 1  # of what is kept; another number means that it is made anew


@dataclass(frozen=True)
class DownloadedFile:
    """A published file on this machine.

    Attributes:
        path: where it lies.
        sha256: of its content.
        was_known: whether that was known before.
    """

    path: Path
    sha256: str
    was_known: bool


def store_folder() -> Path:
    """Return the folder of all published weights.

    Raises:
        ConfigError: `GALAGO_CACHE` is empty, so nothing can be kept.
    """
    folder = cache_folder()
    if folder is None:
        raise ConfigError(
            f"Published weights are kept in galago's cache, and {CACHE_VARIABLE} forbids one. Set "
            "it to a folder."
        )
    return folder / "weights"


def home(published: PretrainedModel) -> Path:
    """Return the folder of one model: `checkpoint.safetensors`, `source.json`, and `model/` where
    it was exported.
    """
    return store_folder() / published.name


def kept_checkpoint(published: PretrainedModel) -> Path | None:
    """Return the checkpoint that was made from a published file earlier, None where there is none
    of the file known now.

    Raises:
        DownloadError: it is not what was written.
    """
    if not is_current(published):
        return None
    folder = home(published)
    if sha256(folder / CHECKPOINT) != _read_json(folder / RECORD).get("checkpoint_sha256"):
        raise DownloadError(
            f"{folder / CHECKPOINT} is damaged: it is not what was written. Delete {folder} and "
            f"get {published.name} again."
        )
    return folder / CHECKPOINT


def is_current(published: PretrainedModel) -> bool:
    """Tell whether a checkpoint is here that was made from the file known now.

    Its content is not looked at.
    """
    record = _read_json(home(published) / RECORD)
    known = record.get("layout") == LAYOUT and published.sha256 in (None, record.get("sha256"))
    return known and (home(published) / CHECKPOINT).is_file()


def fetch(
    published: PretrainedModel, progress: Progress = lambda done, size: None
) -> DownloadedFile:
    """Bring a published file here, unless it is, and check its SHA-256; nothing opens it before.

    Raises:
        DownloadError: it cannot be had, offline included, or is not the file that it should be.
        MissingDependencyError: huggingface_hub is not installed.
    """
    path, expected = home(published) / published.file, published.sha256 or trusted_sha256(published)
    if path.is_file() and expected and sha256(path) == expected:
        return DownloadedFile(path, expected, was_known=True)
    if is_offline():
        raise DownloadError(
            f"{published.name} is not on this machine, and --offline or HF_HUB_OFFLINE forbids to "
            "download it. Run `galago "
            f"models get {published.name}` with a connection, or copy {home(published)} from a "
            "machine that has it."
        )
    remote = look_up(published)
    if expected and remote.sha256 and remote.sha256 != expected:
        raise _not_the_file(published, remote.sha256, "Nothing was downloaded.")
    part = path.with_name(f".{path.name}.{remote.etag[:16]}.part")
    download(remote, part, progress)
    given = sha256(part)
    if remote.sha256 and given != remote.sha256:
        part.unlink()
        raise DownloadError(
            f"{published.file} arrived damaged from {remote.url}: its SHA-256 is {given[:12]}..., "
            "the hub says "
            f"{remote.sha256[:12]}... It was deleted unopened. Try again."
        )
    if expected and given != expected:
        part.unlink()
        raise _not_the_file(published, given, "It was deleted unopened.")
    part.replace(path)
    return DownloadedFile(path, given, was_known=expected is not None)


def keep(published: PretrainedModel, original: DownloadedFile) -> None:
    """Record that `checkpoint.safetensors` was made from a file, which is trusted from now on, and
    delete the file.
    """
    folder = home(published)
    record = {
        "layout": LAYOUT, "repo": published.repo, "file": published.file, "revision": published.revision,
        "sha256": original.sha256, "checkpoint_sha256": sha256(folder / CHECKPOINT),
    }  # fmt: skip
    write_whole(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())
    if not original.was_known:
        trusted = _read_json(_trust_file()) | {_key(published): original.sha256}
        write_whole(_trust_file(), (json.dumps(trusted, indent=2, sort_keys=True) + "\n").encode())
    original.path.unlink(missing_ok=True)


def trusted_sha256(published: PretrainedModel) -> str | None:
    """Return the SHA-256 that was recorded when a file was first used."""
    value = _read_json(_trust_file()).get(_key(published))
    return value if isinstance(value, str) else None


def _not_the_file(published: PretrainedModel, given: str, outcome: str) -> DownloadError:
    expected = published.sha256 or trusted_sha256(published) or ""
    whose, remedy = (
        "galago knows",
        "If its publishers replaced it, a newer galago may know the new one.",
    )
    if not published.sha256:
        whose = "was recorded on first use"
        remedy = f"If you trust the new one, remove {_key(published)} from {_trust_file()}."
    return DownloadError(
        f"{_key(published)} is not the file that {whose}: its SHA-256 is {given[:12]}..., expected "
        f"{expected[:12]}... "
        f"{outcome} {remedy}"
    )


def _trust_file() -> Path:
    return store_folder() / "trusted.json"


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
