"""The files in the folder for results: which source each came from (index.json), and which may be
replaced.
"""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galago._core.atomic_io import write_whole
from galago.errors import ConfigError
from galago.runtime.result import confidence_file, written_files
from galago.sources import Frame, ReadFrame, Video

INDEX = "index.json"
MADE_BY = "galago predict"
SHOWN = 5  # files in a message
RENAMED_SHOWN = 20  # images that are named on the screen


@dataclass(frozen=True)
class Claim:
    """The files that a run is going to write about one source.

    Attributes:
        source: the image or the video file; None for a camera or a stream, which never sends the
            same frames again.
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
        sources: the source of each file, an absolute path where it has one; written to index.json.
        saved: the image that each label map of this run came from, by the label map's name.
        renamed: the part of `saved` whose own name was taken.
        replaced: number of sources whose files of an earlier run this one replaces.
    """

    folder: Path
    overwrite: bool = False
    sources: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    replaced: int = 0
    _changed: bool = False

    def __post_init__(self) -> None:
        self.sources = self._read()

    def claim(self, claims: Sequence[Claim]) -> None:
        """Make sure that the files to be written replace none of another source.

        Raises:
            ConfigError: they would, and `overwrite` is not set; or two sources would write one
                file.
            OSError: the folder or index.json in it cannot be used.
        """
        _check_distinct(claims)
        existing: set[str] = set()
        if self.folder.is_dir():
            existing = {path.name for path in self.folder.iterdir() if not path.is_dir()}
        foreign: list[str] = []
        for claim in claims:
            names = [file.name for file in claim.files if file.name in existing]
            own = claim.source and _identity(claim.source)
            foreign += [name for name in names if own is None or self.sources.get(name) != own]
            self.replaced += bool(names)
            for name in names:  # whatever happens from here on, the index stays true
                self._changed |= self.sources.pop(name, None) is not None or bool(foreign)
        if foreign and not self.overwrite:
            raise ConfigError(_describe_foreign(self.folder, foreign, self._read()))
        self.save()

    def add(self, source: Path | str, files: Iterable[Path]) -> None:
        """Note where files that were written come from."""
        for file in files:
            self.sources[file.name] = _identity(source) if isinstance(source, Path) else source
            self._changed = True

    def add_image(self, frame: ReadFrame, *, confidence: bool) -> None:
        """Note which image the files of a frame came from."""
        files = image_files(self.folder, frame.name, confidence=confidence)
        self.add(Path(frame.origin), files)
        self.saved[files[0].name] = frame.origin
        if frame.name != Path(frame.origin).stem:
            self.renamed[files[0].name] = frame.origin

    def save(self) -> None:
        """Write index.json, if anything has changed.

        Raises:
            OSError: it cannot be written.
        """
        if self._changed:
            content: dict[str, Any] = {"made_by": MADE_BY, "sources": self.sources}
            write_whole(self.folder / INDEX, (json.dumps(content, indent=1) + "\n").encode())
            self._changed = False

    def try_save(self) -> None:
        """Write index.json where that is possible: after an error, a full disk may forbid it."""
        with suppress(OSError):
            self.save()

    def remarks(self, *, video: bool) -> list[str]:
        """Say what was replaced, and which images are saved under another name than their own.

        Args:
            video: whether the source is a video.
        """
        lines = []
        if self.replaced and not video:
            lines.append(
                f"Replaced: the files of {self.replaced} photos from an earlier run into "
                f"{self.folder}"
            )
        elif self.replaced:
            lines.append(f"Replaced: the overlay from an earlier run into {self.folder}")
        shown = list(self.renamed.items())[:RENAMED_SHOWN]
        lines += [
            f"Saved under another name, as another photo has the same: {source} as {name}"
            for name, source in shown
        ]
        if len(self.renamed) > RENAMED_SHOWN:
            lines.append(
                f"and {len(self.renamed) - RENAMED_SHOWN} more: {self.folder / INDEX} lists the "
                "source of every file"
            )
        return lines

    def _read(self) -> dict[str, str]:
        """Return the sources in index.json; none where it is missing or damaged.

        Raises:
            ConfigError: galago did not write the file, and `overwrite` is not set.
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


def claim_outputs(
    source: list[Frame] | Video, outputs: Outputs, *, labels: bool, confidence: bool
) -> None:
    """Claim the files that are going to be written about each image, or about a video.

    Args:
        source: what is labeled.
        outputs: the folder.
        labels: whether label maps of a video's frames are written, too.
        confidence: whether the confidence of images is.
    Raises:
        ConfigError: they would replace an input, or files of another source.
        OSError: the folder cannot be used.
    """
    out = outputs.folder
    if isinstance(source, list):
        _check_images_stay(source, out)
        outputs.claim(
            [
                Claim(
                    frame.path,
                    str(frame.path),
                    image_files(out, frame.name, confidence=confidence),
                )
                for frame in source
            ]
        )
        return
    overlay = video_path(out, source)
    if source.path and source.path.resolve() == overlay.resolve():
        raise ConfigError(
            f"The overlay would replace the video {source.path}. Choose another --out."
        )
    frames = frame_files(out, source.name) if labels else ()
    outputs.claim([Claim(source.path, source.name, (overlay, *frames))])


def image_files(out: Path, name: str, *, confidence: bool) -> tuple[Path, ...]:
    """Return the files that are written about an image, its label map first."""
    return (*written_files(out, name), *([confidence_file(out, name)] if confidence else []))


def video_path(out: Path, video: Video) -> Path:
    """Return where the overlay of a video is written."""
    return out / f"{video.name}_overlay.mp4"


def frame_files(folder: Path, name: str) -> tuple[Path, ...]:
    """Return the existing label maps of a video's frames."""
    pattern = re.compile(re.escape(name) + r"_\d{6,}\.png")
    if not folder.is_dir():
        return ()
    return tuple(file for file in folder.iterdir() if pattern.fullmatch(file.name))


def _identity(source: Path) -> str:
    """Return what tells a source from another one."""
    return str(source.resolve())


def _check_images_stay(frames: list[Frame], out: Path) -> None:
    """Refuse to write over one of the images.

    Raises:
        ConfigError: a label map or an overlay would have the path of an image.
    """
    inputs = {frame.path.resolve() for frame in frames}
    for frame in frames:
        for file in image_files(out, frame.name, confidence=True):
            if file.resolve() in inputs:
                raise ConfigError(
                    f"The labels of {frame.path} would replace the photo {file}. Choose another "
                    "--out."
                )


def _check_distinct(claims: Sequence[Claim]) -> None:
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


def _describe_foreign(folder: Path, names: list[str], sources: dict[str, str]) -> str:
    """Say which files would be replaced, and what to do."""
    shown = [
        f"{name} ({f'of {sources[name]}' if name in sources else 'of an unknown source'})"
        for name in names[:SHOWN]
    ]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (
        f"{folder} already holds labels of other images, which this run would replace: "
        f"{', '.join(shown)}{more}. "
        "Choose another folder with --out, or add --overwrite."
    )
