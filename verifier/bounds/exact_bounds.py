"""Lower bounds of rows over a box in exact arithmetic: at a border, what is never negative is found to be so.

Back-substitution as in `backward`, value by value down to the input; on the way the rows are bounded wherever only
nonlinearities' outputs are left of them, by the ends of these. The best bound counts. Small networks get exact boxes
of their neurons first; of others only what the last nonlinearities say is known.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import prod

import numpy as np

from ..graph import Graph, Node
from ..ops import OPERATORS, Affine, Params
from .exact_forward import Enclosure, enclosure, placed, reciprocal, through_node
from .exact_lines import Forms, Lines, Pair, Range, difference_line, flat_lines, pairs, relu_lines, through
from .rational import BeyondExactError, Exact, Linear, added, reduced

AffineForm = tuple[list[Fraction], Fraction]  # factors of the input's entries, and a constant
Slopes = Mapping[str, list[Fraction]]  # of lower lines of ReLUs, by the name of their input


class ExactBounds:
    """Over the box of `lower` and `upper`, one of each entry of the input. budget: entries of rows and values that may
    be worked on in all."""

    def __init__(
        self,
        graph: Graph,
        params: Params,
        lower: list[Fraction],
        upper: list[Fraction],
        *,
        budget: int,
        linear: Linear | None = None,
    ) -> None:
        self._graph, self._linear, self._budget = graph, linear or Linear(params), budget
        self._kinds = {node.output: node.op for node in graph.nodes}
        self._nonlinear = {node.output: node for node in graph.nodes if not isinstance(OPERATORS[node.op], Affine)}
        self._below = _ancestors(graph)
        self.boxes: dict[str, Range] = {}  # of the nonlinearities' inputs
        self._values = {graph.input: Range(list(lower), list(upper))}  # of their outputs, and of the input
        self._differences: dict[tuple[tuple[str, int], tuple[str, int]], Fraction | None] = {}
        self._find_boxes(lower, upper)

    def least(self, rows: Exact, offset: list[Fraction], slopes: Slopes | None = None) -> list[Fraction | None]:
        """A lower bound of each of rows [R, K] · y + offset [R]; None where there is none."""
        found: list[Fraction | None] = [None] * len(offset)
        for paired in (False, True):
            again = self._bounded({self._graph.output: rows}, slopes, paired=paired)
            found = [_larger(old, new) for old, new in zip(found, again, strict=True)]
        return [None if each is None else each + own for each, own in zip(found, offset, strict=True)]

    def affine(
        self, rows: Exact, offset: list[Fraction], split: list[tuple[str, int, int]], signs: Mapping[str, list[int]]
    ) -> tuple[list[AffineForm], list[AffineForm]] | None:
        """Rows [R, K] · y + offset as factors [n] of the input and a constant, and so sign · z of the entries z that
        are `split`, where all ReLUs have the signs given or of their own; None where one has neither."""
        forms = [self._affine({self._graph.output: rows}, signs)]
        for name, entry, sign in split:
            numbers = np.zeros((1, prod(self._graph.shapes[name])), object)
            numbers[0, entry] = sign
            forms.append(self._affine({name: Exact(numbers, Fraction(1))}, signs))
        if None in forms:
            return None
        found = [each for own in forms if own is not None for each in own]
        shifted = [(own[0], own[1] + more) for own, more in zip(found, offset, strict=False)]
        return shifted, found[len(offset) :]

    def _affine(self, forms: Forms, signs: Mapping[str, list[int]]) -> list[AffineForm] | None:
        constant: list[Fraction | None] = [Fraction(0)] * len(next(iter(forms.values())).numbers)
        for node in reversed([node for node in self._graph.nodes if node.output in self._nonlinear]):
            forms, constant = self._down(forms, constant)
            if node.output not in forms:
                continue
            form, name = forms.pop(node.output), node.inputs[0]
            self._spend(form.numbers.size)
            given, box = signs.get(name), self.boxes[name]
            some = [sign or box.sign(entry) for entry, sign in enumerate(given or [0] * len(box.lower))]
            if node.op != "Relu" or (form.numbers[:, [not sign for sign in some]] != 0).any():
                return None
            _add(forms, name, Exact(form.numbers * np.array([int(sign > 0) for sign in some], object), form.unit))
        forms, constant = self._down(forms, constant)
        none = Exact(np.zeros((len(constant), prod(self._graph.input_shape)), object), Fraction(1))
        factors = forms.get(self._graph.input, none)
        return [
            (Exact(row, factors.unit).fractions(), own)
            for row, own in zip(factors.numbers, constant, strict=True)
            if own is not None
        ]

    def _find_boxes(self, lower: list[Fraction], upper: list[Fraction]) -> None:
        """Exact boxes of all neurons, as far as the budget goes; the others are not bounded."""
        graph = self._graph
        known: dict[str, Enclosure] = {graph.input: enclosure(lower, upper, graph.input_shape)}
        try:
            for node in graph.nodes:
                if node.output in self._nonlinear:
                    name = node.inputs[0]
                    if name not in self.boxes:
                        self.boxes[name] = self._refined(name, _range(known[name]))
                    shape = graph.shapes[name]
                    known[name] = enclosure(*self.boxes[name], shape)  # type: ignore[arg-type]
                known[node.output] = through_node(graph, self._linear, node, [known[each] for each in node.inputs])
                self._spend(prod(graph.shapes[node.output]))
                if node.output in self._nonlinear:
                    self._values[node.output] = _range(known[node.output])
        except BeyondExactError:
            pass
        for node in self._nonlinear.values():
            count = prod(graph.shapes[node.output])
            self.boxes.setdefault(node.inputs[0], Range([None] * count, [None] * count))
            least = [None if node.op not in ("Relu", "Sigmoid", "Softplus", "Square") else Fraction(0)] * count
            most = [Fraction(1) if node.op == "Sigmoid" else None] * count
            self._values.setdefault(node.output, Range(least, most))

    def _refined(self, name: str, box: Range) -> Range:
        """The box of a ReLU's inputs by back-substitution too, where that may tell a sign."""
        unstable = [entry for entry in range(len(box.lower)) if not box.sign(entry)]
        if not unstable or all(each.inputs[0] != name or each.op != "Relu" for each in self._nonlinear.values()):
            return box
        numbers = np.zeros((2 * len(unstable), len(box.lower)), object)
        for row, entry in enumerate(unstable):
            numbers[row, entry], numbers[len(unstable) + row, entry] = 1, -1
        found = self._bounded({name: Exact(numbers, Fraction(1))}, None, paired=False)
        lower, upper = list(box.lower), list(box.upper)
        for row, entry in enumerate(unstable):
            lower[entry] = _larger(lower[entry], found[row])
            high, own = found[len(unstable) + row], upper[entry]
            upper[entry] = own if high is None or own is None else min(own, -high)
        return Range(lower, upper)

    def _bounded(self, forms: Forms, slopes: Slopes | None, *, paired: bool) -> list[Fraction | None]:
        """Bounds of rows over the values `forms`, together; as far as the budget goes."""
        count = len(next(iter(forms.values())).numbers)
        constant: list[Fraction | None] = [Fraction(0)] * count
        best: list[Fraction | None] = [None] * count
        try:
            while True:
                forms, constant = self._down(forms, constant)
                best = [_larger(old, new) for old, new in zip(best, self._ends(forms, constant), strict=True)]
                front = {name: forms[name] for name in forms if name in self._nonlinear}
                front = {
                    name: form for name, form in front.items() if not any(name in self._below[each] for each in front)
                }
                if not front:
                    return best
                rest = {name: form for name, form in forms.items() if name not in front}
                if paired:
                    front, rest, constant = self._paired(front, rest, constant)
                for name, form in front.items():
                    self._spend(form.numbers.size)
                    node = self._nonlinear[name]
                    below, more = through(form, self._lines(node, slopes))
                    constant = [_sum(old, new) for old, new in zip(constant, more, strict=True)]
                    _add(rest, node.inputs[0], below)
                forms = rest
        except BeyondExactError:
            return best

    def _lines(self, node: Node, slopes: Slopes | None) -> Lines:
        if node.op != "Relu":
            return flat_lines(self._values[node.output])
        name = node.inputs[0]
        return relu_lines(self.boxes[name], None if slopes is None else slopes[name])

    def _down(self, forms: Forms, constant: list[Fraction | None]) -> tuple[Forms, list[Fraction | None]]:
        """Through affine nodes to outputs of nonlinearities, and the input."""
        forms = dict(forms)
        for node in reversed(self._graph.nodes):
            if node.output in self._nonlinear or node.output not in forms:
                continue
            form = forms.pop(node.output)
            self._spend(form.numbers.size)
            offset = self._offset(node)
            if offset is not None:
                dots = (form.numbers @ offset.numbers) * (form.unit * offset.unit)
                constant = [_sum(old, own) for old, own in zip(constant, dots.tolist(), strict=True)]
            for place, name in enumerate(node.inputs):
                own = self._back(node, form, place)
                self._spend(own.numbers.size)
                _add(forms, name, own)
        return forms, constant

    def _back(self, node: Node, form: Exact, place: int) -> Exact:
        """Rows over the output of an affine node as rows over its input at that place."""
        if node.op in ("Add", "Sub"):
            return Exact(-form.numbers, form.unit) if place and node.op == "Sub" else form
        if node.op in ("Mul", "Div"):
            factor = self._linear.constant(node.params[0])
            factor = reciprocal(factor) if node.op == "Div" else factor
            spelled = np.broadcast_to(factor.numbers, self._graph.shapes[node.output]).ravel()
            return reduced(Exact(form.numbers * spelled, form.unit * factor.unit))
        shapes = self._graph.shapes
        return reduced(self._linear.backward(node, form, shapes[node.inputs[place]], shapes[node.output]))

    def _offset(self, node: Node) -> Exact | None:
        """f(0) of an affine node, flattened."""
        shape = self._graph.shapes[node.output]
        if node.op in ("Add", "Sub"):
            if len(node.inputs) == 2:
                return None
            own = self._linear.constant(node.params[0])
            own = Exact(-own.numbers, own.unit) if node.op == "Sub" else own
        elif node.op in ("Mul", "Div") or self._linear.offset(node) is None:
            return None
        else:
            own = placed(self._linear.constant(node.params[1]), node, shape)
        return Exact(np.broadcast_to(own.numbers, shape).ravel(), own.unit)

    def _ends(self, forms: Forms, constant: list[Fraction | None]) -> list[Fraction | None]:
        """Bounds of the rows from the ends of the values that they are over."""
        found = []
        for row, total in enumerate(constant):
            for name, form in forms.items():
                lower, upper = self._values[name]
                for entry in np.flatnonzero(form.numbers[row] != 0).tolist() if total is not None else ():
                    factor = form.numbers[row, entry] * form.unit
                    end = lower[entry] if factor > 0 else upper[entry]
                    total = _sum(total, None if end is None else factor * end)
            found.append(total)
        return found

    def _paired(
        self, front: Forms, rest: Forms, constant: list[Fraction | None]
    ) -> tuple[Forms, Forms, list[Fraction | None]]:
        """front without what pairs take of it, rest and constant with the lines of these."""
        found = list(pairs(front, self._kinds))
        self._find_differences(found)
        front = {name: Exact(form.numbers.copy(), form.unit) for name, form in front.items()}
        rest, constant = dict(rest), list(constant)
        for pair in found:
            first, second = (self._before(entry) for entry in (pair.first, pair.second))
            lower, opposite = self._differences[first, second], self._differences.get((second, first))
            line = difference_line(lower, None if opposite is None else -opposite)
            if line is None:
                continue
            for name, entry in (pair.first, pair.second):
                front[name].numbers[pair.row, entry] = 0
            constant[pair.row] = _sum(constant[pair.row], pair.weight * line[1])
            for (name, entry), sign in ((first, 1), (second, -1)) if line[0] else ():
                numbers = np.zeros((len(constant), prod(self._graph.shapes[name])), object)
                numbers[pair.row, entry] = sign
                self._spend(numbers.size)
                _add(rest, name, Exact(numbers, pair.weight * line[0]))
        return front, rest, constant

    def _before(self, entry: tuple[str, int]) -> tuple[str, int]:
        """The entry of a nonlinearity's input, from that of its output."""
        return self._nonlinear[entry[0]].inputs[0], entry[1]

    def _find_differences(self, found: list[Pair]) -> None:
        """Lower bounds of p - q and of q - p for the entries p and q that f is applied to."""
        both = dict.fromkeys((self._before(pair.first), self._before(pair.second)) for pair in found)
        self._find_lower([each for each in both if each not in self._differences])
        # one that is never negative needs no upper bound
        turned = [(second, first) for first, second in both if _negative(self._differences[first, second])]
        self._find_lower([each for each in turned if each not in self._differences])

    def _find_lower(self, new: list[tuple[tuple[str, int], tuple[str, int]]]) -> None:
        if not new:
            return
        names = {name for each in new for name, _ in each}
        numbers = {name: np.zeros((len(new), prod(self._graph.shapes[name])), object) for name in names}
        for row, ((first, i), (second, j)) in enumerate(new):
            numbers[first][row, i] += 1
            numbers[second][row, j] -= 1
        forms = {name: Exact(own, Fraction(1)) for name, own in numbers.items()}
        alone, together = (self._bounded(forms, None, paired=paired) for paired in (False, True))
        for each, one, other in zip(new, alone, together, strict=True):
            self._differences[each] = _larger(one, other)

    def _spend(self, entries: int) -> None:
        self._budget -= entries
        if self._budget < 0:
            raise BeyondExactError("the network is too large")


def _ancestors(graph: Graph) -> dict[str, set[str]]:
    """The values that each is computed from."""
    found: dict[str, set[str]] = {graph.input: set()}
    for node in graph.nodes:
        found[node.output] = set(node.inputs).union(*(found[name] for name in node.inputs))
    return found


def _add(forms: Forms, name: str, form: Exact) -> None:
    forms[name] = added(forms[name], form) if name in forms else form


def _sum(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    return None if left is None or right is None else left + right


def _larger(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    return right if left is None else left if right is None else max(left, right)


def _range(value: Enclosure) -> Range:
    lower, upper = value.ends()
    return Range([*lower], [*upper])


def _negative(value: Fraction | None) -> bool:
    return value is None or value < 0
