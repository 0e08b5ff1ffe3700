import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F

from galago.data import Dataset
from galago.errors import TrainingError
from galago.labels import LabelSet
from galago.models.checkpoint import save_checkpoint
from galago.models.efficientvit import build_model
from galago.training.config import TrainConfig
from galago.training.losses import (
    AuxiliaryHeads,
    Teacher,
    class_weights,
    cross_entropy,
    dice_loss,
    distillation_loss,
    sample_pixels,
    total_loss,
)
from galago.training.train import train

pytestmark = pytest.mark.torch

# two classes, three pixels: probabilities 3/4, 1/4 for the first, and the other way round
LOGITS = torch.tensor([[[math.log(3), 0.0, 0.0]], [[0.0, math.log(3), math.log(3)]]])[None]


@pytest.mark.parametrize(("stride", "shift"), [(1, (0, 0)), (2, (1, 0)), (3, (1, 2)), (8, (7, 5))])
def test_sampled_pixels_are_those_of_the_interpolated_map(stride: int, shift: tuple[int, int]):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, 7, generator=generator)
    labels = torch.randint(0, 3, (2, 40, 56), generator=generator, dtype=torch.uint8)
    sampled, truth = sample_pixels(logits, labels, stride, shift)
    full = F.interpolate(logits, size=(40, 56), mode="bilinear")
    torch.testing.assert_close(
        sampled, full[:, :, shift[0] :: stride, shift[1] :: stride], rtol=0, atol=1e-5
    )
    assert torch.equal(truth, labels[:, shift[0] :: stride, shift[1] :: stride].long())


def test_cross_entropy_is_the_mean_over_labeled_pixels():
    assert cross_entropy(LOGITS, torch.tensor([[[0, 1, 255]]])).item() == pytest.approx(
        -math.log(0.75)
    )


def test_dice_by_hand():
    # per class: 0.75 shared, scores sum to 1, 1 true pixel: (2 * 0.75 + 1) / (1 + 1 + 1) = 5/6
    assert dice_loss(LOGITS[..., :2], torch.tensor([[[0, 1]]])).item() == pytest.approx(1 / 6)


def test_dice_leaves_ignored_pixels_out():
    assert dice_loss(LOGITS, torch.tensor([[[0, 1, 255]]])).item() == pytest.approx(1 / 6)


def test_dice_leaves_classes_out_that_the_batch_does_not_show():
    three = torch.cat([LOGITS[..., :2], torch.full((1, 1, 1, 2), -100.0)], dim=1)
    assert dice_loss(three, torch.tensor([[[0, 1]]])).item() == pytest.approx(1 / 6)


def test_a_batch_without_labels_teaches_nothing():
    outputs = [torch.randn(2, 3, side, side, requires_grad=True) for side in (8, 4, 2)]
    loss = total_loss(
        outputs, torch.full((2, 64, 64), 255, dtype=torch.uint8), TrainConfig(), step=0
    )
    loss.backward()
    assert loss.item() == 0
    assert all((output.grad == 0).all() for output in outputs)


def test_the_weights_of_dice_and_auxiliary_heads_count():
    outputs = [torch.zeros(1, 2, side, side) for side in (8, 4, 2)]
    labels = torch.zeros(1, 64, 64, dtype=torch.uint8)
    config = TrainConfig(dice_weight=0.0, auxiliary_weight=0.5)
    # three heads that know nothing: ln 2 each
    assert total_loss(outputs, labels, config, step=0).item() == pytest.approx(
        math.log(2) * (1 + 2 * 0.5)
    )


def test_auxiliary_heads_classify_the_last_two_stages():
    heads = AuxiliaryHeads((8, 16, 32, 64, 128), num_classes=5)
    features = [
        torch.zeros(1, width, 64 // 2**place, 64 // 2**place)
        for place, width in enumerate((8, 16, 32, 64, 128), 1)
    ]
    assert [tuple(logits.shape) for logits in heads(features)] == [(1, 5, 4, 4), (1, 5, 2, 2)]


def test_the_hardest_pixels_are_those_of_the_largest_loss_in_each_photo():
    logits = torch.zeros(2, 2, 1, 4)
    logits[0, 0, 0] = torch.tensor(
        [4.0, 3.0, 2.0, 1.0]
    )  # class 0 is true: the last pixel is the hardest
    labels = torch.tensor([[[0, 0, 0, 0]], [[0, 255, 255, 255]]])
    loss = cross_entropy(logits, labels, ohem_ratio=0.5)
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)) + math.log(2)) / 3
    assert loss.item() == pytest.approx(expected)


def test_classes_count_by_their_weights():
    logits = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 2)
    labels = torch.tensor([[[0, 1]]])
    weights = torch.tensor([1.0, 3.0])
    expected = torch.nn.functional.cross_entropy(logits, labels, weight=weights)
    torch.testing.assert_close(cross_entropy(logits, labels, class_weights=weights), expected)


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
    assert distillation_loss(logits, target, 3.0).item() == pytest.approx(expected.item(), rel=1e-4)
    assert distillation_loss(logits, logits + 7, 3.0).item() == pytest.approx(0, abs=1e-5)


def test_a_network_comes_closer_to_its_teacher(on_disk: Callable[[str], Dataset], tmp_path: Path):
    file, distances = save(tmp_path / "teacher.safetensors"), []
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    teacher = Teacher(file, on_disk("train").label_set, CPU)
    before = teacher(images)
    for weight, name in ((0.0, "alone"), (20.0, "taught")):
        config = replace(SMALL, distill_weight=weight)
        train(config, on_disk("train"), on_disk("val"), tmp_path / name, teacher=file)
        student = Teacher(tmp_path / name / "last.safetensors", on_disk("train").label_set, CPU)
        distances.append(distillation_loss(student(images), before, 2.0).item())
    assert distances[1] < 0.7 * distances[0]
    assert torch.equal(teacher(images), before)


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path):
    file = save(tmp_path / "teacher.safetensors", num_classes=3)
    with pytest.raises(
        TrainingError, match=r"labels 3 classes; the images have wall, door. Choose a teacher"
    ):
        Teacher(file, LabelSet(("wall", "door"), ((0, 0, 0), (9, 9, 9))), CPU)


def test_weights_follow_median_over_frequency(drawn: Callable[..., Dataset]):
    data = drawn(3)
    counts = sum(np.bincount(data[index].labels.ravel(), minlength=2) for index in range(3))
    expected = torch.tensor((np.median(counts) / counts) ** 0.5, dtype=torch.float32)
    torch.testing.assert_close(class_weights(data, 0.5), expected)
    assert class_weights(data, 0) is None
