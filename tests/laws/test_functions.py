"""The functions on arrays of numpy: as on torch's, sound in all numbers, and wider by more than they round."""

import subprocess
import sys
from math import erf, erfc

import numpy as np
import pytest
import torch

from glscert.verifier.functions import FUNCTIONS, Box
from glscert.verifier.functions.smooth import error_of

KINDS = (np.float32, np.float64)
ROUGH = ("start_slope", "cut", "unstable", "passes", "steepest")


def boxes(kind, count=300):
    """Wide and narrow boxes, points, on one side and across 0, tiny and as large as numbers get."""
    random = np.random.default_rng(3)
    centre, radius, share = random.normal(0, 3, count), random.exponential(1, count), random.random(count)
    most, one = float(np.finfo(kind).max), np.ones(count)
    ends = [
        (centre - radius, centre + radius),
        (centre, centre),
        (centre, centre + 1e-6 * radius),
        (centre - 1e-12 * radius, centre + 1e-12 * radius),
        (50 * centre - 20 * radius, 50 * centre + 20 * radius),
        (1e-30 * (centre - radius), 1e-30 * (centre + radius)),
        (-1e30 * share, 1e30 * radius),
        (-1e30 * share, -one),
        (one, 1e30 * share),
        (-0.4 * most * one, 0.4 * most * one),
    ]
    return [Box(*(np.asarray(end, kind)[None] for end in pair)) for pair in ends]


def tensors(box):
    return Box(*map(torch.from_numpy, box))


def near(found, other, size):
    """Within a few units of the last place of what was added up, NaN and infinity in the same places."""
    other = other.numpy()
    assert found.dtype == other.dtype and found.shape == other.shape
    if found.dtype == bool:
        return (found == other).all()
    both = np.isfinite(found)
    assert (both == np.isfinite(other)).all()
    room = np.broadcast_to(size, found.shape)[both] + abs(found[both]) / 8
    return (abs(found[both] - other[both]) <= 8 * np.finfo(found.dtype).eps * room).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_as_torch(op, kind):
    function = FUNCTIONS[op]
    for box in boxes(kind):
        size = 1 if op == "Square" else np.minimum(abs(box.lower), 30) + 1
        for end, given in zip(box, tensors(box), strict=True):
            assert near(function.forward(end), function.forward(given), size)
            assert near(function.slope(end), function.slope(given), np.minimum(size, 30))
        for found, other in zip(function.interval(box), function.interval(tensors(box)), strict=True):
            assert near(found, other, 4 * size)
        for name in ROUGH:
            assert near(getattr(function, name)(box), getattr(function, name)(tensors(box)), size)


@pytest.mark.parametrize("share", (None, 0.0, 0.3, 1.0))
@pytest.mark.parametrize("op", FUNCTIONS)
def test_lines_as_torch(op, share):
    """But where a point of tangency was sought and rounding decided a halving: then its last digits differ."""
    function, box = FUNCTIONS[op], boxes(np.float64)[0]
    chosen = None if share is None else np.full_like(box.lower[:, None], share)
    found = function.lines(box, chosen)
    other = function.lines(tensors(box), None if share is None else torch.from_numpy(chosen))
    for own, their in zip(found, other, strict=True):
        if own is None:
            assert their is None
            continue
        apart = abs(own - their.numpy())
        assert own.shape == (1, *box.lower.shape)[:2] + box.lower.shape[1:]
        assert (apart > 1e-12 * (1 + abs(own))).mean() < 0.15 and (apart <= 1e-3 * (1 + abs(own))).all()


def _softplus(z):
    return np.maximum(z, 0) + np.log1p(np.exp(-abs(z)))


def _sigmoid(z):
    return np.where(z > 0, 1 / (1 + np.exp(-abs(z))), np.exp(-abs(z)) / (1 + np.exp(-abs(z))))


def _single(function, z):
    return np.vectorize(function, otypes=[np.longdouble])(z)


K, C = FUNCTIONS["GeluTanh"].k, FUNCTIONS["GeluTanh"].c
TRUE = {
    "Elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "Erf": lambda z: _single(erf, z),
    "Gelu": lambda z: z / 2 * _single(lambda each: erfc(-each / np.sqrt(np.longdouble(2))), z),
    "GeluTanh": lambda z: z * _sigmoid(2 * K * (z + C * z * z * z)),
    "Mish": lambda z: z * np.tanh(_softplus(z)),
    "Relu": lambda z: np.maximum(z, 0),
    "Sigmoid": _sigmoid,
    "Silu": lambda z: z * _sigmoid(z),
    "Softplus": _softplus,
    "Softsign": lambda z: z / (1 + abs(z)),
    "Square": lambda z: z * z,
}


def points(box, count=9):
    """[count, 1, n], in twice the precision."""
    lower, upper = (end.astype(np.longdouble) for end in box)
    share = np.linspace(0, 1, count, dtype=np.longdouble)[:, None, None]
    return np.clip(lower * (1 - share) + upper * share, lower, upper)


def unit(op, kind, *sizes):
    """What may be off: values and sums here, in longer numbers than the functions have, and ReLU's lines, whose
    rounding those that use them account for."""
    known = np.finfo(np.float64).eps if op in ("Erf", "Gelu") else np.finfo(np.longdouble).eps
    summed = np.finfo(kind if op == "Relu" else np.longdouble).eps
    return 4 * known * abs(sizes[0]) + 4 * summed * sum(map(abs, sizes))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_sound(op, kind):
    function, count = FUNCTIONS[op], 0
    for box in boxes(kind):
        z = points(box)
        true = TRUE[op](z)
        image = function.interval(box)
        room = unit(op, np.longdouble, true)
        assert ((image.lower <= true + room) & (image.upper >= true - room)).all()
        for share in (None, 0.0, 0.4, 1.0):
            slope = None if share is None else np.full_like(box.lower[:, None], share)
            lines = function.lines(box, slope)
            for m, start, sign in ((*lines[:2], 1), (*lines[2:], -1)):
                start = np.zeros_like(m) if start is None else start
                with np.errstate(invalid="ignore"):
                    line = m[:, 0].astype(np.longdouble) * z + start[:, 0]
                    fails = sign * (line - true) > unit(op, kind, true, m[:, 0] * z, start[:, 0])
                    count += np.isfinite(line).sum()
                assert not fails.any()
                assert not (np.isfinite(m[:, 0]) & (abs(m[:, 0]) > function.steepest(box))).any()
    assert count > 50_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_rounds_by_less_than_is_taken_off(op, kind):
    for box in boxes(kind)[:6]:
        z = box.lower
        found = FUNCTIONS[op].forward(z)
        most = error_of(Box(z, z), found)
        assert found.dtype == kind
        assert (abs(found - TRUE[op](z.astype(np.longdouble))) <= most).all()


@pytest.mark.parametrize("op", FUNCTIONS)
def test_slope_is_the_derivative(op):
    z = torch.linspace(-20, 20, 1000, dtype=torch.float64, requires_grad=True)
    (true,) = torch.autograd.grad(FUNCTIONS[op].forward(z).sum(), z)
    np.testing.assert_allclose(FUNCTIONS[op].slope(z.detach().numpy()), true.numpy(), rtol=1e-12, atol=1e-13)


def test_of_numpy_alone():
    """Neither torch nor, but for the special functions, scipy is loaded."""
    program = (
        "import sys, numpy as np\n"
        "from glscert.verifier.functions import FUNCTIONS, Box\n"
        "box = Box(-np.ones((1, 3)), np.ones((1, 3)))\n"
        "for op in set(FUNCTIONS) - {'Erf', 'Gelu'}:\n"
        "    FUNCTIONS[op].lines(box, None), FUNCTIONS[op].interval(box), FUNCTIONS[op].slope(box.lower)\n"
        "print({'torch', 'scipy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
