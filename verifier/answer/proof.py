"""What closes the regions of a question, as values: the search leaves them, a certificate holds them.

A clause is closed by DeepPoly's lines on its whole region, or by a tree: inner nodes divide the region, every leaf has
what a bound over its part is free to choose. Trees are lists of nodes in preorder, the upper side of each split first.
Nonlinearities and their entries are numbered as the engine has them (`Engine.bends`), rows and clauses as the question.
"""

from dataclasses import dataclass

SLOPE, SHARE = 255, 65535  # what stands for a slope of 1, and for all of a weight
EXACT = "exact arithmetic closed a part of it"
LARGE = "it is larger than the memory for proofs; give more with --memory"


@dataclass(frozen=True, slots=True)
class Cleave:
    """Parts z >= point and z <= point, of an entry of a nonlinearity's input z."""

    bend: int
    entry: int
    point: float


@dataclass(frozen=True, slots=True)
class Halve:
    """Parts x >= point and x <= point, of an entry of the input. closing: DeepPoly's lines close some clauses here."""

    entry: int
    point: float
    closing: bool = False


@dataclass(frozen=True, slots=True)
class Narrow:
    """What lines over a box of inputs leave of it, whose one part this is: ends that move one after the other, (entry,
    which end, where it is now)."""

    ends: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """A part that DeepPoly's lines close by themselves."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part that lines close whose rows are summed by `weights` (in parts of their sum, each up to `SHARE`) and whose
    lower slopes are `slopes`, a byte in parts of `SLOPE` for each of the tree's neurons. multipliers >= 0: of the
    splits on the way here, in order."""

    weights: tuple[int, ...]
    slopes: bytes
    multipliers: tuple[float, ...]


Node = Cleave | Halve | Narrow | Closed | Leaf


@dataclass(frozen=True, slots=True)
class Tree:
    """clauses: that it closes, among those of its region. neurons: whose slopes the leaves have: entries counted
    through all nonlinearities. refined: its bounds are over tighter boxes of the neurons than DeepPoly's, for which no
    proof is kept."""

    clauses: tuple[int, ...]
    nodes: tuple[Node, ...]
    neurons: tuple[int, ...] = ()
    refined: bool = False


@dataclass(frozen=True, slots=True)
class NotKept:
    """Why what closed some clause has no value here; to be said after "because"."""

    reason: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Of each region of a question, in order, its trees: clauses that are in none are closed by DeepPoly's lines."""

    regions: tuple[tuple[Tree, ...], ...]
