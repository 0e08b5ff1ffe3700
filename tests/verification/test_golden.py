"""Damaged golden files whose checksums fit: each is one clear sentence, and no traceback."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from galago.errors import GalagoError, ModelError
from galago.runtime.model_folder import open_model
from galago.verification.fingerprints import LayerFingerprint, load_fingerprints, save_fingerprints
from galago.verification.golden import description_failures, is_resized, read_golden, unresized

Spoil = Callable[..., Path]


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def huge_npy(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + bytes(64)


def npz(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def stage(name: str, shape: object, means: np.ndarray) -> bytes:
    return npz(**{name: npy(means), f"{name}:shape": npy(np.array(shape))})


MEANS = np.zeros((3, 4, 6), np.float32)
DAMAGES = {
    "logits empty": ("logits.npy", lambda data: b""),
    "logits cut": ("logits.npy", lambda data: data[: len(data) // 2]),
    "logits of 40 TiB": ("logits.npy", lambda data: huge_npy((11, 10**6, 10**6))),
    "logits with a negative side": ("logits.npy", lambda data: huge_npy((11, -24, 32))),
    "logits that are text": ("logits.npy", lambda data: npy(np.array(["a"]))),
    "logits that are a pickle": ("logits.npy", lambda data: npy(np.array([{}], dtype=object))),
    "logits of two axes": ("logits.npy", lambda data: npy(np.zeros((11, 24), np.float32))),
    "logits in float64": ("logits.npy", lambda data: npy(np.zeros((11, 24, 32)))),
    "logits with NaN": ("logits.npy", lambda data: npy(np.full((11, 24, 32), np.nan, np.float32))),
    "logits whose header ends early": ("logits.npy", lambda data: data.replace(b"}", b" ", 1)),
    "stages no zip": ("stages.npz", lambda data: b"stages"),
    "stages damaged": ("stages.npz", lambda data: data[:200] + bytes(100) + data[300:]),
    "stages cut": ("stages.npz", lambda data: data[: len(data) // 2]),
    "stages empty": ("stages.npz", lambda data: b""),
    "stages of 40 TiB": ("stages.npz", lambda data: npz(input=huge_npy((11, 10**6, 10**6)))),
    "stages that unpack to a bomb": ("stages.npz", lambda data: npz(input=bytes(80 << 20))),
    "stages without shapes": ("stages.npz", lambda data: npz(input=npy(MEANS))),
    "stages of an unknown name": ("stages.npz", lambda data: stage("neck.0", (3, 64, 96), MEANS)),
    "stages of a name that ends early": (
        "stages.npz",
        lambda data: stage("head", (3, 64, 96), MEANS),
    ),
    "stages with other means": ("stages.npz", lambda data: stage("input", (3, 64, 96), MEANS[:2])),
    "stages with two sides": ("stages.npz", lambda data: stage("input", (64, 96), MEANS)),
    "stages with text": ("stages.npz", lambda data: stage("input", (3, 64, 96), np.array("a"))),
    "stages with NaN": ("stages.npz", lambda data: stage("input", (3, 64, 96), MEANS * np.nan)),
    "description not UTF-8": ("description.json", lambda data: data.replace(b"b0", b"\xe9\xff")),
    "description UTF-16": ("description.json", lambda data: data.decode().encode("utf-16")),
    "description cut": ("description.json", lambda data: data[:100]),
    "description deep": ("description.json", lambda data: b"[" * 100_000),
    "description with a huge number": (
        "description.json",
        lambda data: data.replace(b"255", b"9" * 5000, 1),
    ),
    "labels cut": ("labels.png", lambda data: data[: len(data) // 2]),
    "labels empty": ("labels.png", lambda data: b""),
    "photo no PNG": ("photo.png", lambda data: b"photo"),
    "photo empty": ("photo.png", lambda data: b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_golden_file_is_one_sentence(spoil: Spoil, bundled: Path, damage: str):
    name, make = DAMAGES[damage]
    file = bundled / "golden" / name
    file.write_bytes(make(file.read_bytes()))
    spoil()  # makes the checksums fit
    open_model(str(bundled))
    with pytest.raises(GalagoError, match=name.replace(".", r"\.")) as caught:
        read_golden(bundled)
    assert len(str(caught.value)) < 1000


def test_a_photo_and_labels_of_two_sizes_are_an_error(spoil: Spoil, bundled: Path):
    import cv2

    file = bundled / "golden/photo.png"
    cv2.imwrite(str(file), cv2.imread(str(file))[:160])
    with pytest.raises(
        ModelError, match=r"photo.png has \(160, 256\) pixels and labels.png \(192, 256\)"
    ):
        read_golden(spoil())


def test_stages_are_read_as_they_were_written(tmp_path: Path):
    stages = [
        LayerFingerprint.of("input", np.ones((3, 64, 96), np.float32)),
        LayerFingerprint.of("head.classify", np.ones((11, 2, 3), np.float32)),
    ]
    save_fingerprints(tmp_path / "stages.npz", stages)
    assert [(item.name, item.shape) for item in load_fingerprints(tmp_path / "stages.npz")] == [
        ("input", (3, 64, 96)),
        ("head.classify", (11, 2, 3)),
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"resize": "stretch", "input_size": [192, 256]}, "resize rule: model.json says 'stretch'"),
        ({"input_size": [192, 256]}, "input size: model.json says (192, 256)"),
        ({"resize": "short_side", "short_side": 192}, "short side: model.json says 192"),
        ({"precision": "int8"}, "precision: model.json says 'int8'"),
        ({"output": "labels"}, "output: model.json says 'labels'"),
    ],
)
def test_every_field_is_compared_with_what_export_recorded(
    spoil: Spoil, change: dict[str, object], told: str
):
    folder = spoil(description=lambda text: text.update(change))
    faults = description_failures(open_model(str(folder)).spec, read_golden(folder), None)
    assert any(fault.startswith(told) and "golden/description.json" in fault for fault in faults), (
        faults
    )


def test_name_and_licenses_may_be_edited(spoil: Spoil):
    folder = spoil(description=lambda text: text.update(name="mine", licenses={"code": "MIT"}))
    assert description_failures(open_model(str(folder)).spec, read_golden(folder), None) == []


def test_a_folder_of_an_older_galago_with_resized_logits_is_compared_on_the_resized_image(
    bundled: Path,
):
    from dataclasses import replace

    golden = read_golden(bundled)
    assert golden.spec
    spec = replace(golden.spec, resize="short_side", short_side=384)
    old = replace(golden, logits=np.repeat(np.repeat(golden.logits, 2, axis=1), 2, axis=2))
    assert is_resized(old, spec)
    assert not is_resized(golden, spec)
    new = unresized(old, spec)
    assert new.image.shape == (384, 512, 3)
    assert new.labels.shape == (384, 512)
    assert new.layers == []  # of the image unresized
    assert unresized(golden, spec) is golden


def test_the_description_of_a_golden_folder_may_have_a_byte_order_mark(bundled: Path):
    file = bundled / "golden/description.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    spec = read_golden(bundled).spec
    assert spec
    assert spec.name == json.loads(file.read_text(encoding="utf-8-sig"))["name"]
