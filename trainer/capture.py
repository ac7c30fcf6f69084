"""A user's own `nn.Module` as a canonical graph, read from what torch.export sees of it in evaluation mode.

    net = capture(module, (1, 28, 28))      net.graph, net.parameters, net.constants; start(module, net) its weights

Parameters keep the module's names. A parameter used in several places is one parameter; one that requires no gradient
is a constant, and so are buffers. Dropout does nothing, batch normalisation uses its running statistics.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import fx, nn

from glscert.verifier.bounds.device import exact_float32
from glscert.verifier.errors import InputError, UnsupportedError
from glscert.verifier.ops import evaluate

from .architectures import Architecture
from .evaluation import Params
from .tracing import Reader
from .translations import IGNORED, IN_PLACE, SUPPORTED, TRANSLATIONS

TOLERANCE = 1e-4  # of the largest score, between the module and its graph


def capture(module: nn.Module, shape: tuple[int, ...]) -> Architecture:
    """The network [B, *shape] -> scores [B, K] that `module` computes.

    Raises UnsupportedError: an operator or a use of one that the bounds do not know, with its place in the module;
    InputError: nothing to train, or weights that are not float32.
    """
    wrong = {str(p.dtype) for p in module.parameters() if p.dtype != torch.float32}
    if wrong:
        raise InputError(f"the module's parameters are {', '.join(sorted(wrong))}; convert it with module.float().")
    program = _exported(module, shape)
    reader = Reader(module, program)
    for node in program.graph.nodes:
        if node.op == "output":
            reader.end(node)
        elif node.op == "call_function" and str(node.target) not in IGNORED:
            _translate(reader, node)
    net = reader.finish()
    if not net.parameters:
        raise InputError("nothing is left to train: no parameter that the scores depend on requires a gradient.")
    _check_equal(module, net, shape)
    return net


def start(module: nn.Module, net: Architecture) -> Params:
    """The module's present weights, on the CPU, in the shapes that the graph has them in."""
    return {
        name: module.get_parameter(name).detach().cpu().clone().reshape(shape) for name, shape in net.parameters.items()
    }


def write_back(module: nn.Module, params: Params) -> None:
    """Copies trained weights into the module, wherever it lies."""
    with torch.no_grad():
        for name, value in params.items():
            own = module.get_parameter(name)
            own.copy_(value.reshape(own.shape))


def _translate(reader: Reader, node: fx.Node) -> None:
    translation = TRANSLATIONS.get(str(node.target))
    if translation is None:
        reader.refuse(node, f"is not supported. Supported: {SUPPORTED}. Write the module with these")
    operand = node.args[0] if str(node.target).endswith(IN_PLACE) else None
    if isinstance(operand, fx.Node) and operand.name in reader.held:
        reader.refuse(node, f"writes into {reader.held[operand.name].name!r}; keep nothing from one call to the next")
    translation(reader, node)
    if isinstance(operand, fx.Node):  # has that value from here on
        reader.values[operand.name] = reader.values[node.name]


def _exported(module: nn.Module, shape: tuple[int, ...]) -> torch.export.ExportedProgram:
    example, batch = torch.zeros(2, *shape, device=_device(module)), {0: torch.export.Dim("batch")}
    try:
        with _evaluating(module):
            module(example)  # what fails here says more plainly what is wrong than the tracer does
            return torch.export.export(module, (example,), dynamic_shapes=(batch,), strict=False)
    except Exception as error:  # whatever the user's forward and the tracer raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise UnsupportedError(
            f"{type(module).__name__} cannot be read for inputs [batch, {', '.join(map(str, shape))}]: {reason}. Its "
            "forward must take one tensor, and do the same whatever the batch size and the numbers."
        ) from error


def _check_equal(module: nn.Module, net: Architecture, shape: tuple[int, ...]) -> None:
    x = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    with _evaluating(module), exact_float32(_device(module)):
        expected = module(x.to(_device(module))).cpu()
        params = {name: torch.from_numpy(value) for name, value in net.constants.items()} | start(module, net)
        found = evaluate(net.graph, params, x)
    if not torch.allclose(found, expected, rtol=0, atol=TOLERANCE * max(1.0, float(expected.abs().max()))):
        raise UnsupportedError(
            f"{type(module).__name__} gives other scores than what torch.export saw of it: it is random, or keeps "
            "something from one call to the next. Make its forward a function of the input alone."
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every part is put back into the mode it had."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))
