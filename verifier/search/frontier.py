"""The open subdomains of many problems: which are bounded next, and what ends a problem or an input."""

from collections import defaultdict
from dataclasses import dataclass, field
from math import inf, isfinite

from .domains import Domain
from .problem import Problem

_DOMAIN = 4096  # bytes of a subdomain beside its slopes and multipliers


@dataclass(frozen=True)
class Limits:
    """seconds: an input's share of the work. domains: open at once, of one problem. memory: bytes that all open
    subdomains may hold. batch: subdomains bounded together. visits: subdomains of a problem, beyond which it rests.
    branching: a name in `BRANCHING`. proofs: bytes for what closes subdomains, 0 where nobody asks for it. refines:
    whether an input's boxes may be made tighter on the way."""

    seconds: float
    domains: int = 20_000
    memory: int = 2**30
    batch: int = 256
    visits: float = inf
    steps: int = 20
    root_steps: int = 20
    branching: str = "filtered"
    proofs: int = 0
    refines: bool = True


@dataclass
class Progress:
    """Where one problem stands. `done`: None while open, else what ended it; "" for proved."""

    whole: bool = True  # its box has not been bounded yet
    open: list[Domain] = field(default_factory=list)
    over: list[Domain] = field(default_factory=list)  # that no further split divides
    seconds: float = 0.0
    visited: int = 0
    bound: float = -inf  # of the open subdomains, float32
    proved: float = inf  # of the closed ones, float64
    done: str | None = None


def _depth(domain: Domain) -> tuple[int, float]:
    return len(domain.splits), domain.bound


def _tightness(domain: Domain) -> tuple[int, float]:
    return 0, -domain.bound


class Frontier:
    """Owners are inputs; several problems may belong to one."""

    def __init__(self, problems: list[Problem], limits: Limits, moving: int) -> None:
        """moving: neurons of a subdomain whose slopes and multipliers are kept, at most."""
        self.problems, self.limits = problems, limits
        self.progress = [Progress() for _ in problems]
        self._of_owner: dict[int, list[int]] = defaultdict(list)
        for number, problem in enumerate(problems):
            self._of_owner[problem.owner].append(number)
        self.elsewhere: dict[int, float] = defaultdict(float)  # seconds that an input took outside the search
        self._finished: list[int] = []
        self._most_open = limits.memory // (_DOMAIN + 8 * moving)  # a slope and a multiplier for each

    def is_open(self) -> bool:
        return any(p.done is None for p in self.progress)

    def is_waiting(self) -> bool:
        """Some problem is not at rest."""
        return any(p.done is None and (p.whole or (p.open and p.visited < self.limits.visits)) for p in self.progress)

    def of_owner(self, owner: int) -> dict[int, Progress]:
        """Where an input's problems stand, by number of their specification row."""
        return {self.problems[i].number: self.progress[i] for i in self._of_owner[owner]}

    def open_of(self, owner: int) -> list[int]:
        """Places of an input's open problems."""
        return [i for i in self._of_owner[owner] if self.progress[i].done is None]

    def take_finished(self) -> list[int]:
        """Owners whose last open problem ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def stop_owner(self, owner: int, reason: str) -> None:
        """End whatever is open of an input."""
        for i in self.open_of(owner):
            self.end(i, reason)

    def end(self, problem: int, how: str) -> None:
        """A problem is proved where `how` is "", else given up for that reason."""
        progress = self.progress[problem]
        progress.done, progress.open, progress.over = how, [], []
        owner = self.problems[problem].owner
        if all(self.progress[i].done is not None for i in self._of_owner[owner]):
            self._finished.append(owner)

    def next_children(self, places: int) -> list[Domain]:
        """Children of the loosest open subdomains, as many of each problem as its fair share of the places.

        Where there are more problems than places, those served least come first. Where the memory is half full the
        deepest are taken: depth first, what is open hardly grows.
        """
        crowded = 2 * sum(len(progress.open) for progress in self.progress) > self._most_open
        ready = (p for p in self.progress if p.done is None and p.open and p.visited < self.limits.visits)
        waiting = sorted(ready, key=lambda p: p.visited)[:places]
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
        (progress.over if domain.branch is None else progress.open).append(domain)

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
        if progress.done is not None or progress.whole:
            return
        if not progress.open and not progress.over:
            self.end(problem, "")
            return
        progress.bound = max(progress.bound, min(domain.bound for domain in (*progress.open, *progress.over)))
        owner = self.problems[problem].owner
        if not isfinite(progress.bound):
            self.stop_owner(owner, "the bounds overflow")
        elif not progress.open:
            self.exhausted(problem)
        elif len(progress.open) > self.limits.domains:
            self.stop_owner(owner, f"more than {self.limits.domains} open subdomains")
        else:
            self._tell_time(owner)

    def exhausted(self, problem: int) -> None:
        """What is left of a problem no split divides."""
        lowest = min(self.progress[problem].over, key=lambda domain: domain.bound)
        reason = lowest.reason or f"no neuron left to split, at a bound of {lowest.bound:.2g}"
        self.stop_owner(self.problems[problem].owner, reason)

    def seconds_left(self, owner: int) -> float:
        spent = sum(self.progress[i].seconds for i in self._of_owner[owner])
        return max(0.0, self.limits.seconds - self.elsewhere[owner] - spent)

    def _tell_time(self, owner: int) -> None:
        if self.seconds_left(owner) == 0:
            self.stop_owner(owner, self.late)

    @property
    def late(self) -> str:
        return f"timeout after {self.limits.seconds:g} s"

    def spend(self, owner: int, visited: int, seconds: float) -> None:
        """Work on an input that its open problems share."""
        shared = self.open_of(owner)
        for place, i in enumerate(shared):
            self.progress[i].seconds += seconds / len(shared)
            self.progress[i].visited += (visited + place) // len(shared)
        self._tell_time(owner)

    def _forget(self) -> None:
        """Where the open subdomains outgrow the memory, gives up the input that holds the most."""
        held: dict[int, int] = defaultdict(int)
        for problem, progress in zip(self.problems, self.progress, strict=True):
            held[problem.owner] += len(progress.open)
        while sum(held.values()) > self._most_open:
            owner = max(held, key=lambda each: held[each])
            del held[owner]
            self.stop_owner(owner, "out of memory for open subdomains")
