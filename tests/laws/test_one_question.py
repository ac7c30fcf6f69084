"""Labelled inputs and the same questions written as VNN-LIB: the same verdicts, after as many boxes."""

from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import helper

from cases import make_case
from glscert.export.onnx import onnx_bytes
from glscert.verifier import Answer, Network, Verdict, load, robustness, verify
from glscert.verifier.errors import GlscertError
from glscert.verifier.graph.translate import TRANSLATIONS
from glscert.verifier.run import question
from onnx_models import make, node
from random_graphs import CURVED, GRAPHS
from random_models import random_model

GRID = 64  # inputs and radii are multiples of a part of 1: the ends of all boxes are float32 numbers
SECONDS = 20.0
MORE = 1.5  # times the boxes of the property


class Asked(NamedTuple):
    """Of an input x [n] and its label, or of a regression None, and `rows`: what must not hold, as VNN-LIB has it."""

    network: Network
    x: np.ndarray
    eps: float
    label: int | None
    rows: list[str]
    options: dict[str, float]

    def labelled(self) -> Answer:
        x = self.x.reshape(1, *self.network.graph.input_shape)
        y = None if self.label is None else np.array([self.label])
        (found,) = robustness(
            self.network, x, y, self.eps, low=-np.inf, high=np.inf, timeout=SECONDS, **self.options
        )  # fmt: skip
        return found

    def property(self, folder: Path) -> Answer:
        lines = [f"(declare-const X_{i} Real)" for i in range(self.network.entries)]
        lines += [f"(declare-const Y_{k} Real)" for k in range(self.network.graph.answers)]
        for i, value in enumerate(self.x):
            lines.append(f"(assert (and (>= X_{i} {text(value - self.eps)}) (<= X_{i} {text(value + self.eps)})))")
        path = folder / "p.vnnlib"
        path.write_text("\n".join([*lines, f"(assert (or {' '.join(f'(and {row})' for row in self.rows)}))"]))
        return verify(self.network, path, timeout=SECONDS)


def text(value: float) -> str:
    """The number itself, not the nearest of few digits."""
    return f"{Decimal(float(value)):f}"


def same(asked: Asked, folder: Path) -> tuple[Answer, Answer]:
    own, other = asked.labelled(), asked.property(folder)
    verdict = Verdict.FALSIFIED if own.verdict is Verdict.MISCLASSIFIED else own.verdict
    assert verdict is other.verdict, (own, other)
    return own, other


def classified(network: Network, x: np.ndarray, eps: float, label: int | None = None) -> Asked:
    """By the network's own label where none is given."""
    scores = network.scores(x.astype(np.float32).reshape(1, *network.graph.input_shape))[0]
    label = int(scores.argmax()) if label is None else label
    return Asked(network, x, eps, label, [f"(<= Y_{label} Y_{j})" for j in range(len(scores)) if j != label], {})


def binary(network: Network, x: np.ndarray, eps: float, rng: np.random.Generator) -> Asked:
    threshold, label = int(rng.integers(-GRID, GRID + 1)) / GRID, int(rng.integers(2))
    return Asked(
        network, x, eps, label, [f"({'<=' if label else '>='} Y_0 {text(threshold)})"], {"threshold": threshold}
    )


def regression(network: Network, x: np.ndarray, eps: float, rng: np.random.Generator) -> Asked:
    tolerance = int(rng.integers(1, GRID)) / GRID
    scores = network.scores(x.astype(np.float32).reshape(1, *network.graph.input_shape))[0].tolist()
    rows = [f"(< Y_{k} {text(Decimal(c) - Decimal(tolerance))})" for k, c in enumerate(scores)]
    rows += [f"(> Y_{k} {text(Decimal(c) + Decimal(tolerance))})" for k, c in enumerate(scores)]
    return Asked(network, x, eps, None, rows, {"tolerance": tolerance})


def drawn(rng: np.random.Generator, folder: Path, outputs: int) -> Network:
    path = folder / "network.onnx"
    while True:
        path.write_bytes(random_model(rng, set(TRANSLATIONS), outputs).SerializeToString())
        try:
            return load(path)
        except GlscertError:  # where rounding of float32 leads too far from its own definition
            continue


def test_on_random_networks_of_all_operators(tmp_path, monkeypatch, graph_seed):
    """Of every second one inputs are split, of the others neurons."""
    if graph_seed % 2:
        monkeypatch.setattr(question, "FEW_INPUTS", -1)
    rng, kind = np.random.default_rng([graph_seed, 11]), graph_seed // 2 % 5
    network = drawn(rng, tmp_path, 1 if kind == 3 else 2 + graph_seed % 3)
    x, eps = rng.integers(-GRID, GRID + 1, network.entries) / GRID, float(rng.choice([1, 4, 16, 32])) / GRID
    if kind == 3:
        same(binary(network, x, eps, rng), tmp_path)
    elif kind == 4:
        same(regression(network, x, eps, rng), tmp_path)
    else:
        same(classified(network, x, eps, label=0 if kind == 2 else None), tmp_path)


@pytest.mark.parametrize("ending", ["Softmax", "LogSoftmax", "ArgMax"])
@pytest.mark.parametrize("seed", range(4))
def test_behind_an_ending(tmp_path, ending, seed):
    """Scores that order alone is asked of; of an ArgMax that another class is the answer."""
    rng = np.random.default_rng([seed, 12])
    path = drawn(rng, tmp_path, 3).path
    proto = onnx.load(path)
    proto.graph.node[-1].output[0] = "logits"
    proto.graph.node.append(helper.make_node(ending, ["logits"], ["y"], axis=1))
    if ending == "ArgMax":
        proto.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    path.write_bytes(proto.SerializeToString())
    network = load(path)
    asked = classified(network, rng.integers(-GRID, GRID + 1, network.entries) / GRID, 8 / GRID)
    if ending == "ArgMax":
        asked = asked._replace(rows=[f"(= Y_0 {j})" for j in range(3) if j != asked.label])
    same(asked, tmp_path)


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_on_every_family_of_graphs(tmp_path, name):
    case = make_case(name, 13)
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes(case.graph, {key: value.float().numpy() for key, value in case.params.items()}, {}))
    network, rng = load(path), np.random.default_rng(13)
    for eps in (1 / GRID, 8 / GRID):
        same(classified(network, rng.integers(-GRID, GRID + 1, network.entries) / GRID, eps), tmp_path)


def relu_network(path: Path, sizes: tuple[int, ...], seed: int) -> Network:
    rng, nodes, consts, value = np.random.default_rng(seed), [], {}, "x"
    for layer, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)):
        last = layer == len(sizes) - 2
        consts[f"w{layer}"] = np.float32(rng.normal(size=(before, after)) * np.sqrt(2 / before))
        consts[f"b{layer}"] = np.float32(0.1 * rng.normal(size=after))
        nodes += [node("Gemm", f"{value} w{layer} b{layer}", "y" if last else f"z{layer}")]
        if not last:
            nodes.append(node("Relu", f"z{layer}", f"r{layer}"))
            value = f"r{layer}"
    path.write_bytes(make(nodes, ("batch", sizes[0]), consts).SerializeToString())
    return load(path)


@pytest.mark.parametrize("eps", [6 / GRID, 9 / GRID])
def test_inputs_of_a_table_are_split_for_both(tmp_path, eps):
    """A network of four inputs, on which branch and bound on neurons takes minutes."""
    network, rng = relu_network(tmp_path / "m.onnx", (4, 96, 96, 96, 3), 0), np.random.default_rng(5)
    split = 0
    for x in rng.integers(16, 49, (16, 4)) / GRID:
        own, other = same(classified(network, x, eps), tmp_path)
        if own.verdict is Verdict.VERIFIED:
            assert own.visited <= MORE * other.visited
            split += own.visited > 0
    assert split >= 5
