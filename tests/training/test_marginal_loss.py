import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from galago.data import Dataset, Sample
from galago.errors import TrainingError
from galago.labels import ClassSet, LabelSet, distinct_palette
from galago.models.checkpoint import read_metadata
from galago.training.config import TrainConfig
from galago.training.losses import (
    class_weights,
    cross_entropy,
    dice_loss,
    total_loss,
)
from galago.training.marginal_loss import SetTable, marginal_cross_entropy, single_class_labels
from galago.training.train import train

pytestmark = pytest.mark.torch

K = 5
CPU = torch.device("cpu")
SUBSETS = st.sets(st.integers(0, K - 1), min_size=1).map(sorted).map(tuple)


def table(*sets: ClassSet, hidden_weight: float = 1.0) -> SetTable:
    names = tuple("abcde")
    made = SetTable.of(LabelSet(names, distinct_palette(K), sets), CPU, hidden_weight)
    assert made is not None
    return made


def random_logits(seed: int, size: tuple[int, int, int] = (2, 4, 6)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(size[0], K, *size[1:], generator=generator)).requires_grad_()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.sampled_from([1.0, 0.3]), st.booleans())
def test_sets_of_one_class_equal_the_plain_loss(seed: int, ohem_ratio: float, weighted: bool):
    logits = random_logits(seed)
    truth = torch.randint(0, K + 1, (2, 4, 6), generator=torch.Generator().manual_seed(seed))
    plain = truth.where(truth < K, 255)
    sets = table(*(ClassSet(str(index), (index,)) for index in range(K)))
    weights = torch.linspace(0.5, 2.0, K) if weighted else None
    how = {"class_weights": weights, "ohem_ratio": ohem_ratio}
    one = cross_entropy(logits, plain, **how)
    two = cross_entropy(logits, plain.where(plain == 255, plain + K), **how, sets=sets)
    torch.testing.assert_close(two, one)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (one, two)]
    torch.testing.assert_close(grads[1], grads[0], atol=1e-6, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999))
def test_the_set_of_all_classes_gives_no_gradient(seed: int):
    logits = random_logits(seed)
    labels = torch.full((2, 4, 6), K)
    loss = cross_entropy(logits, labels, sets=table(ClassSet("all", tuple(range(K)))))
    assert loss.item() == 0
    assert (torch.autograd.grad(loss, logits)[0] == 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), SUBSETS)
def test_the_loss_is_minus_the_log_of_the_summed_probability(seed: int, classes: tuple[int, ...]):
    logits = random_logits(seed).detach().double()
    loss = marginal_cross_entropy(logits, torch.full((2, 4, 6), K), table(ClassSet("set", classes)))
    torch.testing.assert_close(loss, -logits.softmax(1)[:, list(classes)].sum(1).log())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), SUBSETS, st.permutations(range(K)))
def test_the_order_of_classes_does_not_matter_to_the_loss(
    seed: int, classes: tuple[int, ...], order: list[int]
):
    logits = random_logits(seed).detach().double()
    labels = torch.full((2, 4, 6), K)
    moved = tuple(sorted(order.index(index) for index in classes))
    one = marginal_cross_entropy(logits, labels, table(ClassSet("set", classes)))
    two = marginal_cross_entropy(logits[:, order], labels, table(ClassSet("set", moved)))
    torch.testing.assert_close(two, one)


def test_the_gradient_raises_the_set_and_keeps_the_shares_within():
    logits = random_logits(1)
    loss = marginal_cross_entropy(
        logits, torch.full((2, 4, 6), K), table(ClassSet("set", (0, 2)))
    ).sum()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[:, [0, 2]] < 0).all()
    assert (gradient[:, [1, 3, 4]] > 0).all()
    scores = logits.softmax(1)
    torch.testing.assert_close(
        gradient[:, 0] / gradient[:, 2], scores[:, 0] / scores[:, 2], rtol=1e-3, atol=1e-4
    )


def test_hidden_classes_count_by_their_weight():
    logits = random_logits(2).detach().double()
    labels, found = torch.full((2, 4, 6), K), ClassSet("set", (0,), (2,))
    scores = logits.softmax(1)
    for weight in (1.0, 0.25):
        loss = marginal_cross_entropy(logits, labels, table(found, hidden_weight=weight))
        torch.testing.assert_close(loss, -(scores[:, 0] + weight * scores[:, 2]).log())


def test_the_weight_of_a_set_is_the_mean_over_the_classes_that_it_names():
    sets = table(ClassSet("a", (0, 1)), ClassSet("b", (2,), (3, 4)))
    assert sets.weights(torch.tensor([1.0, 3.0, 5.0, 100.0, 100.0])).tolist() == [
        1,
        3,
        5,
        100,
        100,
        2,
        5,
    ]


def test_the_dice_loss_leaves_sets_out():
    logits = random_logits(3)
    truth = torch.randint(0, K + 1, (2, 4, 6), generator=torch.Generator().manual_seed(3))
    plain = single_class_labels(truth, K)
    assert (plain[truth == K] == 255).all()
    config = TrainConfig(dice_weight=1.0, loss_subsampling=1, auxiliary_weight=0.0)
    sets = table(ClassSet("set", (0, 2)))
    total = total_loss([logits], truth.byte(), config, 0, None, sets)
    expected = cross_entropy(logits, truth, sets=sets) + dice_loss(logits, plain)
    torch.testing.assert_close(total, expected)


def test_a_table_without_sets_is_none_so_that_nothing_changes():
    assert SetTable.of(LabelSet(("a", "b"), distinct_palette(2)), CPU) is None


def test_ohem_ranks_sets_by_their_own_loss():
    logits = torch.zeros(1, K, 1, 2)
    logits[0, 0, 0, 0] = 9.0  # sure of class 0 where the set holds it; in doubt beside
    labels = torch.tensor([[[K, 1]]])
    loss = cross_entropy(logits, labels, ohem_ratio=0.5, sets=table(ClassSet("set", (0, 2))))
    assert loss.item() == pytest.approx(np.log(K))


def test_frequencies_share_the_pixels_of_a_set_among_its_classes(drawn: Callable[..., Dataset]):
    data = drawn(1)
    pixels = np.zeros((2, 4), np.uint8)
    pixels[1] = 2  # the set
    sample = replace(data.samples[0], labels=pixels)
    labels = LabelSet(("wall", "door"), distinct_palette(2), (ClassSet("any", (0, 1)),))
    weights = class_weights(replace(data, samples=(sample,), label_set=labels), 1.0)
    assert weights.tolist() == pytest.approx([4 / 6, 4 / 2])


def test_coarse_labels_teach_which_classes_are_ruled_out(
    drawn: Callable[..., Dataset], tmp_path: Path
):
    labels = LabelSet(
        ("wall", "door", "window"), distinct_palette(3), (ClassSet("coarse", (0, 2)),)
    )
    fine = LabelSet(labels.names, labels.palette)

    def coarse(sample: Sample) -> Sample:
        return replace(
            sample, labels=np.where(sample.labels == 0, 3, sample.labels).astype(np.uint8)
        )

    data, val = drawn(4), drawn(2, first=9)
    train_set = replace(
        data, samples=tuple(coarse(sample) for sample in data.samples), label_set=labels
    )
    val_set = replace(
        val, samples=tuple(coarse(sample) for sample in val.samples), label_set=labels
    )
    config = TrainConfig(
        epochs=40,
        batch_size=4,
        crop_size=(64, 64),
        workers=0,
        ema_decay=0.5,
        warmup_epochs=1,
        validate_every=40,
        best_by="mean",
    )
    history = train(
        config,
        train_set,
        val_set,
        tmp_path / "run",
        extra_val_sets={"fine": replace(val, label_set=fine)},
    )
    row = history.rows[-1]
    assert (
        row["mean_iou main"] > 0.8
    )  # walls and windows are told from doors, though nothing tells which is which
    assert row["mean_iou"] == pytest.approx((row["mean_iou main"] + row["mean_iou fine"]) / 2)
    scores = json.loads(read_metadata(tmp_path / "run/best.safetensors")["scores"])
    assert [entry["name"] for entry in scores["sets"]] == ["coarse"]
    assert "<h3>fine</h3>" in (tmp_path / "run/report.html").read_text()


def test_extra_data_of_other_sets_is_refused(drawn: Callable[..., Dataset], tmp_path: Path):
    labels = LabelSet(
        drawn(1).label_set.names, drawn(1).label_set.palette, (ClassSet("any", (0,), (1,)),)
    )
    with pytest.raises(TrainingError, match="labels for other sets of classes"):
        train(
            TrainConfig(extra_data_ratio=0.5),
            drawn(4),
            drawn(2),
            tmp_path / "run",
            extra_data=replace(drawn(4), label_set=labels),
        )
