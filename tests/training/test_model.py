from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn

from galago.errors import CheckpointError
from galago.models.checkpoint import save_checkpoint
from galago.models.efficientvit import build_model
from galago.spec import ModelSpec
from galago.training.config import TrainConfig
from galago.training.model import TrainingModel, describe_weights, make_ema, start_network

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


def save_network(path: Path, num_classes: int) -> dict[str, torch.Tensor]:
    network = build_model("b0", num_classes)
    save_checkpoint(
        path, network, {"variant": "b0", "num_classes": str(num_classes), "head": "b0-cityscapes"}
    )
    return network.state_dict()


@pytest.mark.parametrize(
    ("theirs", "ours", "rows"),
    [
        (("wall", "door"), ("wall", "door"), [0, 1]),
        (("wall", "door"), ("door", "wall"), [1, 0]),
        (("wall", "door"), ("leaf", "stem"), [None, None]),
        (("wall", "door", "key"), ("key", "leaf", "wall"), [2, None, 0]),
        (("wall",), ("leaf", "wall"), [None, 0]),
    ],
)
def test_weights_keep_the_classes_of_the_same_names(
    tmp_path: Path, theirs: tuple[str, ...], ours: tuple[str, ...], rows: list[int | None]
):
    network, path = build_model("b0", len(theirs)), tmp_path / "w.safetensors"
    spec = ModelSpec(name="x", variant="b0", classes=theirs, palette=((0, 0, 0),) * len(theirs))
    about = {
        "variant": "b0",
        "num_classes": str(len(theirs)),
        "head": "b0-cityscapes",
        "spec": spec.to_json(),
    }
    network.head.classify.bias.data = torch.arange(len(theirs)) + 1.0
    save_checkpoint(path, network, about)
    torch.manual_seed(0)
    started = start_network(TrainConfig(), len(ours), path, names=ours).head.classify
    torch.manual_seed(0)
    fresh = build_model("b0", len(ours)).head.classify
    for index, row in enumerate(rows):
        weight, bias = (
            (fresh.weight[index], fresh.bias[index])
            if row is None
            else (network.head.classify.weight[row], row + 1)
        )
        assert torch.equal(started.weight[index], weight)
        assert started.bias[index].item() == (bias if isinstance(bias, int) else bias.item())
    said = describe_weights(path, ours)
    if theirs == ours:
        assert "of the same classes: its classifier is kept" in said
    elif None not in rows:
        assert "kept, in the order of our classes" in said
    elif rows.count(None) == len(rows):
        assert "of other classes: the classifier is re-initialized" in said
    else:
        assert f"keeps {len(ours) - 1} of {len(ours)} classes; leaf is re-initialized" in said


def test_weights_for_as_many_classes_are_taken_over_whole(tmp_path: Path):
    saved = save_network(tmp_path / "w.safetensors", 2)
    started = start_network(TrainConfig(), 2, tmp_path / "w.safetensors").state_dict()
    assert all(torch.equal(started[name], tensor) for name, tensor in saved.items())


def test_weights_for_other_classes_restart_the_classifier_only(tmp_path: Path):
    saved = save_network(tmp_path / "w.safetensors", 5)
    started = start_network(TrainConfig(), 2, tmp_path / "w.safetensors").state_dict()
    changed = [name for name, tensor in saved.items() if not torch.equal(started[name], tensor)]
    assert changed == ["head.classify.weight", "head.classify.bias"]
    assert started["head.classify.bias"].shape == (2,)


def test_weights_of_another_network_are_refused(tmp_path: Path):
    save_network(tmp_path / "w.safetensors", 2)
    with pytest.raises(CheckpointError, match=r"w.safetensors do not fit the network"):
        start_network(TrainConfig(variant="b1"), 2, tmp_path / "w.safetensors")


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")
def test_compiling_renames_no_tensor():
    # that a compiled network computes the same is for tests/models; two compilations at once
    # disturb each other
    model = TrainingModel(build_model("b0", 2), 2, TrainConfig())
    names = list(model.state_dict())
    model.compile()
    assert list(model.state_dict()) == names
