import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from galago import image as images
from galago.errors import ImageError
from galago.runtime.result import Segmentation

NAMES = ("road", "car", "sky")
PALETTE = ((200, 0, 0), (0, 200, 0), (0, 0, 200))


def segmentation(labels: Any, path: Path | None = None) -> Segmentation:
    array = np.array(labels, np.uint8)
    photo = np.full((*array.shape, 3), 100, np.uint8)
    return Segmentation(
        labels=array, names=NAMES, palette=PALETTE, image=photo, path=path, speed={}
    )


def noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, size, np.uint8)


def area(ring: list[list[int]]) -> float:
    """Return the area inside a closed ring: the shoelace formula."""
    return abs(sum(x * after_y - after_x * y for (x, y), (after_x, after_y) in pairwise(ring))) / 2


def rings(result: Segmentation, name: str) -> list[list[list[list[int]]]]:
    features = result.to_geojson()["features"]
    return [
        feature["geometry"]["coordinates"]
        for feature in features
        if feature["properties"]["class"] == name
    ]


def test_areas_are_shares_of_all_pixels_the_largest_first():
    assert segmentation([[1, 1], [1, 0]]).areas() == {"car": 0.75, "road": 0.25}


def test_areas_sum_to_one():
    assert sum(segmentation(noise((33, 47))).areas().values()) == pytest.approx(1)


def test_old_names_of_labels_and_size_are_deprecated():
    result = segmentation([[0, 1, 2]])
    assert result.size == (1, 3)
    with pytest.warns(DeprecationWarning, match="mask is now labels"):
        assert result.mask is result.labels
    with pytest.warns(DeprecationWarning, match="orig_shape is now size"):
        assert result.orig_shape == (1, 3)


def test_an_overlay_has_the_size_of_the_photo_and_a_legend_goes_under_it():
    result = segmentation(noise((33, 47)))
    bare, named = result.overlay(legend=False), result.overlay()
    assert bare.shape == (33, 47, 3)
    assert named.shape[0] > 33
    assert np.array_equal(named[:33], bare)


def test_an_overlay_of_full_strength_shows_the_palette():
    assert segmentation([[2]]).overlay(1.0, legend=False).tolist() == [[[0, 0, 200]]]


@pytest.mark.parametrize("size", [(1, 1), (8, 8)])
def test_the_smallest_photos_have_overlays(size: tuple[int, int]):
    assert segmentation(np.zeros(size)).overlay().shape[1] == size[1]


def test_save_writes_labels_and_overlay_under_the_photos_name(tmp_path: Path):
    labels, overlay = segmentation([[0, 1, 2]], Path("photos/street.v2.jpg")).save(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "street.v2.png",
        "street.v2_overlay.jpg",
    ]
    assert images.load_labels(labels).tolist() == [[0, 1, 2]]
    assert images.load(overlay).shape[1] == 3


@pytest.mark.parametrize(("name", "expected"), [(None, "photo.png"), ("mine", "mine.png")])
def test_save_takes_a_name_and_needs_none(tmp_path: Path, name: str | None, expected: str):
    assert segmentation([[0]]).save(tmp_path, name)[0].name == expected


def test_save_does_not_replace_the_photo(tmp_path: Path):
    photo = tmp_path / "street.png"
    images.save(photo, np.full((1, 1, 3), 9, np.uint8))
    with pytest.raises(
        ImageError, match=r"would replace the photo .*street\.png\. Choose another folder"
    ):
        segmentation([[0]], photo).save(tmp_path)
    assert images.load(photo).tolist() == [[[9, 9, 9]]]


def test_a_file_in_place_of_the_folder_is_one_clear_error(tmp_path: Path):
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(ImageError, match="out is a file, not a folder"):
        segmentation([[0]]).save(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_run_lengths_go_down_the_columns_zeros_first():
    # columns: (0, 0), (1, 0), (1, 1)
    runs = segmentation([[0, 1, 1], [0, 0, 1]]).to_rle()
    assert runs == {
        "road": {"size": [2, 3], "counts": [0, 2, 1, 1, 2]},
        "car": {"size": [2, 3], "counts": [2, 1, 1, 2]},
    }


def test_run_lengths_bring_back_the_labels():
    result = segmentation(noise((13, 17)))
    back = np.full(13 * 17, 9)
    for class_id, name in enumerate(NAMES):
        counts = result.to_rle()[name]["counts"]
        back[np.repeat(np.arange(len(counts)) % 2 == 1, counts)] = class_id
    assert np.array_equal(back.reshape((13, 17), order="F"), result.labels)


def test_a_pixel_is_a_square():
    (polygon,) = rings(segmentation([[0, 0, 0], [0, 0, 1]]), "car")
    (square,) = polygon
    assert square[0] == square[-1]
    assert sorted(square[:-1]) == [[2, 1], [2, 2], [3, 1], [3, 2]]  # x to the right, y down


def test_an_l_has_six_corners():
    (polygon,) = rings(segmentation([[1, 0], [1, 1]]), "car")
    assert sorted(polygon[0][:-1]) == [[0, 0], [0, 2], [1, 0], [1, 1], [2, 1], [2, 2]]


def test_a_hole_is_a_second_ring_of_its_polygon():
    (polygon,) = rings(segmentation([[0, 0, 0], [0, 1, 0], [0, 0, 0]]), "road")
    outline, hole = polygon
    assert (area(outline), area(hole)) == (9, 1)
    assert sorted(hole[:-1]) == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_a_region_in_a_hole_is_a_polygon_of_its_own():
    labels = np.zeros((5, 5), np.uint8)
    labels[1:4, 1:4] = 1
    labels[2, 2] = 0
    assert sorted(len(polygon) for polygon in rings(segmentation(labels), "road")) == [1, 2]


def test_polygons_have_the_area_of_their_pixels_whatever_their_form():
    result = segmentation(noise((21, 34)))
    for class_id, name in enumerate(NAMES):
        total = sum(
            area(outline) - sum(map(area, holes)) for outline, *holes in rings(result, name)
        )
        assert total == (result.labels == class_id).sum()


def test_every_ring_is_closed_and_has_four_positions_at_least():
    for feature in segmentation(noise((21, 34))).to_geojson()["features"]:
        for ring in feature["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
            assert len(ring) >= 4  # RFC 7946, section 3.1.6


def test_geojson_names_class_and_id_and_can_be_written():
    collection = json.loads(json.dumps(segmentation([[2]]).to_geojson()))
    assert collection["type"] == "FeatureCollection"
    (feature,) = collection["features"]
    assert feature["type"] == "Feature"
    assert feature["properties"] == {"class": "sky", "id": 2}
    assert feature["geometry"]["type"] == "Polygon"
