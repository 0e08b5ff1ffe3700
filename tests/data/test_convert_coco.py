import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from galago.data import open_dataset
from galago.data.convert import Options, read, write
from galago.data.convert.shapes import draw_polygon, draw_runs, draw_segmentation, unpack_runs
from galago.errors import DataError

SIZE = (4, 5)  # height, width
CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]  # car comes first, by its id
SQUARE = [[1, 1, 4, 1, 4, 3, 1, 3]]  # columns 1 to 3 of rows 1 and 2


def annotation(number: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 7, "category_id": category, "segmentation": segmentation} | more


def make(root: Path, annotations: list[dict[str, Any]], **changes: Any) -> Path:
    """Write one photo and its annotations as COCO lays them out."""
    entry = {"id": 7, "file_name": "a.jpg", "height": SIZE[0], "width": SIZE[1]}
    (root / "annotations").mkdir(parents=True)
    (root / "val2017").mkdir()
    cv2.imwrite(str(root / "val2017/a.jpg"), np.zeros((*SIZE, 3), np.uint8))
    text = {"images": [entry], "categories": CATEGORIES, "annotations": annotations} | changes
    (root / "annotations/instances_val2017.json").write_text(json.dumps(text))
    return root


def convert(source: Path, out: Path, **options: Any) -> Path:
    write(read("coco", source, Options(**options)), out, made_by="a test")
    return out


def labels_of(root: Path, annotations: list[dict[str, Any]], **options: Any) -> list[list[int]]:
    out = convert(make(root / "in", annotations), root / "out", **options)
    return open_dataset(out, "val")[0].labels.tolist()


def test_a_polygon_and_the_background(tmp_path: Path):
    assert labels_of(tmp_path, [annotation(1, 3, SQUARE)]) == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]
    assert open_dataset(tmp_path / "out", "val").labels.names == ("background", "car", "dog")


def test_the_background_may_be_ignored(tmp_path: Path):
    labels = labels_of(tmp_path, [annotation(1, 18, SQUARE)], ignore=("background",))
    assert labels[1] == [255, 1, 1, 1, 255]
    assert open_dataset(tmp_path / "out", "val").labels.names == ("car", "dog")


def test_run_lengths_plain_and_compressed_and_of_a_crowd(tmp_path: Path):
    # down the columns: 4 pixels outside, 2 inside, 14 outside
    plain = {"size": [4, 5], "counts": [4, 2, 14]}
    # 8 outside, 2 inside, 8 outside, and the fourth number is 0 more than the second: 2 inside
    packed = {"size": [4, 5], "counts": "8280"}
    assert labels_of(tmp_path, [annotation(1, 3, plain, iscrowd=1), annotation(2, 18, packed)]) == [
        [0, 1, 2, 0, 0],
        [0, 1, 2, 0, 0],
        [0, 0, 0, 0, 2],
        [0, 0, 0, 0, 2],
    ]


def test_small_areas_lie_over_large_ones_in_any_order(tmp_path: Path):
    small = annotation(1, 18, [[2, 1, 3, 1, 3, 2, 2, 2]])
    assert labels_of(tmp_path, [small, annotation(2, 3, SQUARE)])[1] == [0, 1, 2, 1, 0]


def test_a_photo_without_annotations_is_all_background(tmp_path: Path):
    assert np.unique(labels_of(tmp_path, [])).tolist() == [0]


def test_compressed_numbers_by_hand():
    assert unpack_runs("1261") == [1, 2, 6, 3]  # the fourth is 1 more than the second
    assert unpack_runs("T3") == [100]  # 100 = 4 + 3 * 32; "T" is "0" + 4 + 32, for more to come
    assert unpack_runs("d0") == [20]  # bit 4 would be a sign, so that another character says it is none
    assert unpack_runs("043O") == [0, 4, 3, 3]  # "O" is "0" + 31, which is -1


@pytest.mark.parametrize(("text", "message"), [("T", "cut short"), ("1 2", "' ' does not occur")])
def test_a_broken_compressed_string_is_an_error(text: str, message: str):
    with pytest.raises(DataError, match=message):
        unpack_runs(text)


def test_runs_go_down_the_columns():
    assert draw_runs([1, 2, 1], (2, 2)).tolist() == [[False, True], [True, False]]


def test_runs_that_do_not_cover_the_mask_are_an_error():
    with pytest.raises(DataError, match="3 pixels do not cover 2 x 2"):
        draw_runs([1, 2], (2, 2))


def test_a_triangle_holds_the_pixels_whose_centers_it_holds():
    mask = draw_polygon(np.array([[0, 0], [4, 0], [0, 4.0]]), (4, 4))
    assert mask.astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_polygons_of_one_annotation_add_up_and_may_reach_over_the_edge():
    mask = draw_segmentation([[-3, -3, 1, -3, 1, 1, -3, 1], [2, 1, 9, 1, 9, 9, 2, 9]], (2, 3))
    assert mask.astype(int).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_polygons_agree_with_another_way_to_fill_them():
    random = np.random.default_rng(5)
    for _ in range(20):
        points = random.uniform(0, 30, (6, 2))
        centers = [(x + 0.5, y + 0.5) for y in range(30) for x in range(30)]
        contour = points.astype(np.float32)
        wanted = [crosses(contour, center) for center in centers]
        assert draw_polygon(contour.astype(np.float64), (30, 30)).ravel().tolist() == wanted


def crosses(points: np.ndarray, center: tuple[float, float]) -> bool:
    """Tell whether a ray to the left crosses an odd number of edges."""
    x, y = center
    inside = False
    for (x0, y0), (x1, y1) in zip(points.astype(float), np.roll(points, -1, axis=0).astype(float), strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
            inside = not inside
    return inside


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 1, 2, 2]], "a polygon should be a list"),
        ({"size": [5, 4], "counts": [20]}, r"of size \[5, 4\], the photo is \[4, 5\]"),
        ("x", "should be polygons or run lengths"),
    ],
)
def test_a_broken_annotation_is_an_error_that_names_it(tmp_path: Path, segmentation: Any, message: str):
    source = make(tmp_path / "in", [annotation(41, 3, segmentation)])
    with pytest.raises(DataError, match=rf"instances_val2017\.json: annotation 41 of a\.jpg: .*{message}"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_boxes_alone_are_an_error_or_left_out(tmp_path: Path):
    source = make(tmp_path / "in", [annotation(41, 3, []), annotation(42, 18, SQUARE)])
    with pytest.raises(DataError, match=r"1 annotations of .* have a box and no area, by id: 41"):
        convert(source, tmp_path / "out")
    assert open_dataset(convert(source, tmp_path / "out", unknown="ignore"), "val")[0].labels[1].tolist() == [0, 2, 2, 2, 0]


def test_an_unknown_category_and_an_unknown_image_are_errors(tmp_path: Path):
    with pytest.raises(DataError, match="annotation 1 has the unknown category 4"):
        read("coco", make(tmp_path / "a", [annotation(1, 4, SQUARE)]), Options())
    with pytest.raises(DataError, match="belong to 1 images that it does not list, as 8"):
        read("coco", make(tmp_path / "b", [annotation(1, 3, SQUARE, image_id=8)]), Options())


def test_missing_photos_are_an_error_and_may_be_found_elsewhere(tmp_path: Path):
    source = make(tmp_path / "in", [])
    (source / "val2017").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"1 photos of .* are missing: a\.jpg\. Looked in .*--images"):
        convert(source, tmp_path / "out")
    assert len(open_dataset(convert(source, tmp_path / "out", images=tmp_path / "elsewhere"), "val")) == 1


def test_roboflows_folders_and_a_class_named_twice(tmp_path: Path):
    for split in ("train", "valid"):
        (tmp_path / "in" / split).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "in" / split / "a.jpg"), np.zeros((*SIZE, 3), np.uint8))
        text = {
            "images": [{"id": 7, "file_name": "a.jpg", "height": 4, "width": 5}],
            "categories": [{"id": 0, "name": "hole"}, {"id": 1, "name": "hole"}],
            "annotations": [annotation(1, 1, SQUARE)],
        }
        (tmp_path / "in" / split / "_annotations.coco.json").write_text(json.dumps(text))
    out = convert(tmp_path / "in", tmp_path / "out")
    for split in ("train", "val"):
        dataset = open_dataset(out, split)
        assert dataset.labels.names == ("background", "hole")
        assert dataset[0].labels[1].tolist() == [0, 1, 1, 1, 0]


def test_one_json_file_of_another_name_is_train(tmp_path: Path):
    source = make(tmp_path / "in", [annotation(1, 3, SQUARE)])
    (source / "val2017/a.jpg").rename(source / "a.jpg")
    file = (source / "annotations/instances_val2017.json").rename(source / "labels.json")
    assert open_dataset(convert(file, tmp_path / "out"), "train").names == ["a"]


@pytest.mark.parametrize(("text", "message"), [("{", "not readable as JSON"), ("{}", "expected the lists images")])
def test_a_file_of_another_kind_is_an_error(tmp_path: Path, text: str, message: str):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read("coco", tmp_path / "x.json", Options())


def test_an_entry_without_a_key_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="an entry lacks 'category_id'"):
        read("coco", make(tmp_path, [{"id": 1, "image_id": 7}]), Options())
