"""The warm-up regulariser against a plain re-computation, neuron by neuron, in numpy."""

import numpy as np
import pytest
import torch

from glscert.trainer import regulariser
from glscert.verifier.bounds import Box


def boxes(seed, shapes=((6, 2, 5, 5), (6, 3, 2, 2), (6, 11)), shift=0.0):
    """The input's box and one per ReLU, [B, *v] each."""
    rng = np.random.default_rng(seed)
    made = []
    for shape in shapes:
        centre, radius = rng.normal(shift, 1, shape), rng.uniform(0, 1, shape)
        made.append(Box(torch.tensor(centre - radius), torch.tensor(centre + radius)))
    return made


def plain(entering, pre, tol=0.5):
    """R as recipes state it."""
    r0 = ((entering.upper - entering.lower) / 2).numpy().mean()
    total = 0.0
    for box in pre:
        lower, upper = box.lower.numpy(), box.upper.numpy()
        c, r = (upper + lower) / 2, ((upper - lower) / 2).mean()
        total += max(tol - r0 / max(r, 1e-12), 0) / tol
        act, ina = lower > 0, upper < 0
        if not ina.any():
            continue
        rm = (c * act).mean() / -(c * ina).mean()
        rv = ((c - c.mean()) ** 2 * act).sum() / ((c - c.mean()) ** 2 * ina).sum()
        rm, rv = (min(ratio, 1 / max(ratio, 1e-12)) for ratio in (rm, rv))
        total += (max(tol - rm, 0) + max(tol - rv, 0)) / tol
    return total / len(pre)


def value(made):
    return regulariser.value(regulariser.statistics(made[0], dict(enumerate(made[1:]))))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shift", [-1.5, 0.0, 0.4, 2.0])
def test_equals_the_plain_formula(seed, shift):
    made = boxes(seed, shift=shift)
    expected = plain(made[0], made[1:])
    assert value(made).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_chunks_add_up():
    made = boxes(3)
    halves = [[Box(*(side[part] for side in box)) for box in made] for part in (slice(0, 4), slice(4, 6))]
    sums = sum(regulariser.statistics(half[0], dict(enumerate(half[1:]))) for half in halves)
    assert regulariser.value(sums).item() == pytest.approx(value(made).item(), rel=1e-12)


def test_wide_boxes_are_punished_through_their_width():
    narrow, wide = boxes(0), boxes(0)
    wide[1:] = [Box(box.lower - 3, box.upper + 3) for box in wide[1:]]
    assert value(wide) > value(narrow)


@pytest.mark.parametrize("sign", [1, -1])
def test_slopes_are_finite_where_every_neuron_is_stable_on_one_side(sign):
    made = [box._replace() for box in boxes(1)]
    made[1:] = [Box(*(side.abs() * sign + 4 * sign for side in box)) for box in made[1:]]
    made[1:] = [Box(torch.minimum(*box).requires_grad_(), torch.maximum(*box).requires_grad_()) for box in made[1:]]
    result = value(made)
    result.backward()
    assert result.isfinite() and all(side.grad.isfinite().all() for box in made[1:] for side in box)


def test_slopes_agree_with_differences():
    made = boxes(2)
    lower = made[1].lower.clone().requires_grad_()
    torch.autograd.gradcheck(lambda side: value([made[0], Box(side, made[1].upper), made[2]]), (lower,), eps=1e-7)
    assert lower.shape == made[1].lower.shape


def test_inactive_neurons_of_one_centre_have_no_spread_to_divide_by():
    entering, pre = boxes(0, shapes=((4, 3), (4, 2)))
    lower = torch.full_like(pre.lower, -2.0).requires_grad_()
    found = value([entering, Box(lower, lower + 1)])
    assert torch.isfinite(found) and torch.isfinite(torch.autograd.grad(found, lower)[0]).all()
