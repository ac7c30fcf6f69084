"""What processes that share work are told."""

from collections.abc import Callable, Iterator
from typing import TypeVar

Common = TypeVar("Common")  # to all parts of the work
Part = TypeVar("Part")
Found = TypeVar("Found")

Work = Callable[[Part], Iterator[tuple[int, Found]]]
Begin = Callable[[Common], Work[Part, Found]]

TRIES = 3  # of a part whose process dies
