from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data import open_dataset
from galago.data.folder import EXAMPLE_YAML, open_folder
from galago.errors import DataError

YAML = "names: [road, car]\n"
LABELS = np.array([[0, 1, 255]], np.uint8)


def write_image(file: Path, size: tuple[int, int] = (1, 3)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.zeros((*size, 3), np.uint8))


def write_mask(file: Path, labels: np.ndarray = LABELS) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), labels)


def write_pair(root: Path, name: str, labels: np.ndarray = LABELS) -> None:
    write_image(root / f"images/{name}.jpg", labels.shape)
    write_mask(root / f"masks/{name}.png", labels)


def write_yaml(root: Path, text: str) -> Path:
    file = root / "data.yaml"
    file.write_text(text)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set of one sample, without a YAML."""
    write_pair(tmp_path, "train/a")
    return tmp_path


@pytest.mark.parametrize("name", ["data.yaml", "dataset.yaml"])
def test_a_folder_uses_the_yaml_inside(root: Path, name: str):
    (root / name).write_text(YAML)
    dataset = open_dataset(root, "train")
    assert dataset.label_set.names == ("road", "car")
    assert dataset.names == ["a"]
    assert dataset[0].labels.tolist() == [[0, 1, 255]]


def test_the_path_is_seen_from_the_yaml(root: Path):
    (root / "about").mkdir()
    file = write_yaml(root / "about", "path: ..\n" + YAML)
    assert len(open_dataset(file, "train")) == 1


def test_names_may_be_a_mapping_and_a_palette_may_be_given(root: Path):
    write_yaml(root, "names: {1: car, 0: road}\npalette: [[1, 2, 3], [4, 5, 6]]")
    labels = open_dataset(root, "train").label_set
    assert labels.names == ("road", "car")
    assert labels.palette == ((1, 2, 3), (4, 5, 6))


def test_label_mapping_turns_source_ids_into_class_ids(root: Path):
    write_mask(root / "masks/train/a.png", np.array([[7, 26, 0]], np.uint8))
    write_yaml(root, YAML + "label_mapping: {7: 0, 26: 1, 0: ignore, -1: ignore_label}")
    assert open_dataset(root, "train")[0].labels.tolist() == [[0, 1, 255]]


def test_label_mapping_reads_masks_where_zero_means_unlabeled(root: Path):
    write_mask(root / "masks/train/a.png", np.array([[0, 1, 2]], np.uint8))
    write_yaml(root, YAML + "ignore_id: 0\nlabel_mapping: {1: 0, 2: 1}")
    assert open_dataset(root, "train")[0].labels.tolist() == [[255, 0, 1]]


def test_with_a_label_mapping_an_id_that_it_leaves_out_is_an_error(root: Path):
    write_mask(root / "masks/train/a.png", np.array([[7, 1, 1]], np.uint8))
    write_yaml(root, YAML + "label_mapping: {7: 0}")
    with pytest.raises(DataError, match=r"1 \(2 pixels\)\. Known ids: 7, 255\."):
        open_dataset(root, "train")[0]


def test_another_ignore_id_becomes_255(root: Path):
    write_mask(root / "masks/train/a.png", np.array([[0, 9, 1]], np.uint8))
    write_yaml(root, YAML + "ignore_id: 9")
    assert open_dataset(root, "train")[0].labels.tolist() == [[0, 255, 1]]


def test_images_in_inner_folders_meet_their_masks_in_natural_order(root: Path):
    for name in ("train/city/f10", "train/city/f2"):
        write_pair(root, name)
    write_yaml(root, YAML)
    assert open_dataset(root, "train").names == ["a", "city/f2", "city/f10"]


def test_folders_may_be_named_the_other_way_round(tmp_path: Path):
    write_image(tmp_path / "test/images/a.png")
    write_mask(tmp_path / "test/labels/a.png")
    write_yaml(tmp_path, YAML + "test: test/images\nmasks_dir: labels")
    assert len(open_dataset(tmp_path, "test")) == 1


def test_the_example_of_the_error_message_works(root: Path):
    with pytest.raises(
        DataError, match=r"neither data\.yaml nor dataset\.yaml nor CamVid's"
    ) as caught:
        open_dataset(root, "train")
    assert EXAMPLE_YAML in str(caught.value)
    write_yaml(root, EXAMPLE_YAML)
    assert open_dataset(root, "train").label_set.names == ("road", "car")


def test_nothing_at_the_path_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match=r"There is no data set at .*nowhere"):
        open_dataset(tmp_path / "nowhere", "train")


def test_a_split_that_is_not_there_is_an_error_that_tells_which_are(root: Path):
    write_yaml(root, YAML)
    with pytest.raises(
        DataError, match=r"Split val should be in .*images.val, which is no folder.*there: train\."
    ):
        open_dataset(root, "val")


def test_an_empty_split_is_an_error(root: Path):
    write_yaml(root, YAML)
    (root / "images/val").mkdir()
    with pytest.raises(DataError, match=r"images.val holds no photos"):
        open_dataset(root, "val")


def test_an_image_without_a_mask_is_an_error(root: Path):
    write_yaml(root, YAML)
    write_image(root / "images/train/b.jpg")
    with pytest.raises(DataError, match=r"1 of 2 masks are missing: .*b\.png"):
        open_dataset(root, "train")


def test_a_mask_without_an_image_is_an_error(root: Path):
    write_yaml(root, YAML)
    write_mask(root / "masks/train/b.png")
    with pytest.raises(DataError, match=r"1 masks have no photo, the first is .*b\.png"):
        open_dataset(root, "train")


def test_two_images_of_one_name_are_an_error(root: Path):
    write_yaml(root, YAML)
    write_image(root / "images/train/a.png")
    with pytest.raises(DataError, match="two photos called a:"):
        open_dataset(root, "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [", "is not readable as YAML"),
        ("just words", "should hold keys and values"),
        ("nmaes: [road]", "unknown keys: nmaes. Known keys: .*names"),
        ("path: .", "names should list the classes, got None"),
        ("names: []", "names should list the classes"),
        ("names: {1: road}", "classes 0 to 0 without a gap, got ids 1"),
        ("names: [road, no]", "should be text, got False. Put quotes around it"),
        ("names: [road, road]", "occur more than once: road"),
        ("nc: 3\nnames: [road]", "nc is 3, but there are 1 names"),
        ("names: [road]\npalette: [[1, 2]]", "palette should list one"),
        ("names: [road]\npalette: [[1, 2, 3], [1, 2, 3]]", r"one color per class \(1\), got 2"),
        ("names: [road]\nignore_id: 0", "ignore_id 0 is the id of a class too.*{0: ignore, 1: 0}"),
        ("names: [road]\nignore_id: 300", "ignore_id should be 0 to 255, got 300"),
        ("names: [road]\nlabel_mapping: [0]", "label_mapping should look like"),
        ("names: [road]\nlabel_mapping: {300: 0}", "maps ids of the masks, 0 to 255, got 300"),
        ("names: [road]\nlabel_mapping: {3: 1}", "maps to class ids, 0 to 0, or `ignore`, got 1"),
        (
            "names: [road]\nignore_id: 3\nlabel_mapping: {3: 0}",
            "gives id 3 a class, but ignore_id says",
        ),
        ("names: [road]\ntrain: [a, b]", "train should be one path, got"),
        ("names: [road]\ntrain: photos/train", "no folder called `images`"),
    ],
)
def test_a_wrong_yaml_is_an_error_that_names_file_and_key(root: Path, text: str, message: str):
    write_yaml(root, text)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(root, "train")
    assert "data.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names:\n  0: road\n  1: car\n  1: tree\n", "line 4: the key 1 stands twice"),
        ("names: [road, car]\nnames: [car, road]\n", "line 2: the key 'names' stands twice"),
        ("names: [road, car]\nlabel_mapping: {0: 0, 1: 1, 1: ignore}\n", "the key 1 stands twice"),
        ("names: [road, car]\nlabel_mapping: {-1: ignore, 255: 1}\n", "two things of id 255"),
        (
            "names:\n  '0': road\n  '1': car\n",
            r"should be numbers, got text: '0', '1'\. Write them without quotes",
        ),
        ("names:\n  false: road\n  true: car\n", "got ids False, True"),
        ("names: [road]\nlabel_mapping: {'7': 0}\n", "got '7'. Write the number without quotes"),
        ("names: [road]\nlabel_mapping: {7: '0'}\n", "got '0'. Write the number without quotes"),
        ("names: [road]\nignore_id: '255'\n", "got '255'. Write the number without quotes"),
        ("names: [road]\nlabel_mapping: {7: [ignore]}\n", r"got \['ignore'\]"),
        ("names: &a [road]\npalette: *a\n", "aliases as"),
        ("names: " + "[" * 5000, "within each other"),
        ("names: [road]\nignore_id: " + "9" * 5000, "5,000 characters"),
        ("names: [road]\npath: 2020-99-99", "is no date"),
        ("names: ['', road]\n", r"Class names should have 1 to 200 characters, got ''"),
        ("names: [road, '  ']\n", r"Class names should have 1 to 200 characters, got '  '"),
        (f"names: [{'x' * 100_000}]\n", r"Class names should have 1 to 200 characters, got 'xxx"),
        (
            "names: [road]\n---\nnames: [car]\n",
            "line 2: expected a single document in the stream, but found another",
        ),
    ],
)
def test_a_slip_in_the_yaml_is_told_in_one_sentence(root: Path, text: str, message: str):
    write_yaml(root, text)
    with pytest.raises(DataError, match=message) as caught:
        open_folder(root / "data.yaml", "train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["path", "names", "palette", "ignore_id", "label_mapping", "nc", "train", "masks_dir"]
)
def test_an_error_about_a_huge_value_stays_short(root: Path, key: str):
    huge = [["x" * 300] * 60] * 3
    write_yaml(root, "names: [road]\n" * (key != "names") + f"{key}: {{a: {huge}}}")
    with pytest.raises(DataError) as caught:
        open_folder(root / "data.yaml", "train")
    assert len(str(caught.value)) < 1500


def test_a_yaml_saved_by_windows_is_read(root: Path):
    write_yaml(root, "")
    (root / "data.yaml").write_bytes("\ufeffnames: [road, car]\r\n".encode())
    assert open_folder(root / "data.yaml", "train").label_set.names == ("road", "car")


def draw_pair(image: Path, mask: Path) -> None:
    for file, pixels in ((image, np.zeros((2, 3, 3), np.uint8)), (mask, np.ones((2, 3), np.uint8))):
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imencode(file.suffix.lower(), pixels)[1].tofile(file)


def test_suffixes_count_in_any_letter_case(tmp_path: Path):
    draw_pair(tmp_path / "images/train/IMG_1.JPG", tmp_path / "masks/train/IMG_1.PNG")
    draw_pair(tmp_path / "images/train/IMG_2.Png", tmp_path / "masks/train/IMG_2.png")
    write_yaml(tmp_path, "names: [road, car]")
    dataset = open_folder(tmp_path / "data.yaml", "train")
    assert [(sample.name, int(sample.labels.max())) for sample in dataset] == [
        ("IMG_1", 1),
        ("IMG_2", 1),
    ]


def test_two_masks_of_one_image_are_an_error(tmp_path: Path):
    draw_pair(tmp_path / "images/train/a.jpg", tmp_path / "masks/train/a.png")
    draw_pair(tmp_path / "images/train/a.jpg", tmp_path / "masks/train/a.PNG")
    write_yaml(tmp_path, "names: [road, car]")
    with pytest.raises(DataError, match=r"a\.PNG and a\.png have one name"):
        open_folder(tmp_path / "data.yaml", "train")


def test_folders_behind_links_belong_to_the_split(tmp_path: Path):
    draw_pair(tmp_path / "store/images/a.jpg", tmp_path / "store/masks/a.png")
    draw_pair(tmp_path / "set/images/train/b.jpg", tmp_path / "set/masks/train/b.png")
    for kind in ("images", "masks"):
        (tmp_path / f"set/{kind}/train/drive").symlink_to(
            tmp_path / "store" / kind, target_is_directory=True
        )
        (tmp_path / f"set/{kind}/train/self").symlink_to(
            tmp_path / f"set/{kind}/train", target_is_directory=True
        )
    write_yaml(tmp_path / "set", "names: [road, car]")
    assert open_folder(tmp_path / "set/data.yaml", "train").names == ["b", "drive/a"]


def test_hidden_files_and_folders_are_no_samples(tmp_path: Path):
    draw_pair(tmp_path / "images/train/a.jpg", tmp_path / "masks/train/a.png")
    for name in (
        "images/train/._a.jpg",
        "masks/train/._a.png",
        "images/train/.cache/b.jpg",
        "masks/train/.cache/c.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\26\7")
    write_yaml(tmp_path, "names: [road, car]")
    assert open_folder(tmp_path / "data.yaml", "train").names == ["a"]


def test_images_of_a_kind_that_is_not_read_are_told(tmp_path: Path):
    draw_pair(tmp_path / "images/train/a.jpg", tmp_path / "masks/train/a.png")
    (tmp_path / "images/train/a.jpg").rename(tmp_path / "images/train/a.HEIC")
    write_yaml(tmp_path, "names: [road, car]")
    with pytest.raises(
        DataError, match=r"no photos that galago reads\. Left out: 1 \.heic\. Convert"
    ):
        open_folder(tmp_path / "data.yaml", "train")
    draw_pair(tmp_path / "images/train/b.jpg", tmp_path / "masks/train/b.png")
    with pytest.raises(DataError, match=r"1 masks have no photo, .*a\.png\. Left out: 1 \.heic"):
        open_folder(tmp_path / "data.yaml", "train")
