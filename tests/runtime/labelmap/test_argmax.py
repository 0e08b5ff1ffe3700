import numpy as np

from galago.runtime.labelmap.argmax import argmax


def test_the_most_likely_class_and_its_probability():
    scores = np.array([[[0.5, 0.1, 0.3]], [[0.5, 0.2, 0.3]], [[0.0, 0.7, 0.4]]], np.float32)
    confidence, labels = argmax(scores)
    assert labels.tolist() == [[0, 2, 2]]  # the smaller id where classes tie
    np.testing.assert_allclose(confidence, [[0.5, 0.7, 0.4]])
