"""Exact evaluation against fractions, and against float64 where that is exact too; exact bounds against samples."""

from fractions import Fraction

import numpy as np
import pytest

from glscert.verifier.engine.engine import Engine
from glscert.verifier.engine.steps import Affine
from glscert.verifier.exact.bounds import ExactBounds
from glscert.verifier.exact.forward import enclosure, evaluated
from glscert.verifier.exact.linear import Linear
from glscert.verifier.exact.rational import (
    BeyondExactError,
    Exact,
    digits_of_floats,
    of_floats,
    of_fractions,
    reciprocal,
)
from glscert.verifier.exact.triangles import program
from glscert.verifier.graph import Graph, Node
from random_graphs import CURVED, GRAPHS
from reference import forward

LONG = 1 << 12
BEYOND = ("waves", "steps")  # curves without an exact rule
ENCLOSED = [name for name in GRAPHS | CURVED if name not in BEYOND]


def network(name, seed=0, grid=None):
    """The graph with its weights, rounded to multiples of `grid` where one is given."""
    rng = np.random.default_rng(seed)
    graph, params = (GRAPHS | CURVED)[name](rng)
    if grid is not None:
        params = {key: np.round(value / grid) * grid for key, value in params.items()}
        for node in graph.nodes:
            if node.op == "Div":  # by powers of two, or float64 would round
                params[node.params[0]] = 2.0 ** rng.integers(-2, 3, params[node.params[0]].shape)
    return Engine(graph, params), rng


def outputs(engine, point, most_bits=LONG):
    given = enclosure(point, point)
    return evaluated(Linear(engine), given, most_bits=most_bits)[engine.output].ends()


def values(engine, x):
    """Outputs [N, K] in float64 for inputs [N, n], by the reference."""
    found = forward(engine.graph, engine.params, x.reshape(-1, *engine.graph.input_shape))
    return found[engine.graph.output]


@pytest.mark.parametrize("name", GRAPHS)
def test_equals_float64_where_that_rounds_nothing(name):
    engine, rng = network(name, grid=1 / 8)
    x = np.round(rng.normal(size=(1, engine.inputs)) * 8) / 8
    lower, upper = outputs(engine, [Fraction(value) for value in x[0]])
    assert lower == upper == [Fraction(value) for value in values(engine, x)[0]]


@pytest.mark.parametrize("name", BEYOND)
def test_what_has_no_exact_rule_says_so(name):
    engine, rng = network(name)
    with pytest.raises(BeyondExactError):
        outputs(engine, [Fraction(value) for value in rng.normal(size=engine.inputs)])


@pytest.mark.parametrize("name", ENCLOSED)
def test_encloses_float64_up_to_its_rounding(name):
    engine, rng = network(name)
    x = rng.normal(size=(1, engine.inputs))
    for most_bits in (LONG, 128):
        lower, upper = outputs(engine, [Fraction(value) for value in x[0]], most_bits)
        for low, high, value in zip(lower, upper, values(engine, x)[0], strict=True):
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
    engine = Engine(graph, dict(w=w, b=b, v=v, c=c, d=d, e=e))

    def exact(values):
        return [Fraction(float(value)) for value in values]

    hidden = [
        max(sum((a * z for a, z in zip(exact(row), x, strict=True)), bias), Fraction(0))
        for row, bias in zip(w, exact(b), strict=True)
    ]
    after = [sum(a * z for a, z in zip(exact(row), hidden, strict=True)) for row in v]
    scaled = [z * own / by for z, own, by in zip(after, exact(c), exact(d), strict=True)]
    wanted = [z * z - z + own for z, own in zip(scaled, exact(e), strict=True)]
    assert outputs(engine, x) == (wanted, wanted)


@pytest.mark.parametrize("name", ENCLOSED)
def test_boxes_hold_every_value(name):
    engine, rng = network(name)
    lower = rng.normal(size=engine.inputs)
    upper = lower + rng.uniform(0, 1, size=engine.inputs)
    ends = [[Fraction(value) for value in end] for end in (lower, upper)]
    found = evaluated(Linear(engine), enclosure(*ends), most_bits=LONG)[engine.output].ends()
    low, high = (np.array([float(value) for value in end]) for end in found)
    y = values(engine, lower + (upper - lower) * rng.uniform(size=(50, engine.inputs)))
    assert (low - 1e-9 <= y).all() and (y <= high + 1e-9).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_rows_go_back_as_values_go_forth(name):
    """A (L v) = (A L) v for every linear map, in exact numbers."""
    engine, rng = network(name)
    linear = Linear(engine)
    for step in engine.steps:
        if not isinstance(step, Affine):
            continue
        given = [of_floats(rng.normal(size=(1, engine.size(number)))) for number in step.inputs]
        rows = of_floats(rng.normal(size=(2, step.size)))
        forth, back = linear.forward(step, given), linear.backward(step, rows)
        for value, there, here in zip(given, forth, back, strict=True):
            left = (rows.numbers @ there.numbers.ravel()) * (rows.unit * there.unit)
            right = (here.numbers @ value.numbers.ravel()) * (here.unit * value.unit)
            assert left.tolist() == right.tolist()


@pytest.mark.parametrize("numbers", [1, -1])
def test_sums_of_the_largest_digits_are_exact(numbers):
    """Of a layer as wide as any, with weights and values that fill every digit."""
    full, inputs = numbers * (2.0**53 - 1), 2**14
    graph = Graph("x", "y", (Node("Gemm", "y", ("x",), "y", ("w",)),), {"x": (inputs,), "y": (1,)})
    engine = Engine(graph, {"w": np.full((1, inputs), full)})
    (step,), linear = engine.steps, Linear(engine)
    value = of_floats(np.full((1, inputs), 2.0**53 - 1))._replace(unit=Fraction(1))
    assert linear.forward(step, [value])[0].fractions() == [Fraction(full) * inputs * value.numbers[0, 0]]
    assert linear.spread(step, 0, value).fractions() == [abs(Fraction(full)) * inputs * value.numbers[0, 0]]
    (back,) = linear.backward(step, value._replace(numbers=value.numbers[:, :1]))
    assert back.fractions() == [Fraction(full) * value.numbers[0, 0]] * inputs


def bounded(name, budget, width=0.5):
    """Exact bounds over a box, and values of random rows [N, R] at its points, corners among them."""
    engine, rng = network(name)
    lower = rng.normal(size=engine.inputs)
    upper = lower + rng.uniform(0, width, size=engine.inputs)
    share = rng.uniform(size=(60, engine.inputs))
    y = values(engine, lower + (upper - lower) * np.concatenate([share, share.round()]))
    rows, offset = rng.normal(size=(3, engine.outputs)), rng.normal(size=3)
    ends = [[Fraction(value) for value in end] for end in (lower, upper)]
    exact = of_floats(rows), [Fraction(value) for value in offset]
    return ExactBounds(Linear(engine), *ends, budget=budget), exact, y @ rows.T + offset


@pytest.mark.parametrize("budget", [10**5, 300, 1])
@pytest.mark.parametrize("name", ENCLOSED)
def test_exact_bounds_lie_below(name, budget):
    bounds, exact, seen = bounded(name, budget)
    for least, value in zip(bounds.least(*exact), seen.min(0), strict=True):
        assert least is None or float(least) <= value + 1e-9
    assert budget < 10**5 or None not in bounds.least(*exact)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_program_holds_at_every_point(name):
    """Its forms are >= 0 at a point of the box and its rows those of the network, with the ReLUs' outputs there."""
    bounds, exact, _ = bounded(name, 10**6, width=0.1)
    found = program(bounds, *exact, {})
    assert found is not None
    engine = bounds.engine
    ends = (each[: engine.inputs] for each in (found.lower, found.upper))
    point = [(l + 2 * u) / 3 for l, u in zip(*ends, strict=True)]
    known = evaluated(bounds.linear, enclosure(point, point), most_bits=LONG)
    variables = list(point)
    for value, box in bounds.boxes.items():
        z, _ = known[engine.bends[value].into].ends()
        variables += [max(own, Fraction(0)) for entry, own in enumerate(z) if not box.sign(entry)]
    assert len(variables) == len(found.lower)

    def at(form):
        return sum((a * b for a, b in zip(form[0], variables, strict=True)), form[1])

    assert all(at(form) >= 0 for form in found.held)
    y, _ = known[engine.output].ends()
    rows, offset = exact
    for row, own, form in zip(rows.numbers, offset, found.rows, strict=True):
        assert at(form) == own + rows.unit * sum(a * b for a, b in zip(row.tolist(), y, strict=True))


def test_numbers_keep_their_value():
    values = np.array([0.0, -1.5, 5e-324, 1.7e308, 0.1])
    assert of_floats(values).fractions() == [Fraction(value) for value in values]
    assert of_floats(np.zeros(3)).fractions() == [0, 0, 0]
    for width in (8, 13, 26):
        found, unit = digits_of_floats(values, width)
        assert (abs(found) < 2.0**width).all()
        whole = [sum(int(digit) << width * place for place, digit in enumerate(each)) for each in found.T]
        assert Exact(np.array(whole, object), unit).fractions() == [Fraction(value) for value in values]
    thirds = [Fraction(1, 3), Fraction(-5, 7)]
    assert of_fractions(thirds, (2,)).fractions() == thirds


def test_what_has_no_exact_rule_is_refused():
    with pytest.raises(BeyondExactError, match="not finite"):
        of_floats(np.array([np.inf]))
    with pytest.raises(BeyondExactError, match="zero"):
        reciprocal(of_floats(np.zeros(1)))
