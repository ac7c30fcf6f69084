"""Exact evaluation against fractions, and against float64 where that is exact too; exact bounds against samples."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from glscert.verifier.bounds.exact_bounds import ExactBounds
from glscert.verifier.bounds.exact_forward import enclosure, evaluated
from glscert.verifier.bounds.exact_triangles import program
from glscert.verifier.bounds.rational import BeyondExactError, Linear, of_floats, of_fractions
from glscert.verifier.graph import Graph, Node
from glscert.verifier.ops import evaluate
from random_graphs import CURVED, GRAPHS

LONG = 1 << 12


def network(name, seed=0, grid=None):
    """The graph with its weights, rounded to multiples of `grid` where one is given."""
    rng = np.random.default_rng(seed)
    graph, params = (GRAPHS | CURVED)[name](rng)
    if grid is not None:
        params = {key: np.round(value / grid) * grid for key, value in params.items()}
        for node in graph.nodes:
            if node.op == "Div":  # by powers of two, or float64 would round
                params[node.params[0]] = 2.0 ** rng.integers(-2, 3, params[node.params[0]].shape)
    return graph, {key: torch.tensor(value) for key, value in params.items()}, rng


def outputs(graph, params, point, most_bits=LONG):
    given = enclosure(point, point, graph.input_shape)
    return evaluated(graph, params, given, most_bits=most_bits)[graph.output].ends()


@pytest.mark.parametrize("name", GRAPHS)
def test_equals_float64_where_that_rounds_nothing(name):
    graph, params, rng = network(name, grid=1 / 8)
    x = np.round(rng.normal(size=graph.input_shape) * 8) / 8
    lower, upper = outputs(graph, params, [Fraction(value) for value in x.ravel()])
    wanted = [Fraction(value) for value in evaluate(graph, params, torch.tensor(x)[None])[0].tolist()]
    assert lower == upper == wanted


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_encloses_float64_up_to_its_rounding(name):
    graph, params, rng = network(name)
    x = rng.normal(size=graph.input_shape)
    for most_bits in (LONG, 128):
        lower, upper = outputs(graph, params, [Fraction(value) for value in x.ravel()], most_bits)
        wanted = evaluate(graph, params, torch.tensor(x)[None])[0].tolist()
        for low, high, value in zip(lower, upper, wanted, strict=True):
            assert low <= high and float(high - low) < 1e-20
            assert abs(float(low) - value) < 1e-12 * (1 + abs(value))


@pytest.mark.parametrize("seed", range(5))
def test_equals_fractions_on_a_network_of_every_arithmetic(seed):
    """Gemm, Relu, Mul, Div, Add, Sub and Square of values of many sizes, at a point with decimals."""
    rng = np.random.default_rng(seed)
    w, v = rng.normal(size=(4, 3)) * 2.0 ** rng.integers(-60, 60, (4, 3)), rng.normal(size=(2, 4))
    b, c, d, e = rng.normal(size=4) * 2.0 ** rng.integers(-30, 30, 4), *rng.normal(size=(3, 2))
    x = [Fraction(1, 10), Fraction(-2, 3), Fraction(float(rng.normal()))]
    chain = [("Gemm", ("w", "b")), ("Relu", ()), ("Gemm", ("v",)), ("Mul", ("c",)), ("Div", ("d",)), ("Square", ())]
    names = ["x", *(f"v{place}" for place in range(len(chain)))]
    nodes = [
        Node(op, name, (names[place],), name, params)
        for place, ((op, params), name) in enumerate(zip(chain, names[1:], strict=True))
    ]
    nodes += [Node("Sub", "s", (names[-1], names[-2]), "s"), Node("Add", "y", ("s",), "y", ("e",))]
    shapes = {"x": (3,), "v0": (4,), "v1": (4,), **{name: (2,) for name in (*names[3:], "s", "y")}}
    graph = Graph("x", "y", tuple(nodes), shapes)
    params = {name: torch.tensor(value) for name, value in dict(w=w, b=b, v=v, c=c, d=d, e=e).items()}

    def exact(values):
        return [Fraction(float(value)) for value in values]

    hidden = [
        max(sum((a * z for a, z in zip(exact(row), x, strict=True)), bias), Fraction(0))
        for row, bias in zip(w, exact(b), strict=True)
    ]
    after = [sum(a * z for a, z in zip(exact(row), hidden, strict=True)) for row in v]
    scaled = [z * own / by for z, own, by in zip(after, exact(c), exact(d), strict=True)]
    wanted = [z * z - z + own for z, own in zip(scaled, exact(e), strict=True)]
    assert outputs(graph, params, x) == (wanted, wanted)


@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_boxes_hold_every_value(name):
    graph, params, rng = network(name)
    lower = rng.normal(size=graph.input_shape)
    upper = lower + rng.uniform(0, 1, size=graph.input_shape)
    ends = [[Fraction(value) for value in end.ravel()] for end in (lower, upper)]
    found = evaluated(graph, params, enclosure(*ends, graph.input_shape), most_bits=LONG)[graph.output].ends()
    low, high = (np.array([float(value) for value in end]) for end in found)
    x = lower + (upper - lower) * rng.uniform(size=(50, *graph.input_shape))
    y = evaluate(graph, params, torch.tensor(x)).numpy()
    assert (low - 1e-9 <= y).all() and (y <= high + 1e-9).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_rows_go_back_as_values_go_forth(name):
    """A (L v) = (A L) v for every linear map, in exact numbers."""
    graph, params, rng = network(name)
    linear = Linear(params)
    for node in graph.nodes:
        if node.op in ("Relu", "Add", "Sub", "Mul", "Div"):
            continue
        shape, out = graph.shapes[node.inputs[0]], graph.shapes[node.output]
        value, rows = of_floats(rng.normal(size=(1, *shape))), of_floats(rng.normal(size=(2, int(np.prod(out)))))
        forth, back = linear.forward(node, value), linear.backward(node, rows, shape, out)
        left = (rows.numbers @ forth.numbers.ravel()) * (rows.unit * forth.unit)
        right = (back.numbers @ value.numbers.ravel()) * (back.unit * value.unit)
        assert left.tolist() == right.tolist()


def bounded(name, budget, width=0.5):
    """Exact bounds over a box, and values of random rows [N, R] at its points, corners among them."""
    graph, params, rng = network(name)
    lower = rng.normal(size=graph.input_shape)
    upper = lower + rng.uniform(0, width, size=graph.input_shape)
    share = rng.uniform(size=(60, *graph.input_shape))
    x = lower + (upper - lower) * np.concatenate([share, share.round()])
    rows, offset = rng.normal(size=(3, *graph.output_shape)), rng.normal(size=3)
    y = evaluate(graph, params, torch.tensor(x)).numpy()
    ends = [[Fraction(value) for value in end.ravel()] for end in (lower, upper)]
    exact = of_floats(rows), [Fraction(value) for value in offset]
    return ExactBounds(graph, params, *ends, budget=budget), exact, y @ rows.T + offset


@pytest.mark.parametrize("budget", [10**5, 300, 1])
@pytest.mark.parametrize("name", GRAPHS | CURVED)
def test_exact_bounds_lie_below(name, budget):
    bounds, exact, values = bounded(name, budget)
    for least, seen in zip(bounds.least(*exact), values.min(0), strict=True):
        assert least is None or float(least) <= seen + 1e-9
    assert budget < 10**5 or None not in bounds.least(*exact)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_program_holds_at_every_point(name):
    """Its forms are >= 0 at a point of the box and its rows those of the network, with the ReLUs' outputs there."""
    bounds, exact, _ = bounded(name, 10**6, width=0.1)
    found = program(bounds, *exact, {})
    assert found is not None
    count = len(bounds.values[bounds.graph.input].lower)
    point = [(l + 2 * u) / 3 for l, u in zip(found.lower[:count], found.upper[:count], strict=True)]
    graph = bounds.graph
    values = evaluated(graph, bounds.linear.params, enclosure(point, point, graph.input_shape), most_bits=LONG)
    variables = list(point)
    for value, box in bounds.boxes.items():
        z, _ = values[value].ends()
        variables += [max(own, Fraction(0)) for entry, own in enumerate(z) if not box.sign(entry)]
    assert len(variables) == len(found.lower)

    def at(form):
        return sum((a * b for a, b in zip(form[0], variables, strict=True)), form[1])

    assert all(at(form) >= 0 for form in found.held)
    y, _ = values[graph.output].ends()
    rows, offset = exact
    for row, own, form in zip(rows.numbers, offset, found.rows, strict=True):
        assert at(form) == own + rows.unit * sum(a * b for a, b in zip(row.tolist(), y, strict=True))


def test_numbers_keep_their_value():
    values = np.array([0.0, -1.5, 5e-324, 1.7e308, 0.1])
    assert of_floats(values).fractions() == [Fraction(value) for value in values]
    assert of_floats(np.zeros(3)).fractions() == [0, 0, 0]
    thirds = [Fraction(1, 3), Fraction(-5, 7)]
    assert of_fractions(thirds, (2,)).fractions() == thirds


def test_what_has_no_exact_rule_is_refused():
    with pytest.raises(BeyondExactError, match="not finite"):
        of_floats(np.array([np.inf]))
    graph = Graph("x", "y", (Node("Div", "y", ("x",), "y", ("d",)),), {"x": (1,), "y": (1,)})
    with pytest.raises(BeyondExactError, match="zero"):
        outputs(graph, {"d": torch.zeros(1, dtype=torch.float64)}, [Fraction(1)])
