import hashlib
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from galago.data.check import Finding, Report, check, file_rules, label_rules, read_layout
from galago.data.check.page import draw_page
from galago.errors import DataError
from galago.labels import CITYSCAPES

TWO = np.array([[0, 1, 255, 1], [0, 0, 1, 1]], np.uint8)


def image_of(name: str, size: tuple[int, int] = (2, 4)) -> np.ndarray:
    """Draw pixels that differ for every name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


class Folder:
    """A data set in the folder layout, sound until a test breaks it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.yaml("names: [road, car]")
        for name in ("train/a", "train/b", "train/c", "val/v"):
            self.pair(name)

    def yaml(self, text: str) -> None:
        (self.root / "data.yaml").write_text(text)

    def pair(self, name: str, labels: np.ndarray = TWO, image: np.ndarray | None = None) -> None:
        self.write(
            f"images/{name}.png", image_of(name, labels.shape[:2]) if image is None else image
        )
        self.write(f"masks/{name}.png", labels)

    def write(self, file: str, pixels: np.ndarray) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), pixels)

    def check(self) -> Report:
        return check(read_layout(self.root), "data")

    def find(self, kind: str) -> Finding:
        """Return the finding of a kind, which must be there."""
        findings = {finding.kind: finding for finding in self.check().findings}
        assert kind in findings, sorted(findings)
        return findings[kind]


@pytest.fixture
def data(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def kinds(report: Report) -> set[str]:
    return {finding.kind for finding in report.findings}


def test_a_sound_data_set_has_no_findings_and_its_numbers_are_right(data: Folder):
    report = data.check()
    assert report.findings == []
    train = report.splits["train"]
    assert train.pixels.tolist() == [9, 12]  # three times 3 pixels of road and 4 of car
    assert train.images.tolist() == [3, 3]
    assert (train.ignored, train.unknown, train.files) == (3, 0, 3)
    assert train.sizes == {(2, 4): 3}
    assert train.shares == pytest.approx([9 / 21, 12 / 21])


def test_an_image_without_mask(data: Folder):
    (data.root / "masks/train/b.png").unlink()
    found = data.find("photo-without-mask")
    assert found.severity == "error"
    assert "train/b (expected " in found.examples[0]
    assert "Add the masks" in found.advice


def test_a_mask_without_image(data: Folder):
    (data.root / "images/train/b.png").unlink()
    found = data.find("mask-without-photo")
    assert found.examples[0].startswith("train/b (the mask is ")
    assert "Add the photos" in found.advice


def test_masks_whose_names_end_differently_get_one_advice(data: Folder):
    for name in "abc":
        (data.root / f"masks/train/{name}.png").rename(data.root / f"masks/train/{name}_mask.png")
    for kind in ("photo-without-mask", "mask-without-photo"):
        found = data.find(kind)
        assert len(found.found) == 3
        assert "Masks end in '_mask' where photos do not" in found.advice


def test_a_mask_of_another_size(data: Folder):
    data.write("masks/train/a.png", TWO[:, :3])
    found = data.find("size-mismatch")
    assert found.examples == ["train/a (photo 4 x 2, mask 3 x 2)"]
    assert "nearest neighbor" in found.advice


def test_a_mask_that_lies_on_its_side(data: Folder):
    data.write("masks/train/a.png", np.ascontiguousarray(TWO.T))
    assert "camera orientation" in data.find("size-mismatch").advice


def test_masks_of_0_and_255(data: Folder):
    for name in ("train/a", "train/b", "train/c", "val/v"):
        data.pair(name, np.array([[0, 255], [255, 255]], np.uint8))
    found = data.find("binary-mask")
    assert found.severity == "error"
    assert found.examples[0] == "train/a (255: 3 pixels)"
    assert "label_mapping: {0: 0, 255: 1}" in found.advice


def test_the_advice_on_0_and_255_cures_it(data: Folder):
    for name in ("train/a", "train/b", "train/c", "val/v"):
        data.pair(name, np.array([[0, 255], [255, 255]], np.uint8))
    data.yaml("names: [road, car]\nlabel_mapping: {0: 0, 255: 1}")
    assert data.check().findings == []


def test_one_mask_of_0_and_255_among_others_is_a_warning(data: Folder):
    data.pair("train/a", np.array([[0, 255], [255, 255]], np.uint8))
    assert data.find("binary-mask").severity == "warning"


def test_a_set_of_many_classes_may_have_images_of_its_first_one_alone(data: Folder):
    data.yaml("names: [a, b, c, d, e]")
    data.pair("train/a", np.array([[0, 255], [255, 255]], np.uint8))
    assert "binary-mask" not in kinds(data.check())


def test_colored_masks(data: Folder):
    data.yaml("names: [road, car]\npalette: [[128, 64, 128], [0, 0, 142]]")
    data.write(
        "masks/train/a.png", np.full((2, 4, 3), (140, 0, 0), np.uint8)
    )  # OpenCV's order: blue first
    found = data.find("colored-mask")
    assert found.examples == ["train/a"]
    assert "(0, 0, 140) 8 pixels (near car)" in found.message
    assert "galago data convert colors" in found.advice


def test_masks_of_three_equal_channels(data: Folder):
    data.write("masks/train/a.png", cv2.merge([TWO] * 3))
    found = data.find("three-channel-mask")
    assert found.examples == ["train/a"]
    assert "with one channel" in found.advice


def test_masks_of_16_bits(data: Folder):
    data.write("masks/train/a.png", TWO.astype(np.uint16))
    assert "8-bit" in data.find("16-bit-mask").advice


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_jpeg_masks_by_suffix_or_in_disguise(data: Folder, suffix: str):
    _, jpeg = cv2.imencode(".jpg", TWO)
    (data.root / "masks/train/a.png").unlink()
    (data.root / f"masks/train/a.{suffix}").write_bytes(jpeg.tobytes())
    found = data.find("jpeg-mask")
    assert found.examples == ["train/a"]
    assert "Export the masks again as PNG" in found.advice
    assert "photo-without-mask" not in kinds(data.check())


def test_masks_of_another_lossless_format(data: Folder):
    (data.root / "masks/train/a.png").unlink()
    data.write("masks/train/a.bmp", TWO)
    found = data.find("suffix-mask")
    assert found.examples == ["train/a"]
    assert ".png" in found.advice


def test_ids_out_of_range(data: Folder):
    data.pair("train/a", np.array([[0, 1, 7, 7], [0, 0, 9, 1]], np.uint8))
    found = data.find("unknown-id")
    assert "7 (2 pixels), 9 (1 pixel)" in found.message
    assert "Known ids: 0 to 1, 255" in found.message
    assert found.examples == ["train/a (ids 7: 2 pixels, 9: 1 pixel)"]
    assert "label_mapping: {0: 0, 1: 1, 7: ignore, 9: ignore}" in found.advice
    assert data.check().splits["train"].unknown == 3


@pytest.mark.parametrize(
    ("ids", "mapping"),
    [
        ([0, 1, 2, 2], "{0: ignore, 1: 0, 2: 1}"),  # 0 is unlabeled, classes begin with 1
        ([1, 2, 1, 2], "{0: ignore, 1: 0, 2: 1}"),
        ([7, 26, 26, 7], "{7: 0, 26: 1}"),
        ([0, 50, 100, 50], "{0: ignore, 50: 0, 100: 1}"),
    ],
)
def test_a_label_mapping_is_suggested_that_opens_the_set(
    data: Folder, ids: list[int], mapping: str
):
    for name in ("train/a", "train/b", "train/c", "val/v"):
        data.pair(name, np.array([ids], np.uint8))
    assert f"label_mapping: {mapping}" in data.find("unknown-id").advice
    data.yaml(f"names: [road, car]\nlabel_mapping: {mapping}")
    assert data.check().findings == []


def test_an_id_just_past_the_last_class_has_two_explanations(data: Folder):
    data.pair("train/a", np.array([[0, 1, 2, 1]], np.uint8))
    advice = data.find("unknown-id").advice
    assert "If 0 means unlabeled: label_mapping: {0: ignore, 1: 0, 2: 1}" in advice
    assert "If 2 should be ignored: label_mapping: {0: 0, 1: 1, 2: ignore}" in advice


def test_the_ids_of_cityscapes_are_known_by_its_classes(data: Folder):
    data.yaml(f"names: {list(CITYSCAPES.names)}")
    data.pair("train/a", np.array([[7, 33, 0, 3]], np.uint8))
    advice = data.find("unknown-id").advice
    assert "{0: ignore, 1: ignore, 3: ignore, 7: 0, 8: 1, 11: 2," in advice
    assert "33: 18}" in advice


def test_gray_levels_are_not_taken_for_ids(data: Folder):
    data.pair("train/a", np.arange(2, 202, dtype=np.uint8).reshape(10, 20))
    assert "interpolation" in data.find("unknown-id").advice


def test_an_id_that_the_label_mapping_leaves_out_is_added_to_it(data: Folder):
    for name in ("train/a", "train/b", "train/c", "val/v"):
        data.pair(name, np.array([[7, 8, 7, 30]], np.uint8))
    data.yaml("names: [road, car]\nlabel_mapping: {7: 0, 8: 1}")
    assert "label_mapping: {7: 0, 8: 1, 30: ignore, 255: ignore}" in data.find("unknown-id").advice
    assert data.check().mapping == [(7, "road", 8), (8, "car", 4), (255, "ignore", 0)]


def test_classes_that_occur_nowhere(data: Folder):
    data.yaml("names: [road, car, bus, tram]")
    found = data.find("empty-class")
    assert (found.severity, found.unit) == ("warning", "classes")
    assert found.examples == ["bus", "tram"]
    assert "take the class out of names" in found.advice


def test_classes_of_val_that_train_lacks(data: Folder):
    data.yaml("names: [road, car, bus]")
    data.pair("val/w", np.array([[0, 1, 2, 2]], np.uint8))
    found = data.find("class-not-in-train")
    assert found.severity == "error"
    assert found.examples == ["bus (1 photo of val)"]
    assert "move some of these photos to train" in found.advice


def test_rare_classes_by_pixels_and_by_images(data: Folder):
    data.yaml("names: [road, car, bus, pole]")
    for name in ("train/a", "train/b", "train/c"):
        labels = np.zeros((100, 100), np.uint8)
        labels[50:], labels[0, :3] = 1, 3  # 3 pixels of 10,000 are pole
        data.pair(name, labels)
    labels[10:30] = 2  # many pixels of bus, in one image
    data.pair("train/c", labels)
    found = data.find("rare-class")
    assert found.severity == "warning"
    assert found.examples == [
        "bus (6.6667% of the pixels, 1 photo)",
        "pole (0.0300% of the pixels, 3 photos)",
    ]
    assert "label more photos" in found.advice


def test_an_image_in_two_splits(data: Folder):
    data.pair("val/copy", image=image_of("train/b"))
    found = data.find("split-leak")
    assert found.severity == "error"
    assert found.examples == ["train/b (same as val/copy)"]
    assert "one split only" in found.advice


def test_an_image_in_two_splits_in_another_file_format(data: Folder):
    data.write("images/val/copy.bmp", image_of("train/b"))
    data.write("masks/val/copy.png", TWO)
    assert data.find("split-leak").examples == ["train/b (same as val/copy)"]


def test_an_image_twice_in_a_split(data: Folder):
    data.pair("train/z", image=image_of("train/b"))
    found = data.find("duplicate-photo")
    assert found.severity == "warning"
    assert found.examples == ["train/b (same as train/z)"]


def test_two_images_of_one_name(data: Folder):
    data.write("images/train/a.bmp", image_of("other"))
    found = data.find("same-name")
    assert found.examples[0].startswith("train/a (")
    assert "Rename or remove" in found.advice


@pytest.mark.parametrize("content", [b"", b"no photo", b"\xff\xd8\xff\xe0 cut short"])
def test_an_image_that_cannot_be_read(data: Folder, content: bytes):
    (data.root / "images/train/b.png").write_bytes(content)
    found = data.find("unreadable-photo")
    assert found.examples[0].startswith("train/b (")
    assert "Copy it again" in found.advice


@pytest.mark.parametrize("content", [b"", b"no mask", b"\x89PNG\r\n\x1a\nIHDR"])
def test_a_mask_that_cannot_be_read(data: Folder, content: bytes):
    (data.root / "masks/train/b.png").write_bytes(content)
    found = data.find("unreadable-mask")
    assert found.examples[0].startswith("train/b (")
    assert "Copy it again" in found.advice


def test_files_that_nobody_looks_at(data: Folder):
    (data.root / "images/train/d.heic").write_bytes(b"from a phone")
    (data.root / "images/train/.hidden").touch()
    found = data.find("other-file")
    assert found.severity == "warning"
    assert len(found.examples) == 1
    assert found.examples[0].endswith("d.heic")
    assert "Convert photos to one of .jpg" in found.advice


def test_an_empty_split(data: Folder):
    (data.root / "images/test").mkdir()
    found = data.find("empty-split")
    assert (found.severity, found.unit) == ("error", "splits")
    assert found.examples[0].startswith("test (")


@pytest.mark.parametrize(("split", "severity"), [("train", "error"), ("val", "warning")])
def test_a_split_that_is_not_there(data: Folder, split: str, severity: str):
    (data.root / f"images/{split}").rename(data.root / "elsewhere")
    found = data.find("missing-split")
    assert found.severity == severity
    assert f"There is no split {split}" in found.message


def test_an_image_all_of_whose_pixels_are_ignored(data: Folder):
    data.pair("train/z", np.full((2, 4), 255, np.uint8))
    found = data.find("unlabeled-photo")
    assert found.severity == "warning"
    assert found.examples == ["train/z"]
    assert "label or remove them" in found.advice


def test_a_set_all_of_whose_pixels_are_ignored_is_an_error(data: Folder):
    for name in ("train/a", "train/b", "train/c", "val/v"):
        data.pair(name, np.full((2, 4), 255, np.uint8))
    assert data.find("unlabeled-photo").severity == "error"


def test_everything_is_reported_at_once_errors_first_with_five_examples(data: Folder):
    for index in range(7):
        data.write(f"images/train/lone{index}.png", image_of(f"lone{index}"))
    (data.root / "images/train/b.png").write_bytes(b"")
    data.write("masks/train/a.png", TWO[:, :3])
    data.yaml("names: [road, car, bus]")
    report = data.check()
    assert kinds(report) >= {
        "photo-without-mask",
        "unreadable-photo",
        "size-mismatch",
        "empty-class",
    }
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities)
    (lone,) = (
        finding.summary() for finding in report.findings if finding.kind == "photo-without-mask"
    )
    assert lone["count"] == 7
    assert len(lone["examples"]) == 5


def test_masks_in_another_folder_and_images_in_inner_folders_meet(data: Folder):
    data.pair("train/city/x")
    assert data.check().findings == []
    (data.root / "masks").rename(data.root / "labels")
    data.yaml("names: [road, car]\nmasks_dir: labels")
    assert data.check().findings == []


def test_a_broken_description_is_an_error_of_its_own(data: Folder):
    data.yaml("nams: [road]")
    with pytest.raises(DataError, match="unknown keys: nams"):
        data.check()


def test_camvids_lists_are_read_as_far_as_they_go(tmp_path: Path):
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"train/{name}.png"), image_of(name))
        cv2.imwrite(str(tmp_path / f"trainannot/{name}.png"), np.full((2, 4), 11, np.uint8))
    (tmp_path / "train/b.png").unlink()
    (tmp_path / "train.txt").write_text(
        "train/a.png trainannot/a.png\ntrain/b.png trainannot/b.png\ntrain/c.png\n"
    )
    report = check(read_layout(tmp_path), "CamVid")
    found = {finding.kind: finding for finding in report.findings}
    assert found["mask-without-photo"].examples[0].startswith("train/b (")
    assert "line 3: expected `image mask`" in found["bad-line"].examples[0]
    assert "unlabeled-photo" in found
    assert report.mapping == []


def test_the_page_shows_findings_classes_and_pictures(data: Folder):
    data.yaml("names: ['<b>road</b>', car, bus]\nlabel_mapping: {0: 0, 1: 1, 3: ignore}")
    data.pair("train/z", np.array([[0, 1, 3, 3], [1, 9, 9, 9]], np.uint8))
    page = draw_page(data.check())
    assert "1 error, 1 warning." in page
    assert "unknown-id" in page
    assert "&lt;b&gt;road&lt;/b&gt;" in page
    assert "<b>road</b>" not in page
    assert "<td>3</td><td>ignore</td><td>2</td>" in page  # the label_mapping
    assert "4 x 2 (4 photos)" in page
    assert "<td>train/z</td><td>unknown-id</td><td>62.5%</td>" in page  # 5 of 8 pixels
    assert page.count("data:image/jpeg;base64,") == 5


def test_the_page_of_a_set_that_cannot_be_read_at_all_has_no_pictures(data: Folder):
    for file in data.root.glob("*/*/*.png"):
        file.write_bytes(b"")
    assert "data:image" not in draw_page(data.check())


def test_the_guide_names_every_kind_of_finding():
    rules = Path(file_rules.__file__).read_text() + Path(label_rules.__file__).read_text()
    named = {
        *re.findall(r'kind="([\w-]+)"', rules),
        *(f"{kind}-mask" for kind in file_rules.MASK_ADVICE),
    }
    guide = (Path(__file__).parents[2] / "docs/how-to/data.md").read_text(encoding="utf-8")
    assert named == set(
        re.findall(
            r"`([\w-]+)`",
            "".join(re.findall(r"^\| (`[^|]*`) \| (?:error|warning)", guide, re.MULTILINE)),
        )
    )


def test_the_real_data_set_is_sound(camvid: Path):
    assert check(read_layout(camvid), "CamVid").findings == []


def one_name(data: Folder, labels: list[list[int]], name: str = "leaf") -> list[Finding]:
    """Check the data set with one name and the same mask everywhere."""
    data.yaml(f"names: [{name}]")
    for sample in ("train/a", "train/b", "train/c", "val/v"):
        data.write(f"masks/{sample}.png", np.array(labels, np.uint8))
    return [finding for finding in data.check().findings if finding.severity == "error"]


@pytest.mark.parametrize(
    ("ids", "advice"),
    [
        ([0, 0, 1, 1], "Name the background, too: names: [background, leaf]."),
        (
            [0, 0, 7, 7],
            "Name the background, too: names: [background, leaf] and label_mapping: {0: 0, 7: 1}.",
        ),
        ([0, 5, 7, 7], "if all other ids are the class: label_mapping: {0: 0, 5: 1, 7: 1}"),
        ([0, 0, 255, 255], "names: [background, leaf] and label_mapping: {0: 0, 255: 1}"),
        (
            [0, 0, 0, 0],
            "Export them with 0 for the background and 1 for the class, and write names: "
            "[background, leaf]",
        ),
        ([1, 1, 255, 255], "0 for the background, and names: [background, leaf]"),
    ],
)
def test_one_name_is_an_error_with_advice_that_makes_two_classes(
    data: Folder, ids: list[int], advice: str
):
    findings = {finding.kind: finding for finding in one_name(data, [ids, ids])}
    assert advice in findings["one-class"].advice
    assert "nothing to learn" in findings["one-class"].message
    for finding in findings.values():
        assert (
            "255: 0" not in finding.advice
        )  # followed to the letter this made everything background
        assert "0: ignore" not in finding.advice


@pytest.mark.parametrize("ids", [[0, 0, 1, 1], [0, 0, 7, 7], [0, 0, 255, 255], [0, 5, 7, 7]])
def test_the_advice_for_one_name_works_when_followed(data: Folder, ids: list[int]):
    findings = {finding.kind: finding for finding in one_name(data, [ids, ids])}
    advice = findings["one-class"].advice
    mapping = re.search(r"label_mapping: \{[^}]*\}", advice)
    data.yaml("names: [background, leaf]\n" + (mapping[0] if mapping else ""))
    report = data.check()
    assert report.errors == []
    assert report.splits["train"].pixels.tolist() == [
        6 * sum(i == 0 for i in ids),
        6 * sum(i != 0 for i in ids),
    ]


def test_one_class_in_all_of_train_is_told(data: Folder):
    for name in ("train/a", "train/b", "train/c"):
        data.write(f"masks/{name}.png", np.zeros((2, 4), np.uint8))
    found = data.find("one-class")
    assert (found.severity, found.found) == ("warning", {"road": "the only class in train"})


def test_a_split_whose_images_are_all_void_is_an_error(data: Folder):
    for name in ("train/a", "train/b", "train/c"):
        data.write(f"masks/{name}.png", np.full((2, 4), 255, np.uint8))
    found = data.find("unlabeled-photo")
    assert found.severity == "error"
    assert "These are all of train." in found.message


def exif_jpeg(path: Path, orientation: int, size: tuple[int, int]) -> None:
    data = cv2.imencode(".jpg", image_of(path.stem, size))[1].tobytes()
    entry = b"\x12\x01\x03\0\1\0\0\0" + bytes([orientation, 0, 0, 0])
    block = b"Exif\0\0II*\0\x08\0\0\0\1\0" + entry + bytes(4)
    path.write_bytes(
        data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]
    )


@pytest.mark.parametrize(
    ("orientation", "size"), [(2, (2, 4)), (3, (2, 4)), (4, (2, 4)), (6, (4, 4)), (5, (4, 4))]
)
def test_a_turn_that_changes_no_size_is_told(data: Folder, orientation: int, size: tuple[int, int]):
    data.write("masks/train/t.png", np.resize(TWO, size))
    exif_jpeg(data.root / "images/train/t.jpg", orientation, size)
    found = data.find("exif-orientation")
    assert found.found == {"train/t": f"orientation {orientation}"}
    assert found.severity == "warning"


@pytest.mark.parametrize(("orientation", "size"), [(1, (2, 4)), (6, (4, 2))])
def test_no_turn_and_a_turn_that_changes_the_size_are_not_told_so(
    data: Folder, orientation: int, size: tuple[int, int]
):
    data.write("masks/train/t.png", TWO)
    exif_jpeg(data.root / "images/train/t.jpg", orientation, size)
    assert "exif-orientation" not in kinds(data.check())


def test_turned_images_that_mismatch_make_the_silent_ones_nearly_sure(data: Folder):
    for name, orientation in (("t", 3), ("u", 6)):
        data.write(f"masks/train/{name}.png", TWO)
        exif_jpeg(data.root / f"images/train/{name}.jpg", orientation, (2, 4))
    assert "1 mask of others fit the photo unturned" in data.find("exif-orientation").advice


@pytest.mark.parametrize(
    ("top", "dark"), [(1023, True), (4095, True), (16383, True), (65535, False)]
)
def test_ten_to_fourteen_bits_in_sixteen_are_told(data: Folder, top: int, dark: bool):
    image = np.linspace(0, top, 8).astype(np.uint16).reshape(2, 4)
    data.pair("train/deep", image=image)
    report = data.check()
    told = {
        name
        for finding in report.findings
        if finding.kind == "dark-photo"
        for name in finding.found
    }
    loaded = next(fact.brightest for fact in report.image_stats if fact.item.name == "deep")
    assert told == ({"train/deep"} if dark and loaded < 64 else set())


def test_files_of_other_kinds_are_counted_by_kind(data: Folder):
    for name in ("a.HEIC", "b.heic", "c.avif", "._d.jpg"):
        (data.root / "images/train" / name).write_bytes(b"\0\0\0\x18ftypheic")
    found = data.find("other-file")
    assert "3 files among photos and masks are left out: 2 .heic, 1 .avif." in found.message


def test_two_masks_of_one_name_are_told(data: Folder):
    data.write("masks/train/a.tif", TWO)
    found = data.find("same-name-mask")
    assert list(found.found.values()) == ["beside a.png"]
    assert found.severity == "error"


def test_a_mask_called_png_in_capitals_is_found(data: Folder):
    (data.root / "masks/train/a.png").rename(data.root / "masks/train/a.PNG")
    assert data.check().findings == []


def test_images_behind_links_to_folders_are_checked(
    data: Folder, tmp_path_factory: pytest.TempPathFactory
):
    store = Folder(tmp_path_factory.mktemp("store"))
    for name in ("one", "two"):
        store.pair(f"drive/{name}")
    for kind in ("images", "masks"):
        (data.root / kind / "train/drive").symlink_to(
            store.root / kind / "drive", target_is_directory=True
        )
        (data.root / kind / "train/circle").symlink_to(data.root, target_is_directory=True)
    report = data.check()
    assert report.splits["train"].files == 5
