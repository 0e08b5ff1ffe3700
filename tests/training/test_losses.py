import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F

from galago.training.config import TrainConfig
from galago.training.losses import (
    AuxiliaryHeads,
    cross_entropy,
    dice_loss,
    lovasz_loss,
    sample_pixels,
    total_loss,
)

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
    loss = cross_entropy(logits, labels, hardest=0.5)
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)) + math.log(2)) / 3
    assert loss.item() == pytest.approx(expected)


def test_classes_count_by_their_weights():
    logits = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 2)
    labels = torch.tensor([[[0, 1]]])
    weights = torch.tensor([1.0, 3.0])
    expected = torch.nn.functional.cross_entropy(logits, labels, weight=weights)
    torch.testing.assert_close(cross_entropy(logits, labels, weights=weights), expected)


def test_smoothing_is_torch_s():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(cross_entropy(logits, labels, smoothing=0.1), expected)


def test_the_lovasz_loss_of_sure_answers_is_one_minus_the_mean_iou():
    truth = torch.tensor([[[0, 0, 1, 1, 255]]])
    guess = torch.tensor([[[0, 1, 1, 1, 0]]])
    logits = 50.0 * F.one_hot(guess, 2).movedim(-1, 1)
    # class 0: 1 of 2 pixels; class 1: 2 of 3; the ignored pixel counts nowhere
    assert lovasz_loss(logits, truth).item() == pytest.approx(1 - (1 / 2 + 2 / 3) / 2, abs=1e-5)


def test_the_lovasz_loss_is_the_probability_that_a_lone_pixel_lacks():
    logits = torch.tensor([0.3, 1.2]).reshape(1, 2, 1, 1).requires_grad_()
    loss = lovasz_loss(logits, torch.tensor([[[1]]]))
    assert loss.item() == pytest.approx(1 - logits.softmax(1)[0, 1].item())
    loss.backward()
    assert logits.grad[0, 1] < 0 < logits.grad[0, 0]


def test_without_labels_the_lovasz_loss_is_zero_and_has_a_gradient():
    logits = torch.randn(1, 2, 2, 2, requires_grad=True)
    loss = lovasz_loss(logits, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss.item() == 0
