"""Which relaxation is never worse than which, for every neuron and every specification row."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import make_case
from glscert.verifier.bounds import RELAXATIONS
from random_graphs import GRAPHS, arbitrary_convs

NEVER_WORSE_THAN_IBP = ("hbox", "deeppoly-ibp")


def inside(tight, loose):
    slack = 1e-12 * max(1.0, float(loose.lower.abs().max()), float(loose.upper.abs().max()))
    return bool((tight.lower >= loose.lower - slack).all() and (tight.upper <= loose.upper + slack).all())


def same(a, b):
    return torch.equal(a.lower, b.lower) and torch.equal(a.upper, b.upper)


def assert_never_worse(tight, loose):
    assert tight.pre.keys() == loose.pre.keys()
    for name, box in tight.pre.items():
        assert inside(box, loose.pre[name]), f"the box of {name} is not inside the other"
    assert (tight.lower >= loose.lower - 1e-12 * max(1.0, float(loose.lower.abs().max()))).all()


def bounds(case, relaxation):
    return RELAXATIONS[relaxation](case.graph, case.params, case.box, case.spec)


@pytest.mark.parametrize("radius", (0.02, 0.3, 2.0))
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("relaxation", NEVER_WORSE_THAN_IBP)
def test_never_worse_than_ibp(relaxation, name, radius):
    case = make_case(name, 25, radius=radius)
    assert_never_worse(bounds(case, relaxation), bounds(case, "ibp"))


@pytest.mark.parametrize("relaxation", NEVER_WORSE_THAN_IBP)
@given(seed=st.integers(0, 10**6))
def test_never_worse_than_ibp_on_arbitrary_convolutions(relaxation, seed):
    case = make_case("arbitrary", seed, make=arbitrary_convs)
    assert_never_worse(bounds(case, relaxation), bounds(case, "ibp"))


@pytest.mark.parametrize("name", GRAPHS)
def test_deeppoly_with_ibp_is_no_worse_than_deeppoly_while_the_lines_agree(name):
    """The lines of all nonlinearities before a value agree where their boxes do."""
    case = make_case(name, 26, radius=1.0)
    tight, loose = bounds(case, "deeppoly-ibp"), bounds(case, "deeppoly")
    agree = True
    for value, box in tight.pre.items():
        assert not agree or inside(box, loose.pre[value])
        agree = (
            agree and torch.equal(box.lower, loose.pre[value].lower) and torch.equal(box.upper, loose.pre[value].upper)
        )
    assert not agree or (tight.lower >= loose.lower - 1e-10).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_alpha_crown_keeps_the_boxes_of_deeppoly(name):
    case = make_case(name, 27)
    slopes, least_area = bounds(case, "alpha-crown"), bounds(case, "deeppoly")
    assert slopes.pre.keys() == least_area.pre.keys()
    assert all(
        torch.equal(a, b) for name in slopes.pre for a, b in zip(slopes.pre[name], least_area.pre[name], strict=True)
    )
