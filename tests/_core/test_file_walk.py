import os

import pytest

from galago._core.file_walk import walk_files


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def names(folder):
    return [path.relative_to(folder).as_posix() for path in walk_files(folder)]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    for name in ("a.jpg", "._a.jpg", ".cache/b.jpg", "c/.ipynb_checkpoints/d.jpg", "c/e.jpg"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["a.jpg", "c/e.jpg"]


def test_a_hidden_folder_named_by_the_user_is_read(tmp_path):
    touch(tmp_path / ".data/a.jpg")
    assert names(tmp_path / ".data") == ["a.jpg"]


def test_names_count_as_people_count(tmp_path):
    for name in ("a10.jpg", "a2.jpg", "b/1.jpg", "B.jpg"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["B.jpg", "a2.jpg", "a10.jpg", "b/1.jpg"]


def test_links_to_folders_are_followed_even_two_to_one(tmp_path):
    touch(tmp_path / "store/drive/a.jpg")
    (tmp_path / "set").mkdir()
    for name in ("one", "two"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "store/drive", target_is_directory=True)
    (tmp_path / "set/file.jpg").symlink_to(tmp_path / "store/drive/a.jpg")
    assert names(tmp_path / "set") == ["file.jpg", "one/a.jpg", "two/a.jpg"]


def test_a_link_to_a_folder_above_it_ends(tmp_path):
    touch(tmp_path / "set/a/x.jpg")
    touch(tmp_path / "set/b/y.jpg")
    (tmp_path / "set/a/self").symlink_to(tmp_path / "set/a", target_is_directory=True)
    (tmp_path / "set/a/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "set/b/a").symlink_to(tmp_path / "set/a", target_is_directory=True)
    found = names(tmp_path / "set")
    assert found == ["a/x.jpg", "b/a/x.jpg", "b/y.jpg"]


def test_a_link_to_a_folder_that_holds_the_walked_one_is_a_circle(tmp_path):
    touch(tmp_path / "set/images/train/a.jpg")
    touch(tmp_path / "set/images/val/b.jpg")
    (tmp_path / "set/images/train/circle").symlink_to(tmp_path / "set", target_is_directory=True)
    assert names(tmp_path / "set/images/train") == ["a.jpg"]


def test_links_to_nothing_are_yielded_and_pipes_are_not(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
    assert names(tmp_path) == ["gone.jpg"]


def test_a_folder_that_is_none_has_no_files(tmp_path):
    assert names(tmp_path / "none") == []


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_told(tmp_path):
    touch(tmp_path / "locked/a.jpg")
    (tmp_path / "locked").chmod(0)
    try:
        with pytest.raises(PermissionError, match="locked"):
            names(tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o700)
