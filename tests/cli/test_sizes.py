import pytest

from galago.cli._sizes import join_sizes, read_size
from galago.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"), [("512x1024", (512, 1024)), ("64X32", (64, 32)), ("320", (320, 320))]
)
def test_sizes_are_height_and_width(text: str, size: tuple[int, int]):
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["0", "-5", "1x2x3", "", "x", "64x", "6.4", "\u0663"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(
        ConfigError, match=r"as height and width, for example --imgsz 512 1024, got"
    ):
        read_size(text)


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        ("--imgsz 512 1024 --half", "--imgsz 512x1024 --half"),
        ("--imgsz 512 --half", "--imgsz 512 --half"),
        ("--imgsz 512x1024", "--imgsz 512x1024"),
        ("--imgsz 1 2 3", "--imgsz 1x2 3"),  # and the third is an unknown argument
        ("--imgsz 1 2 --imgsz 3 4", "--imgsz 1x2 --imgsz 3x4"),
        ("--threads 1 2", "--threads 1 2"),
        ("--imgsz", "--imgsz"),
    ],
)
def test_two_numbers_after_imgsz_become_one_word(words: str, joined: str):
    assert join_sizes(words.split()) == joined.split()
