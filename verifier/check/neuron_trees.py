"""Trees over splits of neurons, within one region: its boxes stay, cut by the splits; only lines are made anew.

At a split z >= p with the multiplier b >= 0, row - b (z - p) bounds the row where the split holds, and for every slope
within its limits the lines stay lines: both cost tightness alone (Wang et al., beta-CROWN, 2021).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .curves import Bent, Unary
from .paths import Constraint, neuron_leaves
from .questions import Clauses, Matrix
from .refusal import Refused
from .regions import Regions, all_bounds, at_once
from .rounding import UNIT
from .steps import Array
from .substitution import Lines, Relaxation
from .values import Leaf, Slopes, Tree


@dataclass(eq=False)
class SplitRegion:
    """One region, and the leaves of trees of splits in it. before: slopes of the leaf before, by place of the step."""

    regions: Regions

    def __post_init__(self) -> None:
        self.before: dict[int, Array] = {}

    def step(self, node: int) -> tuple[int, Unary]:
        """Place and step of a nonlinear node that can be split. Raises ValueError."""
        bends = self.regions.network.bends
        if not 0 <= node < len(bends):
            raise ValueError(f"there is no node {node} to split; the network has {len(bends)} that are nonlinear.")
        step = self.regions.network.steps[bends[node]]
        if not isinstance(step, Unary):
            raise ValueError(f"node {node} has several inputs to an output; it is not split.")
        return bends[node], step

    def box(self, path: Sequence[Constraint]) -> tuple[dict[int, Array], dict[int, Array], bool]:
        """Ends [n] of the tensors that a path splits, and whether nothing is left between them."""
        lower: dict[int, Array] = {}
        upper: dict[int, Array] = {}
        for node, entry, side, point in path:
            _, step = self.step(node)
            tensor = step.input
            if tensor not in lower:
                lower[tensor] = self.regions.boxes.lower[tensor][0].copy()
                upper[tensor] = self.regions.boxes.upper[tensor][0].copy()
            if not 0 <= entry < len(lower[tensor]):
                raise ValueError(f"node {node} has no entry {entry}; it has {len(lower[tensor])}.")
            if side == 0:
                lower[tensor][entry] = max(lower[tensor][entry], point)
            else:
                upper[tensor][entry] = min(upper[tensor][entry], point)
        empty = any(bool((lower[tensor] > upper[tensor]).any()) for tensor in lower)
        return lower, upper, empty

    def ends(self, step: Unary, box: tuple[dict[int, Array], dict[int, Array], bool]) -> tuple[Array, Array]:
        """[n]"""
        boxes = self.regions.boxes
        return box[0].get(step.input, boxes.lower[step.input][0]), box[1].get(step.input, boxes.upper[step.input][0])

    def unstable(self, path: Sequence[Constraint]) -> list[tuple[int, Array]]:
        """Entries that have slopes of their own, in the order in which a leaf states them: node, entries."""
        box, network, found = self.box(path), self.regions.network, []
        for node, place in enumerate(network.bends):
            step = network.steps[place]
            if isinstance(step, Unary) and step.curve.sloped:
                lower, upper = self.ends(step, box)
                found.append((node, np.flatnonzero(step.curve.unstable(lower, upper))))
        return found

    def take_slopes(self, leaf: Leaf, path: Sequence[Constraint]) -> dict[int, Array]:
        """The leaf's slopes, 0 to 255 or -1 for the default, [n] by place; they are those `before` the next leaf.
        Raises ValueError where it states another number of them than it needs."""
        if isinstance(leaf.slopes, bytes):
            unstable = self.unstable(path)
            needed = sum(len(entries) for _, entries in unstable)
            if needed != len(leaf.slopes):
                raise ValueError(f"{len(leaf.slopes)} slopes for {needed} entries that need one.")
            given, found, first = np.frombuffer(leaf.slopes, np.uint8), {}, 0
            for node, entries in unstable:
                place, step = self.step(node)
                own = np.full(self.regions.network.sizes[step.input], -1, np.int16)
                own[entries] = given[first : first + len(entries)]
                first += len(entries)
                found[place] = own
            self.before = found
        elif leaf.slopes is Slopes.DEFAULT:
            self.before = {}
        return self.before


def check_neuron_tree(regions: Regions, clauses: Clauses, tree: Tree, place: str) -> None:
    """Raises Refused with the first leaf that does not close every clause of the tree. regions: one."""
    split, batch = SplitRegion(regions), at_once(regions.network, 2 * len(tree.clauses), boxes=True)
    waiting: list[int] = []
    prepared: list[Prepared] = []

    def close() -> None:
        try:
            bounds = least_bounds(split, clauses, tree.clauses, prepared)
        except ValueError as error:  # weights of another number of rows
            raise Refused(f"{place}, nodes {waiting[0]} to {waiting[-1]}", str(error)) from None
        for number, bound in zip(waiting, bounds, strict=True):
            if not bound > 0:
                raise Refused(f"{place}, node {number}", f"the leaf's bound {bound:.3g} is not above 0.")
        waiting.clear()
        prepared.clear()

    for number, leaf, path in neuron_leaves(tree.nodes):
        try:
            prepared.append(prepare(split, leaf, path))
            waiting.append(number)
        except ValueError as error:
            raise Refused(f"{place}, node {number}", str(error)) from None
        if len(waiting) >= batch:
            close()
    close()


@dataclass(frozen=True, eq=False)
class Prepared:
    """A leaf, the ends of what is split above it, its slopes."""

    leaf: Leaf
    path: tuple[Constraint, ...]
    lower: dict[int, Array]
    upper: dict[int, Array]
    empty: bool
    slopes: dict[int, Array]


def prepare(split: SplitRegion, leaf: Leaf, path: tuple[Constraint, ...]) -> Prepared:
    """Raises ValueError where the leaf does not fit its place. Leaves come in their order."""
    if leaf.multipliers and len(leaf.multipliers) != len(path):
        raise ValueError(f"{len(leaf.multipliers)} multipliers for {len(path)} splits.")
    lower, upper, empty = split.box(path)
    slopes = split.take_slopes(leaf, path)
    return Prepared(leaf, path, lower, {t: np.maximum(upper[t], lower[t]) for t in upper}, empty, slopes)


def least_bounds(
    split: SplitRegion, clauses: Clauses, numbers: Sequence[int], leaves: Sequence[Prepared]
) -> list[float]:
    """Of each leaf the least of its clauses' bounds; infinity where its subdomain is empty."""
    found = [float("inf")] * len(leaves)
    by_weights: dict[tuple[int, ...], list[int]] = {}
    for place, own in enumerate(leaves):
        if not own.empty:
            by_weights.setdefault(own.leaf.weights, []).append(place)
    for weights, places in by_weights.items():
        matrix = leaf_rows(clauses, numbers, weights)
        relaxation = relaxed(split, [leaves[place] for place in places])
        bounds = all_bounds(split.regions, [matrix], np.zeros(len(places), np.int64), relaxation)
        for place, bound in zip(places, bounds, strict=True):
            best = [bound[matrix.clause == number].max(initial=-np.inf) for number in numbers]
            found[place] = float(min(best))
    return found


def leaf_rows(clauses: Clauses, numbers: Sequence[int], weights: tuple[int, ...]) -> Matrix:
    """The rows by which a leaf closes clauses: the default's, or one weighted sum each."""
    if weights:
        return clauses.weighed(numbers, weights)
    chosen = np.isin(clauses.candidates.clause, list(numbers))
    every = clauses.candidates
    inputs = None if every.inputs is None else every.inputs[chosen]
    return Matrix(every.outputs[chosen], inputs, every.offset[chosen], every.clause[chosen])


def relaxed(split: SplitRegion, leaves: Sequence[Prepared]) -> Relaxation:
    """Lines of L leaves, and what their multipliers add."""
    regions, base = split.regions, split.regions.relaxation
    lines: dict[int, Lines] = dict(base.lines)
    cut = {tensor for own in leaves for tensor in own.lower}
    for place in base.lines:
        step = regions.network.steps[place]
        if not isinstance(step, Unary):
            continue
        sloped = isinstance(step.curve, Bent) and any(place in own.slopes for own in leaves)
        if step.input in cut or sloped:
            ends = [[part.get(step.input, root[step.input][0]) for part in parts] for parts, root in (
                ([own.lower for own in leaves], regions.boxes.lower),
                ([own.upper for own in leaves], regions.boxes.upper),
            )]  # fmt: skip
            size = regions.network.sizes[step.input]
            plain = np.full(size, -1, np.int16)
            chosen = np.stack([own.slopes.get(place, plain) for own in leaves]) if sloped else None
            lines[place] = step.curve.lines(np.stack(ends[0]), np.stack(ends[1]), chosen)
    found = Relaxation(lines, base.greatest, np.arange(len(leaves)))
    return _pulled(split, found, leaves) if any(own.leaf.multipliers for own in leaves) else found


def _pulled(split: SplitRegion, relaxation: Relaxation, leaves: Sequence[Prepared]) -> Relaxation:
    pulls: dict[int, Array] = {}
    lift, sizes = np.zeros(len(leaves)), np.zeros(len(leaves))
    for number, own in enumerate(leaves):
        for multiplier, (node, entry, side, point) in zip(own.leaf.multipliers, own.path, strict=False):
            place, step = split.step(node)
            sign = -1.0 if side == 0 else 1.0
            if place not in pulls:
                pulls[place] = np.zeros((len(leaves), split.regions.network.sizes[step.input]))
            before = pulls[place][number, entry]
            pulls[place][number, entry] = before + sign * multiplier
            size = float(split.regions.boxes.size(step.input)[0, entry]) + abs(point)
            sizes[number] += 4 * UNIT * (abs(before) + multiplier) * size * (1 + len(own.path))
            lift[number] -= sign * multiplier * point
    return replace(relaxation, pulls=pulls, lift=lift, lift_size=sizes)
