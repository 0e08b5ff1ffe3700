import os
import stat
from pathlib import Path

import pytest

from galago.files import sha256, write_whole


def test_folders_are_made_and_the_content_is_all_there(tmp_path: Path):
    write_whole(tmp_path / "a b/ö/file.bin", b"content")
    assert (tmp_path / "a b/ö/file.bin").read_bytes() == b"content"


def test_an_older_file_is_replaced_and_nothing_else_is_left(tmp_path: Path):
    for content in (b"old", b"new"):
        write_whole(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_the_file_has_the_mode_that_the_user_wants_for_new_files(tmp_path: Path):
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_file_in_place_of_the_folder_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(NotADirectoryError, match="out is a file, not a folder"):
        write_whole(tmp_path / "out/file", b"content")
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_a_folder_in_place_of_the_file_is_an_error_that_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # its kind and words are the system's
        write_whole(tmp_path / "file", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupt_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_whole(tmp_path / "file", b"old")

    def interrupt(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_checksum_is_that_of_the_content(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert (
        sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )  # FIPS 180-2, appendix B.1
