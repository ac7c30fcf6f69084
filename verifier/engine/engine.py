"""A network's arithmetic for verifying, made once from its graph and weights."""

from collections.abc import Mapping
from functools import cached_property
from math import inf, prod

import numpy as np

from ..arithmetic import Arithmetic, Deployed, deployed
from ..functions import FUNCTIONS
from ..graph import Graph
from .compiled import why_none
from .folding import NetworkRounding, network_rounding
from .job import Rows
from .lowering import Lowering
from .plan import Array, Op
from .rows import RowsProgram, rows_program
from .steps import Affine, Bend, steps

_MOST_WEIGHTS = 1 << 24  # the compiled program keeps them twice in each dtype
_MOST_ENTRIES = 1 << 21  # of all values together: each thread has a vector for every one of them, or two


class Engine:
    """graph, params as loaded; dtype: of the arithmetic. What belongs to the weights (packed for the compiled program,
    in float32) is made here and lives as long; the weights are copied, so that nobody changes them underneath. Raises
    UnsupportedError where two kinds of nonlinearities read one value.

    inputs, outputs: entries. number: of every value of the graph. bends: by name of the nonlinearity's input, in order.
    arithmetic: in which its proofs hold.
    """

    def __init__(
        self,
        graph: Graph,
        params: Mapping[str, Array],
        dtype: type = np.float64,
        lowered: Lowering | None = None,
        arithmetic: Arithmetic = Arithmetic.REAL,
    ) -> None:
        self.graph, self.dtype, self.arithmetic = graph, np.dtype(dtype), arithmetic
        self._params = {name: np.array(value) for name, value in params.items()} if lowered is None else params
        self._lowered = lowered or Lowering(graph, self._params)
        self.plan, self.number = self._lowered.plan, self._lowered.number
        self.inputs, self.outputs = prod(graph.input_shape), prod(graph.output_shape)
        self.output = self.number[graph.output]
        self._names = {number: name for name, number in self._lowered.lining.items()}
        self.steps = steps(self.plan, self._bend, self.dtype)
        self.bends = {step.name: step for step in self.steps if isinstance(step, Bend)}
        self.multiplications = 1 + sum(step.multiplications for step in self.steps if isinstance(step, Affine))

    def _bend(self, op: Op) -> Bend:
        name = self._names[op.lines]
        function = FUNCTIONS[self._lowered.functions[name]]
        return Bend(name, function, op.into, op.out, self.size(op.into), op.lines)

    def size(self, number: int) -> int:
        """Entries of a value."""
        return prod(self.plan.values[number].shape)

    @cached_property
    def single(self) -> "Engine":
        """The same in float32."""
        return Engine(self.graph, self._params, np.float32, self._lowered, self.arithmetic)

    @cached_property
    def program(self) -> Rows:
        """What bounds rows: compiled where that can be (`why` says why not), else in numpy."""
        if self._compiled is not None:
            return self._compiled
        from .plain_rows import PlainRows

        plain: Rows = PlainRows(self)
        return plain

    @property
    def compiled(self) -> bool:
        """Whether `program` is compiled."""
        return self._compiled is not None

    @cached_property
    def why(self) -> str | None:
        """Why the program is not compiled, to be said after "because"; None where it is."""
        return self._too_large or (None if self.compiled else why_none())

    @cached_property
    def _compiled(self) -> RowsProgram | None:
        return None if self._too_large else rows_program(self.plan, self.dtype)

    @cached_property
    def _too_large(self) -> str | None:
        weights = sum(value.size for value in self._params.values())
        entries = sum(self.size(number) for number in range(len(self.plan.values)))
        for count, most, what in ((weights, _MOST_WEIGHTS, "weights"), (entries, _MOST_ENTRIES, "entries of values")):
            if count > most:
                return f"the network has {count:,} {what}, and the compiled program takes up to {most:,}"
        return None

    def upto(self, name: str) -> "Engine":
        """The part that computes a value of the graph."""
        return Engine(self.graph.upto(name), self._params, arithmetic=self.arithmetic)

    def extended(self, graph: Graph) -> "Engine":
        """Of a graph with the same weights (`graph.extended`)."""
        return Engine(graph, self._params, arithmetic=self.arithmetic)

    @cached_property
    def real(self) -> "Engine":
        """The same in real arithmetic."""
        if self.arithmetic is Arithmetic.REAL:
            return self
        return Engine(self.graph, self._params, self.dtype.type, self._lowered)

    @property
    def params(self) -> Mapping[str, Array]:
        """The weights as loaded."""
        return self._params

    @cached_property
    def piecewise_linear(self) -> bool:
        """Every nonlinearity is affine on either side of 0."""
        return all(bend.function.kinked for bend in self.bends.values())

    @cached_property
    def neurons(self) -> int:
        """Entries of all nonlinearities' inputs."""
        return sum(bend.size for bend in self.bends.values())

    @property
    def rounding(self) -> float:
        """What the weights may be off by, as a part of themselves, from those of the network that is proved."""
        return self.graph.rounding + (0.0 if self.arithmetic is Arithmetic.REAL else self.graph.deployed)

    @cached_property
    def deployed(self) -> Deployed:
        """What the network's own numbers round by."""
        single = self.graph.reading is None or self.graph.reading.dtype == np.float32
        return deployed(self.arithmetic, np.dtype(np.float32 if single else np.float64))

    @cached_property
    def network_rounding(self) -> Mapping[int, NetworkRounding]:
        """What the network itself rounds at affine steps, by the number of the value that each makes."""
        return network_rounding(self.steps, self.deployed)

    @cached_property
    def limit(self) -> float:
        """The size from which on the network's own numbers are infinite; nothing is proved of these."""
        single = self.graph.reading is not None and self.graph.reading.dtype == np.float32
        return float(np.finfo(np.float32).max) if single else inf

    @cached_property
    def affine(self) -> frozenset[int]:
        """Numbers of the values that are affine in the input."""
        found = {0}
        for step in self.steps:
            if isinstance(step, Affine) and found.issuperset(step.inputs):
                found.add(step.out)
        return frozenset(found)

    @cached_property
    def exact(self) -> frozenset[str]:
        """Names of bends whose interval image is exact: at most one step on the way there mixes entries."""
        apart, exact = {0}, {0}  # values in which input entries stand apart, and that have exact images
        for step in self.steps:
            if not isinstance(step, Affine) or len(step.inputs) > 1:
                continue
            if step.inputs[0] in apart and step.terms == 1:
                apart.add(step.out)
            if step.inputs[0] in apart or (step.inputs[0] in exact and step.terms == 1):
                exact.add(step.out)
        return frozenset(name for name, bend in self.bends.items() if bend.into in exact)

    def values(self, x: Array) -> dict[int, Array]:
        """Every value [B, n], by number, for inputs [B, n]."""
        found = {0: np.asarray(x, self.dtype)}
        for step in self.steps:
            if isinstance(step, Bend):
                found[step.out] = step.function.forward(found[step.into])
            else:
                found[step.out] = step.forward(*(found[number] for number in step.inputs))
        return found

    def evaluate(self, x: Array) -> Array:
        """The outputs [B, K]."""
        return self.values(x)[self.output]
