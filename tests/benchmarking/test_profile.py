import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import galago
from galago._core.device import processor
from galago.benchmarking.profile import DeviceMismatchWarning, DeviceProfile, read_setting
from galago.errors import ConfigError

SETTING = DeviceProfile(
    model="b0-camvid", model_sha256="ab" * 32, engine="openvino", precision="float32", threads=2, imgsz=(320, 416),
    photo_size=(360, 480), median_ms=11.25, mean_iou=0.65, scored_on="20 of 101 photos of CamVid, val", device="Toaster (neon)",
    galago_version="0.1.0",
)  # fmt: skip


@pytest.fixture
def tiny_setting(tiny_onnx: Path) -> DeviceProfile:
    """The setting of the tiny model on this device."""
    sha256 = hashlib.sha256(tiny_onnx.read_bytes()).hexdigest()
    return dataclasses.replace(
        SETTING, model=str(tiny_onnx), model_sha256=sha256, imgsz=(32, 64), device=processor()
    )


@pytest.mark.parametrize(
    "change",
    [{}, {"threads": None, "imgsz": None, "mean_iou": None, "scored_on": None}, {"median_ms": 8}],
)
def test_a_setting_survives_its_file(tmp_path: Path, change: dict[str, object]):
    setting = dataclasses.replace(SETTING, **change)
    (tmp_path / "setting.json").write_text(setting.to_json())
    assert read_setting(tmp_path / "setting.json") == setting


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": 1}, "Unknown keys in the setting: speed."),
        ({"threads": "2"}, "The setting has threads = '2', expected int."),
        ({"threads": True}, "The setting has threads = True, expected int."),
        ({"imgsz": [320]}, "The setting has imgsz = [320], expected tuple[int, int]."),
        ({"imgsz": [10**9, 32]}, "The setting has imgsz with 1000000000, expected at most 16,384."),
        (
            {"threads": 10**12},
            "The setting has threads with 1000000000000, expected at most 4,096.",
        ),
        ({"threads": -1}, "The setting has threads with -1, expected at most 4,096."),
        ({"mean_iou": 1.5}, "The setting has mean_iou with 1.5, expected at most 1."),
        ({"median_ms": float("nan")}, "The setting is not JSON: NaN is no number in JSON."),
        (
            {"imgsz": [0, 32]},
            "The setting has imgsz = [0, 32], expected [height, width] in pixels.",
        ),
        ({"photo_size": None}, "The setting has photo_size = None, expected tuple[int, int]."),
        ({"engine": 3}, "The setting has engine = 3, expected str."),
        ({"schema_version": 2}, "This galago reads a setting of schema version 1, got 2."),
    ],
)
def test_a_wrong_key_says_what_is_wrong_and_what_to_do(
    tmp_path: Path, change: dict[str, object], message: str
):
    path = tmp_path / "setting.json"
    path.write_text(json.dumps(json.loads(SETTING.to_json()) | change))
    with pytest.raises(ConfigError) as caught:
        read_setting(path)
    assert str(caught.value) == f"{path}: {message} Run `galago bench --budget` again."


def test_a_missing_key_is_named(tmp_path: Path):
    raw = json.loads(SETTING.to_json())
    del raw["engine"], raw["device"]
    (tmp_path / "setting.json").write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="Missing keys in the setting: device, engine"):
        read_setting(tmp_path / "setting.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "The setting is not JSON"),
        (b"[]", "to be a JSON object, got list"),
        (b"\xff\xfe", "is no setting file"),
    ],
)
def test_a_file_that_is_no_setting_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "setting.json").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_setting(tmp_path / "setting.json")


def test_a_missing_file_says_who_writes_it(tmp_path: Path):
    with pytest.raises(
        ConfigError,
        match=r"No such file or directory\. `galago bench --budget` writes setting files\.",
    ):
        read_setting(tmp_path / "none.json")


def test_a_setting_tells_itself_in_one_line():
    assert SETTING.describe() == (
        "b0-camvid, openvino in float32, threads 2, photos fitted into 320 x 416; measured 11.2 ms "
        "for a photo of 360 x 480, "
        "mean IoU 0.6500 on 20 of 101 photos of CamVid, val"
    )


@pytest.mark.openvino
def test_a_setting_names_model_engine_and_size(tiny_setting: DeviceProfile, tmp_path: Path):
    (tmp_path / "setting.json").write_text(tiny_setting.to_json())
    segmenter = galago.load(setting=tmp_path / "setting.json")
    assert (segmenter.spec.name, segmenter.engine.name, segmenter.imgsz) == (
        "tiny",
        "openvino",
        (32, 64),
    )
    assert segmenter(np.zeros((50, 40, 3), np.uint8)).labels.shape == (50, 40)


@pytest.mark.openvino
def test_without_a_setting_nothing_of_it_counts(tiny_setting: DeviceProfile):
    assert galago.load(tiny_setting.model).imgsz is None


@pytest.mark.openvino
def test_the_same_model_in_another_place_is_fine(tiny_setting: DeviceProfile, tmp_path: Path):
    moved = Path(tiny_setting.model).rename(tmp_path / "moved.onnx")
    assert galago.load(moved, setting=tiny_setting).spec.name == "tiny"


def test_a_model_that_has_moved_is_asked_for():
    with pytest.raises(
        ConfigError,
        match=r"names the model old/place, which is not there\. Say beside it where the model is now",
    ):
        galago.load(setting=dataclasses.replace(SETTING, model="old/place"))


@pytest.mark.openvino
def test_another_model_file_is_refused(tiny_setting: DeviceProfile):
    with pytest.raises(
        ConfigError,
        match=r"measured with another model file: its SHA-256 is .*, the setting has abab",
    ):
        galago.load(setting=dataclasses.replace(tiny_setting, model_sha256="ab" * 32))


@pytest.mark.openvino
def test_another_device_is_a_warning(tiny_setting: DeviceProfile):
    with pytest.warns(
        DeviceMismatchWarning,
        match=r"measured on Toaster \(neon\), and this is .*: times differ\. Run `galago bench",
    ):
        galago.load(setting=dataclasses.replace(tiny_setting, device="Toaster (neon)"))


@pytest.mark.openvino
def test_the_precision_of_a_setting_is_never_replaced_in_silence(tiny_setting: DeviceProfile):
    with pytest.raises(ConfigError, match="Unknown precision 'float8'"):
        galago.load(setting=dataclasses.replace(tiny_setting, precision="float8"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"engine": "onnxruntime"}, "The setting has engine openvino, got onnxruntime beside it"),
        ({"threads": 1}, "The setting has threads 2, got 1 beside it"),
        ({"half": True}, "The setting has precision float32, got bfloat16 beside it"),
        ({"imgsz": (32, 32)}, "The setting has imgsz 320 x 416, got 32 x 32 beside it"),
    ],
)
def test_what_contradicts_a_setting_is_refused(flags: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        galago.load(setting=SETTING, **flags)  # type: ignore[arg-type]


@pytest.mark.openvino
def test_what_agrees_with_a_setting_is_fine(tiny_setting: DeviceProfile):
    segmenter = galago.load(setting=tiny_setting, engine="openvino", threads=2, imgsz=(32, 64))
    assert segmenter.imgsz == (32, 64)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": ' * 100_000, '{"schema_version": ' + "9" * 5000 + "}"]
)
def test_odd_json_in_a_setting_is_one_sentence(tmp_path: Path, text: str):
    (tmp_path / "setting.json").write_text(text)
    with pytest.raises(
        ConfigError, match=r"setting\.json: The setting is not JSON: .*\. Run `galago bench"
    ) as caught:
        read_setting(tmp_path / "setting.json")
    assert len(str(caught.value)) < 500


def test_a_setting_saved_with_a_byte_order_mark_is_read(tmp_path: Path):
    (tmp_path / "setting.json").write_bytes(
        b"\xef\xbb\xbf" + SETTING.to_json().replace("\n", "\r\n").encode()
    )
    assert read_setting(tmp_path / "setting.json") == SETTING
