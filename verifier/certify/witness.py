"""A counterexample as a certificate has it: most entries are at an end of their interval, or where the input is."""

import numpy as np

from ..check import values
from ..check.network import Network
from ..check.questions import Asked, Question
from ..check.replay import broken, evaluate
from ..engine.plan import Array

_MIDDLE, _LEAST, _MOST, _EXPLICIT = range(4)


def falsified(network: Network, question: Question, x: Array) -> values.Falsified | None:
    """Of a point [n] that onnxruntime confirmed; None where the network, evaluated by the checker, is not wrong there:
    sums in another order round otherwise."""
    given = x.ravel().astype(network.floating)
    outputs = evaluate(network, given[None])[0]
    for asked in question.groups:
        inside = ((asked.least <= given) & (given <= asked.most)).all()
        if inside and broken(asked, given, outputs):
            return values.Falsified(_witness(asked, given))
    return None


def misclassified(network: Network, question: Question) -> values.Misclassified | None:
    """Of a labelled input; None as above."""
    asked = question.groups[0]
    wrong = broken(asked, asked.middle, evaluate(network, asked.middle[None])[0])
    return values.Misclassified() if wrong else None


def _witness(asked: Asked, x: Array) -> values.Witness:
    codes = np.full(x.shape, _EXPLICIT)
    for code, known in ((_MOST, asked.most), (_LEAST, asked.least), (_MIDDLE, asked.middle)):
        codes[x == known] = code
    explicit = tuple(x[codes == _EXPLICIT].astype(np.float64).tolist())
    return values.Witness(tuple(codes.tolist()), explicit, x.dtype == np.float64)
