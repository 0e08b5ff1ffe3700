import pytest

torch = pytest.importorskip("torch")

from galago.errors import ConfigError
from galago.models.attention import (
    MultiScaleAttention,
    auto_attention,
    linear_attention,
    quadratic_attention,
    set_attention,
)

pytestmark = pytest.mark.torch


def random_tokens(length, dtype=torch.float64):
    generator = torch.Generator().manual_seed(length)
    return [torch.randn(2, 3, 16, length, generator=generator, dtype=dtype) for _ in range(3)]


@pytest.mark.parametrize("length", [1, 7, 16, 300])
def test_linear_and_quadratic_order_are_one_function(length):
    tokens = random_tokens(length)
    torch.testing.assert_close(
        linear_attention(*tokens, 1e-15),
        quadratic_attention(*tokens, 1e-15),
        rtol=1e-10,
        atol=1e-10,
    )


def test_one_pixel_attends_to_itself():
    q = k = torch.ones(1, 1, 4, 1)
    v = torch.arange(4.0).view(1, 1, 4, 1)
    torch.testing.assert_close(linear_attention(q, k, v, 1e-15), v)


def test_two_pixels_are_weighed_by_their_similarity():
    q = torch.tensor([[[[1.0, 0.0]]]])  # D = 1, L = 2
    k = torch.tensor([[[[1.0, 3.0]]]])
    v = torch.tensor([[[[2.0, 6.0]]]])
    # first pixel: (1 * 2 + 3 * 6) / (1 + 3) = 5; the second asks for nothing and gets 0 / eps = 0
    torch.testing.assert_close(linear_attention(q, k, v, 1e-15), torch.tensor([[[[5.0, 0.0]]]]))


@pytest.mark.parametrize("implementation", [auto_attention, linear_attention, quadratic_attention])
@pytest.mark.parametrize("scales", [(), (5,), (3, 7)])
def test_every_implementation_and_tuple_of_scales_keeps_the_shape_and_learns(
    implementation, scales
):
    module = MultiScaleAttention(24, 8, scales=scales)
    set_attention(module, implementation=implementation)
    x = torch.randn(2, 24, 5, 9, requires_grad=True)
    out = module(x)
    assert out.shape == x.shape
    out.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_attention_sums_in_float32_under_autocast():
    torch.manual_seed(0)
    module = MultiScaleAttention(16, 16).eval()
    x = torch.randn(1, 16, 32, 32)
    with torch.inference_mode():
        expected = module(x)
        with torch.autocast("cpu", torch.bfloat16):
            given = module(x)
    assert (
        given.float() - expected
    ).norm() / expected.norm() < 0.02  # bfloat16 keeps 8 bits in the convolutions around


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 20, "head_dim": 16}, "multiple of head_dim, got 20 and 16"),
        ({"channels": 16, "head_dim": 16, "scales": (4,)}, r"odd kernel sizes, got \[4\]"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        MultiScaleAttention(arguments.pop("channels"), arguments.pop("head_dim"), **arguments)
