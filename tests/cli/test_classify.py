import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

torch = pytest.importorskip("torch")

from hub_server import GOLDEN, Hub, golden_tensors, load_filling, pickled

from galago import image as images
from galago.cli.main import app
from galago.errors import ConfigError
from galago.export.classify import resize_and_crop
from galago.models.checkpoint import load_backbone, load_classifier
from galago.pretrained.convert import obtain_checkpoint
from galago.pretrained.table import PUBLISHED
from galago.training.config import TrainConfig
from galago.training.model import start_network

pytestmark = pytest.mark.torch


@pytest.fixture
def classifiers(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """b0 of the authors and of timm on the hub."""
    import safetensors.torch

    contents = {
        "b0-r224": pickled({"state_dict": golden_tensors("cls-b0")}),
        "b0-imagenet": safetensors.torch.save(golden_tensors("timm-b0")),
    }
    for name, content in contents.items():
        row = dataclasses.replace(PUBLISHED[name], sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(PUBLISHED, name, row)
        hub.files[f"{row.repo}/{row.file}"] = content
    return hub


@pytest.mark.parametrize(("name", "golden"), [("b0-r224", "cls-b0"), ("b0-imagenet", "timm-b0")])
def test_a_classifier_by_name_gives_the_outputs_of_its_publishers(
    classifiers: Hub, name: str, golden: str
):
    network, _ = load_classifier(obtain_checkpoint(PUBLISHED[name]))
    with torch.inference_mode():
        logits = network(torch.from_numpy(load_filling().image(192, 256))).numpy()
    expected = np.load(GOLDEN / f"{golden}.npz")["logits"]
    assert np.linalg.norm(logits - expected) / np.linalg.norm(expected) < 1e-5


def test_a_classifier_starts_a_training_with_its_backbone(classifiers: Hub):
    checkpoint = obtain_checkpoint(PUBLISHED["b0-imagenet"])
    started = start_network(TrainConfig(variant="b0"), 3, checkpoint)
    assert started.head.classify.bias.shape == (3,)
    given = load_backbone(checkpoint).state_dict()
    assert all(
        torch.equal(tensor, given[name]) for name, tensor in started.backbone.state_dict().items()
    )


def test_a_backbone_gives_features_at_five_scales(classifiers: Hub):
    backbone = load_backbone(obtain_checkpoint(PUBLISHED["b0-r224"]))
    with torch.inference_mode():
        features = backbone(torch.zeros(1, 3, 64, 96))
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (8, 32, 48), (16, 16, 24), (32, 8, 12), (64, 4, 6), (128, 2, 3),
    ]  # fmt: skip


def classify(*flags: str) -> Result:
    return CliRunner().invoke(app, ["classify", *flags])


def test_photos_get_their_most_probable_classes(classifiers: Hub, tmp_path: Path):
    images.save(
        tmp_path / "photo.png", np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    )
    (tmp_path / "names.txt").write_text("\n".join(f"thing {index}" for index in range(1000)))
    flags = ("--model", "b0-r224", "--source", str(tmp_path / "photo.png"), "--top", "3")
    done = classify(*flags, "--names", str(tmp_path / "names.txt"), "--json")
    assert done.exit_code == 0, done.output
    (photo,) = json.loads(done.stdout)["photos"]
    values = [row["probability"] for row in photo["classes"]]
    assert len(values) == 3
    assert values == sorted(values, reverse=True)
    assert all(row["class"].startswith("thing ") for row in photo["classes"])
    (tmp_path / "names.txt").write_text("one")
    with pytest.raises(
        ConfigError, match=r"names.txt has 1 lines, but the network knows 1000 classes"
    ):
        raise classify(*flags, "--names", str(tmp_path / "names.txt")).exception


def test_a_segmentation_network_is_no_classifier(store: Path):
    done = classify("--model", "b0-cityscapes", "--source", "x.png")
    assert "Unknown classifier 'b0-cityscapes'. Choose one of: b0-imagenet" in str(done.exception)


@pytest.mark.parametrize(("size", "top", "left"), [((10, 20), 0, 5), ((20, 10), 5, 0)])
def test_the_middle_of_a_photo_is_cut_out(size: tuple[int, int], top: int, left: int):
    image = np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(*size, 3)
    cut = resize_and_crop(image, 10, 1.0)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(
        cut, image[top : top + 10, left : left + 10]
    )  # the short side is 10 already


def test_train_takes_a_published_name_of_the_same_variant(classifiers: Hub):
    from galago.cli.train import find_weights

    assert find_weights(Path("b0-imagenet"), "b0") == obtain_checkpoint(PUBLISHED["b0-imagenet"])
    assert find_weights(Path("runs/best.safetensors"), "b0") == Path("runs/best.safetensors")
    with pytest.raises(
        ConfigError, match="--weights b1-imagenet is of b1, but the network is b0: --model b1"
    ):
        find_weights(Path("b1-imagenet"), "b0")
