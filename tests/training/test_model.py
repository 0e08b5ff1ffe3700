import pytest

torch = pytest.importorskip("torch")

from torch import nn

from galago.training.model import make_ema

pytestmark = pytest.mark.torch


def weight(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def test_the_first_update_copies_the_network():
    average = make_ema(weight(5.0), 0.9)
    average.update_parameters(weight(1.0))
    assert average.module.weight.item() == 1.0


def test_the_decay_grows_with_the_steps():
    average = make_ema(weight(0.0), 0.9)
    average.update_parameters(weight(1.0))
    average.update_parameters(weight(2.0))
    # after one update the decay is (1 + 1) / (10 + 1)
    assert average.module.weight.item() == pytest.approx(1.0 * 2 / 11 + 2.0 * 9 / 11)


def test_the_decay_stops_at_its_limit():
    average = make_ema(weight(0.0), 0.1)
    average.update_parameters(weight(1.0))
    average.update_parameters(weight(2.0))
    assert average.module.weight.item() == pytest.approx(1.0 * 0.1 + 2.0 * 0.9)


def test_statistics_of_norms_are_averaged_and_counters_copied():
    norms = [nn.BatchNorm2d(1) for _ in range(2)]
    for value, norm in enumerate(norms, start=1):
        norm.running_mean.fill_(value)
        norm.num_batches_tracked.fill_(value)
    average = make_ema(nn.BatchNorm2d(1), 0.5)
    for norm in norms:
        average.update_parameters(norm)
    assert average.module.running_mean.item() == pytest.approx(1.0 * 2 / 11 + 2.0 * 9 / 11)
    assert average.module.num_batches_tracked.item() == 2
