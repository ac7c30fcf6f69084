"""Certificates that were tampered with: refused in a sentence, or true all the same."""

import hashlib
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from certificate_draws import certificate as any_certificate
from certificates import about
from glscert.verifier.check.certificate import decode, encode
from glscert.verifier.check.checker import Checker, check
from glscert.verifier.check.digest import model_digest
from glscert.verifier.check.header import labelled_questions
from glscert.verifier.check.refusal import NotCovered, Refused
from glscert.verifier.check.replay import evaluate
from glscert.verifier.check.report import Report, Status
from glscert.verifier.check.values import (
    PLAIN,
    Answer,
    Certificate,
    Group,
    Leaf,
    Misclassified,
    Node,
    Proved,
    Tree,
)
from grown import input_tree, neuron_tree
from onnx_models import make, relu_layers

INPUTS, EPS = 12, 0.15


class Case(NamedTuple):
    model: onnx.ModelProto
    x: np.ndarray
    y: np.ndarray
    certificate: Certificate


def network() -> onnx.ModelProto:
    rng = np.random.default_rng(2)
    nodes, consts = relu_layers(rng, 2, 8, 6, 3)
    consts["b1"] = (-consts["W1"].T @ rng.random(2)).astype(np.float32)  # so that neurons bend inside [0, 1]
    return make(nodes, (1, 2), consts)


@cache
def case() -> Case:
    """Answers of every kind: by the default leaf, by trees of neurons and of inputs, of the wrong label."""
    model = network()
    checker = Checker(model)
    candidates = np.random.default_rng(5).random((200, 2)).astype(np.float32)
    labels = evaluate(checker.network, candidates).argmax(1)
    asked = labelled_questions(about(candidates, labels, EPS), checker.network, candidates, labels.tolist(), range(200))
    chosen: dict[int, Answer] = {}
    kinds: Counter[str] = Counter()
    for key, question in asked.items():
        for kind, answer in proofs(checker, question.groups[0]):
            if answer is not None and kinds[kind] < 3:
                kinds[kind] += 1
                chosen[key] = answer
                break
    assert len(kinds) == 3 and len(chosen) == 9
    keys = sorted(chosen)
    broken = [key for key in asked if key not in chosen and not kept(model, candidates[key], int(labels[key]), EPS)][:3]
    x, y = candidates[keys + broken], labels[keys + broken]
    y[-1] = (y[-1] + 1) % 3
    answers = [*((place, chosen[key]) for place, key in enumerate(keys)), (INPUTS - 1, Misclassified())]
    return Case(model, x, y, Certificate("float32", model_digest(model), about(x, y, EPS), "t", tuple(answers)))


def proofs(checker: Checker, group) -> list[tuple[str, Answer | None]]:
    if checker.roots([group], 2)[0].all():
        return [("default", Proved((Group(2),)))]
    region = checker.region(group, 2)
    trees = [neuron_tree(region, clause, 6) for clause in range(2)]
    split = input_tree(checker, group, 2, (0, 1), 6)
    return [
        ("neurons", Proved((Group(2, tuple(tree for tree in trees if tree)),)) if all(trees) else None),
        ("inputs", None if split is None else Proved((Group(2, (split,)),))),
    ]


def kept(model: onnx.ModelProto, x: np.ndarray, label: int, eps: float) -> bool:
    """On a grid of the ball."""
    ends = [np.linspace(max(0.0, v - eps), min(1.0, v + eps), 41) for v in x.astype(np.float64)]
    y = evaluate(Checker(model).network, np.stack(np.meshgrid(*ends), -1).reshape(-1, 2))
    others = np.delete(y, label, 1)
    return bool((y[:, [label]] > others).all())


def checked(data: bytes) -> Report:
    model, x, y, _ = case()
    return check(
        model,
        data,
        lambda checker, found: labelled_questions(
            found.questions, checker.network, x, y.tolist(), [key for key, _ in found.answers]
        ),
    )


def true(report: Report) -> bool:
    """Whether all that is proved holds on a grid."""
    model, x, y, _ = case()
    eps = float.fromhex(report.questions["eps"][0])
    return all(
        kept(model, x[outcome.key], int(y[outcome.key]), eps)
        for outcome in report.outcomes
        if outcome.status is Status.PROVED
    )


def test_the_certificate_itself_is_accepted() -> None:
    report = checked(encode(case().certificate))
    assert report.accepted and report.counts["proved"] == 9 and report.counts["misclassified"] == 1 and true(report)


def test_changed_bytes_are_refused_or_true(pytestconfig: pytest.Config) -> None:
    """With a checksum that fits again."""
    body, ends = encode(case().certificate)[:-32], Counter[str]()
    for seed in range(pytestconfig.getoption("mutations")):
        rng = np.random.default_rng([seed, 13])
        changed = bytearray(body)
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(8, len(changed)))
            match int(rng.integers(4)):
                case 0:
                    changed[place] ^= 1 << int(rng.integers(8))
                case 1:
                    del changed[place : place + int(rng.integers(1, 9))]
                case 2:
                    changed[place:place] = rng.bytes(int(rng.integers(1, 9)))
                case _:
                    changed[place] = int(rng.choice([0, 1, 2, 127, 128, 255]))
        try:
            report = checked(bytes(changed) + hashlib.sha256(changed).digest())
        except (Refused, NotCovered) as error:
            ends[type(error).__name__] += 1
            continue
        assert true(report), seed
        ends["accepted" if report.accepted else "in part"] += 1
    assert ends["Refused"] > 0 and ends["in part"] > 0


Change = Callable[[np.random.Generator, list[Node]], list[Node]]


def end_of(nodes: Sequence[Node], first: int) -> int:
    """Behind the subtree that begins there."""
    due = 1
    while due:
        due += -1 if isinstance(nodes[first], Leaf) else 1
        first += 1
    return first


def pruned(rng: np.random.Generator, nodes: list[Node]) -> list[Node]:
    """A split gives way to a leaf."""
    first = int(rng.choice([place for place, own in enumerate(nodes) if not isinstance(own, Leaf)]))
    return [*nodes[:first], PLAIN, *nodes[end_of(nodes, first) :]]


def swapped(rng: np.random.Generator, nodes: list[Node]) -> list[Node]:
    first = int(rng.choice([place for place, own in enumerate(nodes) if not isinstance(own, Leaf)]))
    middle = end_of(nodes, first + 1)
    last = end_of(nodes, middle)
    return [*nodes[: first + 1], *nodes[middle:last], *nodes[first + 1 : middle], *nodes[last:]]


def moved(rng: np.random.Generator, nodes: list[Node]) -> list[Node]:
    """Splits are of other entries, or at other points."""
    found = list(nodes)
    for place, own in enumerate(found):
        if not isinstance(own, Leaf) and rng.random() < 0.5:
            entry = int(rng.integers(0, 3))
            found[place] = replace(own, entry=entry) if rng.random() < 0.5 else replace(own, point=float(rng.normal()))
    return found


def sloped(rng: np.random.Generator, nodes: list[Node]) -> list[Node]:
    """Leaves state slopes, of any number."""
    return [
        replace(own, slopes=rng.bytes(int(rng.integers(0, 14))))
        if isinstance(own, Leaf) and rng.random() < 0.5
        else own
        for own in nodes
    ]


def other_multipliers(rng: np.random.Generator, nodes: list[Node]) -> list[Node]:
    return [
        replace(own, multipliers=tuple(float(np.float32(m * 1e3)) for m in own.multipliers))
        if isinstance(own, Leaf) and rng.random() < 0.5
        else own
        for own in nodes
    ]


CHANGES: dict[str, Change] = {
    "pruned": pruned,
    "swapped": swapped,
    "moved": moved,
    "sloped": sloped,
    "multipliers": other_multipliers,
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_trees_are_refused_or_true(name: str) -> None:
    """And given to other inputs too."""
    answers, ends = dict(case().certificate.answers), Counter[str]()
    proved = [answer for answer in answers.values() if isinstance(answer, Proved) and answer.groups[0].trees]
    for seed in range(60):
        rng = np.random.default_rng([seed, 14])
        found: list[tuple[int, Answer]] = []
        for key in range(INPUTS):
            (group,) = proved[int(rng.integers(len(proved)))].groups
            trees = tuple(Tree(tree.clauses, tuple(changed(CHANGES[name], rng, tree.nodes))) for tree in group.trees)
            found.append((key, Proved((Group(int(rng.integers(3)), trees),))))
        try:
            report = checked(encode(replace(case().certificate, answers=tuple(found))))
        except Refused:
            ends["unwritten"] += 1
            continue
        assert true(report), seed
        ends.update(outcome.status.value for outcome in report.outcomes)
    assert ends["refused"] > 0


def changed(change: Change, rng: np.random.Generator, nodes: Sequence[Node]) -> list[Node]:
    return list(nodes) if all(isinstance(own, Leaf) for own in nodes) else change(rng, list(nodes))


def test_claims_about_every_input_by_every_answer_are_true_or_refused() -> None:
    """Broken inputs are never proved, whatever the proof."""
    original = case().certificate
    for answer in {id(answer): answer for _, answer in original.answers}.values():
        for arithmetic in ("float32", "real"):
            answers = tuple((key, answer) for key in range(INPUTS))
            report = checked(encode(replace(original, answers=answers, arithmetic=arithmetic)))
            assert true(report)
            proved = [outcome.key for outcome in report.outcomes if outcome.status is Status.PROVED]
            assert not {INPUTS - 3, INPUTS - 2, INPUTS - 1} & set(proved)


@pytest.mark.parametrize("eps", [0.0, 0.01, 0.121, 0.2, 0.5])
def test_another_eps_is_another_question(eps: float) -> None:
    original = case().certificate
    report = checked(encode(replace(original, questions={**original.questions, "eps": [eps.hex()]})))
    assert true(report)
    if eps > 0.4:
        assert not report.accepted


@pytest.mark.parametrize("change", ["eps", "low", "high", "norm", "task", "kind"])
def test_headers_that_state_nothing_are_refused(change: str) -> None:
    original = case().certificate
    for value in (
        None,
        [],
        ["nan"],
        ["inf"],
        ["0x1p+2000"],
        ["x"],
        [1],
        "0x1p-3",
        {"task": "regression"},
        ["-0x1p+0", "0x0p+0", "0x0p+0"],
    ):
        data = encode(replace(original, questions={**original.questions, change: value}))
        if (change, value) in (("high", ["inf"]),):
            assert true(checked(data))  # no end there
            continue
        with pytest.raises((Refused, NotCovered)):
            checked(data)


def test_another_model_is_refused() -> None:
    """With one weight changed by its last bit."""
    model, x, y, original = case()
    other = onnx.ModelProto()
    other.CopyFrom(model)
    array = numpy_helper.to_array(other.graph.initializer[0]).copy()
    array.flat[0] = np.nextafter(array.flat[0], np.float32(np.inf))
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, other.graph.initializer[0].name))
    with pytest.raises(Refused, match="of the model"):
        check(other, encode(original), lambda checker, found: {})


def test_random_certificates_of_this_model_prove_nothing_false() -> None:
    for seed in range(200):
        found = any_certificate(np.random.default_rng([seed, 15]))
        found = replace(found, model=case().certificate.model, questions=case().certificate.questions)
        few = tuple((place, answer) for place, (_, answer) in enumerate(found.answers))
        assert true(checked(encode(replace(found, answers=few))))


def test_memory_is_bounded_by_the_file() -> None:
    """Counts of up to 2^63 announce what is not there."""
    body = encode(case().certificate)[:-32]
    tracemalloc.start()
    try:
        for place in range(8, len(body) - 8, 7):
            changed_ = body[:place] + b"\xff" * 8 + b"\x7f" + body[place + 1 :]
            with pytest.raises(Refused):
                decode(changed_ + hashlib.sha256(changed_).digest())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**22
