import pytest

torch = pytest.importorskip("torch")

from galago.training.styles import mix_styles

pytestmark = pytest.mark.torch


def test_each_sample_keeps_its_shapes_and_gets_a_look_between_two_of_the_batch():
    torch.manual_seed(0)
    x = torch.randn(4, 2, 16, 16) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(
        4, 1, 1, 1
    ) + torch.arange(4.0).view(4, 1, 1, 1)
    mixed = mix_styles(x)

    def whitened(values: torch.Tensor) -> torch.Tensor:
        return (values - values.mean((2, 3), keepdim=True)) / values.std((2, 3), keepdim=True)

    torch.testing.assert_close(whitened(mixed), whitened(x), rtol=1e-3, atol=1e-3)
    assert mixed.mean((2, 3)).min() >= x.mean((2, 3)).min() - 1e-5
    assert mixed.mean((2, 3)).max() <= x.mean((2, 3)).max() + 1e-5
    assert not torch.equal(mixed, x)
