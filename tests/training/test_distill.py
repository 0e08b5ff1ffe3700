from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset
from galago.errors import TrainingError
from galago.labels import LabelSet
from galago.models.checkpoint import save_checkpoint
from galago.models.efficientvit import build_model
from galago.training.config import TrainConfig
from galago.training.losses import Teacher, channel_correlation_loss, kd_loss
from galago.training.train import train

pytestmark = pytest.mark.torch

SMALL = TrainConfig(
    epochs=12,
    batch_size=2,
    crop_size=(64, 64),
    workers=0,
    precision="float32",
    warmup_epochs=0.5,
    peak_learning_rate=5e-3,
    validate_every=12,
    save_every=12,
    distill_features=1.0,
)
CPU = torch.device("cpu")


def save(path: Path, num_classes: int = 2) -> Path:
    """Save a network that is sure to see its first class everywhere."""
    network = build_model("b1", num_classes)
    network.head.classify.bias.data[0] = 5
    save_checkpoint(
        path, network, {"variant": "b1", "num_classes": str(num_classes), "head": "b1-cityscapes"}
    )
    return path


def test_the_distance_of_logits_is_that_of_the_softened_probabilities():
    logits, target = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    own, other = (logits / 3).softmax(1), (target / 3).softmax(1)
    expected = 9 * (other * (other.log() - own.log())).sum(1).mean()
    assert kd_loss(logits, target, 3.0).item() == pytest.approx(expected.item(), rel=1e-4)
    assert kd_loss(logits, logits + 7, 3.0).item() == pytest.approx(0, abs=1e-5)


def test_the_distance_of_features_knows_no_scale_and_no_shift():
    maps = [torch.randn(2, 4, 6, 5), torch.randn(2, 3, 3, 2)]
    assert channel_correlation_loss(maps, [5 * x + 2 for x in maps]).item() == pytest.approx(
        0, abs=1e-4
    )
    assert channel_correlation_loss(maps, [-x for x in maps]).item() == pytest.approx(2, abs=1e-4)


def test_a_network_comes_closer_to_its_teacher(on_disk: Callable[[str], Dataset], tmp_path: Path):
    file, distances = save(tmp_path / "teacher.safetensors"), []
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    teacher = Teacher(file, on_disk("train").labels, CPU)
    before = teacher(images)[0]
    for weight, name in ((0.0, "alone"), (20.0, "taught")):
        config = TrainConfig(**{**vars(SMALL), "distill": weight, "distill_features": weight / 20})
        train(config, on_disk("train"), on_disk("val"), tmp_path / name, teacher=file)
        student = Teacher(tmp_path / name / "last.safetensors", on_disk("train").labels, CPU)
        distances.append(kd_loss(student(images)[0], before, 2.0).item())
    assert distances[1] < 0.7 * distances[0]
    assert torch.equal(teacher(images)[0], before)


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path):
    file = save(tmp_path / "teacher.safetensors", num_classes=3)
    with pytest.raises(
        TrainingError, match=r"labels 3 classes; the photos have wall, door. Choose a teacher"
    ):
        Teacher(file, LabelSet(("wall", "door"), ((0, 0, 0), (9, 9, 9))), CPU)
