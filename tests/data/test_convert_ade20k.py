from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data import open_dataset
from galago.data.convert import Options, read, write
from galago.data.convert.ade20k import read_names
from galago.errors import DataError

ROWS = [
    "Idx\tRatio\tTrain\tVal\tName",
    *(f"{index}\t0.1\t1\t1\tthing {index}, stuff" for index in range(1, 151)),
]


def make(root: Path, ids: list[int]) -> Path:
    for split in ("training", "validation"):
        for folder in ("images", "annotations"):
            (root / folder / split).mkdir(parents=True)
        cv2.imwrite(str(root / f"images/{split}/a.jpg"), np.zeros((1, len(ids), 3), np.uint8))
        cv2.imwrite(str(root / f"annotations/{split}/a.png"), np.array([ids], np.uint8))
    return root


def test_0_is_ignored_and_the_classes_count_from_0(tmp_path: Path):
    write(
        read("ade20k", make(tmp_path / "in", [0, 1, 150]), Options()),
        tmp_path / "out",
        made_by="a test",
    )
    for split in ("train", "val"):
        dataset = open_dataset(tmp_path / "out", split)
        assert dataset[0].labels.tolist() == [[255, 0, 149]]
        assert dataset.label_set.names[0] == "class 1"
        assert dataset.label_set.names[149] == "class 150"


def test_names_come_from_the_file_beside_the_images(tmp_path: Path):
    (tmp_path / "names").write_text("\n".join(ROWS))
    assert read_names(tmp_path / "names")[:2] == ("thing 1", "thing 2")


def test_synonyms_stay_where_the_first_alone_would_occur_twice(tmp_path: Path):
    rows = ROWS.copy()
    rows[1], rows[2] = "1\t0\t1\t1\tscreen, door", "2\t0\t1\t1\tscreen, silver"
    (tmp_path / "names").write_text("\n".join(rows))
    assert read_names(tmp_path / "names")[:3] == ("screen, door", "screen, silver", "thing 3")


def test_a_file_of_fewer_names_is_an_error(tmp_path: Path):
    (tmp_path / "names").write_text("\n".join(ROWS[:-1]))
    with pytest.raises(DataError, match=r"should name 150 classes .* it names 149"):
        read_names(tmp_path / "names")


def test_other_ids_are_an_error(tmp_path: Path):
    source = read("ade20k", make(tmp_path / "in", [0, 151]), Options())
    with pytest.raises(DataError, match="1 ids have no name:\n  151: 2 pixels"):
        write(source, tmp_path / "out", made_by="a test")


def test_an_image_without_annotation_is_an_error(tmp_path: Path):
    source = make(tmp_path, [1])
    (source / "annotations/validation/a.png").unlink()
    with pytest.raises(DataError, match=r"1 annotations are missing: .*a\.png"):
        read("ade20k", source, Options())


def test_no_images_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="has no photos in images/training"):
        read("ade20k", tmp_path, Options())


def test_names_saved_by_windows_are_read_and_ids_twice_refused(tmp_path: Path):
    (tmp_path / "names").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(ROWS).encode())
    assert read_names(tmp_path / "names")[149] == "thing 150"
    (tmp_path / "names").write_text("\n".join([*ROWS, ROWS[1]]))
    with pytest.raises(DataError, match="names 1 ids twice"):
        read_names(tmp_path / "names")


def test_suffixes_in_capitals_hidden_files_links_and_lone_masks(tmp_path: Path):
    source = make(tmp_path / "in", [1])
    (source / "images/training/a.jpg").rename(source / "images/training/a.JPG")
    (source / "annotations/training/a.png").rename(source / "annotations/training/a.PNG")
    (source / "images/training/._a.JPG").write_bytes(b"\0\5\26\7")
    cv2.imwrite(str(source / "annotations/validation/b.png"), np.zeros((1, 1), np.uint8))
    other = make(tmp_path / "other", [2])
    for folder in ("images", "annotations"):
        (source / folder / "training/more").symlink_to(
            other / folder / "validation", target_is_directory=True
        )
    found = read("ade20k", source, Options())
    assert [(item.split, item.name) for item in found.items] == [
        ("train", "a"),
        ("train", "more/a"),
        ("val", "a"),
    ]
    assert "1 masks have no photo" in found.notes[0]
