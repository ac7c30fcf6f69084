"""What a certificate of a run says is accepted by the checker; what it does not cover it gives a reason for."""

from collections import Counter

import numpy as np
import pytest

from glscert.verifier import Verdict, load
from glscert.verifier.answer.proof import Closed, Halve, Narrow, NotKept, Proof, Tree
from glscert.verifier.certify.boxes import input_tree
from glscert.verifier.certify.certificate import Subject
from glscert.verifier.certify.proofs import Found
from glscert.verifier.check.certificate import decode
from glscert.verifier.check.checker import check
from glscert.verifier.check.header import labelled_questions
from glscert.verifier.check.report import Status
from glscert.verifier.check.values import Cut, InputSplit, NeuronSplit, Proved, Uncovered
from glscert.verifier.run.labels import robust, task_of
from glscert.verifier.settings import Settings
from onnx_models import make, node
from tree_questions import ordered


def dense(seed, inputs, hidden=16, classes=4, middle=()):
    """Two hidden layers; middle: nodes from `r0` to `p` in place of nothing."""
    rng, consts, nodes, before = np.random.default_rng(seed), {}, [], "x"
    sizes = [inputs, hidden, hidden, classes]
    for place in range(3):
        consts[f"w{place}"] = 1.5 / np.sqrt(sizes[place]) * rng.normal(size=(sizes[place], sizes[place + 1]))
        consts[f"b{place}"] = 0.3 * rng.normal(size=sizes[place + 1])
        after = "y" if place == 2 else f"a{place}"
        nodes += [node("MatMul", f"{before} w{place}", f"m{place}"), node("Add", f"m{place} b{place}", after)]
        if place < 2:
            nodes.append(node("Relu", after, f"r{place}"))
            before = f"r{place}"
        if place == 0 and middle:
            nodes += middle
            before = "p"
    return make(nodes, ("batch", inputs), {name: value.astype(np.float32) for name, value in consts.items()})


def asked(folder, model, inputs, eps, count=30, **settings):
    """-> network, its answers with proofs, x, y, settings."""
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    network, rng = load(folder / "model.onnx"), np.random.default_rng(1)
    x = rng.random((count, inputs)).astype(np.float32)
    y, how = network.runtime.logits(x).argmax(1), Settings(eps, timeout=20, proofs=True, **settings)
    return network, robust(network, x, y, how), x, y, how


def found(answers, proofs=True):
    return {
        place: Found(
            own.verdict,
            own.proof if proofs else None,
            None if own.witness is None else own.witness.x,
            own.reason,
        )
        for place, own in enumerate(answers)
    }


def report(network, x, y, data):
    def questions(checker, certificate):
        keys = [key for key, _ in certificate.answers]
        return labelled_questions(certificate.questions, checker.network, x, y.tolist(), keys)

    return check(network.runtime.file.model, data, questions)


def nodes_of(data):
    every = [own for _, own in decode(data).answers if isinstance(own, Proved)]
    return Counter(type(node) for own in every for group in own.groups for tree in group.trees for node in tree.nodes)


@pytest.mark.parametrize("seed", (0, 1, 2))
def test_boxes_of_inputs_with_several_clauses(tmp_path, seed):
    network, answers, x, y, how = asked(tmp_path, dense(seed, 3), 3, 0.2)
    assert any(own.reason.startswith("input splitting") and own.verdict is Verdict.VERIFIED for own in answers)
    written = Subject(network, 2**28).of_labelled(x, y, task_of(network, how), how, found(answers))
    assert written.covered == written.answers == len(x) and nodes_of(written.data)[InputSplit] > 0
    assert {own.status for own in report(network, x, y, written.data).outcomes} <= {Status.PROVED, Status.FALSIFIED}


@pytest.mark.parametrize("proofs", (True, False))
def test_splits_of_neurons_kept_or_searched_once_more(tmp_path, proofs):
    network, answers, x, y, how = asked(tmp_path, dense(4, 30, hidden=24), 30, 0.08)
    assert any(own.reason.startswith("branch and bound") and own.verdict is Verdict.VERIFIED for own in answers)
    written = Subject(network, 2**28).of_labelled(x, y, task_of(network, how), how, found(answers, proofs))
    assert written.covered == written.answers == len(x) and nodes_of(written.data)[NeuronSplit] > 0
    assert all(own.status is not Status.REFUSED for own in report(network, x, y, written.data).outcomes)


def test_splits_inside_of_another_operator_are_not_covered(tmp_path):
    """LeakyRelu is read as a Relu that the file does not have."""
    middle = [node("LeakyRelu", "a0", "p")]
    network, answers, x, y, how = asked(tmp_path, dense(4, 30, hidden=24, middle=middle), 30, 0.08)
    written = Subject(network, 2**28).of_labelled(x, y, task_of(network, how), how, found(answers))
    assert written.covered + sum(written.why.values()) == len(x)
    assert any("inside of another operator" in why for why in written.why)
    assert all(own.status is not Status.REFUSED for own in report(network, x, y, written.data).outcomes)


def test_answers_are_as_many_as_questions_and_open_ones_are_counted(tmp_path):
    network, answers, x, y, how = asked(tmp_path, dense(0, 3), 3, 0.2, count=4)
    told = found(answers) | {1: Found(Verdict.TIMEOUT), 2: Found(Verdict.VERIFIED, NotKept("it is a test"))}
    written = Subject(network, 2**28).of_labelled(x, y, task_of(network, how), how, told)
    kinds = [type(own) for _, own in decode(written.data).answers]
    assert len(kinds) == 4 and kinds[1] is Uncovered and written.why["the search gave no answer"] == 1


def test_without_the_flag_no_answer_has_a_proof(tmp_path):
    network, answers, x, y, how = asked(tmp_path, dense(0, 3), 3, 0.2, count=4)
    assert all((own.proof is not None) == (own.verdict is Verdict.VERIFIED) for own in answers)
    assert all(isinstance(own.proof, Proof) for own in answers if own.verdict is Verdict.VERIFIED)
    plain = robust(network, x, y, Settings(0.2, timeout=20))
    assert all(own.proof is None for own in plain)
    assert [own.verdict for own in plain] == [own.verdict for own in answers]


def test_trees_of_boxes_are_mended():
    """An end of a cut that no line shows is left out, a leaf that closes too early is halved; the rest stays."""
    checker, group = ordered()
    region = checker.region(group, 2)
    given = Tree((0,), (Narrow(((1, 1, 0.51), (0, 0, 0.9), (0, 1, 0.77))), Halve(0, 0.4), Closed(), Closed()))
    found = input_tree(region, given, (0,))
    assert found is not None and found.nodes[0] == Cut(((1, 1, 0.51), (0, 1, 0.77))) and len(found.nodes) == 4
    region.check(found)
    early = input_tree(region, Tree((0,), (Closed(),)), (0,))
    assert early is not None and len(early.nodes) > 1
    region.check(early)
    none = input_tree(region, Tree((0,), (Narrow(((1, 1, 0.1),)), Closed())), (0,))
    assert none == early
