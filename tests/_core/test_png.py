import io

import cv2
import numpy as np
import pytest

from galago._core.png import IndexedPNG, read_chunks


def test_rows_that_come_in_strips_make_one_picture():
    labels = np.random.default_rng(0).integers(0, 3, (500, 300), np.uint8)
    palette = np.uint8([(255, 0, 0), (0, 255, 0), (1, 2, 3)])
    file = io.BytesIO()
    png = IndexedPNG(file, labels.shape, palette.tolist())
    for top in range(0, 500, 123):
        png.write(labels[top : top + 123])
    png.close()
    pixels = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(pixels, palette[labels])
    assert [kind for kind, _ in read_chunks(file.getvalue())][:3] == [b"IHDR", b"PLTE", b"IDAT"]
    with pytest.raises(ValueError, match="cut short"):
        list(read_chunks(file.getvalue()[:-20]))
