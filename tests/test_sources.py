import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from galago.errors import SourceError
from galago.sources import describe_left_out, left_out, open_source


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
    (photos / "list.txt").write_bytes(
        "\ufeffa.png\r\n\r\n  inner/c.webp\r\n".encode()
    )  # as Windows writes it
    assert [frame.path for frame in open_source(str(photos / "list.txt"))] == [
        photos / "a.png",
        photos / "inner/c.webp",
    ]


def test_a_dash_reads_paths_from_standard_input(photos: Path, monkeypatch: pytest.MonkeyPatch):
    type_in(monkeypatch, f"{photos}/b.JPG\n\n{photos}/a.png\n".encode())
    assert listed("-") == ["b.JPG", "a.png"]


@pytest.mark.skipif(os.name == "nt", reason="paths are text there")
def test_a_path_that_is_not_text_comes_through_standard_input(monkeypatch: pytest.MonkeyPatch):
    type_in(monkeypatch, b"/photos/\xff.png\n")
    assert os.fsencode(open_source("-")[0].path) == b"/photos/\xff.png"


def test_photos_of_one_name_get_numbers_that_no_other_photo_has(photos: Path):
    (photos / "list.txt").write_text("x/a.png\ny/a.png\nz/a_2.png\nw/a.png")
    assert [frame.name for frame in open_source(str(photos / "list.txt"))] == [
        "a",
        "a_3",
        "a_2",
        "a_4",
    ]


def test_thousands_of_photos_of_one_name_are_all_told_apart(photos: Path):
    (photos / "list.txt").write_text("\n".join(f"{number}/image.jpg" for number in range(5000)))
    assert len({frame.name for frame in open_source(str(photos / "list.txt"))}) == 5000


def test_nothing_at_the_path_is_an_error_that_lists_what_may_be_given(tmp_path: Path):
    with pytest.raises(
        SourceError,
        match=r"There is nothing at .*nowhere\. Give a photo, a folder, a glob in quotes",
    ):
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


# --- what a folder holds besides, and links ---


def test_hidden_files_and_companions_of_macos_are_no_photos(photos: Path):
    for name in ("._a.png", ".thumbnail.jpg", ".hidden/c.png"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert listed(photos) == ["a.png", "b.JPG"]
    assert listed(f"{photos}/*") == ["a.png", "b.JPG"]
    assert listed(f"{photos}/**/*") == ["a.png", "b.JPG", "c.webp"]
    assert listed(f"{photos}/.hidden/*.png") == ["c.png"]  # where the pattern names it
    assert listed(photos / ".thumbnail.jpg") == [".thumbnail.jpg"]


def test_a_link_to_its_own_folder_gives_each_photo_once(photos: Path):
    (photos / "self").symlink_to(photos, target_is_directory=True)
    (photos / "inner/up").symlink_to("..", target_is_directory=True)
    (photos / "inner/self").symlink_to(photos / "inner", target_is_directory=True)
    for pattern in ("**/*", "**/*.*", "**", "**/**/*", "self/**/*"):
        assert listed(f"{photos}/{pattern}") == ["a.png", "b.JPG", "c.webp"], pattern
    paths = [frame.path for frame in open_source(f"{photos}/**/*")]
    assert paths == [
        photos / "a.png",
        photos / "b.JPG",
        photos / "inner/c.webp",
    ]  # by their shortest paths


def test_a_link_to_a_folder_elsewhere_is_followed(photos: Path, tmp_path: Path):
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive/d.png").touch()
    for name in ("one", "two"):
        (photos / name).symlink_to(tmp_path / "drive", target_is_directory=True)
    assert listed(f"{photos}/**/*.png") == ["a.png", "d.png"]
    assert listed(f"{photos}/*/*.png") == ["d.png"]
    assert listed(photos / "one") == ["d.png"]


def test_two_links_to_one_photo_are_two_photos(photos: Path):
    (photos / "again.png").symlink_to("a.png")
    assert listed(photos) == ["a.png", "again.png", "b.JPG"]


def test_a_link_that_leads_nowhere_is_not_passed_over(photos: Path):
    (photos / "lost.jpg").symlink_to("nowhere.jpg")
    assert listed(photos) == ["a.png", "b.JPG", "lost.jpg"]


def test_a_folder_named_like_a_photo_is_none(photos: Path):
    (photos / "album.jpg").mkdir()
    assert listed(photos) == ["a.png", "b.JPG"]


def test_patterns_in_names_of_folders_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "x[1]/y*").mkdir(parents=True)
    (tmp_path / "x[1]/y*/a.png").touch()
    monkeypatch.chdir(tmp_path)
    assert [frame.path for frame in open_source("**/*.png")] == [Path("x[1]/y*/a.png")]
    assert listed("x[[]1]/**/*.png") == ["a.png"]


def test_pictures_that_are_left_out_are_counted_with_what_to_do(photos: Path):
    for name in ("1.HEIC", "2.heic", "3.avif", "4.gif", "film.MOV", "._5.heic"):
        (photos / name).touch()
    assert left_out(str(photos)) == {".avif": 1, ".gif": 1, ".heic": 2, ".mov": 1}
    assert left_out(f"{photos}/*.jpg") == left_out(str(photos / "a.png")) == left_out("-") == {}
    assert describe_left_out(left_out(str(photos))) == (
        "Left out 4 pictures of kinds that are not read (1 .avif, 1 .gif, 2 .heic). Convert them "
        "first, for example by: "
        "magick mogrify -format jpg *.avif. Left out 1 videos (1 .mov). Give each one alone."
    )
    assert describe_left_out({}) is None


def test_a_folder_of_nothing_but_heic_says_so(tmp_path: Path):
    (tmp_path / "1.heic").touch()
    with pytest.raises(
        SourceError,
        match=r"No photo in .*\. Left out 1 pictures .*\(1 \.heic\)\. Convert them first",
    ):
        open_source(str(tmp_path))


@pytest.mark.skipif(os.name == "nt", reason="paths are text there")
def test_a_photo_whose_name_is_no_text_is_listed(photos: Path):
    (photos / "caf\udce9.jpg").touch()
    assert listed(photos) == ["a.png", "b.JPG", "caf\udce9.jpg"]
    assert listed(f"{photos}/**/*.jpg") == ["caf\udce9.jpg"]
    (photos / "list.txt").write_bytes(b"caf\xe9.jpg\n")
    assert listed(photos / "list.txt") == ["caf\udce9.jpg"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_list_in_utf_16_is_refused_with_what_to_do(photos: Path, encoding: str):
    (photos / "list.txt").write_text("a.png\n", encoding=encoding)
    with pytest.raises(
        SourceError, match=r"list\.txt is UTF-16 .* save it again with the encoding UTF-8"
    ):
        open_source(str(photos / "list.txt"))
