import numpy as np

from galago.data.resized import ResizedDataset
from galago.image import resize
from galago.scenes.dataset import Scenes

SCENES = Scenes(2, size=(128, 192))


def test_images_have_the_short_side_and_the_long_one_a_multiple_of_32():
    fitted = ResizedDataset(SCENES, 64)
    assert [fitted[index].image.shape for index in range(2)] == [(64, 96, 3)] * 2
    assert np.array_equal(fitted[0].image, resize(SCENES[0].image, (64, 96)))
    assert (len(fitted), fitted.names, fitted.label_set) == (2, SCENES.names, SCENES.label_set)


def test_labels_are_those_of_the_nearest_pixel():
    labels = SCENES[1].labels
    fitted = ResizedDataset(SCENES, 64)[1].labels
    assert np.array_equal(
        fitted, labels[1::2, 1::2]
    )  # of two pixels equally near, OpenCV takes the right and lower one
    assert np.array_equal(ResizedDataset(SCENES, 128)[1].labels, labels)
