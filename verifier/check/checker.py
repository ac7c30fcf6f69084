"""A certificate against a model and the questions it is to answer.

    report = check(model, certificate, questions)

`Checker` is the same for whoever writes certificates: which clauses the default leaf closes at the root, and whether a
tree passes. Nothing is accepted that this code has not derived again from the file.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from .certificate import decode
from .curves import Greatest, Unary
from .digest import model_digest
from .input_trees import InputTree, check_input_tree
from .network import Network, read_network
from .neuron_trees import Prepared, SplitRegion, check_neuron_tree, least_bounds, prepare
from .paths import Constraint, checked_nodes
from .questions import Asked, Question
from .refusal import NotCovered, Refused
from .regions import Regions, at_once, close_roots, make_regions, pieces
from .replay import Pointed, pointed, replayed
from .report import Outcome, Report, Status
from .rounding import REAL, Arithmetic
from .steps import Array
from .values import Answer, Certificate, Cut, Group, InputSplit, Leaf, Proved, Tree, Uncovered

Progress = Callable[[int], None]
Claim = tuple[int, Proved, Question]  # by its key


def read_model(data: bytes) -> onnx.ModelProto:
    """Raises NotCovered where the bytes are no ONNX model."""
    try:
        return onnx.load_model_from_string(data)
    except DecodeError:
        raise NotCovered("the model is no ONNX file.") from None


@dataclass(frozen=True)
class NodeInfo:
    """Of a nonlinear node, for whoever names its entries: the name of the tensor it makes, how many entries it reads,
    whether leaves state its slopes, whether it is split."""

    name: str
    entries: int
    sloped: bool
    split: bool


@dataclass(frozen=True, eq=False)
class Region:
    """A group's region under a rule. Slopes of the leaf before are those of the leaf last asked about here."""

    group: Asked
    regions: Regions
    checker: "Checker"

    @cached_property
    def split(self) -> SplitRegion:
        return SplitRegion(self.regions)

    def unstable(self, path: Sequence[Constraint] = ()) -> list[tuple[int, Array]]:
        """Nodes and their entries, in the order in which a leaf states slopes. path: (node, entry, side, point), side
        0 where z >= point."""
        return self.split.unstable(path)

    def bounds(self, clauses: Sequence[int], leaves: Sequence[tuple[tuple[Constraint, ...], Leaf]]) -> list[float]:
        """Of each leaf, in their order in a tree, the least of these clauses' bounds: it closes them if that is above
        0. Raises ValueError where a leaf does not fit its path or the clauses."""
        ready: list[Prepared] = [prepare(self.split, leaf, path) for path, leaf in leaves]
        size, found = at_once(self.checker.network, 2 * len(clauses), boxes=True), list[float]()
        for piece in pieces(len(ready), size):
            found += least_bounds(self.split, self.group.clauses, clauses, ready[piece])
        return found

    def check(self, tree: Tree, place: str = "tree") -> None:
        """Raises Refused where a tree does not close its clauses."""
        try:
            nodes = checked_nodes(tree)
        except ValueError as error:
            raise Refused(place, str(error)) from None
        count = len(self.group.clauses.rows)
        if not tree.clauses or not all(0 <= clause < count for clause in tree.clauses):
            raise Refused(place, f"its clauses are not among the {count} of the group.")
        if any(isinstance(node, InputSplit | Cut) for node in nodes):
            checker = self.checker
            asked = InputTree(
                checker.network, checker.arithmetic, self.regions.rule, self.group.clauses, tree, place
            )  # fmt: skip
            check_input_tree(asked, self.group.lower, self.group.upper)
        else:
            check_neuron_tree(self.regions, self.group.clauses, tree, place)


class Checker:
    """A model's network in an arithmetic, "float32" (a runtime's) or "real". spare: see `Arithmetic`; for writers.
    Raises NotCovered where the network cannot be followed."""

    def __init__(self, model: onnx.ModelProto | bytes, arithmetic: str = "float32", spare: float = 0.0) -> None:
        self.model = read_model(model) if isinstance(model, bytes) else model
        self.network: Network = read_network(self.model)
        self.arithmetic: Arithmetic = replace(REAL if arithmetic == "real" else self.network.arithmetic, spare=spare)

    @cached_property
    def nodes(self) -> tuple[NodeInfo, ...]:
        """The nonlinear nodes by their numbers."""
        steps = (self.network.steps[place] for place in self.network.bends)
        return tuple(
            NodeInfo(
                self.network.names.get(step.output, ""),
                self.network.sizes[step.input],
                isinstance(step, Unary) and step.curve.sloped,
                isinstance(step, Unary),
            )
            for step in steps
            if isinstance(step, Unary | Greatest)
        )

    def roots(self, groups: Sequence[Asked], rule: int) -> list[Array]:
        """Of each group which clauses [C] the default leaf closes at its root."""
        return close_roots(self.network, self.arithmetic, groups, rule)

    def region(self, group: Asked, rule: int) -> Region:
        regions = make_regions(self.network, self.arithmetic, group.lower[None], group.upper[None], rule)
        return Region(group, regions, self)


def check(
    model: onnx.ModelProto | bytes,
    certificate: bytes,
    questions: Callable[[Checker, Certificate], Mapping[int, Question]],
    progress: Progress | None = None,
    *,
    proofs: "Callable[[Checker, Sequence[Claim]], Mapping[int, Refused]] | None" = None,
) -> Report:
    """questions: of a network and a certificate's header, what its keys stand for; a key that is none is refused.
    proofs: which claims are refused; None: `refusals`.

    Raises Refused where the certificate is damaged, or of another model; NotCovered where the model cannot be followed.
    """
    found = decode(certificate)
    proto = read_model(model) if isinstance(model, bytes) else model
    digest = model_digest(proto)
    if digest != found.model:
        raise Refused("header", f"it is of the model {found.model[:16]}…, this one is {digest[:16]}….")
    checker = Checker(proto, found.arithmetic)
    asked = questions(checker, found)
    outcomes, claims = _claims(checker, found.answers, asked, progress or (lambda count: None))
    refused = (proofs or refusals)(checker, claims)
    for key, _, _ in claims:
        error = refused.get(key)
        outcomes[key] = Outcome(key, Status.PROVED) if error is None else refusal(key, error)
    return Report(
        found.arithmetic,
        digest,
        hashlib.sha256(certificate).hexdigest(),
        found.questions,
        tuple(outcomes[key] for key, _ in found.answers),
        _assumptions(checker, found),
    )


def _assumptions(checker: Checker, certificate: Certificate) -> tuple[str, ...]:
    found = []
    if certificate.arithmetic == "float32":
        found.append(
            f"a runtime computes node by node in {checker.network.floating}, sums in any order, with or without fused "
            "multiply-add, and may fold factors and summands into the product before them"
        )
    else:
        found.append("the network computes in real numbers, without rounding")
    curves = {
        type(step.curve).__name__
        for place in checker.network.bends
        if isinstance(step := checker.network.steps[place], Unary)
    }
    if "Rising" in curves:
        found.append("a runtime's Sigmoid and Tanh are off by at most 32 units in the last place of 2 + |f|")
    if checker.network.ending is not None:
        found.append(f"the last {checker.network.ending} keeps the order of the scores before it")
    return tuple(found)


def refusal(key: int, error: Refused) -> Outcome:
    return Outcome(key, Status.REFUSED, error.place, error.why)


def _claims(
    checker: Checker, answers: Sequence[tuple[int, Answer]], questions: Mapping[int, Question], progress: Progress
) -> tuple[dict[int, Outcome], list[Claim]]:
    """What is said of answers without a proof, and those that have one."""
    found: dict[int, Outcome] = {}
    proved: list[Claim] = []
    points: list[Pointed] = []
    for key, answer in answers:
        try:
            if isinstance(answer, Uncovered):
                said = f"the search said {answer.said.name.lower()}; the certificate holds no proof of it."
                found[key] = Outcome(key, Status.NOT_COVERED, f"answer {key}", said)
                continue
            question = questions.get(key)
            if question is None:
                raise Refused(f"answer {key}", "there is no such question.")
            if isinstance(answer, Proved):
                _check_groups(answer, question, f"answer {key}")
                proved.append((key, answer, question))
            else:
                points += pointed(key, answer, question, checker.network)
        except Refused as error:
            found[key] = refusal(key, Refused(f"answer {key}", error.why))
    for piece in pieces(len(points), at_once(checker.network)):
        for outcome in replayed(checker.network, points[piece]):
            before = found.get(outcome.key)
            if before is None or before.status not in (Status.FALSIFIED, Status.MISCLASSIFIED):
                found[outcome.key] = outcome  # of several groups one is enough
        progress(len(found))
    return found, proved


def _check_groups(answer: Proved, question: Question, place: str) -> None:
    if len(answer.groups) != len(question.groups):
        raise Refused(place, f"{len(answer.groups)} groups; the question has {len(question.groups)}.")
    for number, (group, asked) in enumerate(zip(answer.groups, question.groups, strict=True)):
        count = len(asked.clauses.rows)
        if any(clause >= count for tree in group.trees for clause in tree.clauses):
            raise Refused(f"{place}, group {number}", f"it names a clause beyond the {count} of the question.")


def refusals(checker: Checker, proved: Sequence[Claim]) -> dict[int, Refused]:
    """Why claims are not proved, by their key. First all trees; then what they leave to the default leaf, by rule, of
    many together."""
    refused: dict[int, Refused] = {}
    by_rule: dict[int, list[tuple[int, int, Group, Asked]]] = {}
    for key, answer, question in proved:
        for number, (group, asked) in enumerate(zip(answer.groups, question.groups, strict=True)):
            left = set(range(len(asked.clauses.rows))) - {c for tree in group.trees for c in tree.clauses}
            if left:
                by_rule.setdefault(group.rule, []).append((key, number, group, asked))
            try:
                _check_trees(checker, group, asked, f"answer {key}, group {number}")
            except Refused as error:
                refused.setdefault(key, error)
    for rule, parts in by_rule.items():
        closed = checker.roots([asked for _, _, _, asked in parts], rule)
        for (key, number, group, _), own in zip(parts, closed, strict=True):
            in_trees = [clause for tree in group.trees for clause in tree.clauses]
            own[in_trees] = True
            if not own.all():
                first = int(np.flatnonzero(~own)[0])
                why = f"the default leaf does not close clause {first} under rule {rule}."
                refused.setdefault(key, Refused(f"answer {key}, group {number}", why))
    return refused


def _check_trees(checker: Checker, group: Group, asked: Asked, place: str) -> None:
    if not group.trees:
        return
    region = checker.region(asked, group.rule)
    for number, tree in enumerate(group.trees):
        region.check(tree, f"{place}, tree {number}")
