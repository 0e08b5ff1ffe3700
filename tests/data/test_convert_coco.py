import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from galago.data import open_dataset
from galago.data.convert import Options, read, write
from galago.data.convert.coco_images import split_name
from galago.data.convert.coco_shapes import MAX_OUTLINE, check_segmentation, unpack_runs
from galago.data.convert.splits import split_of
from galago.errors import DataError, MissingDependencyError

SIZE = (4, 5)  # height, width
CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]  # car comes first, by its id
SQUARE = [[1, 1, 4, 1, 4, 3, 1, 3]]  # columns 1 to 3 of rows 1 and 2


def annotation(number: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": 7,
        "category_id": category,
        "segmentation": segmentation,
    } | more


def make(root: Path, annotations: list[dict[str, Any]], **changes: Any) -> Path:
    """Write one image and its annotations as COCO lays them out."""
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
    assert open_dataset(tmp_path / "out", "val").label_set.names == ("background", "car", "dog")


def test_the_background_may_be_ignored(tmp_path: Path):
    labels = labels_of(tmp_path, [annotation(1, 18, SQUARE)], ignore=("background",))
    assert labels[1] == [255, 1, 1, 1, 255]
    assert open_dataset(tmp_path / "out", "val").label_set.names == ("car", "dog")


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


def test_an_image_without_annotations_is_all_background(tmp_path: Path):
    assert np.unique(labels_of(tmp_path, [])).tolist() == [0]


def test_compressed_numbers_by_hand():
    assert unpack_runs("1261") == [1, 2, 6, 3]  # the fourth is 1 more than the second
    assert unpack_runs("T3") == [100]  # 100 = 4 + 3 * 32; "T" is "0" + 4 + 32, for more to come
    assert unpack_runs("d0") == [
        20
    ]  # bit 4 would be a sign, so that another character says it is none
    assert unpack_runs("043O") == [0, 4, 3, 3]  # "O" is "0" + 31, which is -1


@pytest.mark.parametrize(("text", "message"), [("T", "cut short"), ("1 2", "' ' does not occur")])
def test_a_broken_compressed_string_is_an_error(text: str, message: str):
    with pytest.raises(DataError, match=message):
        unpack_runs(text)


HUGE = 10**400


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [5, 4], "counts": [20]}, r"of size \[5, 4\], the photo is \[4, 5\]"),
        ({"size": None, "counts": [20]}, "of size None"),
        ({"counts": [20]}, "of size None"),
        ({"size": [4, 5], "counts": [1, "x"]}, "should be a list of whole numbers"),
        ({"size": [4, 5], "counts": [19, 1.5]}, "should be a list of whole numbers"),
        ({"size": [4, 5], "counts": [25, -5]}, "should be a list of whole numbers"),
        ({"size": [4, 5], "counts": [1, 2]}, "of 3 pixels do not cover 4 x 5"),
        ({"size": [4, 5], "counts": [HUGE]}, "do not cover 4 x 5"),
        ({"size": [4, 5], "counts": "8"}, "of 8 pixels do not cover 4 x 5"),
        ({"size": [4, 5], "counts": "T"}, "cut short"),
        ({"size": [4, 5], "counts": "o" * 99}, "beyond 32 bits"),
        ("x", "should be polygons or run lengths"),
        (7, "should be polygons or run lengths"),
        ([[1, 1, 4, 1, 4, 3, 1]], "an even count of numbers, got 7"),
        ([["a", "b", "c", "d", "e", "f"]], "a list of numbers x, y"),
        ([[1, None, 4, 1, 4, 3]], "a list of numbers x, y"),
        ([[True, 1, 4, 1, 4, 3]], "a list of numbers x, y"),
        ([[float("nan"), 1, 4, 1, 4, 3]], "x = nan lies far outside the photo, 0 to 5"),
        ([[float("inf"), 1, 4, 1, 4, 3]], "x = inf lies far outside"),
        ([[1, 1, 4, -1e9, 4, 3]], r"y = -1000000000\.0 lies far outside the photo, 0 to 4"),
        ([[HUGE, 1, 4, 1, 4, 3]], "lies far outside"),
        ([[1, 1], [4, 1], [4, 3]], "should be one list x, y, x, y .*, got a list of points"),
        ([SQUARE[0], "x"], "a list of numbers"),
    ],
)
def test_a_broken_area_is_an_error_that_names_it_or_left_out(
    tmp_path: Path, segmentation: Any, message: str
):
    source = make(tmp_path / "in", [annotation(41, 3, segmentation), annotation(42, 18, SQUARE)])
    with pytest.raises(
        DataError, match=rf"instances_val2017\.json: annotation 41 of a\.jpg: .*{message}"
    ) as caught:
        convert(source, tmp_path / "out")
    assert len(str(caught.value)) < 600
    assert not (tmp_path / "out").exists()
    found = read("coco", source, Options(unknown="ignore"))
    assert "Left out, with 1 faults:\n  annotation 41 of a.jpg" in found.notes[0]
    assert found.items[0].read_labels()[1].tolist() == [0, 2, 2, 2, 0]


def test_a_polygon_without_end_is_refused_before_it_is_drawn():
    there_and_back = [0, 0, 5, 4] * (MAX_OUTLINE // 9)
    with pytest.raises(DataError, match="goes to and fro over more than 4,000,000 pixels"):
        check_segmentation([there_and_back], SIZE)


@pytest.mark.parametrize(
    "stray", [[[2, 2, 3, 3]], [[2, 2]], [[]], [[1, 2, 3]], [[1, 1, 2, 2, 3, 3]], [2, 2, 3, 3]]
)
def test_a_stray_click_is_left_out_and_told_beside_good_areas(tmp_path: Path, stray: Any):
    annotations = [annotation(1, 18, SQUARE), annotation(2, 3, stray), annotation(3, 3, stray)]
    found = read("coco", make(tmp_path, annotations), Options())
    assert found.items[0].read_labels()[1].tolist() == [0, 2, 2, 2, 0]
    assert "polygons in annotation 2 of a.jpg, annotation 3 of a.jpg" in found.notes[0]


def test_a_stray_click_within_a_good_annotation_costs_nothing_else(tmp_path: Path):
    found = read("coco", make(tmp_path, [annotation(1, 18, [*SQUARE, [2, 2, 3, 3]])]), Options())
    assert found.items[0].read_labels()[1].tolist() == [0, 2, 2, 2, 0]
    assert "annotation 1 of a.jpg" in found.notes[0]


def test_one_polygon_without_the_outer_list_is_read(tmp_path: Path):
    assert labels_of(tmp_path, [annotation(1, 18, SQUARE[0])])[1] == [0, 2, 2, 2, 0]


def test_polygons_of_one_annotation_add_up_and_may_reach_over_the_edge(tmp_path: Path):
    parts = [[-3, -3, 1, -3, 1, 1, -3, 1], [3, 2, 9, 2, 9, 7, 3, 7]]
    assert labels_of(tmp_path, [annotation(1, 3, parts)]) == [
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
    ]


def test_all_faults_are_named_at_once(tmp_path: Path):
    annotations = [annotation(n, 3, "x") for n in range(30)] + [annotation(99, 4, SQUARE)]
    with pytest.raises(DataError, match="31 faults") as caught:
        read("coco", make(tmp_path, annotations), Options())
    lines = str(caught.value).splitlines()
    assert [line for line in lines if line.startswith("  annotation")][3].startswith(
        "  annotation 3 of a.jpg"
    )
    assert lines[-2:] == [
        "  and 11 more",
        "Mend them, or leave out what is faulty with --unknown ignore: its areas become "
        "background.",
    ]


def test_boxes_alone_are_an_error_or_left_out(tmp_path: Path):
    source = make(tmp_path / "in", [annotation(41, 3, []), annotation(42, 18, SQUARE)])
    with pytest.raises(DataError, match=r"annotation 41 of a\.jpg: has a box and no area"):
        convert(source, tmp_path / "out")
    assert open_dataset(convert(source, tmp_path / "out", unknown="ignore"), "val")[0].labels[
        1
    ].tolist() == [0, 2, 2, 2, 0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"category_id": 4}, "annotation 1 of a.jpg: there is no category 4"),
        (
            {"category_id": "3"},
            "no category '3', the category_id; it is text here and a number there",
        ),
        ({"category_id": [3]}, r"no category \[3\]"),
        ({"category_id": True}, "no category True"),
        ({"image_id": 8}, "annotation 1: there is no image 8"),
        ({"image_id": "7"}, "no image '7', the image_id; it is text here and a number there"),
        ({"image_id": None}, "no image None"),
        ({"image_id": {"a": 1}}, "no image {'a': 1}"),
    ],
)
def test_an_unknown_category_and_an_unknown_image_are_errors(
    tmp_path: Path, more: dict[str, Any], message: str
):
    source = make(tmp_path / "a", [annotation(1, 3, SQUARE, **more), annotation(2, 3, SQUARE)])
    with pytest.raises(DataError, match=message):
        read("coco", source, Options())
    assert read("coco", source, Options(unknown="ignore")).items[0].read_labels()[1].tolist() == [
        0,
        1,
        1,
        1,
        0,
    ]


def test_ids_that_a_table_wrote_as_floats_and_ids_that_are_text_are_read(tmp_path: Path):
    assert labels_of(tmp_path / "a", [annotation(1, 3, SQUARE, image_id=7.0, category_id=3.0)])[
        1
    ] == [0, 1, 1, 1, 0]
    source = make(
        tmp_path / "b",
        [annotation(1, 3, SQUARE, image_id="x", category_id="c")],
        images=[{"id": "x", "file_name": "a.jpg"}],
        categories=[{"id": "c", "name": "car"}],
    )
    assert read("coco", source, Options()).items[0].read_labels()[1].tolist() == [0, 1, 1, 1, 0]


def two_images(root: Path, second: dict[str, Any]) -> Path:
    entries = [{"id": 7, "file_name": "a.jpg", "height": 4, "width": 5}, second]
    source = make(
        root, [annotation(1, 3, SQUARE), annotation(2, 18, SQUARE, image_id=8)], images=entries
    )
    cv2.imwrite(str(source / "val2017/b.jpg"), np.zeros((*SIZE, 3), np.uint8))
    return source


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            {"id": 8, "file_name": "b.jpg", "height": 0, "width": 0},
            "image 8, b.jpg: its height and width should be 4 and 5 .* got 0 and 0",
        ),
        (
            {"id": 8, "file_name": "b.jpg", "height": 10**6, "width": 10**6},
            "got 1000000 and 1000000",
        ),
        ({"id": 8, "file_name": "b.jpg", "height": 4, "width": -5}, "got 4 and -5"),
        ({"id": 8, "file_name": "b.jpg", "height": "4", "width": "5"}, "got '4' and '5'"),
        ({"id": 8, "file_name": "b.jpg", "height": 9}, "got 9 and None"),
        ({"id": 8, "file_name": "b.jpg", "height": float("nan"), "width": HUGE}, "got nan and "),
        ({"id": 8}, "image 8: expected a file_name, got none"),
        ({"id": 8, "file_name": None}, "expected a file_name, got None"),
        ({"id": 8, "file_name": 8}, "expected a file_name, got 8"),
        ({"id": 8, "file_name": " "}, "expected a file_name, got ' '"),
        (
            {"id": 8, "file_name": "gone.jpg"},
            "1 photos are missing: gone.jpg. Looked in .*--images",
        ),
        ({"id": 8, "file_name": "x" * 5000}, "1 photos are missing: x+"),
        ({"id": 8, "file_name": "a\0b.jpg"}, "1 photos are missing: a"),
        ({"id": 8, "file_name": "http://[x"}, "1 photos are missing: "),
        ({"id": 8, "file_name": ".."}, "1 photos are missing: "),
        ({"id": 8, "file_name": "./a.jpg"}, "image 8: its photo .*a.jpg is that of image 7, too"),
        ({"file_name": "b.jpg"}, "image in place 2 of the list: expected an id .*, got none"),
        ({"id": None, "file_name": "b.jpg"}, "image None: expected an id .*, got None"),
        ("b.jpg", "image in place 2 of the list: expected an id .*, got 'b.jpg'"),
    ],
)
def test_a_broken_entry_of_an_image_is_told_and_may_be_left_out(
    tmp_path: Path, second: Any, message: str
):
    source = two_images(tmp_path / "in", second)
    with pytest.raises(DataError, match=message) as caught:
        read("coco", source, Options())
    assert len(str(caught.value)) < 1200
    found = read("coco", source, Options(unknown="ignore"))
    assert [item.name for item in found.items] == ["a"]
    assert found.items[0].read_labels()[1].tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("size", [{}, {"height": None, "width": None}])
def test_an_entry_without_a_size_has_that_of_its_image(tmp_path: Path, size: dict[str, Any]):
    found = read("coco", two_images(tmp_path, {"id": 8, "file_name": "b.jpg"} | size), Options())
    assert found.items[1].read_labels()[1].tolist() == [0, 2, 2, 2, 0]


def test_one_image_id_twice_is_told_for_both_and_neither_is_guessed(tmp_path: Path):
    source = two_images(tmp_path, {"id": 7, "file_name": "b.jpg", "height": 4, "width": 5})
    with pytest.raises(DataError, match="image 7: 2 images have this id"):
        read("coco", source, Options())
    with pytest.raises(DataError, match="image 7"):
        read("coco", source, Options(unknown="ignore"))  # nothing would be left


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (
            [{"id": 3, "name": "car"}, {"id": 3, "name": "dog"}],
            "category 3: two categories have this id, 'car' and 'dog'",
        ),
        ([{"id": 3, "name": 5}], "category 3: expected a name that is text, got 5"),
        ([{"id": 3, "name": None}], "expected a name that is text, got None"),
        ([{"id": 3, "name": ""}], "expected a name that is text, got ''"),
        ([{"id": 3, "name": "\ud800"}], "expected a name that is text, got"),
        ([{"id": 3}], "expected a name that is text, got None"),
        ([{"name": "car"}], "category in place 1 of the list: expected an id"),
        (["car"], "category in place 1 of the list: expected an id"),
        (
            [{"id": 3, "name": "car"}, {"id": "4", "name": "dog"}],
            "some ids of categories are numbers and some are text",
        ),
    ],
)
def test_broken_categories_are_an_error_in_any_case(tmp_path: Path, categories: Any, message: str):
    source = make(tmp_path, [annotation(1, 3, SQUARE)], categories=categories)
    for unknown in ("error", "ignore"):
        with pytest.raises(DataError, match=message):
            read("coco", source, Options(unknown=unknown))


def test_missing_images_are_an_error_and_may_be_found_elsewhere(tmp_path: Path):
    source = make(tmp_path / "in", [])
    (source / "val2017").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"1 photos are missing: a\.jpg\. Looked in .*--images"):
        convert(source, tmp_path / "out")
    assert (
        len(open_dataset(convert(source, tmp_path / "out", images=tmp_path / "elsewhere"), "val"))
        == 1
    )


@pytest.mark.parametrize(
    ("name", "place", "sample"),
    [
        ("images\\a.jpg", "images/a.jpg", "images/a"),
        ("day 1\\a.jpg", "images/day 1/a.jpg", "day 1/a"),
        ("..\\..\\label-studio\\upload\\4\\a.jpg", "images/a.jpg", "a"),
        ("C:\\photos\\a.jpg", "images/a.jpg", "a"),
        ("c:/photos/a.jpg", "images/a.jpg", "a"),
        ("/home/someone/photos/a.jpg", "images/a.jpg", "a"),
        ("https://example.org/data/my%20a.jpg?token=1", "images/my a.jpg", "my a"),
        ("s3://bucket/day/a.jpg", "images/day/a.jpg", "day/a"),
        ("/data/local-files/?d=day/a.jpg", "day/a.jpg", "day/a"),
        ("a.jpg", "images/a.JPG", "a"),
        ("sub/a.JPG", "images/sub/a.jpg", "sub/a"),
    ],
)
def test_images_named_by_another_system_are_found(
    tmp_path: Path, name: str, place: str, sample: str
):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".jpg", np.zeros((*SIZE, 3), np.uint8))[1].tofile(tmp_path / place)
    text = {
        "images": [{"id": 7, "file_name": name}],
        "categories": CATEGORIES,
        "annotations": [annotation(1, 3, SQUARE)],
    }
    (tmp_path / "result.json").write_text(json.dumps(text))
    found = read("coco", tmp_path, Options())
    assert [(item.name, item.image) for item in found.items] == [(sample, tmp_path / place)]


def test_with_images_the_end_of_a_name_is_looked_for(tmp_path: Path):
    source = make(tmp_path / "in", [], images=[{"id": 7, "file_name": "upload/4/a.jpg"}])
    with pytest.raises(DataError, match="are missing"):
        read("coco", source, Options())
    found = read("coco", source, Options(images=source / "val2017"))
    assert [item.name for item in found.items] == ["a"]


def test_two_names_that_end_alike_are_not_one_image(tmp_path: Path):
    entries = [{"id": 7, "file_name": "C:\\mon\\a.jpg"}, {"id": 8, "file_name": "C:\\tue\\a.jpg"}]
    with pytest.raises(DataError, match=r"image 8: its photo .*a\.jpg is that of image 7, too"):
        read("coco", make(tmp_path, [], images=entries), Options())


def test_a_name_cannot_leave_the_folder_of_the_data_set():
    assert split_name("../../etc/passwd.jpg") == (["etc", "passwd.jpg"], True)
    assert split_name("/etc/../x.jpg") == (["x.jpg"], True)
    assert split_name("a/./b.jpg") == (["a", "b.jpg"], False)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_train2017", "train"),
        ("instances_val2017", "val"),
        ("instances_minival2014", "val"),
        ("instances_valminusminival2014", "train"),
        ("trainval35k", "train"),
        ("labels-val", "val"),
        ("labelsVal", "val"),
        ("site_train_v2_val", "val"),
        ("dev", "val"),
        ("image_info_test-dev2017", "test"),
        ("valid", "val"),
        ("validation", "val"),
        ("TRAIN", "train"),
        ("mytest.v2", None),
        ("terrain", None),
        ("latest", None),
        ("interval", None),
        ("instances_default", None),
        ("testset_3", "test"),
        ("eval", "val"),
    ],
)
def test_the_last_word_of_a_name_tells_the_split(name: str, split: str | None):
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("name", "split"), [("minival2014", "val"), ("labels-val", "val"), ("site_train_v2_val", "val")]
)
def test_the_split_of_a_file_by_its_name(tmp_path: Path, name: str, split: str):
    source = make(tmp_path, [annotation(1, 3, SQUARE)])
    (source / "annotations/instances_val2017.json").rename(source / f"annotations/{name}.json")
    found = read("coco", source, Options(images=source / "val2017"))
    assert (found.items[0].split, found.notes) == (split, ())


def test_a_name_without_a_word_for_a_split_is_told(tmp_path: Path):
    source = make(tmp_path, [annotation(1, 3, SQUARE)])
    (source / "annotations/instances_val2017.json").rename(source / "annotations/labels.json")
    found = read("coco", source, Options(images=source / "val2017"))
    assert found.items[0].split == "train"
    assert "labels.json holds no word for a split" in found.notes[0]


def test_a_parent_of_all_that_no_annotation_has_is_no_class(tmp_path: Path):
    parent = {"id": 0, "name": "plants", "supercategory": "none"}
    children = [category | {"supercategory": "plants"} for category in CATEGORIES]
    source = make(tmp_path / "a", [annotation(1, 3, SQUARE)], categories=[parent, *children])
    found = read("coco", source, Options())
    assert found.label_set.names == ("background", "car", "dog")
    assert "The category 'plants' is what others are kinds of" in found.notes[0]
    assert found.items[0].read_labels()[1].tolist() == [0, 1, 1, 1, 0]
    assert read("coco", source, Options(ignore=("plants",))).label_set.names == (
        "background",
        "car",
        "dog",
    )
    used = make(tmp_path / "b", [annotation(1, 0, SQUARE)], categories=[parent, *children])
    assert read("coco", used, Options()).label_set.names == ("background", "plants", "car", "dog")


def test_a_class_that_is_its_own_parent_stays(tmp_path: Path):
    source = make(tmp_path, [], categories=[{"id": 1, "name": "person", "supercategory": "person"}])
    assert read("coco", source, Options()).label_set.names == ("background", "person")


def test_files_that_macos_puts_beside_are_no_annotations(tmp_path: Path):
    source = make(tmp_path, [annotation(1, 3, SQUARE)])
    (source / "annotations/._instances_val2017.json").write_bytes(b"\0\5\26\7")
    assert len(read("coco", source, Options()).items) == 1


def test_a_json_saved_by_windows_is_read(tmp_path: Path):
    source = make(tmp_path, [annotation(1, 3, SQUARE)])
    file = source / "annotations/instances_val2017.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b", ", b",\r\n"))
    assert len(read("coco", source, Options()).items) == 1


def test_numbers_that_are_none_do_not_matter_where_nobody_reads_them(tmp_path: Path):
    source = make(tmp_path, [annotation(1, 3, SQUARE, area=float("nan"), bbox=[1e999])])
    assert len(read("coco", source, Options()).items) == 1


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
        assert dataset.label_set.names == ("background", "hole")
        assert dataset[0].labels[1].tolist() == [0, 1, 1, 1, 0]


def test_one_json_file_of_another_name_is_train(tmp_path: Path):
    source = make(tmp_path / "in", [annotation(1, 3, SQUARE)])
    (source / "val2017/a.jpg").rename(source / "a.jpg")
    file = (source / "annotations/instances_val2017.json").rename(source / "labels.json")
    assert open_dataset(convert(file, tmp_path / "out"), "train").names == ["a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("{}", "expected the lists images"),
        ("[]", "expected the lists images"),
        ('{"images": {}, "annotations": [], "categories": []}', "expected the lists images"),
        ("[" * 100_000, "too many brackets"),
        ('{"images": [' + "9" * 5000 + "]}", "not readable as JSON"),
        ('{"images": [], "images": []}', "the key 'images' occurs twice"),
    ],
)
def test_a_file_of_another_kind_is_an_error(tmp_path: Path, text: str, message: str):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=message):
        read("coco", tmp_path / "x.json", Options())


def test_a_file_of_another_encoding_is_an_error(tmp_path: Path):
    (tmp_path / "x.json").write_bytes("{}".encode("utf-16"))
    with pytest.raises(DataError, match="UTF-16"):
        read("coco", tmp_path / "x.json", Options())


def test_an_entry_without_a_key_is_an_error(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"annotation 1 of a\.jpg: there is no category none, the category_id"
    ):
        read("coco", make(tmp_path, [{"id": 1, "image_id": 7}]), Options())


def test_without_pycocotools_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    monkeypatch.delitem(sys.modules, "pycocotools.mask", raising=False)
    with pytest.raises(
        MissingDependencyError, match=r"pycocotools is missing\. Run: pip install 'galago\[coco\]'"
    ):
        read("coco", make(tmp_path, []), Options())


def test_categories_of_one_name_become_one_class_and_are_told(tmp_path: Path):
    twins = [{"id": 1, "name": "leaf"}, {"id": 2, "name": "leaf"}]
    source = read("coco", make(tmp_path, [annotation(1, 1, SQUARE)], categories=twins), Options())
    assert source.label_set.names == ("background", "leaf")
    assert any("several categories of one name" in note and "leaf" in note for note in source.notes)


def test_a_file_without_any_area_is_told(tmp_path: Path):
    source = read("coco", make(tmp_path, []), Options())
    assert any("no area of any class" in note for note in source.notes)


def test_one_side_of_the_size_left_out_is_that_of_the_photo(tmp_path: Path):
    source = two_images(tmp_path, {"id": 8, "file_name": "b.jpg", "height": None, "width": SIZE[1]})
    assert [item.read_labels().shape for item in read("coco", source, Options()).items] == [
        SIZE,
        SIZE,
    ]


def test_a_number_of_thousands_of_digits_is_told_without_words_of_python(tmp_path: Path):
    source = make(tmp_path, [annotation(1, 3, SQUARE)])
    file = source / "annotations/instances_val2017.json"
    file.write_text(file.read_text().replace('"height": 4', '"height": ' + "9" * 5000))
    with pytest.raises(DataError, match=r"is not readable as JSON: a number of 5,000 digits"):
        read("coco", source, Options())
