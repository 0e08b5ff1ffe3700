import pytest

torch = pytest.importorskip("torch")

from galago.export.rewrite.gelu import SigmoidGELU

pytestmark = pytest.mark.torch


def test_sigmoid_gelu_is_the_tanh_form_and_not_the_exact_one():
    x = torch.linspace(-6, 6, 1001)
    torch.testing.assert_close(
        SigmoidGELU()(x), torch.nn.functional.gelu(x, approximate="tanh"), rtol=1e-5, atol=1e-6
    )
    assert (SigmoidGELU()(x) - torch.nn.functional.gelu(x)).abs().max() > 1e-4
