"""One random network with boxes and specifications, in torch for the engine and in numpy for the reference."""

from typing import NamedTuple

import numpy as np
import torch

from glscert.verifier.bounds import Box, Spec
from glscert.verifier.graph import Graph
from random_graphs import CURVED, GRAPHS
from reference import REFERENCE, dense, forward


class Case(NamedTuple):
    graph: Graph
    params: dict[str, torch.Tensor]
    box: Box  # [B, *v], widths differing per coordinate, some of them 0
    spec: Spec  # rows [B, M, K], offset [B, M]


def make_case(name, seed=0, *, dtype=torch.float64, batch=2, rows=3, radius=0.3, make=None) -> Case:
    rng = np.random.default_rng([seed, *name.encode()])
    graph, params = (make or (GRAPHS | CURVED)[name])(rng)
    centre = rng.uniform(-1, 1, size=(batch, *graph.input_shape))
    below, above = rng.uniform(0, radius, size=(2, *centre.shape)) * (rng.random((2, *centre.shape)) > 0.1)
    spec = rng.normal(size=(batch, rows, *graph.output_shape)), rng.normal(size=(batch, rows))
    as_tensor = lambda array: torch.tensor(array, dtype=dtype)  # noqa: E731
    return Case(
        graph,
        {key: as_tensor(array) for key, array in params.items()},
        Box(as_tensor(centre - below), as_tensor(centre + above)),
        Spec(*map(as_tensor, spec)),
    )


def numpy_params(case: Case) -> dict[str, np.ndarray]:
    """In float64, of the values as the engine sees them."""
    return {key: tensor.detach().double().numpy() for key, tensor in case.params.items()}


def reference_bounds(case: Case, relaxation: str, network=None):
    """-> lower [B, M] and {ReLU input: (lower, upper), each [B, size]}, image by image."""
    network, results = network or dense(case.graph, numpy_params(case)), []
    for b in range(len(case.box.lower)):
        image = (case.box.lower[b], case.box.upper[b], case.spec.rows[b], case.spec.offset[b])
        results.append(REFERENCE[relaxation](network, *(tensor.double().numpy() for tensor in image)))
    pre = {
        name: tuple(np.stack([boxes[name][end] for _, boxes in results]) for end in (0, 1)) for name in results[0][1]
    }
    return np.stack([lower for lower, _ in results]), pre


def sampled(case, count=200):
    """Values by name [S, B, *v] at random points and corners, and the specification's rows there [S, B, M]."""
    lower, upper = case.box
    points = lower + (upper - lower) * torch.rand(count, *lower.shape, dtype=lower.dtype)
    corners = torch.where(torch.rand(count, *lower.shape) < 0.5, lower, upper)
    points = torch.cat([points, corners])
    values = forward(case.graph, numpy_params(case), points.flatten(0, 1).numpy())
    values = {name: torch.from_numpy(v).reshape(*points.shape[:2], *v.shape[1:]) for name, v in values.items()}
    rows = torch.einsum("bmk,sbk->sbm", case.spec.rows, values[case.graph.output]) + case.spec.offset
    return values, rows
