import pytest

torch = pytest.importorskip("torch")

from galago.errors import TrainingError
from galago.training.train_state import mixed_precision

pytestmark = pytest.mark.torch


def test_the_precision_is_what_was_asked_for():
    cpu = torch.device("cpu")
    assert mixed_precision("bfloat16", cpu) == "bf16"
    assert mixed_precision("float32", cpu) == "no"
    with pytest.raises(TrainingError, match="float16 trains on GPUs only"):
        mixed_precision("float16", cpu)
