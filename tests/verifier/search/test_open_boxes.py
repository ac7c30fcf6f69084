"""Boxes that come and go are those that a plain list would hold, in its order."""

import numpy as np

from glscert.verifier.search.open_boxes import Frontier, OpenBoxes, joined


def some(rng, first, count):
    """Told apart by their group."""
    ends = np.sort(rng.normal(size=(2, count, 3)), 0)
    alive, signs = rng.random((count, 2)) < 0.5, rng.integers(-1, 2, (count, 4)).astype(np.int8)
    number = np.arange(first, first + count)
    return Frontier(*ends, number, alive, rng.normal(size=count), rng.random(count), signs, number)


def equal(a, b):
    for one, other in zip(a, b, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_as_a_list_would():
    rng = np.random.default_rng(1)
    plain = some(rng, 0, 5)
    boxes, made = OpenBoxes(plain), 5
    for _ in range(60):
        places = rng.permutation(len(boxes))[: rng.integers(0, 9)]
        equal(boxes.pop(places), plain.take(places))
        plain = plain.take(np.delete(np.arange(len(plain.group)), places))
        new = some(rng, made, int(rng.integers(0, 12)))
        boxes.add(new)
        plain, made = joined([plain, new]), made + len(new.group)
        equal(boxes.all, plain)
        assert len(boxes) == len(plain.group)
        equal((boxes.group, boxes.bound, boxes.share), (plain.group, plain.bound, plain.share))
    assert made > 200
