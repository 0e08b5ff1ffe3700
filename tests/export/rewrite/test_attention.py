"""The exported attention: the same function, in the range of float16."""

import pytest

torch = pytest.importorskip("torch")

from galago.export.ranges import attention_ranges
from galago.export.rewrite.attention import balance_attention, deploy_attention
from galago.models.attention import MultiScaleAttention

pytestmark = pytest.mark.torch


def loud_network() -> torch.nn.Module:
    """Return an attention whose tokens are as large as those of a trained network on a large photo."""
    torch.manual_seed(0)
    attention = MultiScaleAttention(32, 16)
    with torch.no_grad():
        attention.qkv.weight *= 60
    return torch.nn.Sequential(attention).eval()


def photo() -> torch.Tensor:
    return torch.randn(1, 32, 24, 40, generator=torch.Generator().manual_seed(1))


def test_balanced_tokens_give_the_same_function():
    network, x = loud_network(), photo()
    with torch.inference_mode():
        expected = network(x)
    deployed = deploy_attention(network)
    balance_attention(deployed, x)
    with torch.inference_mode():
        given = deployed(x)
    assert (given - expected).norm() / expected.norm() < 1e-5


def test_float16_overflows_as_trained_and_stays_close_once_balanced():
    x = photo()
    with torch.inference_mode():
        expected = loud_network()(x)
        unprotected = deploy_attention(loud_network())
        assert min(row.headroom for row in attention_ranges(unprotected, x)) < 1
        assert not unprotected.half()(x.half()).isfinite().all()
        safe = deploy_attention(loud_network())
        balance_attention(safe, x)
        assert min(row.headroom for row in attention_ranges(safe, x)) > 100
        given = safe.half()(x.half()).float()
    assert given.isfinite().all()
    assert (given - expected).norm() / expected.norm() < 2e-2
