import copy
import platform
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from torch import nn

from galago.models.efficientvit import build_model
from galago.training.cpu import Float32Conv, NarrowBatchNorm, optimize_for_cpu, tune_malloc


def pair(channels: int) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d]:
    """Return torch's BatchNorm and the quick one with the same random parameters."""
    plain = nn.BatchNorm2d(channels, eps=1e-3)
    nn.init.uniform_(plain.weight, 0.5, 2)
    nn.init.normal_(plain.bias)
    return plain, optimize_for_cpu(copy.deepcopy(plain))


@pytest.mark.parametrize("channels", [1, 2, 4, 8])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_a_narrow_batch_norm_is_the_same_function(channels, memory_format):
    torch.manual_seed(channels)
    plain, quick = pair(channels)
    assert isinstance(quick, NarrowBatchNorm)
    results = []
    images, answer = (
        (3 * torch.randn(2, channels, 6, 8) + 1).contiguous(memory_format=memory_format),
        torch.randn(2, channels, 6, 8),
    )
    for norm in (plain, quick):
        x = images.clone().requires_grad_()
        out = norm(x)
        out.backward(answer)
        results.append([out, x.grad, *(p.grad for p in norm.parameters()), *norm.buffers()])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_narrow_batch_norm_of_a_few_pixels_is_torchs():
    plain, quick = pair(8)
    images = torch.randn(1, 8, 3, 3)
    assert torch.equal(quick(images), plain(images))


def test_a_narrow_batch_norm_is_torchs_when_it_does_not_train():
    plain, quick = pair(8)
    images = torch.randn(2, 8, 6, 8)
    assert torch.equal(quick.eval()(images), plain.eval()(images))


def test_a_quick_network_learns_as_the_plain_one():
    torch.manual_seed(0)
    plain = build_model("b0", 3).train()
    quick = optimize_for_cpu(copy.deepcopy(plain))
    assert {type(module) for module in quick.modules()} > {NarrowBatchNorm, Float32Conv}
    assert list(quick.state_dict()) == list(plain.state_dict())
    images, gradients = torch.rand(2, 3, 64, 96), []
    for network in (plain, quick):
        network(images).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert (gradients[1] - gradients[0]).norm() < 1e-4 * gradients[0].norm()


def test_slow_convolutions_leave_bfloat16():
    conv = optimize_for_cpu(nn.Conv2d(8, 8, 5, padding=2, groups=8))
    x = torch.randn(1, 8, 9, 9).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x)
    assert out.dtype == torch.bfloat16
    assert torch.equal(
        out, nn.functional.conv2d(x.float(), conv.weight, conv.bias, padding=2, groups=8).bfloat16()
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_glibc_takes_the_settings():
    code = "from galago.training.cpu import tune_malloc; assert tune_malloc()"
    subprocess.run([sys.executable, "-c", code], check=True)  # they are for a whole process


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not tune_malloc()
