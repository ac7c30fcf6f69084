"""Parts of the work in processes of their own, one thread each: on this machine (`processes`), or on a Ray cluster
(`cluster`).

What the parts are does not depend on how many processes there are, nor does what is answered in one. Where a process
dies, what of its part is not answered is done again, a few times.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .cluster import on_cluster
from .parts import Begin, Common, Found, Part
from .processes import on_this_machine


@dataclass(frozen=True)
class Jobs:
    """count: processes. ray: the address of a cluster whose processes they are, "auto" or "local" among them; None:
    this machine's own."""

    count: int = 1
    ray: str | None = None

    @property
    def several(self) -> bool:
        return self.count > 1 or self.ray is not None


ALONE = Jobs()


def spread(
    begin: Begin[Common, Part, Found], common: Common, parts: Iterable[Part], jobs: Jobs
) -> Iterator[tuple[int, Found]]:
    """What `begin(common)` makes of every part, as it comes: numbers, each once, and what was found. Each process
    begins once. begin is a function of a module; common, parts and what is found can be pickled. Raises what is raised
    there, and GlscertError where a part's process dies every time."""
    if jobs.ray is not None:
        told = on_cluster(begin, common, parts, jobs.ray, jobs.count)
    else:
        told = on_this_machine(begin, common, parts, jobs.count)
    known = set[int]()
    for number, found in told:
        if number not in known:  # what was told before its process died
            known.add(number)
            yield number, found
