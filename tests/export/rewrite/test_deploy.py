from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from galago.export.rewrite.deploy import DeployedNetwork
from galago.models.inference import normalize
from galago.models.layers import fold_norms
from galago.spec import ModelSpec

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("variant", ["b0", "b1"])
def test_folding_the_norms_keeps_the_function(random_network: Callable[..., Any], variant: str):
    network = random_network(variant)
    photo = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, given = network(photo), fold_norms(network)(photo)
    assert (given - expected).norm() / expected.norm() < 1e-5


def test_no_norm_is_left_and_the_original_keeps_its_own(random_network: Callable[..., Any]):
    network = random_network()

    def norms(module: torch.nn.Module) -> int:
        return sum(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())

    before = norms(network)
    assert norms(fold_norms(network)) == 0
    assert norms(network) == before > 10


def test_the_photo_goes_in_as_it_is_and_is_normalized_inside(
    random_network: Callable[..., Any], spec: ModelSpec
):
    network = random_network()
    image = torch.randint(
        0, 256, (1, 64, 96, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    with torch.inference_mode():
        given = DeployedNetwork(network, spec)(image)
        expected = network(normalize(image.permute(0, 3, 1, 2), spec.mean, spec.std))
    assert given.shape == (1, 3, 8, 12)
    assert (given - expected).norm() / expected.norm() < 1e-5
