import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from galago.errors import SourceError
from galago.sources import open_source


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folder of photos, by their names at least: nothing is read."""
    folder = tmp_path / "my phötos"
    for name in ("b.JPG", "a.png", "notes.md", "inner/c.webp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(source: str | Path) -> list[str]:
    return [frame.path.name for frame in open_source(str(source))]


def type_in(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))


def test_a_photo_is_one_frame_named_after_its_file(photos: Path):
    (frame,) = open_source(str(photos / "a.png"))
    assert (frame.name, frame.path) == ("a", photos / "a.png")


def test_a_folder_gives_its_own_photos_in_order(photos: Path):
    assert listed(photos) == ["a.png", "b.JPG"]


def test_a_glob_gives_photos_of_any_depth(photos: Path):
    assert listed(f"{photos}/**/*") == ["a.png", "b.JPG", "c.webp"]


def test_a_photo_whose_name_looks_like_a_glob_is_a_photo(photos: Path):
    (photos / "a[1].png").touch()
    assert listed(photos / "a[1].png") == ["a[1].png"]


def test_a_list_is_relative_to_its_own_folder(photos: Path):
    (photos / "list.txt").write_bytes("\ufeffa.png\r\n\r\n  inner/c.webp\r\n".encode())  # as Windows writes it
    assert [frame.path for frame in open_source(str(photos / "list.txt"))] == [photos / "a.png", photos / "inner/c.webp"]


def test_a_dash_reads_paths_from_standard_input(photos: Path, monkeypatch: pytest.MonkeyPatch):
    type_in(monkeypatch, f"{photos}/b.JPG\n\n{photos}/a.png\n".encode())
    assert listed("-") == ["b.JPG", "a.png"]


@pytest.mark.skipif(os.name == "nt", reason="paths are text there")
def test_a_path_that_is_not_text_comes_through_standard_input(monkeypatch: pytest.MonkeyPatch):
    type_in(monkeypatch, b"/photos/\xff.png\n")
    assert os.fsencode(open_source("-")[0].path) == b"/photos/\xff.png"


def test_photos_of_one_name_get_numbers_that_no_other_photo_has(photos: Path):
    (photos / "list.txt").write_text("x/a.png\ny/a.png\nz/a_2.png\nw/a.png")
    assert [frame.name for frame in open_source(str(photos / "list.txt"))] == ["a", "a_3", "a_2", "a_4"]


def test_thousands_of_photos_of_one_name_are_all_told_apart(photos: Path):
    (photos / "list.txt").write_text("\n".join(f"{number}/image.jpg" for number in range(5000)))
    assert len({frame.name for frame in open_source(str(photos / "list.txt"))}) == 5000


def test_nothing_at_the_path_is_an_error_that_lists_what_may_be_given(tmp_path: Path):
    with pytest.raises(SourceError, match=r"There is nothing at .*nowhere\. Give a photo, a folder, a glob in quotes"):
        open_source(str(tmp_path / "nowhere"))


def test_a_folder_without_photos_is_an_error_that_names_the_suffixes(tmp_path: Path):
    (tmp_path / "notes.md").touch()
    with pytest.raises(SourceError, match=r"No photo in .* end in \.jpg, \.jpeg, \.png"):
        open_source(str(tmp_path))


def test_a_glob_that_meets_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(SourceError, match="No photo in"):
        open_source(f"{tmp_path}/*.jpg")


def test_an_empty_list_is_an_error(tmp_path: Path):
    (tmp_path / "list.txt").write_text("\n\n")
    with pytest.raises(SourceError, match=r"list\.txt names no photo\. Expected one path a line"):
        open_source(str(tmp_path / "list.txt"))


def test_empty_standard_input_is_an_error(monkeypatch: pytest.MonkeyPatch):
    type_in(monkeypatch, b"")
    with pytest.raises(SourceError, match="Standard input names no photo"):
        open_source("-")
