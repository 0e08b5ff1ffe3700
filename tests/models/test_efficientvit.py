import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from galago.errors import ConfigError
from galago.models.efficientvit import build_classifier, build_model
from galago.models.upsample import BicubicUpsample
from galago.models.variants import BACKBONES, SEG_HEADS

pytestmark = pytest.mark.torch

# Cityscapes networks at 1024 x 2048: parameters in millions, multiply-adds in billions, as
# published
PUBLISHED = {
    "b0": (0.7, 4.4),
    "b1": (4.8, 25),
    "b2": (15, 74),
    "b3": (40, 179),
    "l1": (40, 282),
    "l2": (53, 396),
}


@pytest.mark.parametrize("variant", sorted(PUBLISHED))
def test_size_and_cost_are_the_published_ones(variant):
    with torch.device("meta"):  # shapes only: no memory, no arithmetic
        network = build_model(variant, 19)
        photo = torch.zeros(1, 3, 1024, 2048)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(photo)
    parameters, multiply_adds = PUBLISHED[variant]
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(
        parameters, rel=0.05
    )
    assert counter.get_total_flops() / 2e9 == pytest.approx(multiply_adds, rel=0.05)


@pytest.mark.parametrize("variant", sorted(BACKBONES))
def test_every_variant_labels_and_classifies(variant):
    with torch.device("meta"):
        photo = torch.zeros(2, 3, 64, 96)
        assert build_model(variant, 5)(photo).shape == (2, 5, 8, 12)
        assert build_classifier(variant, 7)(photo).shape == (2, 7)


@pytest.mark.parametrize("size", [(32, 32), (32, 160), (96, 64), (224, 256)])
def test_any_multiple_of_32_works_in_train_and_eval_mode(size):
    network = build_model("b0", 4)
    photos = torch.randn(2, 3, *size)
    for mode in (True, False):
        assert network.train(mode)(photos).shape == (2, 4, size[0] // 8, size[1] // 8)


def test_channels_last_gives_the_same_logits():
    network = build_model("b0", 4).eval()
    photo = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = network(photo)
        given = network.to(memory_format=torch.channels_last)(
            photo.contiguous(memory_format=torch.channels_last)
        )
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_autocast_gives_about_the_same_logits():
    torch.manual_seed(0)
    network = build_model("b0", 4).eval()
    photo = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = network(photo)
        with torch.autocast("cpu", torch.bfloat16):
            given = network(photo).float()
    assert (given - expected).norm() / expected.norm() < 0.05


def test_torch_export_keeps_the_function():
    network = build_model("b0", 4).eval()
    photo = torch.randn(1, 3, 64, 96)
    program = torch.export.export(network, (photo,)).module()
    with torch.inference_mode():
        torch.testing.assert_close(program(photo), network(photo), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own making
def test_torch_compile_keeps_the_function_and_its_gradient():
    torch.manual_seed(0)
    stage = (
        build_model("b0", 4).backbone.stages[3].to(memory_format=torch.channels_last).eval()
    )  # MBConv and attention
    features = (
        torch.randn(1, 32, 8, 12).contiguous(memory_format=torch.channels_last).requires_grad_()
    )
    (expected,) = torch.autograd.grad(stage(features).square().sum(), features)
    (given,) = torch.autograd.grad(torch.compile(stage)(features).square().sum(), features)
    torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_the_head_upsamples_as_torch_does_borders_included(factor):
    x = torch.randn(
        2, 3, 5, 7, dtype=torch.float32, generator=torch.Generator().manual_seed(factor)
    )
    expected = F.interpolate(x, scale_factor=factor, mode="bicubic", align_corners=False)
    torch.testing.assert_close(BicubicUpsample(factor)(x), expected, rtol=0, atol=1e-5)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"Unknown network variant 'b9'. Choose one of: b0, b1, b2, b3, l0"
    ):
        build_model("b9", 4)
    with pytest.raises(ConfigError, match="at least one class, got 0"):
        build_model("b0", 0)


def test_every_variant_has_a_head():
    assert {f"{variant}-cityscapes" for variant in BACKBONES} <= SEG_HEADS.keys()
