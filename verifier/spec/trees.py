"""Text -> one tree of parentheses per statement. Without recursion, whatever the depth."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .text import Problem, unsupported

MAX_DEPTH = 200  # what walks a tree later may recurse
MAX_LEAVES = 5_000_000  # of one statement

# Comment, string, quoted name, parenthesis, word: a name may carry indices in brackets, as in X[0, 1] or float32 [3].
_TOKEN = re.compile(r';[^\n]*|"[^"]*"|\|[^|]*\||[()]|[^\s();"|\[\]]+(?:\s*\[[^\[\]();"|]*\])?|[^\s]')


class Leaf(NamedTuple):
    text: str
    place: int


class Tree(NamedTuple):
    """What stands between a pair of parentheses; `place` is that of the opening one."""

    items: "list[Tree | Leaf]"
    place: int


def statements(text: str) -> Iterator[Tree]:
    """The outermost parentheses, one after the other. Raises `Problem` for what is not balanced or too large."""
    open_trees: list[Tree] = []
    leaves = 0
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word == "(":
            if len(open_trees) == MAX_DEPTH:
                raise unsupported(match.start(), f"parentheses nest deeper than the {MAX_DEPTH} that are supported.")
            open_trees.append(Tree([], match.start()))
        elif word == ")":
            if not open_trees:
                raise Problem(match.start(), "this parenthesis closes nothing.")
            done = open_trees.pop()
            if open_trees:
                open_trees[-1].items.append(done)
            else:
                yield done
                leaves = 0
        elif word[0] != ";":
            if not open_trees:
                raise Problem(match.start(), f"expected a statement in parentheses, found {shown(word)}.")
            leaves += 1
            if leaves > MAX_LEAVES:
                raise unsupported(open_trees[0].place, f"this statement has more than {MAX_LEAVES} words.")
            open_trees[-1].items.append(Leaf(word, match.start()))
    if open_trees:
        raise Problem(open_trees[-1].place, "this parenthesis is never closed; is the file cut short?")


def head(tree: Tree | Leaf, expected: str) -> "tuple[str, list[Tree | Leaf]]":
    """The word a tree begins with and what follows; `expected` names what should stand here where it does not."""
    if isinstance(tree, Leaf) or not tree.items or not isinstance(tree.items[0], Leaf):
        found = f"found {shown(tree.text)}" if isinstance(tree, Leaf) else "found parentheses without one"
        raise Problem(tree.place, f"expected {expected}, {found}.")
    return tree.items[0].text, tree.items[1:]


def shown(word: str) -> str:
    """A word of a text for an error message, never long."""
    return repr(word if len(word) <= 40 else word[:37] + "...")
