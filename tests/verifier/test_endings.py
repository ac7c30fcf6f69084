"""Networks that end in Softmax, LogSoftmax or ArgMax: decided on their logits, judged by the file as it is."""

from fractions import Fraction

import numpy as np
import pytest
from typer.testing import CliRunner

from glscert.cli.main import app
from glscert.verifier import Verdict, load, robustness, verify
from glscert.verifier.errors import UnsupportedError
from glscert.verifier.spec import Clause, Row
from glscert.verifier.spec.judge import unsafe
from glscert.verifier.spec.logits import MAX_NUMBERS, on_logits
from onnx_models import make, node

NARROW, WIDE = (0.40625, 0.59375), (0.0, 1.0)  # in the first |x0 - x1| is at most 3/16
MOVED = [node("Flatten", "l", "f"), node("Softmax", "f", "s", axis=-1), node("Identity", "s", "y")]
TALL = [node("Reshape", "l tall", "t"), node("Softmax", "t", "s", axis=1), node("Squeeze", "s two", "y")]
SHAPES = {"tall": np.array([-1, 3, 1]), "two": np.array([2]), "flat": np.array([-1])}
# What follows the logits, and the opset.
PROBABILITIES = {
    "Softmax": ([node("Softmax", "l", "y")], 13),
    "Softmax of opset 11": ([node("Softmax", "l", "y")], 11),
    "Softmax and others": (MOVED, 13),
    "Softmax of a column": (TALL, 13),
    "Softmax of a column, opset 11": (
        [node("Reshape", "l tall", "t"), node("Softmax", "t", "s"), node("Flatten", "s", "y")],
        11,
    ),
    "LogSoftmax": ([node("LogSoftmax", "l", "y", axis=1)], 17),
}
ANSWERS = {
    "ArgMax": ([node("ArgMax", "l", "y", axis=1)], 13),
    "ArgMax, the last": ([node("ArgMax", "l", "y", axis=-1, keepdims=0, select_last_index=1)], 13),
    "ArgMax of Softmax": ([node("Softmax", "l", "s"), node("ArgMax", "s", "y", axis=1)], 13),
    "ArgMax as a number": (
        [node("ArgMax", "l", "a", axis=1), node("Cast", "a", "c", to=1), node("Reshape", "c flat", "y")],
        13,
    ),
}  # fmt: skip
ALL = PROBABILITIES | ANSWERS


def network(path, ending, *, scale=1.0, dims=("batch", 2)):
    """Logits scale * (1/4, |x0 - x1|, -1 - |x0 - x1|) of two inputs, then the nodes of `ending`."""
    nodes, opset = ending
    consts = {
        "w": np.float32([[1, -1], [-1, 1]]),
        "v": np.float32(scale * np.array([[0, 1, -1], [0, 1, -1]])),
        "b": np.float32(scale * np.array([0.25, 0, -1])),
    }
    first = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "m"), node("Add", "m b", "l")]
    read = {name for each in nodes for name in each.input}
    consts |= {name: array for name, array in SHAPES.items() if name in read}
    answer = np.int64 if nodes[-1].op_type == "ArgMax" else None
    path.write_bytes(make([*first, *nodes], dims, consts, opset, answer=answer).SerializeToString())
    return path


def text(bad, outputs, box):
    """VNN-LIB 2: both inputs in the box, the outputs `bad`."""
    bounds = " ".join(f"(>= X[{i}] {box[0]}) (<= X[{i}] {box[1]})" for i in (0, 1))
    declared = f"(declare-network f (declare-input X Real [2]) (declare-output Y Real [{outputs}]))"
    return f"(vnnlib-version <2.0>) {declared} (assert (and {bounds})) (assert {bad})"


def asked(tmp_path, ending, bad, box, **options):
    path = network(tmp_path / "net.onnx", ending, **options)
    known = load(path)
    (tmp_path / "p.vnnlib").write_text(text(bad, known.graph.answers, box))
    answer = verify(known, tmp_path / "p.vnnlib", timeout=5)
    if answer.witness is not None:
        x, y, _ = answer.witness
        assert ((x >= box[0]) & (x <= box[1])).all()
        assert np.array_equal(known.runtime.logits(x[None])[0], y)
    return answer.verdict


@pytest.mark.parametrize("dims", [("batch", 2), (1, 2)], ids=str)
@pytest.mark.parametrize("ending", PROBABILITIES)
def test_an_order_of_probabilities_is_that_of_the_logits(tmp_path, ending, dims):
    ask = lambda bad, box: asked(tmp_path, PROBABILITIES[ending], bad, box, dims=dims)  # noqa: E731
    assert ask("(>= Y[1] Y[0])", NARROW) is Verdict.VERIFIED
    assert ask("(>= Y[1] Y[0])", WIDE) is Verdict.FALSIFIED
    assert ask("(and (>= Y[1] Y[0]) (<= (* 2 Y[1]) (* 2 Y[2])))", WIDE) is Verdict.VERIFIED
    assert ask("(or (>= Y[1] Y[0]) (> Y[2] Y[1]))", NARROW) is Verdict.VERIFIED
    assert ask("(or (> Y[0] Y[1]) (> Y[2] Y[1]))", NARROW) is Verdict.FALSIFIED


def test_a_vector_without_a_batch_axis(tmp_path):
    ask = lambda bad, box: asked(tmp_path, PROBABILITIES["Softmax"], bad, box, dims=(2,))  # noqa: E731
    assert ask("(>= Y[1] Y[0])", NARROW) is Verdict.VERIFIED
    assert ask("(>= Y[1] Y[0])", WIDE) is Verdict.FALSIFIED


@pytest.mark.parametrize("op", ["Identity", "Relu", "Softmax"])
def test_a_network_without_weights(tmp_path, op):
    (tmp_path / "net.onnx").write_bytes(make([node(op, "x", "y")], ("batch", 2), {}).SerializeToString())
    apart = "(and (<= X[0] 0.25) (>= X[1] 0.5) (>= Y[0] Y[1]))"
    for bad, wanted in (("(< Y[0] Y[1])", Verdict.FALSIFIED), (apart, Verdict.VERIFIED)):
        (tmp_path / "p.vnnlib").write_text(text(bad, 2, WIDE))
        assert verify(tmp_path / "net.onnx", tmp_path / "p.vnnlib", timeout=5).verdict is wanted


def test_differences_of_logarithms_are_those_of_the_logits(tmp_path):
    ask = lambda bad: asked(tmp_path, PROBABILITIES["LogSoftmax"], bad, NARROW)  # noqa: E731
    assert ask("(<= (- Y[0] Y[1]) 0.0624)") is Verdict.VERIFIED  # 1/4 - 3/16 = 0.0625
    assert ask("(<= (- Y[0] Y[1]) 0.0626)") is Verdict.FALSIFIED
    assert ask("(>= (+ Y[0] Y[1] (* -2 Y[2])) 2.8126)") is Verdict.VERIFIED  # 1/4 + d + 2 + 2 d
    assert ask("(>= (+ Y[0] Y[1] (* -2 Y[2])) 2.8124)") is Verdict.FALSIFIED


@pytest.mark.parametrize("box", [NARROW, WIDE])
@pytest.mark.parametrize("ending", ANSWERS)
def test_a_class_is_the_largest_logit(tmp_path, ending, box):
    """The answer is 0 in the narrow box, 0 or 1 in the wide one."""
    found = {0, 1} if box is WIDE else {0}
    bad = {
        "(== Y[0] 0)": {0},
        "(== Y[0] 1)": {1},
        "(!= Y[0] 0)": {1, 2},
        "(>= Y[0] 0.5)": {1, 2},
        "(< Y[0] 1)": {0},
        "(<= Y[0] 1.5)": {0, 1},
        "(> Y[0] 1)": {2},
        "(>= Y[0] 3)": set(),
        "(<= (* -2 Y[0]) 1)": {0, 1, 2},
        "(and (> Y[0] 0) (< Y[0] 2))": {1},
        "(or (<= Y[0] -1) (>= Y[0] 2))": {2},
    }
    for each, classes in bad.items():
        wanted = Verdict.FALSIFIED if classes & found else Verdict.VERIFIED
        assert asked(tmp_path, ANSWERS[ending], each, box) is wanted, each


@pytest.mark.parametrize("last", [0, 1])
def test_nothing_is_proved_that_a_tie_would_break(tmp_path, last):
    """Classes 0 and 1 have one score everywhere; which of them the file answers is not for a proof to say."""
    consts = {"w": np.float32([[1, 1, 0], [0, 0, 0]]), "b": np.float32([1, 1, 0])}
    nodes = [node("MatMul", "x w", "m"), node("Add", "m b", "l")]
    nodes += [node("Relu", "l", "r"), node("ArgMax", "r", "y", axis=1, select_last_index=last)]
    (tmp_path / "net.onnx").write_bytes(make(nodes, ("batch", 2), consts, answer=np.int64).SerializeToString())
    for answer, allowed in (
        (last, (Verdict.FALSIFIED,)),
        (1 - last, (Verdict.UNKNOWN, Verdict.TIMEOUT)),
        (2, (Verdict.VERIFIED,)),
    ):
        (tmp_path / "p.vnnlib").write_text(text(f"(== Y[0] {answer})", 1, WIDE))
        assert verify(tmp_path / "net.onnx", tmp_path / "p.vnnlib", timeout=2).verdict in allowed, answer


def test_a_tie_of_saturated_probabilities_is_a_witness(tmp_path):
    """Logits 250 .. 1000 apart are probabilities of 0 in float32, which the file calls equal."""
    ending = PROBABILITIES["Softmax"]
    assert asked(tmp_path, ending, "(<= Y[1] Y[2])", (0.5, 0.5), scale=1000.0) is Verdict.FALSIFIED
    assert asked(tmp_path, ending, "(< Y[1] Y[2])", WIDE, scale=1000.0) is Verdict.VERIFIED


REFUSED = {
    "Softmax": ["(>= Y[0] 0.5)", "(>= Y[0] (+ Y[1] 0.1))", "(>= Y[0] (* 2 Y[1]))", "(>= Y[0] (+ Y[1] Y[2]))"],
    "LogSoftmax": ["(>= Y[0] -0.5)", "(>= Y[0] (* 2 Y[1]))", "(>= Y[0] (+ Y[1] Y[2]))"],
}


@pytest.mark.parametrize("ending, bad", [(ending, bad) for ending, list_ in REFUSED.items() for bad in list_])
def test_what_the_logits_do_not_tell_is_refused(tmp_path, ending, bad):
    with pytest.raises(UnsupportedError, match=f"ends in {ending}, and the property asks .* Y_0 .*supported of"):
        asked(tmp_path, PROBABILITIES[ending], bad, WIDE)
    arguments = [str(tmp_path / "net.onnx"), "--vnnlib", str(tmp_path / "p.vnnlib")]
    done = CliRunner().invoke(app, ["verify", *arguments])
    assert isinstance(done.exception, UnsupportedError) and done.exception.exit_code == 4
    assert done.stdout == ""  # even where random points would show a witness


@pytest.mark.parametrize("ending", ALL)
def test_labelled_inputs(tmp_path, ending):
    """Around (1/2, 1/2) class 0 keeps a margin of 1/4 - 2 eps."""
    known = load(network(tmp_path / "net.onnx", ALL[ending]))
    x, labels = np.full((3, 2), 0.5, np.float32), np.array([0, 1, 2])
    safe = robustness(known, x, labels, 0.1)
    assert [each.verdict for each in safe] == [Verdict.VERIFIED, Verdict.MISCLASSIFIED, Verdict.MISCLASSIFIED]
    assert 0 < safe[0].margin < 0.05 + 1e-6
    assert safe[1].reason == "the network answers 0"
    (broken,) = robustness(known, x[:1], labels[:1], 0.2)
    assert broken.verdict is Verdict.FALSIFIED
    assert np.abs(broken.witness.x - 0.5).max() <= 0.2
    y = known.runtime.logits(broken.witness.x[None])
    assert (y[0, 0] if known.graph.ending == "ArgMax" else y.argmax()) == 1


def rows_of(*rows):
    ends = np.zeros(1), np.ones(1)
    listed = (Row(tuple((i, Fraction(c)) for i, c in terms.items()), Fraction(d), strict) for terms, d, strict in rows)
    return Clause(*ends, ends, tuple(listed))


def holds(read, clause, y):
    return any(unsafe(Clause(clause.lower, clause.upper, clause.inner, rows), np.zeros(1), y) for rows in read)


@pytest.mark.parametrize("seed", range(20))
def test_a_reading_covers_the_outputs(seed):
    """Wherever the file's outputs fulfil the rows so do the logits; and, ties of an ArgMax apart, nowhere else."""
    rng = np.random.default_rng(seed)
    for _ in range(20):
        y = rng.integers(-2, 3, 4).astype(np.float64)  # often with ties
        i, j = rng.choice(4, 2, replace=False)
        order = rows_of(({i: 2, j: -2}, 0, bool(rng.integers(2))))
        p = np.exp(y) / np.exp(y).sum()
        assert holds(on_logits(order, "Softmax", 4), order, y) == unsafe(order, np.zeros(1), p)
        difference = rows_of(({i: 2, j: -2}, int(rng.integers(-3, 4)), bool(rng.integers(2))))
        exact = unsafe(difference, np.zeros(1), y - 8)
        assert holds(on_logits(difference, "LogSoftmax", 4), difference, y) == exact
        level = rows_of(
            *(({0: int(s)}, Fraction(int(d), 2), bool(rng.integers(2))) for s, d in rng.integers(-3, 4, (2, 2)) if s)
        )
        best = np.flatnonzero(y == y.max())
        wanted = any(unsafe(level, np.zeros(1), np.array([float(k)])) for k in best)
        assert holds(on_logits(level, "ArgMax", 4), level, y) == wanted


def test_too_many_classes_are_refused():
    classes = round((4 * MAX_NUMBERS) ** (1 / 3)) + 2
    with pytest.raises(UnsupportedError, match="fewer classes"):
        on_logits(rows_of(({0: 1}, -classes // 2, False)), "ArgMax", classes)
