"""The exact least value of a linear form of a small network's outputs over a box, as a mixed-integer program.

Each ReLU y = max(v, 0) with v in [l, u] gets one binary a, fixed where the sign is (Tjeng, Xiao and Tedrake 2019):

    y >= 0,   y >= v,   y <= u a,   y <= v - l (1 - a)

Built on the reference's matrices; solved by HiGHS in scipy.
"""

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from reference import deeppoly, flat_box

SLACK = 1e-3  # of the boxes, well above the solver's tolerance of 1e-7


def least(network, lower, upper, row, offset=0.0):
    """min of row @ outputs + offset over the box: (value up to the solver's tolerance, the point where it is taken)."""
    graph, forms = network
    _, pre = deeppoly(network, lower, upper, row[None], np.zeros(1))
    sizes = {name: int(np.prod(shape)) for name, shape in graph.shapes.items()}
    starts, total = {}, 0
    for name in [graph.input, *(node.output for node in graph.nodes)]:
        starts[name], total = total, total + sizes[name]
    binaries = {}
    for node in graph.nodes:
        if node.op == "Relu":
            binaries[node.output], total = total, total + sizes[node.output]

    def columns(name):
        return slice(starts[name], starts[name] + sizes[name])

    blocks, floors, ceilings = [], [], []

    def constrain(terms, floor, ceiling):
        block = np.zeros((len(np.atleast_1d(floor)), total))
        for where, matrix in terms:
            block[:, where] += matrix
        blocks.append(block)
        floors.append(floor)
        ceilings.append(ceiling)

    low, high = np.full(total, -np.inf), np.full(total, np.inf)
    integrality = np.zeros(total)
    low[columns(graph.input)], high[columns(graph.input)] = flat_box(lower, upper)
    for node in graph.nodes:
        here, size = columns(node.output), sizes[node.output]
        if node.op != "Relu":
            form = forms[node.output]
            terms = [(columns(name), -matrix) for name, matrix in zip(node.inputs, form.matrices, strict=True)]
            constrain([(here, np.eye(size)), *terms], form.bias, form.bias)
            continue
        below, above = (end + slack for end, slack in zip(pre[node.inputs[0]], (-SLACK, SLACK), strict=True))
        switch = slice(binaries[node.output], binaries[node.output] + size)
        low[switch], high[switch], integrality[switch] = below > 0, above >= 0, (below <= 0) & (above >= 0)
        below, above = np.minimum(below, 0), np.maximum(above, 0)
        low[here] = 0
        value, eye, free = columns(node.inputs[0]), np.eye(size), np.full(size, np.inf)
        constrain([(here, eye), (value, -eye)], np.zeros(size), free)
        constrain([(here, -eye), (switch, np.diag(above))], np.zeros(size), free)
        constrain([(here, -eye), (value, eye), (switch, np.diag(below))], below, free)

    cost = np.zeros(total)
    cost[columns(graph.output)] = row
    constraint = LinearConstraint(np.concatenate(blocks), np.concatenate(floors), np.concatenate(ceilings))
    solved = milp(cost, constraints=constraint, bounds=Bounds(low, high), integrality=integrality)
    if not solved.success:
        raise RuntimeError(f"HiGHS: {solved.message}")
    return solved.fun + offset, solved.x[columns(graph.input)].reshape(graph.input_shape)
