"""The networks of Table 7 of the paper, a small one for 8x8 digits, and a dense one for tables, as canonical graphs.

Every layer but the last is followed by a ReLU. Where a data set is normalised, (x - mean) / std stands inside the
graph, so that eps and the input range are always those of raw pixels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glscert.verifier.errors import InputError
from glscert.verifier.graph import Graph, Node


class Conv(NamedTuple):
    """channels, a square kernel, stride and zero padding."""

    channels: int
    kernel: int
    stride: int
    pad: int


class Dense(NamedTuple):
    width: int


class Source(NamedTuple):
    """What a network needs to know of its data: input shape, classes, mean and std per channel or column (or None)."""

    shape: tuple[int, ...]
    classes: int = 10
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


NETS: dict[str, tuple[Conv | Dense, ...]] = {
    "digits": (Conv(16, 2, 2, 0), Conv(16, 2, 2, 0)),
    "cnn3-tiny": (Conv(2, 5, 2, 2), Conv(2, 4, 2, 1)),
    "cnn3": (Conv(8, 5, 2, 2), Conv(8, 4, 2, 1)),
    "cnn5": (Conv(16, 5, 2, 2), Conv(16, 4, 2, 1), Conv(32, 4, 2, 1), Dense(512)),
    "cnn5-l": (Conv(64, 5, 2, 2), Conv(64, 4, 2, 1), Conv(128, 4, 2, 1), Dense(512)),
    "mlp": (Dense(64), Dense(64)),
}

MODULE = "module"  # the name of a network that a user wrote (`train_module`)

SOURCES: dict[str, Source] = {
    "digits": Source((1, 8, 8)),
    "mnist": Source((1, 28, 28)),
    "cifar10": Source((3, 32, 32), mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    # the numbers of the certified training literature (Shi et al., 2021)
    "tinyimagenet": Source((3, 64, 64), 200, mean=(0.4802, 0.4481, 0.3975), std=(0.2302, 0.2265, 0.2262)),
}


@dataclass(frozen=True)
class Architecture:
    """A graph, the shapes of its trainable parameters in layer order (weight, bias, …) and its fixed constants."""

    graph: Graph
    parameters: dict[str, tuple[int, ...]]
    constants: dict[str, np.ndarray]

    @property
    def size(self) -> int:
        """Number of trainable parameters."""
        return sum(int(np.prod(shape)) for shape in self.parameters.values())

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the weights of linear layers, biases left out, in layer order."""
        layers = (node.params[0] for node in self.graph.nodes if node.op in ("Conv", "Gemm"))
        return tuple(dict.fromkeys(name for name in layers if name in self.parameters))


def build(net: str, source: Source, hidden: tuple[int, ...] | None = None) -> Architecture:
    """The network `net`, a key of `NETS`, for data such as `source`; the last layer gives one score per class.

    `hidden`: widths of the layers of "mlp" before the last, where not those of `NETS`.
    Raises InputError: an unknown net, hidden widths for another than "mlp", a convolutional net for what is no image,
    or one whose strides leave nothing of such small images.
    """
    if net not in NETS:
        raise InputError(f"there is no network named {net!r} (known: {', '.join(NETS)}).")
    layers = NETS[net]
    if hidden is not None:
        if net != "mlp":
            raise InputError(f"hidden widths are those of the net mlp; {net} has its own.")
        layers = tuple(Dense(width) for width in hidden)
    if len(source.shape) != 3 and any(isinstance(layer, Conv) for layer in layers):
        raise InputError(f"{net} takes images [C, H, W], and an input here is {list(source.shape)}; take the net mlp.")
    builder = _Builder(source.shape)
    if source.mean is not None and source.std is not None:
        builder.constant("Sub", "mean", source.mean)
        builder.constant("Div", "std", source.std)
    for layer in layers:
        if isinstance(layer, Conv):
            builder.conv(layer, net)
        else:
            builder.dense(layer.width)
        builder.add("Relu", builder.shape)
    builder.dense(source.classes)
    return builder.finish()


class _Builder:
    """Appends nodes to a chain; `value` and `shape` are its open end."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.value, self.shape = "input", shape
        self.shapes: dict[str, tuple[int, ...]] = {"input": shape}
        self.nodes: list[Node] = []
        self.parameters: dict[str, tuple[int, ...]] = {}
        self.constants: dict[str, np.ndarray] = {}

    def add(
        self, op: str, shape: tuple[int, ...], params: tuple[str, ...] = (), attrs: dict[str, object] | None = None
    ) -> None:
        name = f"{op.lower()}_{sum(node.op == op for node in self.nodes) + 1}"
        self.nodes.append(Node(op, name, (self.value,), f"{name}_out", params, attrs or {}))
        self.value, self.shape = f"{name}_out", shape
        self.shapes[self.value] = shape

    def constant(self, op: str, name: str, per_channel: tuple[float, ...]) -> None:
        self.constants[name] = np.array(per_channel, dtype=np.float32).reshape(-1, *[1] * (len(self.shape) - 1))
        self.add(op, self.shape, (name,))

    def conv(self, layer: Conv, net: str) -> None:
        channels, kernel, stride, pad = layer
        size = tuple((n + 2 * pad - kernel) // stride + 1 for n in self.shape[1:])
        if min(size) < 1:
            raise InputError(f"{net} is too deep for images of {self.shape[1:]}; take a smaller network.")
        layer_name = f"layer{len(self.parameters) // 2 + 1}"
        self.parameters[f"{layer_name}.weight"] = (channels, self.shape[0], kernel, kernel)
        self.parameters[f"{layer_name}.bias"] = (channels,)
        attrs = {"strides": (stride, stride), "pads": (pad,) * 4, "dilations": (1, 1), "group": 1}
        self.add("Conv", (channels, *size), (f"{layer_name}.weight", f"{layer_name}.bias"), attrs)

    def dense(self, width: int) -> None:
        if len(self.shape) > 1:
            self.add("Flatten", (int(np.prod(self.shape)),))
        layer_name = f"layer{len(self.parameters) // 2 + 1}"
        self.parameters[f"{layer_name}.weight"] = (width, self.shape[0])
        self.parameters[f"{layer_name}.bias"] = (width,)
        self.add("Gemm", (width,), (f"{layer_name}.weight", f"{layer_name}.bias"))

    def finish(self) -> Architecture:
        graph = Graph("input", self.value, tuple(self.nodes), self.shapes)
        return Architecture(graph, self.parameters, self.constants)
