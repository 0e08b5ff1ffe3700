import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data.class_folders import ClassFolders, open_classes
from galago.errors import DataError, ImageError


def jpeg(color: int) -> bytes:
    return cv2.imencode(".jpg", np.full((8, 12, 3), color, np.uint8))[1].tobytes()


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as file:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def add_member(path: Path, member: tarfile.TarInfo) -> None:
    with tarfile.open(path, "a") as file:
        file.addfile(member)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes: one whose members lie in a folder, one without, and a validation part in one
    file.
    """
    write_tar(tmp_path / "train/dog.tar", {"dog/10.jpg": jpeg(90), "dog/2.jpg": jpeg(60)})
    write_tar(tmp_path / "train/cat.tar", {"1.jpg": jpeg(30)})
    write_tar(tmp_path / "val.tar", {"dog/1.jpg": jpeg(200), "./cat/1.jpg": jpeg(150)})
    return tmp_path


def test_classes_are_those_of_the_files_and_images_count_naturally(root: Path):
    images = open_classes(root, "train")
    assert images.names == ("cat", "dog")
    assert images.images == ("cat.tar:1.jpg", "dog.tar:dog/2.jpg", "dog.tar:dog/10.jpg")
    found = [images[index] for index in range(len(images))]
    assert [class_id for _, class_id in found] == [0, 1, 1]
    assert [int(image[0, 0, 0]) for image, _ in found] == [30, 60, 90]
    assert found[0][0].shape == (8, 12, 3)


def test_one_file_may_hold_a_split(root: Path):
    images = open_classes(root, "val")
    assert images.names == ("cat", "dog")
    assert [(int(images[index][0][0, 0, 0]), images[index][1]) for index in range(2)] == [
        (150, 0),
        (200, 1),
    ]


def test_class_folders_are_opened_as_before(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "1.jpg").write_bytes(jpeg(3))
    assert isinstance(open_classes(tmp_path, "train"), ClassFolders)


def test_folders_beside_tar_files_are_refused(root: Path):
    (root / "train/bird").mkdir()
    with pytest.raises(DataError, match="folders and tar files"):
        open_classes(root, "train")


@pytest.mark.parametrize("name", ["../dog/1.jpg", "/etc/1.jpg", "dog/../../1.jpg", "cat/1.jpg"])
def test_a_member_of_another_place_is_refused(root: Path, name: str):
    write_tar(root / "train/dog.tar", {name: jpeg(1)})
    with pytest.raises(DataError, match=r"holds .*Expected"):
        open_classes(root, "train")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(root: Path, kind: bytes):
    member = tarfile.TarInfo("dog/3.jpg")
    member.type, member.linkname = kind, "/etc/passwd"
    add_member(root / "train/dog.tar", member)
    with pytest.raises(DataError, match="link or device"):
        open_classes(root, "train")


def test_a_compressed_file_is_told(root: Path):
    write_tar(root / "train/dog.tar", {"dog/1.jpg": jpeg(1)}, "w:gz")
    with pytest.raises(DataError, match="no uncompressed tar"):
        open_classes(root, "train")


@pytest.mark.parametrize("kept", [600, 1024, 1500])
def test_a_file_cut_short_is_told(root: Path, kept: int):
    tar = root / "train/dog.tar"
    tar.write_bytes(tar.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"damaged|cut short"):
        open_classes(root, "train")


def test_a_damaged_header_in_the_middle_leaves_nothing_out_silently(root: Path):
    tar = root / "train/dog.tar"
    data = bytearray(tar.read_bytes())
    second = data.index(b"dog/2.jpg")
    data[second : second + 3] = b"XXX"  # the checksum is wrong now
    tar.write_bytes(bytes(data))
    with pytest.raises(DataError, match="damaged or cut short after 1 photos"):
        open_classes(root, "train")


def test_a_negative_size_is_damage_and_no_endless_loop(root: Path):
    tar = root / "train/dog.tar"
    data = bytearray(tar.read_bytes())
    data[124:136] = b"\xff" + b"\xff" * 9 + b"\xfe\x00"  # base 256: -512
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    tar.write_bytes(bytes(data))
    with pytest.raises(DataError, match="damaged"):
        open_classes(root, "train")


def test_a_member_that_is_no_image_has_a_name(root: Path):
    write_tar(root / "train/dog.tar", {"dog/1.jpg": b"\xff\xd8 no photo"})
    images = open_classes(root, "train")
    with pytest.raises(ImageError, match=r"dog\.tar, member dog/1\.jpg"):
        images[1]


def test_a_name_with_control_characters_is_shown_safely(root: Path):
    write_tar(root / "train/dog.tar", {"dog\x1b[2J/1.jpg": jpeg(1)})
    with pytest.raises(DataError) as caught:
        open_classes(root, "train")
    assert "\x1b" not in str(caught.value)
