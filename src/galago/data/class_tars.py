"""Images of classes in tar files, read in place, so that no member's name becomes a path."""

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from galago import image as images
from galago._core.printable import printable
from galago.errors import DataError
from galago.image import IMAGE_SUFFIXES

TAR = ".tar"
LARGEST = 1 << 28  # bytes of a member; the largest images of ImageNet have 15 MB
MOST = 1 << 24  # members of all files of a split


class _Member(tarfile.TarInfo):
    """A header whose size cannot lead backwards, which older versions of Python follow for ever
    (CVE-2025-8194).
    """

    def _block(self, count: int) -> int:
        if count < 0:
            raise tarfile.ReadError(f"a header tells a size of {count} bytes")
        return -(-count // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


@dataclass(frozen=True)
class ClassTars:
    """Images within uncompressed tar files, and the class of each; like `ClassFolders`.

    Attributes:
        names: of the classes, in the order of their ids.
        tars: the files.
        locations: (N, 3) int64: number of the tar file, first byte and length of each image in it.
        members: name of each image in its tar file.
        class_ids: of each image.
    """

    names: tuple[str, ...]
    tars: tuple[Path, ...]
    locations: np.ndarray
    members: tuple[str, ...]
    class_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.class_ids)

    @property
    def images(self) -> tuple[str, ...]:
        """Name of each image: that of the tar file and of the member."""
        return tuple(
            f"{self.tars[number].name}:{member}"
            for (number, _, _), member in zip(self.locations, self.members, strict=True)
        )

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """Read image `index`, 0 to len - 1: (H, W, 3) uint8 RGB and its class id.

        Raises:
            ImageError: the member is no image or cut short.
            DataError: the tar file cannot be read any more.
        """
        number, start, length = self.locations[index].tolist()
        tar = self.tars[number]
        try:
            with tar.open("rb") as file:
                file.seek(start)
                data = file.read(length)
        except OSError as error:
            raise DataError(f"Cannot read {printable(tar)}: {error.strerror or error}.") from error
        return images.decode(
            data, f"{printable(tar)}, member {printable(self.members[index])},"
        ), self.class_ids[index]


def find_class_tars(root: Path, split: str) -> list[Path]:
    """Return `ROOT/SPLIT.tar`, or the tar files in `ROOT/SPLIT`, one per class.

    Nothing where there are none.
    """
    whole = root / f"{split}{TAR}"
    if whole.is_file():
        return [whole]
    folder = root / split
    return sorted(
        path for path in folder.glob(f"*{TAR}") if path.is_file() and not path.name.startswith(".")
    )


def open_class_tars(root: Path, split: str) -> ClassTars:
    """Open one split: `ROOT/SPLIT/CLASS.tar` for each class, or `ROOT/SPLIT.tar` with members
    `CLASS/image.jpg`.

    In a tar file of a class, members lie in a folder of the class's name or in none. Classes are in
    alphabetical order. Only headers are read here, none of the images.

    Raises:
        DataError: a file is no uncompressed tar, is damaged, or holds a member that is no plain
            image of a class; or there are not two classes.
    """
    tars = find_class_tars(root, split)
    one_class_each = not (len(tars) == 1 and tars[0].parent == root)
    found: list[tuple[str, str, int, int, int]] = []
    for number, tar in enumerate(tars):
        own = tar.name.removesuffix(TAR) if one_class_each else None
        images = [
            (_class_of(tar, name, own), name, number, start, length)
            for name, start, length in _index(tar)
        ]
        if not images:
            raise DataError(
                f"{printable(tar)} holds no photos ({', '.join(IMAGE_SUFFIXES)}). Remove it "
                "or fill it."
            )
        found += images
        if len(found) > MOST:
            raise DataError(f"{printable(root)} holds more than {MOST:,} photos in {split}.")
    names = tuple(sorted({entry[0] for entry in found}))
    if len(names) < 2:
        raise DataError(
            f"{printable(root)} should hold photos of at least 2 classes in {split}, found "
            f"{len(names)}."
        )
    found.sort(key=lambda entry: (entry[0], _natural(entry[1])))
    ids = {name: index for index, name in enumerate(names)}
    return ClassTars(
        names=names,
        tars=tuple(tars),
        locations=np.array([entry[2:] for entry in found], np.int64),
        members=tuple(entry[1] for entry in found),
        class_ids=tuple(ids[entry[0]] for entry in found),
    )


def _index(tar: Path) -> list[tuple[str, int, int]]:
    """List name, first byte and length of every image in a tar file.

    Raises:
        DataError: see `open_class_tars`.
    """
    images, seen = [], set()
    try:
        size = tar.stat().st_size
        with tarfile.open(tar, "r:", tarinfo=_Member) as file:
            for member in file:
                name = printable(member.name)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise DataError(
                        f"{printable(tar)} holds {name}, which is a link or device. Expected plain "
                        "photos only."
                    )
                if PurePosixPath(member.name).name.startswith(
                    "."
                ) or not member.name.lower().endswith(IMAGE_SUFFIXES):
                    continue
                if not 0 < member.size <= LARGEST or member.offset_data + member.size > size:
                    raise DataError(
                        f"{printable(tar)} is damaged: {name} should have {member.size:,} bytes. "
                        "Copy the file again."
                    )
                if member.name in seen:
                    raise DataError(f"{printable(tar)} holds {name} twice. Pack it again.")
                seen.add(member.name)
                images.append((member.name, member.offset_data, member.size))
            end = file.offset
        with tar.open("rb") as raw:  # where tarfile met no further header
            raw.seek(end)
            block = raw.read(tarfile.BLOCKSIZE)
    except OSError as error:
        raise DataError(f"Cannot read {printable(tar)}: {error.strerror or error}.") from error
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise DataError(
            f"{printable(tar)} is no uncompressed tar file, or damaged: {printable(error)}. "
            "Unpack a compressed one and pack it again without compression: photos are read where "
            "they lie."
        ) from error
    if len(block) < tarfile.BLOCKSIZE or any(block):
        raise DataError(
            f"{printable(tar)} is damaged or cut short after {len(images)} photos. Copy the file "
            "again from its source."
        )
    return images


def _class_of(tar: Path, member: str, own: str | None) -> str:
    """Return the class of a member: its folder, which in a tar file of a class is that class or
    missing.

    Raises:
        DataError: it lies in no folder, in another class's, or outside.
    """
    parts = [part for part in member.split("/") if part not in ("", ".")]
    if ".." in parts or member.startswith("/"):
        raise DataError(
            f"{printable(tar)} holds {printable(member)}, which leads out of it. Expected "
            "CLASS/photo.jpg."
        )
    folder = parts[0] if len(parts) > 1 else own
    if folder is None or (own is not None and folder != own):
        expected = f"{own}/photo.jpg" if own is not None else "CLASS/photo.jpg"
        raise DataError(
            f"{printable(tar)} holds {printable(member)}. Expected members as "
            f"{printable(expected)}."
        )
    return folder


def _natural(text: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)]
