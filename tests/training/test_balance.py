from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from galago.data import Dataset
from galago.training.losses import class_weights

pytestmark = pytest.mark.torch


def test_weights_follow_median_over_frequency(drawn: Callable[..., Dataset]):
    data = drawn(3)
    counts = sum(np.bincount(data[index].labels.ravel(), minlength=2) for index in range(3))
    expected = torch.tensor((np.median(counts) / counts) ** 0.5, dtype=torch.float32)
    torch.testing.assert_close(class_weights(data, 0.5), expected)
    assert class_weights(data, 0) is None
