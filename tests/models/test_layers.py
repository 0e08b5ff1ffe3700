import pytest

torch = pytest.importorskip("torch")

from galago.models.efficientvit import build_model
from galago.models.layers import ResidualBlock, drop_path, set_drop_path

pytestmark = pytest.mark.torch


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    dropped = drop_path(torch.ones(4000, 2, 1, 3), 0.25)
    assert sorted(dropped.unique().tolist()) == [0.0, pytest.approx(4 / 3)]
    assert (dropped == dropped[:, :1, :, :1]).all()
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)


def test_blocks_are_dropped_more_often_the_deeper_they_lie_and_only_in_training():
    network = build_model("b0", 3)
    set_drop_path(network, 0.5)
    rates = [
        module.drop_rate
        for module in network.modules()
        if isinstance(module, ResidualBlock) and module.skip
    ]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (0.0, 0.5)
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(network.eval()(x), network(x))
