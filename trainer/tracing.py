"""What torch.export saw of a module, as canonical nodes: its names, the module's parameters, and places to name."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, fx, nn

from glscert.verifier.errors import UnsupportedError
from glscert.verifier.graph import Graph, Node, infer_shapes

from .architectures import Architecture


class Held(NamedTuple):
    """A parameter, buffer or constant of the module, on the CPU."""

    name: str
    tensor: Tensor
    trainable: bool


class Reader:
    """The graph read so far: `nodes`, and what each name of the trace stands for."""

    def __init__(self, module: nn.Module, program: torch.export.ExportedProgram) -> None:
        self.nodes: list[Node] = []
        self.input_shape: tuple[int, ...] = ()
        self.input = self.batch = self.output = ""
        self.parameters: dict[str, tuple[int, ...]] = {}
        self.constants: dict[str, Tensor] = {}
        self.held: dict[str, Held] = {}
        self.values: dict[str, str] = {}  # of the trace -> of the graph
        names: dict[int, str] = {}
        for spec in program.graph_signature.input_specs:
            kind, target, arg = spec.kind.name, spec.target, spec.arg.name
            if kind == "USER_INPUT":
                self.values[arg], self.input = "input", arg
            elif kind == "PARAMETER" and target is not None:
                own = module.get_parameter(target)
                name = names.setdefault(id(own), target)
                self.held[arg] = Held(name, own.detach().cpu(), own.requires_grad)
            elif kind in ("BUFFER", "CONSTANT_TENSOR") and target is not None:
                tensor = program.state_dict.get(target, program.constants.get(target))
                self.held[arg] = Held(target, tensor.detach().cpu(), False)
        (traced,) = (node for node in program.graph.nodes if node.name == self.input)
        self.batch, self.input_shape = str(traced.meta["val"].shape[0]), tuple(traced.meta["val"].shape[1:])

    def place(self, node: fx.Node) -> str:
        """Where in the module an operator stands, as a user would look for it."""
        stack = node.meta.get("nn_module_stack") or {}
        path, kind = list(stack.values())[-1] if stack else ("", "the module")
        kind = (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
        return f"({kind} {path!r})" if path else f"(in the forward of {kind})"

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """*v of a value, whose first axis must be the batch."""
        batch, *rest = node.meta["val"].shape if node.meta["val"].dim() else (None,)
        if str(batch) != self.batch or not all(isinstance(size, int) for size in rest):
            self.refuse(node, "moves, mixes or drops the batch axis; keep it the first, and free")
        return tuple(rest)

    def refuse(self, node: fx.Node, found: str) -> NoReturn:
        raise UnsupportedError(f"operator {str(node.target).removeprefix('aten.')} {self.place(node)} {found}.")

    def value(self, node: fx.Node, operand: object) -> str:
        """The graph's name for an operand that must have been computed from the input."""
        if isinstance(operand, fx.Node) and operand.name in self.values:
            return self.values[operand.name]
        self.refuse(node, "takes a constant where a computed value is supported")

    def held_by(self, node: fx.Node, operand: object) -> Held:
        """The parameter or constant that an operand is."""
        if isinstance(operand, fx.Node) and operand.name in self.held:
            return self.held[operand.name]
        self.refuse(node, "takes a weight that is computed; supported: the module's own parameters and buffers")

    def param(self, node: fx.Node, held: Held, shape: Sequence[int] | None = None) -> str:
        """Enters a parameter or constant, in another shape where one is given; its name."""
        tensor = held.tensor if shape is None else held.tensor.reshape(*shape)
        if held.trainable:
            if self.parameters.setdefault(held.name, tuple(tensor.shape)) != tuple(tensor.shape):
                self.refuse(node, f"uses the parameter {held.name!r} in another shape than an operator before it")
            return held.name
        return self.constant(held.name, tensor.float())

    def constant(self, hint: str, tensor: Tensor) -> str:
        name, count = hint, 1
        while name in self.parameters or (name in self.constants and not torch.equal(self.constants[name], tensor)):
            count += 1
            name = f"{hint}.{count}"
        self.constants[name] = tensor
        return name

    def emit(
        self,
        node: fx.Node,
        op: str,
        inputs: Sequence[str],
        params: Sequence[str] = (),
        attrs: Mapping[str, Any] | None = None,
        last: bool = True,
    ) -> str:
        """Appends a node; the `last` one made of a traced operator is that operator's value."""
        name = node.name if last else f"{node.name}.{op.lower()}"
        label = f"{node.name} {self.place(node)}"
        self.nodes.append(Node(op, label, tuple(inputs), name, tuple(params), dict(attrs or {})))
        if last:
            self.values[node.name] = name
        return name

    def end(self, node: fx.Node) -> None:
        (outputs,) = node.args
        if not (isinstance(outputs, tuple | list) and len(outputs) == 1 and isinstance(outputs[0], fx.Node)):
            raise UnsupportedError("the module returns several values; supported: one tensor of scores [batch, K].")
        scores = outputs[0]
        self.output = self.values.get(scores.name, "")
        if not self.output or len(self.shape(scores)) != 1 or self.shape(scores)[0] < 2:
            raise UnsupportedError(
                f"the module returns {list(scores.meta['val'].shape)}; supported: scores [batch, K] of two or more "
                "classes."
            )

    def finish(self) -> Architecture:
        """The graph of what the scores depend on."""
        needed = {self.output}
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if node.output in needed:
                needed |= set(node.inputs)
                nodes.insert(0, node)
        used = dict.fromkeys(name for node in nodes for name in node.params)
        arrays = {name: torch.empty(self.parameters[name]).numpy() for name in used if name in self.parameters}
        constants = {name: self.constants[name].contiguous().numpy() for name in used if name in self.constants}
        shapes = infer_shapes("input", self.input_shape, nodes, arrays | constants)
        parameters = {name: self.parameters[name] for name in used if name in self.parameters}
        return Architecture(Graph("input", self.output, tuple(nodes), shapes), parameters, constants)
