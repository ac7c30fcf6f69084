"""Lower bounds of rows over a box in exact arithmetic: at a border, what is never negative is found to be so.

Back-substitution as in `backward`, value by value down to the input; on the way the rows are bounded wherever only
nonlinearities' outputs are left of them, by the ends of these. The best bound counts. Small networks get exact boxes
of their neurons first; of others only what the last nonlinearities say is known.
"""

from fractions import Fraction
from math import prod

import numpy as np

from ..graph import Graph, Node
from ..ops import Params
from .exact_forward import Enclosure, enclosure, through_node
from .exact_lines import Forms, Lines, Pair, Range, difference_line, flat_lines, pairs, relu_lines, shortened, through
from .exact_rows import ExactRows, add, plus
from .rational import BeyondExactError, Exact, Linear

_MOST_VALUES = 20_000  # entries of all values, for intervals
_NEVER_NEGATIVE = frozenset({"Relu", "Sigmoid", "Softplus", "Square"})


class ExactBounds(ExactRows):
    """Over the box of `lower` and `upper`, one of each entry of the input. budget: entries of rows and values that may
    be worked on, for all boxes and again for every call."""

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
        super().__init__(graph, linear or Linear(params), budget)
        self._kinds = {node.output: node.op for node in graph.nodes}
        self._below = _ancestors(graph)
        self.boxes: dict[str, Range] = {}  # of the nonlinearities' inputs
        self.values = {graph.input: Range(list(lower), list(upper))}  # of their outputs, and of the input
        self._differences: dict[tuple[tuple[str, int], tuple[str, int]], Fraction | None] = {}
        self._known_lines: dict[str, Lines] = {}
        self._find_boxes(lower, upper)

    def least(self, rows: Exact, offset: list[Fraction]) -> list[Fraction | None]:
        """A lower bound of each of rows [R, K] · y + offset [R]; None where there is none."""
        found: list[Fraction | None] = [None] * len(offset)
        self.begin()
        for paired in (False, True):
            again = self._bounded({self.graph.output: rows}, paired=paired)
            found = [_larger(old, new) for old, new in zip(found, again, strict=True)]
        return [None if each is None else each + own for each, own in zip(found, offset, strict=True)]

    def _find_boxes(self, lower: list[Fraction], upper: list[Fraction]) -> None:
        """Exact boxes of all neurons, by back-substitution as far as the budget goes; none of a large network's."""
        graph = self.graph
        known: dict[str, Enclosure] = {graph.input: enclosure(lower, upper, graph.input_shape)}
        try:
            if sum(map(prod, graph.shapes.values())) > _MOST_VALUES:
                raise BeyondExactError("the network is too large")
            for node in graph.nodes:
                if node.output in self.nonlinear:
                    name = node.inputs[0]
                    if name not in self.boxes:
                        self.boxes[name] = self._refined(name, _range(known[name]))
                    shape = graph.shapes[name]
                    known[name] = enclosure(*self.boxes[name], shape)  # type: ignore[arg-type]
                known[node.output] = through_node(graph, self.linear, node, [known[each] for each in node.inputs])
                if node.output in self.nonlinear:
                    self.values[node.output] = _range(known[node.output])
        except BeyondExactError:
            pass
        for node in self.nonlinear.values():
            count = prod(graph.shapes[node.output])
            self.boxes.setdefault(node.inputs[0], Range([None] * count, [None] * count))
            least = [Fraction(0) if node.op in _NEVER_NEGATIVE else None] * count
            most = [Fraction(1) if node.op == "Sigmoid" else None] * count
            self.values.setdefault(node.output, Range(least, most))

    def _refined(self, name: str, box: Range) -> Range:
        """The box of a ReLU's inputs by back-substitution too, where that may tell a sign."""
        unstable = [entry for entry in range(len(box.lower)) if not box.sign(entry)]
        if not unstable or all(each.inputs[0] != name or each.op != "Relu" for each in self.nonlinear.values()):
            return box
        numbers = np.zeros((2 * len(unstable), len(box.lower)), object)
        for row, entry in enumerate(unstable):
            numbers[row, entry], numbers[len(unstable) + row, entry] = 1, -1
        found = self._bounded({name: Exact(numbers, Fraction(1))}, paired=False)
        lower, upper = list(box.lower), list(box.upper)
        for row, entry in enumerate(unstable):
            lower[entry] = _larger(lower[entry], found[row])
            high, own = found[len(unstable) + row], upper[entry]
            upper[entry] = own if high is None or own is None else min(own, -high)
        return shortened(Range(lower, upper))

    def _bounded(self, forms: Forms, *, paired: bool) -> list[Fraction | None]:
        """Bounds of rows over the values `forms`, together; as far as the budget goes."""
        count = len(next(iter(forms.values())).numbers)
        constant: list[Fraction | None] = [Fraction(0)] * count
        best: list[Fraction | None] = [None] * count
        try:
            while True:
                forms, constant = self.down(forms, constant)
                best = [_larger(old, new) for old, new in zip(best, self._ends(forms, constant), strict=True)]
                front = {name: forms[name] for name in forms if name in self.nonlinear}
                front = {
                    name: form for name, form in front.items() if not any(name in self._below[each] for each in front)
                }
                if not front:
                    return best
                rest = {name: form for name, form in forms.items() if name not in front}
                if paired:
                    front, rest, constant = self._paired(front, rest, constant)
                for name, form in front.items():
                    self.spend(form.numbers.size)
                    node = self.nonlinear[name]
                    below, more = through(form, self._lines(node))
                    constant = [plus(old, new) for old, new in zip(constant, more, strict=True)]
                    add(rest, node.inputs[0], below)
                forms = rest
        except BeyondExactError:
            return best

    def _lines(self, node: Node) -> Lines:
        if node.output not in self._known_lines:
            relu = node.op == "Relu"
            self._known_lines[node.output] = (
                relu_lines(self.boxes[node.inputs[0]]) if relu else flat_lines(self.values[node.output])
            )
        return self._known_lines[node.output]

    def _ends(self, forms: Forms, constant: list[Fraction | None]) -> list[Fraction | None]:
        """Bounds of the rows from the ends of the values that they are over."""
        found = []
        for row, total in enumerate(constant):
            for name, form in forms.items():
                lower, upper = self.values[name]
                for entry in np.flatnonzero(form.numbers[row] != 0).tolist() if total is not None else ():
                    factor = form.numbers[row, entry] * form.unit
                    end = lower[entry] if factor > 0 else upper[entry]
                    total = plus(total, None if end is None else factor * end)
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
            constant[pair.row] = plus(constant[pair.row], pair.weight * line[1])
            for (name, entry), sign in ((first, 1), (second, -1)) if line[0] else ():
                numbers = np.zeros((len(constant), prod(self.graph.shapes[name])), object)
                numbers[pair.row, entry] = sign
                self.spend(numbers.size)
                add(rest, name, Exact(numbers, pair.weight * line[0]))
        return front, rest, constant

    def _before(self, entry: tuple[str, int]) -> tuple[str, int]:
        """The entry of a nonlinearity's input, from that of its output."""
        return self.nonlinear[entry[0]].inputs[0], entry[1]

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
        numbers = {name: np.zeros((len(new), prod(self.graph.shapes[name])), object) for name in names}
        for row, ((first, i), (second, j)) in enumerate(new):
            numbers[first][row, i] += 1
            numbers[second][row, j] -= 1
        forms = {name: Exact(own, Fraction(1)) for name, own in numbers.items()}
        alone, together = (self._bounded(forms, paired=paired) for paired in (False, True))
        for each, one, other in zip(new, alone, together, strict=True):
            self._differences[each] = _larger(one, other)


def _ancestors(graph: Graph) -> dict[str, set[str]]:
    """The values that each is computed from."""
    found: dict[str, set[str]] = {graph.input: set()}
    for node in graph.nodes:
        found[node.output] = set(node.inputs).union(*(found[name] for name in node.inputs))
    return found


def _larger(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    return right if left is None else left if right is None else max(left, right)


def _range(value: Enclosure) -> Range:
    lower, upper = value.ends()
    return Range([*lower], [*upper])


def _negative(value: Fraction | None) -> bool:
    return value is None or value < 0
