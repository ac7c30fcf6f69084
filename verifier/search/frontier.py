"""The open subdomains of many problems: which are bounded next, and what ends a problem or an input."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from .domains import Domain
from .problem import Problem

_DOMAIN = 4096  # bytes of a subdomain beside its slopes and multipliers


@dataclass(frozen=True)
class Limits:
    """seconds: an input's share of the work. domains: open at once, of one problem. memory: bytes that all open
    subdomains may hold. batch: subdomains bounded together."""

    seconds: float
    domains: int = 20_000
    memory: int = 2**30
    batch: int = 256
    steps: int = 20
    root_steps: int = 20


@dataclass
class Progress:
    """Where one problem stands. `done`: None while open, else what ended it; "" for proved."""

    open: list[Domain] = field(default_factory=list)
    seconds: float = 0.0
    visited: int = 0
    bound: float = float("-inf")  # of the open subdomains, float32
    proved: float = float("inf")  # of the closed ones, float64
    left: float = float("inf")  # of those that no further split divides
    done: str | None = None


def _depth(domain: Domain) -> tuple[int, float]:
    return len(domain.splits), domain.bound


def _tightness(domain: Domain) -> tuple[int, float]:
    return 0, -domain.bound


class Frontier:
    """Owners are inputs; several problems may belong to one."""

    def __init__(self, problems: Sequence[Problem], limits: Limits, moving: int) -> None:
        """moving: neurons of a subdomain whose slopes and multipliers are kept, at most."""
        self.problems, self.limits = problems, limits
        self.progress = [Progress() for _ in problems]
        self._of_owner: dict[int, list[int]] = defaultdict(list)
        for number, problem in enumerate(problems):
            self._of_owner[problem.owner].append(number)
        self._finished: list[int] = []
        self._most_open = limits.memory // (_DOMAIN + 8 * moving)  # a slope and a multiplier for each

    def is_open(self) -> bool:
        return any(p.done is None for p in self.progress)

    def of_owner(self, owner: int) -> dict[int, Progress]:
        """Where an input's problems stand, by number of their specification row."""
        return {self.problems[i].number: self.progress[i] for i in self._of_owner[owner]}

    def take_finished(self) -> list[int]:
        """Owners whose last open problem ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def stop_owner(self, owner: int, reason: str) -> None:
        """End whatever is open of an input."""
        for i in self._of_owner[owner]:
            if self.progress[i].done is None:
                self._end(i, reason)

    def _end(self, problem: int, how: str) -> None:
        self.progress[problem].done, self.progress[problem].open = how, []
        owner = self.problems[problem].owner
        if all(self.progress[i].done is not None for i in self._of_owner[owner]):
            self._finished.append(owner)

    def next_children(self, places: int) -> list[Domain]:
        """Children of the loosest open subdomains, as many of each problem as its fair share of the places.

        Where there are more problems than places, those served least come first. Where the memory is half full the
        deepest are taken: depth first, what is open hardly grows.
        """
        crowded = 2 * sum(len(progress.open) for progress in self.progress) > self._most_open
        waiting = sorted((p for p in self.progress if p.done is None and p.open), key=lambda p: p.visited)[:places]
        parents: list[Domain] = []
        for left, progress in zip(range(len(waiting), 0, -1), sorted(waiting, key=lambda p: len(p.open)), strict=True):
            share = (places - len(parents)) // left
            progress.open.sort(key=_depth if crowded else _tightness)
            parents += progress.open[-share:]
            del progress.open[-share:]
        return [child for parent in parents for child in parent.children()]

    def add(self, domain: Domain) -> None:
        """Back to be split, or to what is left over where there is no neuron to split."""
        progress = self.progress[domain.problem]
        if domain.branch is None:
            progress.left = min(progress.left, domain.bound)
        else:
            progress.open.append(domain)

    def account(self, domains: list[Domain], seconds: float) -> None:
        """The work of a round, and whether it ended any of their problems."""
        shares: dict[int, int] = defaultdict(int)
        for domain in domains:
            shares[domain.problem] += 1
        for problem, count in shares.items():
            self.progress[problem].seconds += seconds * count / len(domains)
            self.progress[problem].visited += count
            self._settle(problem)
        self._forget()

    def _settle(self, problem: int) -> None:
        progress = self.progress[problem]
        if progress.done is not None:
            return
        if not progress.open and progress.left == float("inf"):
            self._end(problem, "")
            return
        progress.bound = max(progress.bound, min([progress.left, *(domain.bound for domain in progress.open)]))
        owner = self.problems[problem].owner
        if not isfinite(progress.bound):
            self.stop_owner(owner, "the bounds overflow")
        elif not progress.open:
            self.stop_owner(owner, f"no neuron left to split, at a bound of {progress.left:.2g}")
        elif sum(self.progress[i].seconds for i in self._of_owner[owner]) > self.limits.seconds:
            self.stop_owner(owner, f"timeout after {self.limits.seconds:g} s")
        elif len(progress.open) > self.limits.domains:
            self.stop_owner(owner, f"more than {self.limits.domains} open subdomains")

    def _forget(self) -> None:
        """Where the open subdomains outgrow the memory, gives up the input that holds the most."""
        held: dict[int, int] = defaultdict(int)
        for problem, progress in zip(self.problems, self.progress, strict=True):
            held[problem.owner] += len(progress.open)
        while sum(held.values()) > self._most_open:
            owner = max(held, key=lambda each: held[each])
            del held[owner]
            self.stop_owner(owner, "out of memory for open subdomains")
