"""A certificate as frozen values; `certificate` turns them into bytes and back. docs/certificate.md has their meaning.

Trees are flat: their nodes in preorder, a split's first child (z >= point) before the second, so that no depth
meets a limit of recursion.
"""

import enum
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 4096
MAX_HEADER = 2**20
MAX_NUMBER = 2**63 - 1  # of a varint


class Said(enum.IntEnum):
    """What the search said of a question that the certificate does not cover."""

    VERIFIED = 1
    FALSIFIED = 2
    MISCLASSIFIED = 3
    UNKNOWN = 4
    TIMEOUT = 5
    ERROR = 6


class Slopes(enum.Enum):
    """Where a leaf's slopes come from, if it does not give them."""

    DEFAULT = 0
    SAME = 1  # those of the leaf before, in this tree


@dataclass(frozen=True)
class Leaf:
    """Closes its subdomain. As it stands: by default slopes, without multipliers, any row or the plain sum of rows."""

    weights: tuple[int, ...] = ()  # 0 to 65535 for each row, their shares of the sum; (): the default
    slopes: Slopes | bytes = Slopes.DEFAULT  # bytes: 255 times the lower slope of each unstable entry
    multipliers: tuple[
        float, ...
    ] = ()  # float32 numbers >= 0, for each neuron split on the path from the root; (): none

    @property
    def plain(self) -> bool:
        return not self.weights and self.slopes is Slopes.DEFAULT and not self.multipliers


@dataclass(frozen=True)
class NeuronSplit:
    """Two children: z >= point, then z <= point, of an entry z of a nonlinear node's input."""

    node: int
    entry: int
    point: float | None = None  # None: 0


@dataclass(frozen=True)
class InputSplit:
    """Two children: x >= point, then x <= point, of an entry x of the input."""

    entry: int
    point: float
    closing: bool = False  # the default leaf closes here, before the split, what it can


@dataclass(frozen=True)
class Cut:
    """One child: the box with new ends, moved one after the other. On what each cuts off of what those before it left,
    the default leaf's lines over the whole box are positive."""

    ends: tuple[tuple[int, int, float], ...]  # entry, side (0 the lower end, 1 the upper one), the new end


Node = Leaf | NeuronSplit | InputSplit | Cut
PLAIN = Leaf()


@dataclass(frozen=True)
class Tree:
    """Closes some clauses of a group."""

    clauses: tuple[int, ...]  # strictly increasing
    nodes: tuple[Node, ...]  # in preorder


@dataclass(frozen=True)
class Group:
    """Closes all clauses of a group: those in no tree by the default leaf at the root."""

    rule: int  # of the boxes: 0 intervals, 1 intervals and rows substituted back, 2 substitution everywhere
    trees: tuple[Tree, ...] = ()


@dataclass(frozen=True)
class Proved:
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Witness:
    """A point of the region, entry by entry."""

    codes: tuple[int, ...]  # 0 the float next to the middle, 1 the lowest, 2 the highest, 3 explicit
    explicit: tuple[float, ...] = ()
    double: bool = False  # whether explicit entries are float64 numbers, for files in float64; else float32


@dataclass(frozen=True)
class Falsified:
    witness: Witness


@dataclass(frozen=True)
class Misclassified:
    """The input itself gets another label."""


@dataclass(frozen=True)
class Uncovered:
    """An answer of the search that nothing here proves."""

    said: Said


Answer = Uncovered | Proved | Falsified | Misclassified


@dataclass(frozen=True)
class Certificate:
    """header: JSON's values but floats, which are written as `float.hex()`; answers by strictly increasing key."""

    arithmetic: str  # "float32" or "real"
    model: str  # SHA-256 of the model's canonical form, hex
    questions: dict[str, Any]
    tool: str
    answers: tuple[tuple[int, Answer], ...] = field(default=())
    format: int = 1
