"""What a run said of its questions as a certificate's answers: under the cheapest rule that the checker closes them by,
with the search's trees for what is left, and nothing that the checker has not accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..answer import Verdict
from ..answer.proof import Leaf, NotKept, Proof, Tree
from ..check import values
from ..check.checker import Checker, Region
from ..check.questions import Question
from ..check.refusal import Refused
from ..engine.engine import Engine
from ..engine.plan import Array
from .again import searched
from .boxes import input_tree
from .leaves import Linked, NoNode, neuron_tree
from .witness import falsified, misclassified

_RULES = (0, 1, 2)
_BEGIN = {"IBP": 0, "DeepPoly": 1}  # with which rule, by the reason of an answer; with the last, where it took a search
_SAID = {
    Verdict.VERIFIED: values.Said.VERIFIED,
    Verdict.FALSIFIED: values.Said.FALSIFIED,
    Verdict.MISCLASSIFIED: values.Said.MISCLASSIFIED,
    Verdict.UNKNOWN: values.Said.UNKNOWN,
    Verdict.TIMEOUT: values.Said.TIMEOUT,
}
_ROUNDS = "the checker, which charges for all that rounds on its way, does not reach what the search reached"
_INVENTED = "it splits neurons that the file has inside of another operator"
_EARLIER = "an earlier run found it, and --out keeps no proofs"
_REFINED = "it is over tighter boxes of neurons than the checker's, and of these no proof is written yet"
_OPEN = "the search gave no answer"
_UNASKED = "the checker has no such question"
_OTHER_ORDER = "with sums in another order the network is not wrong at the counterexample"


@dataclass(frozen=True)
class Found:
    """What a run says of a question; x: the counterexample. verdict None: the question could not be read. reason: as
    answers have it; it tells where to begin."""

    verdict: Verdict | None
    proof: Proof | NotKept | None = None
    x: Array | None = None
    reason: str = ""


@dataclass(frozen=True)
class Told:
    """An answer of a certificate, and why it proves nothing where it does not."""

    answer: values.Answer
    why: str = ""


def said(found: Found) -> values.Said:
    return values.Said.ERROR if found.verdict is None else _SAID[found.verdict]


def claimed(found: Found) -> bool:
    """Whether there is something to prove, or to show."""
    return said(found) <= values.Said.MISCLASSIFIED


class Certifier:
    """Of one checker; linked: the engine's neurons among the file's; memory: bytes, for what is searched again."""

    def __init__(self, checker: Checker, engine: Engine, linked: Linked, memory: int) -> None:
        self._checker, self._engine, self._linked, self._memory = checker, engine, linked, memory

    def answers(self, asked: Mapping[int, Question], found: Mapping[int, Found]) -> dict[int, Told]:
        """By key; of those without a question nothing is covered."""
        told: dict[int, Told] = {}
        proved = [key for key in asked if found[key].verdict is Verdict.VERIFIED]
        rules = self._rules({key: asked[key] for key in proved}, [_BEGIN.get(found[key].reason, 2) for key in proved])
        for key, own in found.items():
            answer: values.Answer | str = _OPEN if not claimed(own) else _UNASKED
            if claimed(own) and key in asked:
                answer = self._answer(own, asked[key], rules.get(key, []))
            told[key] = Told(values.Uncovered(said(own)), answer) if isinstance(answer, str) else Told(answer)
        return told

    def _rules(self, asked: Mapping[int, Question], begin: Sequence[int]) -> dict[int, list[tuple[int, Array]]]:
        """Of each group the cheapest rule, from where its question begins, that closes all clauses at the root, else
        the last; and what it closes."""
        every = [(key, group) for key, question in asked.items() for group in question.groups]
        first = [rule for rule, question in zip(begin, asked.values(), strict=True) for _ in question.groups]
        found: list[tuple[int, Array]] = [(0, np.zeros(1, bool))] * len(every)
        for rule in _RULES:
            left = [place for place in range(len(every)) if first[place] <= rule and not found[place][1].all()]
            closed = self._checker.roots([every[place][1] for place in left], rule)
            for place, own in zip(left, closed, strict=True):
                found[place] = rule, own
        by_key: dict[int, list[tuple[int, Array]]] = {key: [] for key in asked}
        for (key, _), best in zip(every, found, strict=True):
            by_key[key].append(best)
        return by_key

    def _answer(self, found: Found, question: Question, rules: Sequence[tuple[int, Array]]) -> values.Answer | str:
        """The answer, or why there is none to cover it."""
        network = self._checker.network
        if found.verdict is Verdict.MISCLASSIFIED:
            return misclassified(network, question) or _OTHER_ORDER
        if found.verdict is Verdict.FALSIFIED:
            known = None if found.x is None else falsified(network, question, found.x)
            return known or _OTHER_ORDER
        groups = []
        for place, (rule, closed) in enumerate(rules):
            trees = self._trees(found.proof, question, place, rule, closed) if not closed.all() else ()
            if isinstance(trees, str):
                return trees
            groups.append(values.Group(rule, trees))
        return values.Proved(tuple(groups))

    def _trees(
        self, proof: Proof | NotKept | None, question: Question, place: int, rule: int, closed: Array
    ) -> tuple[values.Tree, ...] | str:
        """Of the clauses of a group that are not closed at its root."""
        region, left = self._checker.region(question.groups[place], rule), set(np.flatnonzero(~closed).tolist())
        fits = isinstance(proof, Proof) and len(proof.regions) == len(question.groups)
        found, why = list[values.Tree](), _EARLIER if proof is None else _ROUNDS
        if isinstance(proof, NotKept):
            why = proof.reason
        for tree in proof.regions[place] if isinstance(proof, Proof) and fits else ():
            own = tuple(clause for clause in tree.clauses if clause in left)
            known = self._tree(tree, region, own) if own else None
            if isinstance(known, str):
                why = known
            elif known is not None:
                left, found = left - set(own), [*found, known]
        for clause in sorted(left):
            again = searched(self._engine, self._linked, region, clause, self._memory)
            known = None if again is None else self._tree(again, region, (clause,))
            if known is None or isinstance(known, str):
                return why
            found.append(known)
        return tuple(sorted(found, key=lambda tree: tree.clauses))

    def _tree(self, tree: Tree, region: Region, clauses: tuple[int, ...]) -> values.Tree | str:
        """The tree, or why the checker does not take it."""
        if not any(isinstance(node, Leaf) for node in tree.nodes):
            return input_tree(region, tree, clauses) or _ROUNDS
        try:
            found = neuron_tree(region, self._linked, tree, *clauses)
            if found is not None:
                region.check(found)
                return found
        except NoNode:
            return _INVENTED
        except Refused:
            pass
        return _REFINED if tree.refined else _ROUNDS
