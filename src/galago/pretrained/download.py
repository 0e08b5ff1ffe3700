"""One file from the hub, through huggingface_hub: with resume, a mirror, and nothing sent but the
request.
"""

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

MIRROR = "HF_ENDPOINT"  # the hub's address, as huggingface_hub has it
OFFLINE = "HF_HUB_OFFLINE"
HUB = "https://huggingface.co"
PIECE_BYTES = 2**18
Progress = Callable[[int, int | None], None]  # bytes here, bytes in all


@dataclass(frozen=True)
class Remote:
    """What the hub says about a file.

    Attributes:
        url: where it is asked for.
        etag: names its content.
        size: in bytes, where it says so.
    """

    url: str
    etag: str
    size: int | None

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the content: large files have it as their etag."""
        return self.etag if fullmatch("[0-9a-f]{64}", self.etag) else None


def is_offline() -> bool:
    """Tell whether `HF_HUB_OFFLINE` forbids connections."""
    return os.environ.get(OFFLINE, "").upper() in ("1", "ON", "YES", "TRUE")


def endpoint() -> str:
    """Return the address of the hub, or of the mirror in `HF_ENDPOINT`."""
    return (os.environ.get(MIRROR) or HUB).rstrip("/")


def look_up(published: PretrainedModel) -> Remote:
    """Ask the hub about a file.

    Raises:
        DownloadError: the hub cannot be reached, has no such file, or says too little.
        MissingDependencyError: huggingface_hub is not installed.
    """
    hub, address = require("huggingface_hub", "hub"), endpoint()
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
    return Remote(url, found.etag, found.size)


def download(remote: Remote, part: Path, progress: Progress = lambda done, size: None) -> None:
    """Bring a file here, after what of it came in an earlier try.

    Args:
        remote: from `look_up`.
        part: file that grows; nobody else may know its name, and it has to belong to `remote.etag`.
        progress: told about bytes.
    Raises:
        DownloadError: the connection broke and did not come back, or the file cannot be written;
            what came is kept.
    """
    module = require("huggingface_hub.file_download", "hub")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file, _own_bar(module.constants):
            if remote.size is not None and file.tell() > remote.size:
                file.truncate(0)
            counted = _Counted(file, remote.size, progress)
            module.http_get(
                remote.url, counted, resume_size=file.tell(), headers=_headers(), expected_size=remote.size,
                displayed_filename=part.name,
            )  # fmt: skip
    except _failures() as error:
        kept = part.stat().st_size if part.is_file() else 0
        what = "Free space" if isinstance(error, OSError) and error.errno else "Try again"
        raise DownloadError(
            f"The download of {remote.url} to {part.parent} stopped: {_reason(error)} {what}; "
            f"it goes on after the {kept:,} bytes that are here."
        ) from error


class _Counted:
    """A file that reports how much is in it.

    A part of the interface, as much as `http_get` needs.
    """

    def __init__(self, file: BinaryIO, size: int | None, progress: Progress) -> None:
        self.file, self.size, self.progress = file, size, progress

    def write(self, content: bytes) -> int:
        written = self.file.write(content)
        self.progress(self.file.tell(), self.size)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@contextmanager
def _own_bar(constants: Any) -> Iterator[None]:
    """Switch off huggingface_hub's progress bar, which a library has no business to show, and let
    bytes come in small pieces.

    A connection that breaks within a piece loses it; huggingface_hub's has 10 MB.
    """
    utils, group, usual = (
        require("huggingface_hub.utils", "hub"),
        "huggingface_hub.http_get",
        constants.DOWNLOAD_CHUNK_SIZE,
    )
    were_shown = not utils.are_progress_bars_disabled(group)
    constants.DOWNLOAD_CHUNK_SIZE = PIECE_BYTES
    if were_shown:
        utils.disable_progress_bars(group)
    try:
        yield
    finally:
        constants.DOWNLOAD_CHUNK_SIZE = usual
        if were_shown:
            utils.enable_progress_bars(group)


def _headers() -> dict[str, str]:
    """Return what is said about this machine: galago's version, where huggingface_hub would name
    Python and torch as well.
    """
    return {"user-agent": f"galago/{metadata.version('galago')}"}


def _failures() -> tuple[type[BaseException], ...]:
    """Return the errors of a connection: those of whichever HTTP library huggingface_hub uses, and
    the disk's.
    """
    return (OSError, *require("huggingface_hub.errors", "hub").HfHubHTTPError.__bases__)


def _reason(error: BaseException) -> str:
    """Say in one line what went wrong."""
    if isinstance(error, OSError) and error.errno and error.strerror:
        return f"{error.strerror}."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".") + "."
