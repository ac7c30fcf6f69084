"""A tree's bytes: nodes in preorder, each a tag and its body."""

from collections.abc import Iterator

from .packing import Reader, Writer
from .values import MAX_DEPTH, PLAIN, Cut, InputSplit, Leaf, NeuronSplit, Node, Slopes, Tree

_PLAIN, _LEAF, _AT_ZERO, _AT_POINT, _INPUT, _CLOSING, _CUT = range(7)
_EXPLICIT = 2  # how slopes are given


class Path:
    """How deep the next node of a preorder lies, and how many neuron splits lie above it. Raises ValueError where a
    node does not belong there."""

    def __init__(self) -> None:
        self._open = [0]  # for each subtree still to come, the last one next: its neuron splits above
        self._depths = [0]
        self.kind: type | None = None  # NeuronSplit or InputSplit: a tree has one of them

    @property
    def done(self) -> bool:
        return not self._open

    @property
    def splits(self) -> int:
        return self._open[-1]

    def take(self, node: Node) -> None:
        """Raises ValueError where no node is due, where it is too deep, or where kinds of splits mix."""
        if self.done:
            raise ValueError("the tree goes on after its last leaf.")
        splits, depth = self._open.pop(), self._depths.pop()
        if isinstance(node, Leaf):
            return
        if depth >= MAX_DEPTH:
            raise ValueError(f"the tree is deeper than {MAX_DEPTH}.")
        kind = NeuronSplit if isinstance(node, NeuronSplit) else InputSplit
        if self.kind not in (None, kind):
            raise ValueError("splits of neurons and of inputs mix in one tree.")
        self.kind = kind
        children = 1 if isinstance(node, Cut) else 2
        self._open += [splits + (kind is NeuronSplit)] * children
        self._depths += [depth + 1] * children


def write_tree(writer: Writer, tree: Tree) -> None:
    write_clauses(writer, tree.clauses)
    path = Path()
    for node in tree.nodes:
        splits = 0 if path.done else path.splits
        try:
            path.take(node)
        except ValueError as error:
            raise writer.refuse(str(error)) from None
        _write_node(writer, node, splits)
    if not path.done:
        raise writer.refuse("the tree ends before its last leaf.")


def read_tree(reader: Reader) -> Tree:
    clauses = read_clauses(reader)
    return Tree(clauses, tuple(_read_nodes(reader)))


def _read_nodes(reader: Reader) -> Iterator[Node]:
    path = Path()
    while not path.done:
        node = _read_node(reader, path.splits)
        try:
            path.take(node)
        except ValueError as error:
            raise reader.refuse(str(error)) from None
        yield node


def write_clauses(writer: Writer, clauses: tuple[int, ...]) -> None:
    if not clauses or any(b <= a for a, b in zip(clauses, clauses[1:], strict=False)):
        raise writer.refuse("a tree's clauses are one or more, in increasing order.")
    writer.number(len(clauses))
    for clause in clauses:
        writer.number(clause)


def read_clauses(reader: Reader) -> tuple[int, ...]:
    clauses = tuple(reader.number() for _ in range(reader.count()))
    if not clauses or any(b <= a for a, b in zip(clauses, clauses[1:], strict=False)):
        raise reader.refuse("a tree's clauses are one or more, in increasing order.")
    return clauses


def _write_node(writer: Writer, node: Node, splits: int) -> None:
    match node:
        case Leaf():
            _write_leaf(writer, node, splits)
        case NeuronSplit(number, entry, point):
            writer.byte(_AT_ZERO if point is None else _AT_POINT)
            writer.number(number)
            writer.number(entry)
            if point is not None:
                writer.real(point)
        case InputSplit(entry, point, closing):
            writer.byte(_CLOSING if closing else _INPUT)
            writer.number(entry)
            writer.real(point)
        case Cut(ends):
            writer.byte(_CUT)
            if not ends or any(side not in (0, 1) for _, side, _ in ends):
                raise writer.refuse("a cut moves one or more ends, of sides 0 and 1.")
            writer.number(len(ends))
            for entry, side, end in ends:
                writer.number(2 * entry + side)
                writer.real(end)


def _read_node(reader: Reader, splits: int) -> Node:
    tag = reader.byte()
    if tag == _PLAIN:
        return PLAIN
    if tag == _LEAF:
        return _read_leaf(reader, splits)
    if tag in (_AT_ZERO, _AT_POINT):
        number, entry = reader.number(), reader.number()
        return NeuronSplit(number, entry, reader.real() if tag == _AT_POINT else None)
    if tag in (_INPUT, _CLOSING):
        entry = reader.number()
        return InputSplit(entry, reader.real(), tag == _CLOSING)
    if tag == _CUT:
        places = [(reader.number(), reader.real()) for _ in range(reader.count(9))]
        if not places:
            raise reader.refuse("a cut moves no end.")
        return Cut(tuple((place // 2, place % 2, end) for place, end in places))
    raise reader.refuse(f"tag {tag} is none of a tree's.")


def _write_leaf(writer: Writer, leaf: Leaf, splits: int) -> None:
    if leaf.plain:
        writer.byte(_PLAIN)
        return
    writer.byte(_LEAF)
    if leaf.weights and not any(leaf.weights):
        raise writer.refuse("the weights of a leaf's rows are all 0.")
    writer.number(len(leaf.weights))
    for weight in leaf.weights:
        writer.short(weight)
    if isinstance(leaf.slopes, Slopes):
        writer.byte(leaf.slopes.value)
    else:
        writer.byte(_EXPLICIT)
        writer.number(len(leaf.slopes))
        writer.data += leaf.slopes
    multipliers = leaf.multipliers or (0.0,) * splits
    if len(multipliers) != splits:
        raise writer.refuse(f"a leaf under {splits} splits of neurons has {len(multipliers)} multipliers.")
    for multiplier in multipliers:
        if multiplier < 0:
            raise writer.refuse(f"the multiplier {multiplier} is negative.")
        writer.real(multiplier, single=True)


def _read_leaf(reader: Reader, splits: int) -> Leaf:
    weights = tuple(reader.short() for _ in range(reader.count(2)))
    if weights and not any(weights):
        raise reader.refuse("the weights of a leaf's rows are all 0.")
    how = reader.byte()
    if how > _EXPLICIT:
        raise reader.refuse(f"{how} is no way of giving slopes.")
    slopes = reader.bytes(reader.count()) if how == _EXPLICIT else Slopes(how)
    multipliers = tuple(reader.real(single=True) for _ in range(splits))
    if any(multiplier < 0 for multiplier in multipliers):
        raise reader.refuse("a multiplier is negative.")
    leaf = Leaf(weights, slopes, multipliers if any(multipliers) else ())
    if leaf.plain:
        raise reader.refuse("a leaf with data has nothing that the default leaf has not.")
    return leaf
