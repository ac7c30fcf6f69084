"""Every budget lets at least one input through, and a larger one never fewer."""

import pytest

from cases import make_case
from glscert.verifier.search.memory import inputs_at_once, inputs_per_pass
from random_graphs import GRAPHS


@pytest.mark.parametrize("name", list(GRAPHS))
def test_positive_and_monotone(name):
    case = make_case(name)
    for count in (
        lambda budget: inputs_at_once(case.graph, case.params, budget),
        lambda budget: inputs_per_pass(case.graph, case.params, budget),
    ):
        counts = [count(budget) for budget in (0, 1, 10**3, 10**6, 10**9)]
        assert min(counts) == counts[0] == 1
        assert counts == sorted(counts)
        assert counts[-1] > 1
