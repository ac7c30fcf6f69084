"""A certificate in fractions, of a tiny network: its proofs closed without any rounding of this checker's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import onnx

from .checker import Checker, Claim, Region, check
from .exact_network import (
    PLAIN,
    Bend,
    ExactBoxes,
    ExactNetwork,
    exact_bound,
    exact_boxes,
    exact_form,
    exact_network,
    fractions,
    least,
)
from .network import INPUT
from .neuron_trees import prepare
from .paths import Constraint, checked_nodes, children, neuron_leaves
from .questions import Asked, Question, Row, weighted
from .refusal import Refused
from .report import Report
from .steps import Array
from .values import Certificate, Cut, Group, InputSplit, Leaf, Slopes, Tree


def check_exactly(
    model: onnx.ModelProto,
    certificate: bytes,
    questions: Callable[[Checker, Certificate], Mapping[int, Question]],
) -> Report:
    """As `check`. Raises NotCovered where the network is not tiny."""
    return check(model, certificate, questions, proofs=_refusals)


def _refusals(checker: Checker, claims: Sequence[Claim]) -> dict[int, Refused]:
    network = exact_network(checker.network, checker.arithmetic)
    found: dict[int, Refused] = {}
    for key, answer, question in claims:
        for number, (group, asked) in enumerate(zip(answer.groups, question.groups, strict=True)):
            try:
                _Exact(network, checker.region(asked, group.rule), asked, group.rule).check(
                    group, f"answer {key}, group {number}"
                )
            except Refused as error:
                found.setdefault(key, error)
    return found


@dataclass(frozen=True, eq=False)
class _Exact:
    """One group. region: in float64, which says what a leaf's slopes are of."""

    network: ExactNetwork
    region: Region
    asked: Asked
    rule: int

    def check(self, group: Group, place: str) -> None:
        in_trees = {clause for tree in group.trees for clause in tree.clauses}
        left = [clause for clause in range(len(self.asked.clauses.rows)) if clause not in in_trees]
        root = exact_boxes(self.network, self.asked.lower, self.asked.upper, self.rule)
        for clause in left:
            if not self.closes(root, clause):
                raise Refused(place, f"the default leaf does not close clause {clause}.")
        for number, tree in enumerate(group.trees):
            own = f"{place}, tree {number}"
            try:
                nodes = checked_nodes(tree)
                if any(isinstance(node, InputSplit | Cut) for node in nodes):
                    self.check_inputs(tree, own)
                else:
                    self.check_neurons(root, tree, own)
            except ValueError as error:
                raise Refused(own, str(error)) from None

    def closes(self, boxes: ExactBoxes, clause: int, bend: Bend = PLAIN, weights: tuple[int, ...] = ()) -> bool:
        return any(self.positive(boxes, row, bend) for row in self.rows(clause, weights))

    def rows(self, clause: int, weights: tuple[int, ...]) -> list[Row]:
        rows = self.asked.clauses.rows[clause]
        if weights:
            if len(weights) != len(rows):
                raise ValueError(f"{len(weights)} weights for {len(rows)} rows.")
            return [weighted(rows, [Fraction(weight, sum(weights)) for weight in weights])]
        return [*rows, weighted(rows, [Fraction(1)] * len(rows))] if len(rows) > 1 else list(rows)

    def positive(self, boxes: ExactBoxes, row: Row, bend: Bend) -> bool:
        rows = self.by_tensor(row)
        if exact_bound(boxes, rows, row.offset, closed=True) > 0:
            return True
        return self.rule > 0 and exact_bound(boxes, rows, row.offset, bend) > 0

    def by_tensor(self, row: Row) -> dict[int, Array]:
        found = {}
        terms_of = (
            (self.network.output, row.outputs, self.asked.clauses.outputs),
            (INPUT, row.inputs, len(self.asked.lower)),
        )
        for tensor, terms, size in terms_of:
            found[tensor] = np.full(size, Fraction(0))
            for index, factor in terms:
                found[tensor][index] += factor
        return found

    def check_neurons(self, root: ExactBoxes, tree: Tree, place: str) -> None:
        for number, leaf, path in neuron_leaves(tree.nodes):
            bend, empty = self.bend(root, leaf, path)
            if empty:
                continue
            for clause in tree.clauses:
                if not self.closes(root, clause, bend, leaf.weights):
                    raise Refused(f"{place}, node {number}", f"the leaf does not close clause {clause}.")

    def bend(self, root: ExactBoxes, leaf: Leaf, path: tuple[Constraint, ...]) -> tuple[Bend, bool]:
        """The leaf's lines and multipliers, and whether nothing is left of its subdomain."""
        split = self.region.split
        ready = prepare(split, leaf, path)
        lower: dict[int, Array] = {}
        upper: dict[int, Array] = {}
        pulls: dict[int, Array] = {}
        lift = Fraction(0)
        for place, (node, entry, side, point) in enumerate(path):
            number, step = split.step(node)
            lower.setdefault(step.input, root.lower[step.input].copy())
            upper.setdefault(step.input, root.upper[step.input].copy())
            end = (lower, upper)[side][step.input]
            end[entry] = (max, min)[side](end[entry], Fraction(point))
            multiplier = Fraction(leaf.multipliers[place]) if leaf.multipliers else Fraction(0)
            pulls.setdefault(number, np.full(len(end), Fraction(0)))
            pulls[number][entry] += multiplier if side else -multiplier
            lift += (-multiplier if side else multiplier) * Fraction(point)
        empty = any((lower[tensor] > upper[tensor]).any() for tensor in lower)
        return Bend(lower, upper, ready.slopes, pulls, lift), empty

    def check_inputs(self, tree: Tree, place: str) -> None:
        below = children(tree.nodes)
        waiting = [(0, self.asked.lower, self.asked.upper, tree.clauses)]
        while waiting:
            number, lower, upper, clauses = waiting.pop()
            node, own = tree.nodes[number], f"{place}, node {number}"
            boxes = exact_boxes(self.network, lower, upper, self.rule)
            if isinstance(node, Leaf):
                self.leaf(boxes, lower, upper, node, clauses, own)
                continue
            if not isinstance(node, InputSplit) or node.closing:
                clauses = tuple(clause for clause in clauses if not self.closes(boxes, clause))
            if not clauses:
                continue
            if isinstance(node, InputSplit):
                for child, ends in zip(below[number], _split(lower, upper, node.entry, node.point, own), strict=True):
                    waiting.append((child, *ends, clauses))
            elif isinstance(node, Cut):
                waiting.append((below[number][0], *self.cut(boxes, lower, upper, node, clauses, own), clauses))

    def leaf(
        self, boxes: ExactBoxes, lower: Array, upper: Array, leaf: Leaf, clauses: tuple[int, ...], place: str
    ) -> None:
        bend = PLAIN
        if leaf.slopes is Slopes.SAME:
            raise Refused(place, "in a tree of the input's splits a leaf states its own slopes.")
        if isinstance(leaf.slopes, bytes):
            asked = Asked(lower, upper, lower, upper, lower, self.asked.clauses, self.asked.original)
            split = self.region.checker.region(asked, self.rule).split
            bend = Bend({}, {}, split.take_slopes(leaf, ()), {})
        for clause in clauses:
            if not self.closes(boxes, clause, bend, leaf.weights):
                raise Refused(place, f"the leaf does not close clause {clause}.")

    def cut(
        self, boxes: ExactBoxes, lower: Array, upper: Array, node: Cut, clauses: tuple[int, ...], place: str
    ) -> tuple[Array, Array]:
        if self.rule == 0:
            raise Refused(place, "a cut needs lines, and under rule 0 there are none.")
        low, high = lower.copy(), upper.copy()
        forms = [
            [exact_form(boxes, self.by_tensor(row), row.offset, PLAIN, False) for row in self.rows(clause, ())]
            for clause in clauses
        ]
        for entry, side, end in node.ends:
            first, second = _split(low, high, entry, end, place)
            slab = second if side == 0 else first
            ends = fractions(slab[0]), fractions(slab[1])
            (low if side == 0 else high)[entry] = end
            for rows in forms:
                if not any(least(row, *ends) + total > 0 for row, total in rows):
                    raise Refused(place, "what is cut off holds points where a clause is not closed.")
        return low, high


def _split(
    lower: Array, upper: Array, entry: int, point: float, place: str
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The boxes x >= point and x <= point."""
    if not 0 <= entry < len(lower) or not lower[entry] <= point <= upper[entry]:
        raise Refused(place, f"{point!r} lies outside entry {entry}'s box, or there is no such entry.")
    above, below = lower.copy(), upper.copy()
    above[entry] = below[entry] = point
    return (above, upper), (lower, below)
