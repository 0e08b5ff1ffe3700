"""The download of one file through huggingface_hub: with resume and a mirror, without telemetry."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from re import fullmatch
from typing import Any, BinaryIO

from galago.errors import DownloadError, require
from galago.pretrained.table import PretrainedModel

MIRROR = "HF_ENDPOINT"  # huggingface_hub's variable for the address of the hub
OFFLINE = "HF_HUB_OFFLINE"
HUB = "https://huggingface.co"
CHUNK_BYTES = 2**18
OnProgress = Callable[[int, int | None], None]  # bytes here, bytes in all


@dataclass(frozen=True)
class RemoteFile:
    """The hub's metadata of a file.

    Attributes:
        url: of the file.
        etag: identifies its content.
        size: in bytes, if the hub gives it.
    """

    url: str
    etag: str
    size: int | None

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the content: large files have it as their etag."""
        return self.etag if fullmatch("[0-9a-f]{64}", self.etag) else None


def is_offline() -> bool:
    """Return whether `HF_HUB_OFFLINE` forbids connections."""
    return os.environ.get(OFFLINE, "").upper() in ("1", "ON", "YES", "TRUE")


def endpoint() -> str:
    """Return the address of the hub, or of the mirror in `HF_ENDPOINT`."""
    return (os.environ.get(MIRROR) or HUB).rstrip("/")


def fetch_metadata(published: PretrainedModel) -> RemoteFile:
    """Return the hub's metadata of a file.

    Raises:
        DownloadError: the hub cannot be reached, has no such file, or its answer is incomplete.
        MissingDependencyError: huggingface_hub is not installed.
    """
    hub = require("huggingface_hub", "hub")
    address = endpoint()
    url = hub.hf_hub_url(
        published.repo, published.file, revision=published.revision, endpoint=address
    )
    try:
        found = hub.get_hf_file_metadata(url, token=False, endpoint=address, headers=_headers())
    except _failures() as error:
        raise DownloadError(
            f"Cannot get {published.name} from {url}: {_reason(error)} Check the connection; "
            f"{MIRROR} names a mirror of the hub."
        ) from error
    if not found.etag or not found.commit_hash:
        raise DownloadError(
            f"{address} does not answer as a hub does. Check {MIRROR}, the proxy and the firewall."
        )
    return RemoteFile(url, found.etag, found.size)


def download(
    remote: RemoteFile, part: Path, on_progress: OnProgress = lambda done, size: None
) -> None:
    """Download a file, resuming after the bytes of an earlier try.

    Args:
        remote: from `fetch_metadata`.
        part: the unfinished file; its name belongs to `remote.etag` and to this process alone.
        on_progress: called with the bytes on this machine and in all.
    Raises:
        DownloadError: the connection broke for good, or the file cannot be written; what was
            downloaded is kept.
    """
    module = require("huggingface_hub.file_download", "hub")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file, _without_progress_bar(module.constants):
            if remote.size is not None and file.tell() > remote.size:
                file.truncate(0)
            counted = _Counted(file, remote.size, on_progress)
            module.http_get(
                remote.url,
                counted,
                resume_size=file.tell(),
                headers=_headers(),
                expected_size=remote.size,
                displayed_filename=part.name,
            )
    except _failures() as error:
        kept = part.stat().st_size if part.is_file() else 0
        what = "Free space" if isinstance(error, OSError) and error.errno else "Try again"
        raise DownloadError(
            f"The download of {remote.url} to {part.parent} stopped: {_reason(error)} {what}; "
            f"it goes on after the {kept:,} bytes that are here."
        ) from error


class _Counted:
    """A file that reports its size, with the part of the interface that `http_get` needs."""

    def __init__(self, file: BinaryIO, size: int | None, on_progress: OnProgress) -> None:
        self.file = file
        self.size = size
        self.on_progress = on_progress

    def write(self, content: bytes) -> int:
        written = self.file.write(content)
        self.on_progress(self.file.tell(), self.size)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@contextmanager
def _without_progress_bar(constants: Any) -> Iterator[None]:
    """Switch off huggingface_hub's progress bar, which libraries should not show, and download in
    small chunks: a connection that breaks loses the current one, of 10 MB in huggingface_hub.
    """
    utils = require("huggingface_hub.utils", "hub")
    group = "huggingface_hub.http_get"
    default_chunk = constants.DOWNLOAD_CHUNK_SIZE
    were_shown = not utils.are_progress_bars_disabled(group)
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
    if were_shown:
        utils.disable_progress_bars(group)
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = default_chunk
        if were_shown:
            utils.enable_progress_bars(group)


def _headers() -> dict[str, str]:
    """Return the request headers, with galago's version and nothing else about this machine."""
    return {"user-agent": f"galago/{metadata.version('galago')}"}


def _failures() -> tuple[type[BaseException], ...]:
    """Return the errors of a download: those of huggingface_hub's HTTP library, and of the disk."""
    return (OSError, *require("huggingface_hub.errors", "hub").HfHubHTTPError.__bases__)


def _reason(error: BaseException) -> str:
    """Return the reason of an error in one line."""
    if isinstance(error, OSError) and error.errno and error.strerror:
        return f"{error.strerror}."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."
