"""What a float32 runtime may compute of a graph: node by node, the terms of every sum in an order of its own, with or
without fused multiply-add, functions a few last places off."""

import numpy as np

from reference import UNARY, dense

F = np.float32
UNIT = 2.0**-24
_OFF = 5  # roundings, of a smooth function by the size of its value or 1


def values(graph, params, x, rng):
    """Every value by name [S, n], for inputs x [S, n] that are float32 numbers."""
    forms, known = dense(graph, params).forms, {graph.input: x.astype(F)}
    for node in graph.nodes:
        if node.op in UNARY:
            (given,) = (known[name] for name in node.inputs)
            known[node.output] = _bent(node.op, given, rng)
        else:
            form = forms[node.output]
            weight = np.concatenate(form.matrices, 1)
            given = np.concatenate([known[name] for name in node.inputs], 1)
            known[node.output] = _summed(weight, form.bias, given, rng)
    return known


def _bent(op, given, rng):
    if op == "Relu":
        return np.maximum(given, F(0))
    if op == "Square":
        return given * given
    exact = UNARY[op](given.astype(np.float64))
    return (exact + rng.uniform(-_OFF, _OFF, exact.shape) * UNIT * (1 + abs(exact))).astype(F)


def _summed(weight, bias, given, rng):
    found = np.zeros((len(given), len(weight)), F)
    for place, (row, start) in enumerate(zip(weight.astype(F), bias.astype(F), strict=True)):
        terms = np.flatnonzero(row)
        if rng.random() < 0.5:
            found[:, place] = _tree([*(row[k] * given[:, k] for k in terms), *([start] if start else [])], given, rng)
        else:
            found[:, place] = _chain(row, start, terms, given, rng)
    return found


def _tree(parts, given, rng):
    """Any two partial sums after the other."""
    parts = parts or [np.zeros(len(given), F)]
    while len(parts) > 1:
        one, other = (parts.pop(rng.integers(len(parts))) for _ in range(2))
        parts.append((one + other).astype(F))
    return parts[0]


def _chain(row, start, terms, given, rng):
    """One term after the other, with fused multiply-add or without; the bias first or last."""
    fused, first = rng.random() < 0.5, rng.random() < 0.5
    total = np.full(len(given), start if first else F(0), F)
    for k in rng.permutation(terms):
        exact = row[k].astype(np.float64) * given[:, k] + total if fused else total + row[k] * given[:, k]
        total = exact.astype(F)
    return total if first else (total + start).astype(F)
