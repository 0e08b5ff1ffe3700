import math

import pytest

torch = pytest.importorskip("torch")

from galago.models.efficientvit import build_model
from galago.training.config import TrainConfig
from galago.training.optim import learning_rate, make_optimizer, set_lr

pytestmark = pytest.mark.torch


def test_the_rate_warms_up_and_falls_along_a_cosine():
    config = TrainConfig(epochs=10, warmup_epochs=1.0, peak_learning_rate=1.0)
    rates = [learning_rate(config, step, steps_per_epoch=4) for step in (0, 3, 4, 22, 40)]
    # 4 steps of warm-up, then half a cosine over 36
    assert rates == pytest.approx([1 / 5, 4 / 5, 1, 0.5, 0])


def test_warm_up_takes_half_of_a_short_run_at_most():
    config = TrainConfig(epochs=1, warmup_epochs=3.0, peak_learning_rate=1.0)
    rates = [learning_rate(config, step, steps_per_epoch=4) for step in range(4)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 0.5 * (1 + math.cos(math.pi / 2))])


def test_only_convolution_weights_decay():
    network = build_model("b0", 2)
    groups = {
        group["weight_decay"]: group
        for group in make_optimizer(network, TrainConfig()).param_groups
    }
    others, decayed = groups[0.0], groups[0.05]
    assert all(parameter.ndim == 4 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in others["params"])
    assert len(decayed["params"]) + len(others["params"]) == len(list(network.parameters()))


def test_earlier_stages_learn_more_slowly_where_the_rate_decays_by_layer():
    optimizer = make_optimizer(build_model("b0", 2), TrainConfig(layer_decay=0.5))
    set_lr(optimizer, 0.32)
    rates = sorted({group["lr"] for group in optimizer.param_groups})
    assert rates == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.32])  # stages 1 to 5, head
