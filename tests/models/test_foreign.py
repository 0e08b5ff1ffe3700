import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hub_server import golden_tensors, pickled

from galago.errors import CheckpointError
from galago.models.checkpoint import from_authors, load_tensors, save_tensors, to_authors
from galago.models.efficientvit import build_classifier, build_model
from galago.models.variants import BACKBONES, SEG_HEADS
from galago.pretrained.convert import read_external_checkpoint

pytestmark = pytest.mark.torch

AUTHORS = [
    "seg-b0-cityscapes",
    "seg-b1-ade20k",
    "seg-l1-cityscapes",
    "seg-l1-ade20k",
    "cls-b0",
    "cls-l1",
]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", ["seg-b0-cityscapes"])
def test_wrappers_and_prefixes_come_off(
    tmp_path: Path, name: str, prefix: str, wrapped: bool, zipped: bool
):
    tensors = golden_tensors(name)
    content = {f"{prefix}{key}": tensor for key, tensor in tensors.items()}
    content = {"state_dict": content, "epoch": 300, "best_val": 75.6} if wrapped else content
    (tmp_path / "w.pt").write_bytes(pickled(content, zipped=zipped))
    read = read_external_checkpoint(tmp_path / "w.pt")
    assert list(read) == list(tensors)
    assert all(torch.equal(read[key], tensor) for key, tensor in tensors.items())


def test_safetensors_are_read_as_they_are(tmp_path: Path):
    save_tensors(tmp_path / "w.safetensors", {"head.bias": torch.arange(3)}, {})
    assert read_external_checkpoint(tmp_path / "w.safetensors")["head.bias"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a letter to a friend",
        b"<!DOCTYPE html><html></html>",
        pickled({"a": torch.zeros(9999)})[:4000],
    ],
)
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, content: bytes):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"w.pt is damaged or no checkpoint. Get it again."):
        read_external_checkpoint(tmp_path / "w.pt")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}])
def test_a_pickle_without_tensors_is_a_clear_error(tmp_path: Path, content: object):
    (tmp_path / "w.pt").write_bytes(pickled(content))
    with pytest.raises(CheckpointError, match=r"w.pt holds no table of tensors"):
        read_external_checkpoint(tmp_path / "w.pt")


def test_a_class_that_torch_does_not_know_is_named_and_not_built(tmp_path: Path):
    (tmp_path / "w.pt").write_bytes(pickled({"path": pickle.PickleBuffer}))
    with pytest.raises(
        CheckpointError,
        match=r"w.pt is a pickle that wants to run _?pickle.PickleBuffer. Nothing of it was run.",
    ):
        read_external_checkpoint(tmp_path / "w.pt")


@pytest.mark.parametrize("name", AUTHORS)
def test_the_authors_names_come_back_exactly(name: str):
    tensors = golden_tensors(name)
    assert list(to_authors(from_authors(tensors))) == list(tensors)


@pytest.mark.parametrize("head", SEG_HEADS)
def test_our_segmentation_networks_come_back_from_the_authors_names(head: str):
    with torch.device("meta"):
        ours = build_model(head.split("-")[0], 7, head=head).state_dict()
    assert list(from_authors(to_authors(ours))) == list(ours)


@pytest.mark.parametrize("variant", BACKBONES)
def test_our_classifiers_come_back_from_the_authors_names(variant: str):
    with torch.device("meta"):
        ours = build_classifier(variant).state_dict()
    assert list(from_authors(to_authors(ours))) == list(ours)


def test_the_way_there_and_back_changes_no_tensor():
    network = build_model("b0", 3)
    ours = network.state_dict()
    back = from_authors(to_authors(ours))
    load_tensors(network, back, source="there and back")
    assert all(torch.equal(tensor, back[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("variant", BACKBONES)
def test_both_heads_of_every_variant_take_any_class_count(variant: str):
    with torch.device("meta"):
        for head in (f"{variant}-cityscapes", f"{variant}-ade20k"):
            assert build_model(variant, 31, head=head)(torch.zeros(1, 3, 64, 96)).shape == (
                1,
                31,
                8,
                12,
            )
