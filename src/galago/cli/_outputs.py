"""Which file in --out came from which photo or video: index.json, and what may be replaced there."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galago._core.paths import is_utf8
from galago.errors import ConfigError

if TYPE_CHECKING:
    from galago.sources import Frame, Video

INDEX = "index.json"
MADE_BY = "galago predict"
SHOWN = 5  # files in a message
RENAMED_SHOWN = 20  # photos that are named on the screen


@dataclass(frozen=True)
class Claim:
    """What a run is going to write about one source.

    Attributes:
        source: the photo or the video file; None for a camera or a stream, which never gives the
            same again.
        shown: the source, in words.
        files: paths in the output folder.
    """

    source: Path | None
    shown: str
    files: tuple[Path, ...]


@dataclass(eq=False)
class Outputs:
    """The files of an output folder and their sources.

    Attributes:
        folder: where they are.
        overwrite: whether files of other sources may be replaced.
        sources: the source of each file, an absolute path where it has one; as index.json has it.
        replaced: number of sources whose files of an earlier run this one replaces.
    """

    folder: Path
    overwrite: bool = False
    sources: dict[str, str] = field(default_factory=dict)
    replaced: int = 0
    _changed: bool = False

    def __post_init__(self) -> None:
        self.sources = self._read()

    def claim(self, claims: Sequence[Claim]) -> None:
        """Make sure that the files to come replace none of another source.

        Raises:
            ConfigError: they would, and `overwrite` is not set; or two sources would write one
                file.
            OSError: the folder or index.json in it cannot be used.
        """
        check_apart(claims)
        there: set[str] = set()
        if self.folder.is_dir():
            there = {path.name for path in self.folder.iterdir() if not path.is_dir()}
        foreign: list[str] = []
        for claim in claims:
            names = [file.name for file in claim.files if file.name in there]
            own = claim.source and identity(claim.source)
            foreign += [name for name in names if own is None or self.sources.get(name) != own]
            self.replaced += bool(names)
            for name in names:  # whatever happens now, the index says nothing wrong
                self._changed |= self.sources.pop(name, None) is not None or bool(foreign)
        if foreign and not self.overwrite:
            raise ConfigError(explain(self.folder, foreign, self._read()))
        self.save()

    def add(self, source: Path | str, files: Iterable[Path]) -> None:
        """Note where files that were written come from."""
        for file in files:
            self.sources[file.name] = identity(source) if isinstance(source, Path) else source
            self._changed = True

    def save(self) -> None:
        """Write index.json, if anything has changed.

        Raises:
            OSError: it cannot be written.
        """
        from galago._core.atomic_io import write_whole

        if self._changed:
            content: dict[str, Any] = {"made_by": MADE_BY, "sources": self.sources}
            write_whole(self.folder / INDEX, (json.dumps(content, indent=1) + "\n").encode())
            self._changed = False

    def remarks(self, kind: str, renamed: dict[str, str]) -> list[str]:
        """Say what was replaced, and which photos are saved under another name than their own.

        Args:
            kind: photos or frames.
            renamed: the photos, by the names of their label maps.
        """
        lines = []
        if self.replaced and kind == "photos":
            lines.append(
                f"Replaced: the files of {self.replaced} photos from an earlier run into "
                f"{self.folder}"
            )
        elif self.replaced:
            lines.append(f"Replaced: the overlay from an earlier run into {self.folder}")
        shown = list(renamed.items())[:RENAMED_SHOWN]
        lines += [
            f"Saved under another name, as another photo has the same: {source} as {name}"
            for name, source in shown
        ]
        if len(renamed) > RENAMED_SHOWN:
            lines.append(
                f"and {len(renamed) - RENAMED_SHOWN} more: {self.folder / INDEX} lists the source "
                "of every file"
            )
        return lines

    def _read(self) -> dict[str, str]:
        """Return what index.json says; a damaged one says nothing.

        Raises:
            ConfigError: the file is not galago's, and `overwrite` is not set.
        """
        file = self.folder / INDEX
        if not file.exists():
            return {}
        try:
            found = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError):
            found = None
        sources = (
            found.get("sources")
            if isinstance(found, dict) and found.get("made_by") == MADE_BY
            else None
        )
        if isinstance(sources, dict):
            return {name: source for name, source in sources.items() if isinstance(source, str)}
        if not self.overwrite:
            raise ConfigError(
                f"{file} was not written by `galago predict`, which would replace it. Choose "
                "another folder with --out, or add "
                "--overwrite."
            )
        return {}


def identity(source: Path) -> str:
    """Return what tells a source from another one."""
    return str(source.resolve())


def photo_files(out: Path, name: str, *, confidence: bool) -> tuple[Path, ...]:
    """Return the files that are written about a photo."""
    from galago.runtime.result import confidence_file, written_files

    return (*written_files(out, name), *([confidence_file(out, name)] if confidence else []))


def list_claims(
    opened: "list[Frame] | Video", out: Path, target: Path | None, *, labels: bool, confidence: bool
) -> "list[Claim]":
    """Return what is going to be written about each photo, or about a video.

    Args:
        opened: what is labeled.
        out: folder for files.
        target: the video to write, of a video.
        labels: whether label maps of its frames are written, too.
        confidence: whether that of photos is.
    """
    if isinstance(opened, list):
        return [
            Claim(frame.path, str(frame.path), photo_files(out, frame.name, confidence=confidence))
            for frame in opened
        ]
    assert target is not None
    return [
        Claim(
            opened.path, opened.name, (target, *(frame_files(out, opened.name) if labels else ()))
        )
    ]


def frame_files(folder: Path, name: str) -> tuple[Path, ...]:
    """Return the label maps of a video's frames that are there."""
    pattern = re.compile(re.escape(name) + r"_\d{6,}\.png")
    return (
        tuple(file for file in folder.iterdir() if pattern.fullmatch(file.name))
        if folder.is_dir()
        else ()
    )


def check_apart(claims: Sequence[Claim]) -> None:
    """Refuse two sources that would write one file.

    Raises:
        ConfigError: there are two.
    """
    taken: dict[Path, Claim] = {}
    for claim in claims:
        for file in claim.files:
            if other := taken.get(file):
                raise ConfigError(
                    f"{other.shown} and {claim.shown} would both become {file}. Rename one of them."
                )
            taken[file] = claim


def check_utf8(out: Path) -> None:
    """Refuse an output folder whose name is no UTF-8, before any work is done.

    Raises:
        ConfigError: it is none.
    """
    if not is_utf8(out):
        raise ConfigError(
            f"The name of {out} is no UTF-8, which safetensors and others cannot open. Choose "
            "another --out."
        )


def explain(folder: Path, names: list[str], sources: dict[str, str]) -> str:
    """Say which files would be replaced, and what to do."""
    shown = [
        f"{name} ({f'of {sources[name]}' if name in sources else 'not known from where'})"
        for name in names[:SHOWN]
    ]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (
        f"{folder} already holds labels of other images, which this run would replace: "
        f"{', '.join(shown)}{more}. "
        "Choose another folder with --out, or add --overwrite."
    )
