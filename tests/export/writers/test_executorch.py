"""ExecuTorch: XNNPACK takes the whole graph, and what was rewritten for it gives the same numbers."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn

from galago.errors import ModelError
from galago.export.rewrite.attention import DeployedAttention, balance_attention
from galago.export.rewrite.deploy import DeployedNetwork
from galago.export.rewrite.xnnpack import BatchedAttention, MatrixUpsample, rewrite_for_xnnpack
from galago.export.writers.executorch import lower, write_executorch
from galago.models.attention import MultiScaleAttention
from galago.models.inference import TorchEngine
from galago.models.upsample import BicubicUpsample
from galago.runtime.engines.executorch import ExecuTorchEngine
from galago.runtime.segmenter import Segmenter
from galago.spec import ModelSpec

pytestmark = pytest.mark.torch
SIZE = (64, 96)
SPEC = ModelSpec(
    name="doors", variant="b0", classes=("wall", "door", "floor"), palette=((0, 0, 0), (9, 0, 0), (0, 0, 9)),
    input_size=SIZE, resize="stretch",
)  # fmt: skip


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Everything that is rewritten, at the strides where the head has it, and little else: it
    converts in seconds.
    """
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 16, stride=16),
        nn.GELU(approximate="tanh"),
        MultiScaleAttention(16, 8, eps=1e-5),
        BicubicUpsample(2),
        nn.Conv2d(16, 3, 1),
    ).eval()


@pytest.fixture(scope="module")
def lowered(network: nn.Module) -> Any:
    pytest.importorskip("executorch")
    return lower(DeployedNetwork(network, SPEC), SPEC)


@pytest.fixture(scope="module")
def file(lowered: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("executorch") / "model.pte"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter's own calls
        file.write_bytes(lowered.to_executorch().buffer)
    return file


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)


@pytest.mark.executorch
def test_xnnpack_takes_all_but_the_cast_of_the_photo(lowered: Any):
    calls = [node for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    assert [call.target.__name__ for call in calls] == [
        "dim_order_ops._to_dim_order_copy.default",
        "executorch_call_delegate",
        "getitem",
    ]


@pytest.mark.executorch
def test_the_file_gives_the_logits_of_torch_with_any_number_of_threads(
    network: nn.Module, file: Path, image: np.ndarray
):
    reference = TorchEngine(network, SPEC)
    for engine in [
        ExecuTorchEngine(file, threads=threads) for threads in (1, 2, None)
    ]:  # the number changes before the first runs
        assert engine.input_size == SIZE
        np.testing.assert_allclose(engine.run(image), reference.run(image), atol=1e-5)


@pytest.mark.executorch
def test_a_photo_need_not_be_contiguous(network: nn.Module, file: Path, image: np.ndarray):
    turned = image[:, :, :, ::-1]
    np.testing.assert_allclose(
        ExecuTorchEngine(file).run(turned), TorchEngine(network, SPEC).run(turned.copy()), atol=1e-5
    )


def labels_of(network: nn.Module, image: np.ndarray, upsampling: str) -> np.ndarray:
    spec = replace(SPEC, upsampling=upsampling)
    return Segmenter(TorchEngine(network, spec), spec)(image[0]).labels


@pytest.mark.executorch
def test_the_file_gives_the_labels_of_torch(network: nn.Module, image: np.ndarray, tmp_path: Path):
    pytest.importorskip("executorch")
    spec = replace(SPEC, output="labels")
    write_executorch(DeployedNetwork(network, spec), spec, tmp_path / "model.pte")
    labels = ExecuTorchEngine(tmp_path / "model.pte").run(image)
    assert (labels.shape, labels.dtype) == ((1, *SIZE), np.uint8)
    assert (labels[0] == labels_of(network, image, "bilinear")).mean() >= 0.999


def test_bicubic_labels_come_from_matrices_as_well(network: nn.Module, image: np.ndarray):
    spec = replace(SPEC, output="labels", upsampling="bicubic")
    deployed = rewrite_for_xnnpack(DeployedNetwork(network, spec), spec)
    assert isinstance(deployed.upsample, MatrixUpsample)
    assert (
        deployed(torch.from_numpy(image))[0].numpy() == labels_of(network, image, "bicubic")
    ).mean() >= 0.999


@pytest.mark.executorch
@pytest.mark.parametrize(
    ("length", "cause"),
    [(40, "File "), (5000, "File size is too small"), (-1, "File size is too small")],
)
def test_a_file_that_is_cut_short_is_refused_without_a_word_on_the_terminal(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], length: int, cause: str
):
    (tmp_path / "model.pte").write_bytes(file.read_bytes()[:length])
    with pytest.raises(
        ModelError,
        match=rf"ExecuTorch cannot read .*model\.pte: {cause}.*\. Copy it again, or export it again\.",
    ):
        ExecuTorchEngine(tmp_path / "model.pte")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("eps", [1e-15, 1e-5])
def test_batched_attention_is_the_same_function(eps: float):
    torch.manual_seed(0)
    attention = nn.Sequential(DeployedAttention(MultiScaleAttention(32, 16, eps=eps).eval()))
    x = torch.randn(1, 32, 6, 10)
    balance_attention(attention, x)
    torch.testing.assert_close(
        BatchedAttention(attention[0])(x), attention(x), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_matrices_upsample_as_torch_does(factor: int):
    x = torch.randn(1, 3, 5, 9)
    expected = nn.functional.interpolate(
        x, scale_factor=float(factor), mode="bicubic", align_corners=False
    )
    torch.testing.assert_close(MatrixUpsample(factor, (5, 9))(x), expected, rtol=1e-5, atol=1e-5)
