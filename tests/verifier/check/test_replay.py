"""Claims that rest on a point: replayed on the network, node by node."""

from fractions import Fraction

import numpy as np
import pytest

from glscert.verifier.check.checker import Checker
from glscert.verifier.check.questions import Ball, Clauses, Question, Row, labelled
from glscert.verifier.check.refusal import Refused
from glscert.verifier.check.replay import pointed, replayed
from glscert.verifier.check.report import Status
from glscert.verifier.check.values import Falsified, Misclassified, Witness
from onnx_models import make, node

ONE = Fraction(1)


def network(weight: float, dtype: type = np.float32) -> Checker:
    """y = (weight x_0, x_1)."""
    consts = {"W": np.array([[weight, 0.0], [0.0, 1.0]], dtype)}
    return Checker(make([node("MatMul", "x W", "y")], (1, 2), consts, dtype=dtype))


def question(checker: Checker, x: list[float], eps: float) -> Question:
    """Whether class 0 stays the answer."""
    rows = Clauses(((Row(((0, ONE), (1, -ONE))),),), 2, 2)
    ball = Ball(np.array(eps), np.array(0.0), np.array(2.0))
    (found,) = labelled(np.array([x], np.float32), [0], ball, [rows], checker.network.floating)
    return found


def status(checker: Checker, asked: Question, answer: Falsified | Misclassified) -> Status:
    (outcome,) = replayed(checker.network, pointed(7, answer, asked, checker.network))
    assert outcome.key == 7 and bool(outcome.why) == (outcome.status in (Status.REFUSED, Status.NOT_COVERED))
    return outcome.status


@pytest.mark.parametrize(
    ("weight", "expected"),
    [(0.5, Status.MISCLASSIFIED), (1.0, Status.MISCLASSIFIED), (1 + 2**-23, Status.NOT_COVERED), (1.5, Status.REFUSED)],
)
def test_ties_are_broken_and_less_than_rounding_says_nothing(weight: float, expected: Status) -> None:
    checker = network(weight)
    asked = question(checker, [1.0, 1.0], 0.1)
    assert status(checker, asked, Misclassified()) is expected
    claim = Falsified(Witness((0, 0)))
    assert status(checker, asked, claim) is (Status.FALSIFIED if expected is Status.MISCLASSIFIED else expected)


def test_codes_stand_for_the_ends_of_what_is_fed() -> None:
    checker = network(1.0)
    asked = question(checker, [1.0, 0.9], 0.1)
    (group,) = asked.groups
    for codes, explicit, x in (
        ((1, 2), (), [group.least[0], group.most[1]]),
        ((0, 3), (0.875,), [1.0, 0.875]),
        ((3, 3), (1.0625, 0.8125), [1.0625, 0.8125]),
    ):
        (found,) = pointed(0, Falsified(Witness(codes, explicit)), asked, checker.network)
        np.testing.assert_array_equal(found.x, np.float32(x))
    assert status(checker, asked, Falsified(Witness((1, 2)))) is Status.FALSIFIED


@pytest.mark.parametrize(
    "witness",
    [
        Witness((0,)),
        Witness((0, 0, 0)),
        Witness((3, 0), (1.2,)),
        Witness((3, 0), (0.89,)),
        Witness((0, 0), double=True),
    ],
)
def test_points_elsewhere_are_refused(witness: Witness) -> None:
    checker = network(1.0)
    with pytest.raises(Refused):
        pointed(0, Falsified(witness), question(checker, [1.0, 0.9], 0.1), checker.network)


def test_files_in_float64_have_points_in_float64() -> None:
    checker = network(1.0, np.float64)
    asked = question(checker, [1.0, 0.9], 0.1)
    low = float(np.nextafter(0.95, 0))
    claim = Falsified(Witness((3, 3), (low, 0.95), double=True))
    assert status(checker, asked, claim) is Status.FALSIFIED
    with pytest.raises(Refused):
        pointed(0, Falsified(Witness((0, 0))), asked, checker.network)


def test_a_property_has_no_misclassified_input() -> None:
    checker = network(1.0)
    asked = Question(question(checker, [1.0, 0.9], 0.1).groups, False)
    with pytest.raises(Refused, match="labelled"):
        pointed(0, Misclassified(), asked, checker.network)


def test_infinite_outputs_break_nothing() -> None:
    checker = network(-3e38)
    asked = question(checker, [2.0, 0.5], 0.0)
    assert status(checker, asked, Misclassified()) is not Status.MISCLASSIFIED
