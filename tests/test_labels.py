import pytest

from galago.errors import ConfigError
from galago.labels import CAMVID, LabelSet, distinct_palette

BLACK = (0, 0, 0)


def test_the_length_is_the_number_of_classes():
    assert len(LabelSet(("road", "car"), (BLACK, BLACK))) == 2


def test_camvid_has_eleven_classes_from_sky_to_bicyclist():
    assert len(CAMVID) == 11
    assert (CAMVID.names[0], CAMVID.names[-1]) == ("sky", "bicyclist")


@pytest.mark.parametrize(
    ("names", "palette", "message"),
    [
        ((), (), "Expected 1 to 255 classes, got 0"),
        (tuple(map(str, range(256))), (BLACK,) * 256, "Expected 1 to 255 classes, got 256"),
        (("car", "road", "car"), (BLACK,) * 3, "these occur more than once: car"),
        (("car", "road"), (BLACK,), r"Expected one color per class \(2\), got 1"),
        (("car",), ((0, 0, 256),), r"each 0 to 255, got \(0, 0, 256\)"),
        (("car",), ((0, 0),), r"\(red, green, blue\), each 0 to 255, got \(0, 0\)"),
    ],
)
def test_wrong_classes_are_an_error_that_says_what_came(
    names: tuple[str, ...], palette: tuple[tuple[int, ...], ...], message: str
):
    with pytest.raises(ConfigError, match=message):
        LabelSet(names, palette)  # type: ignore[arg-type]


def test_as_many_classes_as_there_are_get_different_colors():
    assert len(set(distinct_palette(255))) == 255


def test_the_first_color_does_not_depend_on_the_number_of_classes():
    assert (
        distinct_palette(1)[0] == distinct_palette(255)[0] == (242, 85, 85)
    )  # 0.95 and 0.95 * (1 - 0.65) of 255
