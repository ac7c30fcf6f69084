"""Random jobs for the programs that bound rows, and what they have to answer, row by row from dense matrices."""

from typing import NamedTuple

import numpy as np

from glscert.verifier.engine.job import Job, Lining
from reference import Dense, dense


class Drawn(NamedTuple):
    """A job over the value `name`, and the network as matrices."""

    job: Job
    name: str
    network: Dense


def draw_job(engine, rng, *, rows=11, boxes=3, own=False, terms=0, errors=False, look=False) -> Drawn:
    """Any lines, sound or not. own: of every row, with multipliers of splits, else of every box. terms: of rows of the
    output; 0: neurons of any value."""
    name = engine.graph.output if terms else str(rng.choice(list(engine.number)))
    size = engine.size(engine.number[name])
    box = None if own else np.sort(rng.integers(0, boxes, rows))
    count = rows if own else boxes
    linings = [_lining(rng, bend.size, count, own, errors) for bend in sorted(engine.bends.values(), key=_number)]
    ends = rng.normal(size=(count, engine.inputs)), rng.uniform(0, 1, (count, engine.inputs))
    job = Job(engine.number[name], linings, *ends, box=box, own_end=own, look=look)
    if terms:
        weights = rng.uniform(0.1, 1, (rows, terms))
        weights /= weights.sum(1, keepdims=True)
        job = job._replace(rows=(rng.normal(size=(rows, terms, size)), rng.normal(size=(rows, terms)), weights))
    else:
        job = job._replace(neurons=(rng.integers(0, size, rows), rng.choice([-1.0, 1.0], rows)))
        job = job._replace(error=rng.uniform(0, 0.1, (boxes, size)) if errors else None)
    return Drawn(job, name, dense(engine.graph, engine.params))


def _number(bend):
    return bend.lines


def _lining(rng, size, count, own, errors):
    lines = [rng.normal(size=(count, size)) for _ in range(4)]
    if not own:
        return Lining(*lines, error=rng.uniform(0, 0.1, (count, size)) if errors else None)
    sign = rng.choice([-1.0, 0.0, 1.0], (count, size), p=[0.1, 0.8, 0.1])
    return Lining(*lines, own_low=True, own_up=True, extra=-sign * rng.uniform(0, 1, sign.shape), sign=sign)


def draw_flips(engine, rng, rows, count=4):
    """Lining, entry and sign of a split, each [V, T]."""
    sizes = np.array([bend.size for bend in sorted(engine.bends.values(), key=_number)])
    lining = rng.integers(0, len(sizes), (count, rows))
    return lining, rng.integers(0, sizes[lining]), rng.choice([-1.0, 1.0], (count, rows))


class Answer(NamedTuple):
    """Of one row: coefficients that met the lines, by the name of a nonlinearity's input, and over the input."""

    bound: float
    met: dict[str, np.ndarray]
    coef: np.ndarray


def answer(engine, drawn: Drawn, row: int, flip=None) -> Answer:
    """flip: lining, entry and sign of one more split."""
    (graph, forms), job = drawn.network, drawn.job
    box = row if job.own_end else job.box[row]
    form, bound = _start(job, row, engine.size(job.start))
    bound -= 0.0 if job.error is None else abs(form) @ job.error[box]
    waiting, met = {drawn.name: form}, {}
    for node in reversed(graph.nodes):
        if node.output in forms:
            if node.output not in waiting:
                continue
            form = waiting.pop(node.output)
            bound += form @ forms[node.output].bias
            terms = [form @ matrix for matrix in forms[node.output].matrices]
        else:
            bend = engine.bends[node.inputs[0]]
            lining, form = job.linings[bend.lines], waiting.pop(node.output, np.zeros(bend.size))
            met[bend.name] = form
            low, low_start, up, up_start = _lines(lining, row, box, flip, bend.lines)
            bound += np.where(form > 0, form * low_start, form * up_start).sum()
            bound -= 0.0 if lining.error is None else abs(form) @ lining.error[box]
            terms = [np.where(form > 0, form * low, form * up) + (0 if lining.extra is None else lining.extra[row])]
        for name, term in zip(node.inputs, terms, strict=True):
            waiting[name] = waiting.get(name, 0.0) + term
    coef = waiting.get(graph.input, np.zeros(engine.inputs))
    return Answer(bound + coef @ job.centre[box] - abs(coef) @ job.radius[box], met, coef)


def _start(job, row, size):
    if job.neurons is not None:
        form = np.zeros(size)
        form[job.neurons[0][row]] = job.neurons[1][row]
        return form, 0.0
    rows, offset, weights = (part[row] for part in job.rows)
    return weights @ rows, weights @ offset


def _lines(lining, row, box, flip, number):
    low = np.array(lining.low[row if lining.own_low else box])
    start = np.zeros_like(lining.up) if lining.low_start is None else lining.low_start
    others = [np.array(part[row if lining.own_up else box]) for part in (start, lining.up, lining.up_start)]
    if lining.slope is not None:
        low[lining.live] = lining.slope[row]
    if flip is not None and flip[0] == number:
        low[flip[1]] = others[1][flip[1]] = max(flip[2], 0.0)
        others[0][flip[1]] = others[2][flip[1]] = 0.0
    return low, *others
