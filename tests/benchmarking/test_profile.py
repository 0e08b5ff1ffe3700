import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import galago
from galago._core.device import processor
from galago.benchmarking.profile import DeviceMismatchWarning, DeviceProfile, read_profile
from galago.errors import ConfigError

PROFILE = DeviceProfile(
    model="b0-camvid",
    model_sha256="ab" * 32,
    engine="openvino",
    precision="float32",
    threads=2,
    imgsz=(320, 416),
    image_size=(360, 480),
    median_ms=11.25,
    mean_iou=0.65,
    scored_on="20 of 101 photos of CamVid, val",
    device="Toaster (neon)",
    galago_version="0.1.0",
)
OLD = Path(__file__).parent.parent / "golden/old/setting.json"  # written by commit cd06512


@pytest.fixture
def tiny_profile(tiny_onnx: Path) -> DeviceProfile:
    """The profile of the tiny model on this device."""
    sha256 = hashlib.sha256(tiny_onnx.read_bytes()).hexdigest()
    return dataclasses.replace(
        PROFILE, model=str(tiny_onnx), model_sha256=sha256, imgsz=(32, 64), device=processor()
    )


@pytest.mark.parametrize(
    "change",
    [{}, {"threads": None, "imgsz": None, "mean_iou": None, "scored_on": None}, {"median_ms": 8}],
)
def test_a_profile_survives_its_file(tmp_path: Path, change: dict[str, object]):
    profile = dataclasses.replace(PROFILE, **change)
    (tmp_path / "profile.json").write_text(profile.to_json())
    assert read_profile(tmp_path / "profile.json") == profile


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": 1}, "Unknown keys in the profile: speed."),
        ({"threads": "2"}, "The profile has threads = '2', expected int."),
        ({"threads": True}, "The profile has threads = True, expected int."),
        ({"imgsz": [320]}, "The profile has imgsz = [320], expected tuple[int, int]."),
        ({"imgsz": [10**9, 32]}, "The profile has imgsz with 1000000000, expected at most 16,384."),
        (
            {"threads": 10**12},
            "The profile has threads with 1000000000000, expected at most 4,096.",
        ),
        ({"threads": -1}, "The profile has threads with -1, expected at most 4,096."),
        ({"mean_iou": 1.5}, "The profile has mean_iou with 1.5, expected at most 1."),
        ({"median_ms": float("nan")}, "The profile is not JSON: NaN is no number in JSON."),
        (
            {"imgsz": [0, 32]},
            "The profile has imgsz = [0, 32], expected [height, width] in pixels.",
        ),
        ({"image_size": None}, "The profile has image_size = None, expected tuple[int, int]."),
        ({"engine": 3}, "The profile has engine = 3, expected str."),
        ({"schema_version": 3}, "This galago reads a profile of schema version 2, got 3."),
    ],
)
def test_a_wrong_key_says_what_is_wrong_and_what_to_do(
    tmp_path: Path, change: dict[str, object], message: str
):
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(json.loads(PROFILE.to_json()) | change))
    with pytest.raises(ConfigError) as caught:
        read_profile(path)
    assert str(caught.value) == f"{path}: {message} Run `galago bench --budget` again."


def test_a_missing_key_is_named(tmp_path: Path):
    raw = json.loads(PROFILE.to_json())
    del raw["engine"], raw["device"]
    (tmp_path / "profile.json").write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="Missing keys in the profile: device, engine"):
        read_profile(tmp_path / "profile.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "The profile is not JSON"),
        (b"[]", "to be a JSON object, got list"),
        (b"\xff\xfe", "is no device profile"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "profile.json").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_profile(tmp_path / "profile.json")


def test_a_missing_file_says_who_writes_it(tmp_path: Path):
    with pytest.raises(
        ConfigError,
        match=r"No such file or directory\. `galago bench --budget` writes device profiles\.",
    ):
        read_profile(tmp_path / "none.json")


def test_a_profile_describes_itself_in_one_line():
    assert PROFILE.describe() == (
        "b0-camvid, openvino in float32, threads 2, photos fitted into 320 x 416; measured 11.2 ms "
        "for a photo of 360 x 480, "
        "mean IoU 0.6500 on 20 of 101 photos of CamVid, val"
    )


@pytest.mark.openvino
def test_a_profile_names_model_engine_and_size(tiny_profile: DeviceProfile, tmp_path: Path):
    (tmp_path / "profile.json").write_text(tiny_profile.to_json())
    segmenter = galago.load(profile=tmp_path / "profile.json")
    assert (segmenter.spec.name, segmenter.engine.name, segmenter.imgsz) == (
        "tiny",
        "openvino",
        (32, 64),
    )
    assert segmenter(np.zeros((50, 40, 3), np.uint8)).labels.shape == (50, 40)


@pytest.mark.openvino
def test_without_a_profile_nothing_of_it_counts(tiny_profile: DeviceProfile):
    assert galago.load(tiny_profile.model).imgsz is None


@pytest.mark.openvino
def test_the_same_model_in_another_place_is_fine(tiny_profile: DeviceProfile, tmp_path: Path):
    moved = Path(tiny_profile.model).rename(tmp_path / "moved.onnx")
    assert galago.load(moved, profile=tiny_profile).spec.name == "tiny"


def test_a_model_that_has_moved_is_asked_for():
    with pytest.raises(
        ConfigError,
        match=r"names the model old/place, which is not there\. Say where the model is now",
    ):
        galago.load(profile=dataclasses.replace(PROFILE, model="old/place"))


@pytest.mark.openvino
def test_another_model_file_is_refused(tiny_profile: DeviceProfile):
    with pytest.raises(
        ConfigError,
        match=r"measured with another model file: its SHA-256 is .*, the profile has abab",
    ):
        galago.load(profile=dataclasses.replace(tiny_profile, model_sha256="ab" * 32))


@pytest.mark.openvino
def test_another_device_is_a_warning(tiny_profile: DeviceProfile):
    with pytest.warns(
        DeviceMismatchWarning,
        match=r"measured on Toaster \(neon\), and this is .*: times differ\. Run `galago bench",
    ):
        galago.load(profile=dataclasses.replace(tiny_profile, device="Toaster (neon)"))


@pytest.mark.openvino
def test_the_precision_of_a_profile_is_never_replaced_in_silence(tiny_profile: DeviceProfile):
    with pytest.raises(ConfigError, match="Unknown precision 'float8'"):
        galago.load(profile=dataclasses.replace(tiny_profile, precision="float8"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"engine": "onnxruntime"}, "The profile has engine openvino, got onnxruntime beside it"),
        ({"threads": 1}, "The profile has threads 2, got 1 beside it"),
        ({"precision": "bfloat16"}, "The profile has precision float32, got bfloat16 beside it"),
        ({"imgsz": (32, 32)}, "The profile has imgsz 320 x 416, got 32 x 32 beside it"),
    ],
)
def test_what_contradicts_a_profile_is_refused(flags: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        galago.load(profile=PROFILE, **flags)  # type: ignore[arg-type]


@pytest.mark.openvino
def test_what_agrees_with_a_profile_is_fine(tiny_profile: DeviceProfile):
    segmenter = galago.load(profile=tiny_profile, engine="openvino", threads=2, imgsz=(32, 64))
    assert segmenter.imgsz == (32, 64)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": ' * 100_000, '{"schema_version": ' + "9" * 5000 + "}"]
)
def test_odd_json_in_a_profile_is_one_sentence(tmp_path: Path, text: str):
    (tmp_path / "profile.json").write_text(text)
    with pytest.raises(
        ConfigError, match=r"profile\.json: The profile is not JSON: .*\. Run `galago bench"
    ) as caught:
        read_profile(tmp_path / "profile.json")
    assert len(str(caught.value)) < 500


def test_a_profile_saved_with_a_byte_order_mark_is_read(tmp_path: Path):
    (tmp_path / "profile.json").write_bytes(
        b"\xef\xbb\xbf" + PROFILE.to_json().replace("\n", "\r\n").encode()
    )
    assert read_profile(tmp_path / "profile.json") == PROFILE


def test_a_setting_file_of_before_is_read_as_a_profile():
    assert json.loads(OLD.read_text())["schema_version"] == 1
    profile = read_profile(OLD)
    assert (profile.engine, profile.precision, profile.threads) == ("openvino", "float32", 1)
    assert (profile.imgsz, profile.image_size) == ((96, 128), (96, 128))
    assert profile.schema_version == 2


@pytest.mark.openvino
def test_the_deprecated_names_of_load_work_and_warn(tiny_profile: DeviceProfile):
    with pytest.warns(DeprecationWarning, match="setting is deprecated: it is called profile"):
        assert galago.load(setting=tiny_profile).imgsz == (32, 64)
    with (
        pytest.warns(DeprecationWarning, match="use precision='bfloat16'"),
        pytest.raises(ConfigError, match="The profile has precision float32, got bfloat16"),
    ):
        galago.load(profile=tiny_profile, half=True)
    with (
        pytest.warns(DeprecationWarning, match="half is deprecated"),
        pytest.raises(ConfigError, match="half=True is precision='bfloat16', got 'float32'"),
    ):
        galago.load(tiny_profile.model, half=True, precision="float32")
    with (
        pytest.warns(DeprecationWarning, match="setting is deprecated"),
        pytest.raises(ConfigError, match="Give profile alone"),
    ):
        galago.load(profile=tiny_profile, setting=tiny_profile)
