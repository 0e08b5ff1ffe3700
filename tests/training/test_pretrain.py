import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from galago import image as images
from galago.cli.main import app
from galago.data.class_folders import ClassFolders, center_crop, open_class_folders, open_classes
from galago.errors import ConfigError, DataError, TrainingError
from galago.models.checkpoint import load_classifier, read_tensors
from galago.models.inference import normalize
from galago.training.config import PretrainConfig, TrainConfig
from galago.training.model import start_network
from galago.training.pretrain import (
    accuracy,
    mixup_or_cutmix,
    pretrain,
    random_resized_crop,
)

pytestmark = pytest.mark.torch

SMALL = PretrainConfig(
    epochs=6,
    batch_size=6,
    sizes=(64,),
    workers=0,
    precision="float32",
    warmup_epochs=1,
    peak_learning_rate=1e-3,
    ema_decay=0.5,
    color_jitter=0.0,
    drop_path=0.0,
    mixup=0.0,
    cutmix=0.0,
    validate_every=6,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reddish and bluish photos, 6 of each for training and 2 for validation."""
    root, rng = tmp_path_factory.mktemp("classes"), np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for name, color in (("blue", (200, 60, 40)), ("red", (40, 60, 200))):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                photo = np.array(color) + rng.integers(0, 40, (70, 90, 3))
                cv2.imwrite(str(root / split / name / f"{index}.png"), photo.astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def splits(root: Path) -> tuple[ClassFolders, ClassFolders]:
    return open_class_folders(root, "train"), open_class_folders(root, "val")


def test_classes_are_the_folders_in_alphabetical_order(splits: tuple[ClassFolders, ClassFolders]):
    train_set, _ = splits
    assert train_set.names == ("blue", "red")
    assert train_set.class_ids == (0,) * 6 + (1,) * 6
    photo, class_id = train_set[11]
    assert (photo.shape, class_id) == ((70, 90, 3), 1)
    assert photo[..., 0].mean() > photo[..., 2].mean()


def test_tar_files_train_the_same_network_as_folders(
    root: Path, splits: tuple[ClassFolders, ClassFolders], tmp_path: Path
):
    packed = tmp_path / "packed"
    (packed / "train").mkdir(parents=True)
    for name in ("red", "blue"):
        with tarfile.open(packed / f"train/{name}.tar", "w") as file:
            file.add(root / "train" / name, arcname=name)
    with tarfile.open(packed / "val.tar", "w") as file:
        file.add(root / "val", arcname=".")
    config = replace(SMALL, epochs=1, validate_every=1)
    pretrain(config, *splits, tmp_path / "folders")
    pretrain(config, open_classes(packed, "train"), open_classes(packed, "val"), tmp_path / "tars")
    one, two = (
        read_tensors(tmp_path / name / "last.safetensors")[0] for name in ("folders", "tars")
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_folder_without_classes_says_how_it_should_look(tmp_path: Path):
    with pytest.raises(DataError, match="one folder per class"):
        open_class_folders(tmp_path, "train")
    (tmp_path / "train/one").mkdir(parents=True)
    with pytest.raises(DataError, match="at least 2 classes, found 1"):
        open_class_folders(tmp_path, "train")
    (tmp_path / "train/two").mkdir()
    with pytest.raises(DataError, match=r"train/one holds no photos"):
        open_class_folders(tmp_path, "train")


def test_parts_of_any_photo_are_squares_of_the_wanted_size():
    rng = np.random.default_rng(0)
    for size in ((5, 300), (300, 5), (1, 1), (200, 200)):
        photo = np.zeros((*size, 3), np.uint8)
        assert (
            random_resized_crop(photo, 64, 0.1, rng).shape
            == center_crop(photo, 64).shape
            == (64, 64, 3)
        )


def test_cutmix_counts_the_pixels_of_each_class():
    images = torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)])
    targets = torch.eye(2)
    config = replace(SMALL, cutmix=1.0)
    seen = set()
    for seed in range(20):
        mixed, shares = mixup_or_cutmix(images, targets, config, np.random.default_rng(seed))
        torch.testing.assert_close(shares[:, 1], mixed.mean((1, 2, 3)))
        seen.add(round(float(shares[0, 1]), 3))
    assert len(seen) > 3


def test_mixup_blends_photos_as_it_blends_classes():
    images, targets = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)]), torch.eye(2)
    for seed in range(5):
        mixed, shares = mixup_or_cutmix(
            images, targets, replace(SMALL, mixup=1.0), np.random.default_rng(seed)
        )
        torch.testing.assert_close(shares[:, 1], mixed.mean((1, 2, 3)))


def test_a_backbone_learns_classes_and_a_segmentation_network_starts_from_it(
    splits: tuple[ClassFolders, ClassFolders], tmp_path: Path
):
    history = pretrain(SMALL, *splits, tmp_path)
    assert min(row["loss"] for row in history.rows) < 0.8 * history.rows[0]["loss"]
    assert history.best == history.rows[-1]["top1"]
    tensors, metadata = read_tensors(tmp_path / "best.safetensors")
    assert json.loads(metadata["classes"]) == ["blue", "red"]
    photo = splits[1].images[0]
    done = CliRunner().invoke(
        app,
        [
            "classify",
            "--model",
            str(tmp_path / "best.safetensors"),
            "--source",
            str(photo),
            "--json",
        ],
    )
    assert done.exit_code == 0, done.output
    shown = {
        row["class"]: row["probability"] for row in json.loads(done.stdout)["photos"][0]["classes"]
    }
    pixels = torch.from_numpy(center_crop(images.load(photo), 64)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = load_classifier(tmp_path / "best.safetensors")[0](
            normalize(pixels, SMALL.mean, SMALL.std)
        )
    assert shown == pytest.approx(
        dict(zip(("blue", "red"), logits[0].softmax(0).tolist(), strict=True)), abs=1e-6
    )
    network = start_network(TrainConfig(), 5, tmp_path / "best.safetensors").state_dict()
    for name, tensor in tensors.items():
        if name.startswith("backbone."):
            assert torch.equal(network[name], tensor), name
    assert network["head.classify.bias"].shape == (5,)


def test_accuracy_counts_the_photos_whose_class_is_likeliest(
    splits: tuple[ClassFolders, ClassFolders],
):
    class Reddest(torch.nn.Module):
        def __init__(self, sign: float) -> None:
            super().__init__()
            self.sign = sign

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            redness = self.sign * (pixels[:, 0] - pixels[:, 2]).mean((1, 2))
            return torch.stack([-redness, redness], dim=1)

    cpu = torch.device("cpu")
    assert accuracy(Reddest(1.0), splits[1], SMALL, cpu) == (1.0, 1.0)
    assert accuracy(Reddest(-1.0), splits[1], SMALL, cpu) == (0.0, 1.0)


def test_a_run_goes_on_where_it_stopped(splits: tuple[ClassFolders, ClassFolders], tmp_path: Path):
    config = replace(SMALL, epochs=2, sizes=(64, 96), validate_every=2)

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    pretrain(config, *splits, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, *splits, tmp_path / "cut", on_progress=stop)
    pretrain(config, *splits, tmp_path / "cut", resume=True)
    whole, cut = (
        read_tensors(tmp_path / name / "last.safetensors")[0] for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_splits_of_different_classes_are_refused(
    splits: tuple[ClassFolders, ClassFolders], tmp_path: Path
):
    with pytest.raises(TrainingError, match="different classes"):
        pretrain(SMALL, splits[0], replace(splits[1], names=("blue", "green")), tmp_path)


def test_the_command_pretrains_and_names_the_next_step(root: Path, tmp_path: Path):
    flags = [
        "train",
        "--recipe",
        "imagenet",
        "--data",
        str(root),
        "--out",
        str(tmp_path / "run"),
        "--epochs",
        "1",
        "--workers",
        "0",
    ]
    done = CliRunner().invoke(
        app, [*flags, "--threads", "1", "--set", "sizes=64", "--set", "precision=float32", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["epochs"] == 1
    assert f"--weights {tmp_path}/run/best.safetensors" in done.stderr
    refused = CliRunner().invoke(app, [*flags, "--crop", "64", "64"])
    assert isinstance(refused.exception, ConfigError)
    assert "--crop has no meaning" in str(refused.exception)


def test_class_folders_skip_hidden_files_and_follow_links(root: Path, tmp_path: Path):
    root = Path(shutil.copytree(root, tmp_path / "classes"))
    before = len(open_class_folders(root, "train"))
    first = sorted((root / "train").iterdir())[0]
    photo = next(path for path in first.iterdir() if path.is_file())
    (first / f"._{photo.name}").write_bytes(b"\0\5\26\7")
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive/more.JPG").write_bytes(photo.read_bytes())
    (first / "more").symlink_to(tmp_path / "drive", target_is_directory=True)
    assert len(open_class_folders(root, "train")) == before + 1
