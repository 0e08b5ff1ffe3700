import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data import open_dataset
from galago.data.check import check, read_layout
from galago.data.check.page import draw_page
from galago.data.folder import read_description
from galago.data.label_sets import RelabeledDataset, share_sets, to_classes
from galago.data.mixture import ExtraDataset, Mixture, fill_shares, mix
from galago.errors import ConfigError, DataError
from galago.labels import ClassSet

NAMES = "names: [road, car, bicyclist, pole]\n"
COARSE = """\
source_names: [drivable, vehicles, road-side, nothing]
label_mapping: {drivable: road, vehicles: [bicyclist, car], road-side: pole, nothing: ignore}
"""


def write_set(
    root: Path,
    text: str,
    ids: tuple[tuple[int, ...], ...] = ((0, 1, 2, 255),),
    split: str = "train",
) -> Path:
    for index, row in enumerate(ids):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        mask = np.array([row], np.uint8)
        cv2.imwrite(
            str(root / f"images/{split}/p{index}.jpg"), np.zeros((*mask.shape, 3), np.uint8)
        )
        cv2.imwrite(str(root / f"masks/{split}/p{index}.png"), mask)
    file = root / "data.yaml"
    file.write_text(text)
    return file


def test_a_list_of_classes_is_a_set_above_the_last_class(tmp_path: Path):
    write_set(tmp_path, NAMES + COARSE, ((0, 1, 2, 3),))
    data = open_dataset(tmp_path, "train")
    assert data.label_set.sets == (ClassSet("vehicles", (1, 2)),)
    assert data[0].labels.tolist() == [[0, 4, 3, 255]]
    assert data.label_set.describe(4) == "car or bicyclist"


def test_ids_and_names_mix_and_a_set_of_one_class_is_the_class(tmp_path: Path):
    write_set(tmp_path, NAMES + "label_mapping: {0: [1], 1: [0, car], 2: pole}\n")
    data = open_dataset(tmp_path, "train")
    assert data.label_set.sets == (ClassSet("id 1", (0, 1)),)
    assert data[0].labels.tolist() == [[1, 4, 3, 255]]


def test_equal_sets_are_one_and_names_that_are_classes_need_no_line(tmp_path: Path):
    write_set(
        tmp_path,
        NAMES + "source_names: [car, a, b]\nlabel_mapping: {a: [road, pole], b: [pole, road]}\n",
    )
    data = open_dataset(tmp_path, "train")
    assert data.label_set.sets == (ClassSet("a + b", (0, 3)),)
    assert data[0].labels.tolist() == [[1, 4, 4, 255]]


def test_classes_that_masks_cannot_show_hide_under_all_or_some(tmp_path: Path):
    file = write_set(tmp_path, NAMES + "not_labeled: [pole]\n")
    assert open_dataset(tmp_path, "train").label_set.sets == tuple(
        ClassSet(f"id {index}", (index,), (3,)) for index in range(3)
    )
    assert open_dataset(tmp_path, "train")[0].labels.tolist() == [[4, 5, 6, 255]]
    file.write_text(NAMES + "not_labeled: {road: [car, 3]}\n")
    data = open_dataset(tmp_path, "train")
    assert data[0].labels.tolist() == [[4, 1, 2, 255]]
    assert data.label_set.describe(4) == "road (may hide car, pole)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "label_mapping: {far: car}",
            "'far', which is no name of an id in the masks. Say what the ids are called: "
            "source_names",
        ),
        (
            "source_names: [far]\nlabel_mapping: {fra: car}",
            "'fra', which is no name .* Known names: far",
        ),
        (
            "source_names: [far]\nlabel_mapping: {far: car, 0: road}",
            "maps id 0 twice, once by its name 'far'",
        ),
        ("source_names: [far, far]", "occur more than once: far"),
        ("source_names: {300: far}", "source_names should list"),
        ("source_names: [true]", "should be text, got True"),
        ("label_mapping: {0: [road, tram]}", "got 'tram'. Names of classes serve as well"),
        ("label_mapping: {0: []}", "at least one class"),
        ("label_mapping: {0: [road, ignore]}", "`ignore` within a list"),
        ("label_mapping: {0: [road, car, 2, 3]}", "may be any class, which says nothing"),
        ("not_labeled: pole", r"not_labeled should look like \[car\]"),
        ("not_labeled: {road: pole, tram: [car]}", "not_labeled maps to class ids"),
        ("short_side: 3", "short_side should be 32 to 16384 pixels, got 3"),
        ("holdout: [3]", "holdout should list how names of images begin"),
        ("only: [a]", "only should be the path of a text file"),
        ("only: gone.txt", "Cannot read .*gone.txt"),
    ],
)
def test_a_wrong_line_is_an_error_that_says_what_to_do(tmp_path: Path, text: str, message: str):
    with pytest.raises(DataError, match=message):
        read_description(write_set(tmp_path, NAMES + text))


def test_without_sets_nothing_changes(tmp_path: Path):
    file = write_set(tmp_path, NAMES + "label_mapping: {0: 1, 1: 0, 2: ignore}\n")
    assert read_description(file).train_ids == {255: 255, 0: 1, 1: 0, 2: 255}
    assert read_description(file).label_set.sets == ()


def test_the_check_shows_sets(tmp_path: Path):
    write_set(tmp_path, NAMES + COARSE + "not_labeled: {road: [pole]}\n", ((0, 1, 1, 2, 3),))
    report = check(read_layout(tmp_path), "street")
    assert report.shown_mapping[:3] == [
        ("0 drivable", "road (may hide pole)", 1),
        ("1 vehicles", "car or bicyclist", 2),
        ("2 road-side", "pole", 1),
    ]
    split = report.splits["train"]
    assert split.pixels.tolist() == [
        1,
        0,
        0,
        1,
    ]  # a label under which classes hide counts as its class
    assert split.in_sets.sum() == 2
    assert report.summary()["splits"]["train"]["set_pixels"] == 2
    assert not any(
        finding.kind == "empty-class" for finding in report.findings
    )  # cars may be there
    page = draw_page(report)
    assert "car or bicyclist" in page
    assert "labels that stand for several classes" in page


def test_holdout_makes_val_of_train_by_the_beginnings_of_names(tmp_path: Path):
    write_set(tmp_path, NAMES + "holdout: [p1, p2]\n", ((0,), (1,), (2,), (0,)))
    assert open_dataset(tmp_path, "train").names == ["p0", "p3"]
    assert open_dataset(tmp_path, "val").names == ["p1", "p2"]
    assert {split: len(items) for split, items in read_layout(tmp_path).items.items()} == {
        "train": 2,
        "val": 2,
    }


def test_holdout_refuses_a_prefix_that_nothing_has_and_a_second_val(tmp_path: Path):
    file = write_set(tmp_path, NAMES + "holdout: [q]\n")
    with pytest.raises(DataError, match="no image's name starts with 'q'"):
        open_dataset(tmp_path, "val")
    file.write_text(NAMES + "holdout: [p]\n")
    with pytest.raises(DataError, match="leave no image for train"):
        open_dataset(tmp_path, "train")
    write_set(tmp_path, NAMES + "holdout: [p0]\n", split="val")
    with pytest.raises(DataError, match="Remove one of both"):
        open_dataset(tmp_path, "val")


def test_only_the_listed_images_are_used(tmp_path: Path):
    write_set(tmp_path, NAMES + "only: list.txt\n", ((0,), (1,), (2,)))
    (tmp_path / "list.txt").write_text("# comment\ntrain/p2.jpg\n\np0\n")
    assert open_dataset(tmp_path, "train").names == ["p0", "p2"]
    (tmp_path / "list.txt").write_text("train/p2.jpg\ntrain/p9.jpg\n")
    with pytest.raises(DataError, match="1 images of `only` are missing, the first is 'train/p9'"):
        open_dataset(tmp_path, "train")


def test_short_side_resizes_images_and_labels(tmp_path: Path):
    write_set(tmp_path, NAMES + "short_side: 32\n")
    sample = open_dataset(tmp_path, "train")[0]
    assert min(sample.image.shape[:2]) == 32
    assert sample.labels.shape == sample.image.shape[:2]


def test_classes_meet_by_name_and_sets_move_along(tmp_path: Path):
    write_set(tmp_path / "main", NAMES)
    write_set(
        tmp_path / "extra",
        "names: [pole, road]\nlabel_mapping: {0: road, 1: pole, 2: pole}\nnot_labeled: {road: "
        "[pole]}\n",
    )
    main = open_dataset(tmp_path / "main", "train")
    with pytest.raises(DataError, match="may be any class"):
        open_dataset(tmp_path / "extra", "train")
    write_set(
        tmp_path / "extra",
        "names: [pole, road, car]\nlabel_mapping: {0: road, 1: pole, 2: [car, road]}\n",
    )
    moved = to_classes(open_dataset(tmp_path / "extra", "train"), main.label_set, "extra")
    assert moved.label_set.names == main.label_set.names
    assert moved.label_set.sets == (ClassSet("id 2", (0, 1)),)
    assert moved[0].labels.tolist() == [[0, 3, 4, 255]]
    write_set(tmp_path / "extra", "names: [tram]\nlabel_mapping: {0: 0, 1: 0, 2: 0}\n")
    with pytest.raises(ConfigError, match="classes that the network does not learn: tram"):
        to_classes(open_dataset(tmp_path / "extra", "train"), main.label_set, "extra")


def test_sets_of_several_data_sets_get_one_numbering(tmp_path: Path):
    write_set(tmp_path / "a", NAMES + "label_mapping: {0: [0, 1], 1: 1, 2: [1, 2]}\n")
    write_set(tmp_path / "b", NAMES + "label_mapping: {0: [2, 1], 1: [0, 3], 2: 0}\n")
    one, two = share_sets([open_dataset(tmp_path / name, "train") for name in "ab"])
    assert one.label_set == two.label_set
    assert [found.classes for found in one.label_set.sets] == [(0, 1), (1, 2), (0, 3)]
    assert one[0].labels.tolist() == [[4, 1, 5, 255]]
    assert two[0].labels.tolist() == [[5, 6, 0, 255]]


def test_data_sets_without_sets_are_left_as_they_are(tmp_path: Path):
    write_set(tmp_path, NAMES)
    data = open_dataset(tmp_path, "train")
    assert share_sets([data, data])[0] is data
    assert to_classes(data, data.label_set, "same") is data
    assert not isinstance(data, RelabeledDataset)


def test_a_mixture_gives_each_data_set_its_share(tmp_path: Path):
    for name, count in (("a", 3), ("b", 10)):
        write_set(tmp_path / name, NAMES, ((0,),) * count)
    sets = {name: open_dataset(tmp_path / name, "train") for name in "ab"}
    mixture = Mixture((ExtraDataset("a", sets["a"], 0.3), ExtraDataset("b", sets["b"], 0.1)))
    counts = [sum(name.startswith(f"{letter}/") for name in mixture.names) for letter in "ab"]
    assert counts == [30, 10]
    assert len(mixture) == 40
    assert [mixture[index].name for index in (0, 4, 30, 39)] == ["a/p0", "a/p1", "b/p0", "b/p9"]
    assert {sum(f"a/p{index}" == name for name in mixture.names) for index in range(3)} == {10}


def test_shares_that_are_not_told_are_as_large_as_that_of_the_main_set():
    assert fill_shares([None, None, None]) == [0.25] * 3
    assert fill_shares([0.4, None]) == [0.4, pytest.approx(0.3)]
    with pytest.raises(ConfigError, match="leaves nothing for --data"):
        fill_shares([0.6, 0.4])


def test_mixing_returns_what_is_trained_on_and_what_is_scored(tmp_path: Path):
    write_set(tmp_path / "main", NAMES)
    write_set(tmp_path / "extra", NAMES + COARSE, ((0, 1, 2, 3),))
    main, extra = (open_dataset(tmp_path / name, "train") for name in ("main", "extra"))
    train_set, mixture, vals = mix(main, [ExtraDataset("extra", extra, 0.5, extra)])
    assert train_set.label_set == mixture.label_set
    assert train_set.label_set.sets == extra.label_set.sets
    assert mixture[0].labels.tolist() == [[0, 4, 3, 255]]
    assert list(vals) == ["extra"]
    assert re.fullmatch("extra/p0", mixture.names[0])
