"""Rows of an exact back-substitution: through affine nodes, without any rounding."""

from fractions import Fraction

import numpy as np

from .. import deadline
from ..graph import Graph, Node
from ..ops import OPERATORS, Affine
from .exact_forward import placed, reciprocal
from .exact_lines import Forms
from .rational import BeyondExactError, Exact, Linear, added, reduced

Constants = list[Fraction | None]  # of each row; None: it has no bound


class ExactRows:
    """budget: entries of rows and values that may be worked on, again after every `begin`."""

    def __init__(self, graph: Graph, linear: Linear, budget: int) -> None:
        self.graph, self.linear = graph, linear
        self.nonlinear = {node.output: node for node in graph.nodes if not isinstance(OPERATORS[node.op], Affine)}
        self._budget = self._left = budget

    def begin(self) -> None:
        self._left = self._budget

    def spend(self, entries: int) -> None:
        self._left -= entries
        if self._left < 0:
            raise BeyondExactError("the network is too large")

    def down(self, forms: Forms, constant: Constants) -> tuple[Forms, Constants]:
        """Through affine nodes to outputs of nonlinearities, and the input."""
        deadline.check()
        forms = dict(forms)
        for node in reversed(self.graph.nodes):
            if node.output in self.nonlinear or node.output not in forms:
                continue
            form = forms.pop(node.output)
            self.spend(form.numbers.size)
            offset = self._offset(node)
            if offset is not None:
                dots = (form.numbers @ offset.numbers) * (form.unit * offset.unit)
                constant = [plus(old, own) for old, own in zip(constant, dots.tolist(), strict=True)]
            for place, name in enumerate(node.inputs):
                own = self._back(node, form, place)
                self.spend(own.numbers.size)
                add(forms, name, own)
        return forms, constant

    def _back(self, node: Node, form: Exact, place: int) -> Exact:
        """Rows over the output of an affine node as rows over its input at that place."""
        if node.op in ("Add", "Sub"):
            return Exact(-form.numbers, form.unit) if place and node.op == "Sub" else form
        if node.op in ("Mul", "Div"):
            factor = self.linear.constant(node.params[0])
            factor = reciprocal(factor) if node.op == "Div" else factor
            spelled = np.broadcast_to(factor.numbers, self.graph.shapes[node.output]).ravel()
            return reduced(Exact(form.numbers * spelled, form.unit * factor.unit))
        shapes = self.graph.shapes
        return reduced(self.linear.backward(node, form, shapes[node.inputs[place]], shapes[node.output]))

    def _offset(self, node: Node) -> Exact | None:
        """f(0) of an affine node, flattened."""
        shape = self.graph.shapes[node.output]
        if node.op in ("Add", "Sub"):
            if len(node.inputs) == 2:
                return None
            own = self.linear.constant(node.params[0])
            own = Exact(-own.numbers, own.unit) if node.op == "Sub" else own
        elif node.op in ("Mul", "Div") or self.linear.offset(node) is None:
            return None
        else:
            own = placed(self.linear.constant(node.params[1]), node, shape)
        return Exact(np.broadcast_to(own.numbers, shape).ravel(), own.unit)


def add(forms: Forms, name: str, form: Exact) -> None:
    forms[name] = added(forms[name], form) if name in forms else form


def plus(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    return None if left is None or right is None else left + right
