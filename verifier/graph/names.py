"""Names for the parts that reading a file makes: none that the file has, and none twice."""

from collections.abc import Iterable, Iterator

import onnx


class Names:
    """Gives out names. Whatever is in `taken` from the start is only ever its owner's."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._owned: set[tuple[str, str]] = set()
        self._counts: dict[str, int] = {}  # of each hint the last number that was tried

    def fresh(self, hint: str) -> str:
        """`hint` or a name like it that nobody has; taken from now on."""
        name, count = hint, self._counts.get(hint, 1)
        while name in self._taken:
            count += 1
            name = f"{hint}.{count}"
        self._counts[hint] = count
        self._taken.add(name)
        return name

    def own(self, kind: str, name: str) -> str:
        """The file's name for a part that stands for what the file calls so; fresh for the second of a kind."""
        if (kind, name) in self._owned:
            return self.fresh(name)
        self._owned.add((kind, name))
        self._taken.add(name)
        return name


def names_of_file(graph: onnx.GraphProto) -> Names:
    """For what is made of this graph: every name in it is taken, of dead and unused parts too."""
    return Names(_in_file(graph))


def _in_file(graph: onnx.GraphProto) -> Iterator[str]:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        yield value.name
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)
