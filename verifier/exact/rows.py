"""Rows of an exact back-substitution: through affine steps, without any rounding."""

from fractions import Fraction

from .. import deadline
from ..engine.steps import Bend
from .linear import Linear
from .lines import Forms
from .rational import BeyondExactError, Exact, added, reduced

Constants = list[Fraction | None]  # of each row; None: it has no bound


class ExactRows:
    """nonlinear: the bends by number of their output. budget: entries of rows and values that may be worked on, again
    after every `begin`."""

    def __init__(self, linear: Linear, budget: int) -> None:
        self.engine, self.linear = linear.engine, linear
        self.nonlinear = {bend.out: bend for bend in linear.engine.bends.values()}
        self._budget = self._left = budget

    def begin(self) -> None:
        self._left = self._budget

    def spend(self, entries: int) -> None:
        self._left -= entries
        if self._left < 0:
            raise BeyondExactError("the network is too large")

    def down(self, forms: Forms, constant: Constants) -> tuple[Forms, Constants]:
        """Through affine steps to outputs of nonlinearities, and the input."""
        deadline.check()
        forms = dict(forms)
        for step in reversed(self.engine.steps):
            if isinstance(step, Bend) or step.out not in forms:
                continue
            form = forms.pop(step.out)
            self.spend(form.numbers.size)
            offset = self.linear.offset(step)
            if offset is not None:
                dots = (form.numbers @ offset.numbers) * (form.unit * offset.unit)
                constant = [plus(old, own) for old, own in zip(constant, dots.tolist(), strict=True)]
            for number, own in zip(step.inputs, self.linear.backward(step, form), strict=True):
                self.spend(own.numbers.size)
                add(forms, number, reduced(own))
        return forms, constant


def add(forms: Forms, number: int, form: Exact) -> None:
    forms[number] = added(forms[number], form) if number in forms else form


def plus(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    return None if left is None or right is None else left + right
