"""A network over a box as a linear program in exact numbers, with the triangles of those ReLUs that have no sign.

y >= 0,   y >= z,   y <= u / (u - l) · (z - l)        (Ehlers 2017, arXiv:1705.01320)
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .bounds import ExactBounds
from .lines import Forms
from .rational import BeyondExactError, Exact
from .rows import add

AffineForm = tuple[list[Fraction], Fraction]  # factors of variables, and a constant


class Program(NamedTuple):
    """Rows and forms affine in variables between lower and upper (None: no end): every form is >= 0 wherever the
    variables stand for the input and for ReLUs' outputs."""

    rows: list[AffineForm]
    held: list[AffineForm]
    lower: list[Fraction | None]
    upper: list[Fraction | None]


def program(
    bounds: ExactBounds, rows: Exact, offset: list[Fraction], signs: Mapping[str, list[int]]
) -> "Program | None":
    """What is to be refuted of rows [R, K] · y + offset where ReLUs have the signs given (1, -1, 0 for their own,
    by the name of their input). None where there is no row, or a nonlinearity is not a ReLU or has no box."""
    if not len(rows.numbers):
        return None
    bounds.begin()
    known, free = _signed(bounds, signs)
    if known is None:
        return None
    atoms = [(name, entry) for name, own in free.items() for entry in own]
    value = _affine(bounds, {bounds.engine.output: rows}, known, free)
    count, held = bounds.engine.inputs, list[AffineForm]()
    for name, sign in known.items():
        split = [
            entry for entry, given in enumerate(signs.get(name, ())) if given and not bounds.boxes[name].sign(entry)
        ]
        entries = [*split, *free[name]]
        if not entries:
            continue
        numbers = np.zeros((len(entries), len(sign)), object)
        numbers[range(len(entries)), entries] = 1
        z = _affine(bounds, {bounds.engine.bends[name].into: Exact(numbers, Fraction(1))}, known, free)
        held += [_scaled(form, Fraction(sign[entry])) for form, entry in zip(z, split, strict=False)]
        for form, entry in zip(z[len(split) :], free[name], strict=True):
            held += _triangle(bounds, form, count + atoms.index((name, entry)), name, entry)
    lower, upper = bounds.values[0]
    shifted = [(own[0], own[1] + more) for own, more in zip(value, offset, strict=True)]
    return Program(shifted, held, [*lower, *[Fraction(0)] * len(atoms)], [*upper, *[None] * len(atoms)])


def _signed(
    bounds: ExactBounds, signs: Mapping[str, list[int]]
) -> tuple[dict[str, list[int]] | None, dict[str, list[int]]]:
    """The sign of every ReLU's input, given or its own; and those entries that have none."""
    known: dict[str, list[int]] = {}
    for number, bend in bounds.nonlinear.items():
        box = bounds.boxes[bend.name]
        if bounds.kinds[number] != "Relu" or None in box.lower or None in box.upper:
            return None, {}
        given = signs.get(bend.name) or [0] * bend.size
        known[bend.name] = [box.sign(entry) or sign for entry, sign in enumerate(given)]
    return known, {name: [entry for entry, sign in enumerate(own) if not sign] for name, own in known.items()}


def _triangle(bounds: ExactBounds, z: AffineForm, atom: int, name: str, entry: int) -> list[AffineForm]:
    """y - z >= 0 and u / (u - l) · (z - l) - y >= 0, for y at the place `atom`."""
    l, u = bounds.boxes[name].lower[entry], bounds.boxes[name].upper[entry]
    if l is None or u is None:
        raise BeyondExactError("a neuron has no box")
    below, above = _scaled(z, Fraction(-1)), _scaled(z, u / (u - l))
    below[0][atom] += 1
    above[0][atom] -= 1
    return [below, (above[0], above[1] - u / (u - l) * l)]


def _affine(
    bounds: ExactBounds, forms: Forms, known: Mapping[str, list[int]], free: Mapping[str, list[int]]
) -> list[AffineForm]:
    """Rows as factors of the input and of the outputs of `free` ReLUs, and a constant."""
    constant: list[Fraction | None] = [Fraction(0)] * len(next(iter(forms.values())).numbers)
    kept: dict[str, Exact] = {}
    for name, bend in reversed(bounds.engine.bends.items()):
        forms, constant = bounds.down(forms, constant)
        if bend.out not in forms:
            continue
        form = forms.pop(bend.out)
        bounds.spend(form.numbers.size)
        kept[name] = Exact(form.numbers[:, free[name]], form.unit)
        passing = np.array([int(sign > 0) for sign in known[name]], object)
        add(forms, bend.into, Exact(form.numbers * passing, form.unit))
    forms, constant = bounds.down(forms, constant)
    parts = [(forms.get(0), bounds.engine.inputs)]
    parts += [(kept.get(name), len(own)) for name, own in free.items()]
    found: list[AffineForm] = []
    for row, total in enumerate(constant):
        factors: list[Fraction] = []
        for part, size in parts:
            blank = [Fraction(0)] * size
            factors += blank if part is None else Exact(part.numbers[row], part.unit).fractions()
        found.append((factors, total or Fraction(0)))
    return found


def _scaled(form: AffineForm, factor: Fraction) -> AffineForm:
    return [factor * own for own in form[0]], factor * form[1]
