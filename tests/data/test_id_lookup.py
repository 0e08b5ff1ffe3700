import numpy as np

from galago.data.id_lookup import IdLookup, count_ids


def test_ids_become_labels_and_unmapped_ones_are_ignored_and_counted():
    lookup = IdLookup({7: 0, 26: 1, 0: 255})
    ids = np.array([[7, 26, 0], [9, 9, 26]], np.uint8)
    assert lookup(ids).tolist() == [[0, 1, 255], [255, 255, 1]]
    assert lookup(ids).dtype == np.uint8
    assert lookup.unmapped(count_ids(ids)) == {9: 2}
