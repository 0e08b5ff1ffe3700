import os
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from galago.errors import CheckpointError
from galago.models.checkpoint import (
    load_checkpoint,
    load_classifier,
    load_tensors,
    read_tensors,
    save_checkpoint,
    save_tensors,
)
from galago.models.efficientvit import EfficientViTSeg, build_classifier, build_model

pytestmark = pytest.mark.torch

METADATA = {"variant": "b0", "num_classes": "3", "head": "b0-cityscapes"}


@pytest.fixture
def network() -> EfficientViTSeg:
    return build_model("b0", 3)


@pytest.fixture
def file(network: EfficientViTSeg, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "w.safetensors", network, METADATA)
    return tmp_path / "w.safetensors"


def test_a_network_comes_back_bit_by_bit(network: EfficientViTSeg, file: Path):
    loaded, metadata = load_checkpoint(file)
    assert metadata == METADATA
    assert not loaded.training
    tensors = loaded.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensors[name], tensor), name


def test_a_network_in_channels_last_comes_back_bit_by_bit(network: EfficientViTSeg, tmp_path: Path):
    save_checkpoint(
        tmp_path / "w.safetensors", network.to(memory_format=torch.channels_last), METADATA
    )
    expected = network.backbone.stages[0][0].conv.weight
    assert torch.equal(
        load_checkpoint(tmp_path / "w.safetensors")[0].backbone.stages[0][0].conv.weight, expected
    )


def test_the_folder_is_made_and_nothing_else_is_left_in_it(
    network: EfficientViTSeg, tmp_path: Path
):
    save_checkpoint(tmp_path / "a/b/w.safetensors", network, METADATA)
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["w.safetensors"]


def test_a_missing_file_is_a_clear_error(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"There is no checkpoint at .*w.safetensors"):
        load_checkpoint(tmp_path / "w.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_a_file_that_was_cut_short_is_a_clear_error(file: Path, kept: int):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(
        CheckpointError, match=r"w.safetensors is not a whole safetensors file .* Copy it again"
    ):
        load_checkpoint(file)


def test_what_a_header_holds_is_not_shown_in_whole(tmp_path: Path):
    header = ('"' + "a" * 5000 + '"').encode()
    (tmp_path / "w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match="not a whole safetensors file") as caught:
        load_checkpoint(tmp_path / "w.safetensors")
    assert len(str(caught.value)) < 600


def test_a_file_of_another_kind_is_a_clear_error(tmp_path: Path):
    (tmp_path / "w.safetensors").write_text(
        "a letter to a friend, long enough to look like a header"
    )
    with pytest.raises(CheckpointError, match=r"not a whole safetensors file"):
        load_checkpoint(tmp_path / "w.safetensors")


def test_a_safetensors_file_of_others_is_a_clear_error(tmp_path: Path):
    save_tensors(tmp_path / "w.safetensors", {"weight": torch.zeros(1)}, {})
    with pytest.raises(
        CheckpointError,
        match=r"has no valid architecture metadata .*Use a checkpoint that `galago train` wrote",
    ):
        load_checkpoint(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "change", [{"variant": "b9"}, {"num_classes": "many"}, {"num_classes": "0"}, {"head": "tail"}]
)
def test_wrong_metadata_is_a_clear_error(
    network: EfficientViTSeg, tmp_path: Path, change: dict[str, str]
):
    save_checkpoint(tmp_path / "w.safetensors", network, METADATA | change)
    with pytest.raises(CheckpointError, match=r"has no valid architecture metadata"):
        load_checkpoint(tmp_path / "w.safetensors")


def test_tensors_of_another_class_count_are_named(network: EfficientViTSeg, tmp_path: Path):
    save_checkpoint(tmp_path / "w.safetensors", network, METADATA | {"num_classes": "4"})
    with pytest.raises(
        CheckpointError, match=r"head.classify.bias has shape \(3,\) instead of \(4,\)"
    ):
        load_checkpoint(tmp_path / "w.safetensors")


def test_missing_and_left_over_tensors_are_named():
    layer = torch.nn.Linear(1, 1)
    with pytest.raises(
        CheckpointError,
        match=r"tensors of here do not fit the network: missing bias; left over scale",
    ):
        load_tensors(layer, {"weight": torch.zeros(1, 1), "scale": torch.zeros(1)}, source="here")


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX systems can")
def test_a_full_disk_is_a_clear_error_and_keeps_the_older_file(
    network: EfficientViTSeg, file: Path
):
    import resource

    older, before = file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # bytes a file may have
    try:
        with pytest.raises(
            CheckpointError, match=r"Cannot write the checkpoint .*w.safetensors: .* Free space"
        ):
            save_checkpoint(file, network, METADATA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes() == older
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_metadata_come_back_beside_the_tensors(tmp_path: Path):
    save_tensors(tmp_path / "t.safetensors", {"a": torch.arange(3)}, {"key": "worth"})
    tensors, metadata = read_tensors(tmp_path / "t.safetensors")
    assert tensors["a"].tolist() == [0, 1, 2]
    assert metadata == {"key": "worth"}


@pytest.mark.skipif(
    sys.platform != "linux", reason="needs a file system that takes any bytes as a name"
)
def test_a_checkpoint_whose_name_is_no_utf_8_is_refused_clearly(file: Path):
    odd = file.rename(file.with_name(os.fsdecode(b"caf\xe9.safetensors")))
    with pytest.raises(
        CheckpointError,
        match=r"is no UTF-8, which safetensors cannot open. Rename the file or folder",
    ):
        load_checkpoint(odd)


@pytest.mark.parametrize(
    "told", ["1000000000", "1000000000000", "-3", "0", "1e3", "x", "", "5", "9" * 5000]
)
@pytest.mark.parametrize("kind", [None, "classifier"])
def test_a_wrong_count_of_classes_is_refused_before_memory_is_asked_for(
    tmp_path: Path, told: str, kind: str | None
):
    path = tmp_path / "w.safetensors"
    network = build_classifier("b0", 4) if kind else build_model("b0", 4)
    about = {"variant": "b0", "num_classes": told, "head": "b0-cityscapes"} | (
        {"kind": kind} if kind else {}
    )
    save_checkpoint(path, network, about)
    with pytest.raises(CheckpointError, match=r"w\.safetensors has no valid architecture metadata"):
        (load_classifier if kind else load_checkpoint)(path)


def test_a_classifier_of_an_unknown_variant_is_refused(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    save_checkpoint(
        path, build_classifier("b0", 4), {"variant": "b9", "num_classes": "4", "kind": "classifier"}
    )
    with pytest.raises(CheckpointError, match=r"has no valid architecture metadata .*b9"):
        load_classifier(path)
