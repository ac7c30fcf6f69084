"""Which networks the fused program is for: convolutions and products, one after the other, with ReLUs between them."""

from collections.abc import Collection, Mapping
from math import prod
from typing import NamedTuple

from glscert.verifier.graph import Graph, Node

Shape = tuple[int, ...]

BEFORE = ("Sub", "Div", "Add", "Mul", "Flatten", "Reshape")  # a normalisation: the program begins after it
SHAPES = ("Flatten", "Reshape")
MOST_CLASSES = 1000  # whose margins lie on a thread's stack


class Layer(NamedTuple):
    """Its map [O, h, w] from the one below [C, H, W]: weight [O, C, kh, kw], strides, padding at the top and left.

    A product is a convolution whose kernel is the whole map. bias: None where there is none.
    """

    map: Shape
    below: Shape
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    weight: str
    bias: str | None
    product: bool = False

    @property
    def weights(self) -> int:
        """Entries of the weight."""
        return self.map[0] * self.below[0] * self.kernel[0] * self.kernel[1]


class Network(NamedTuple):
    """The value at which the program begins, and the layers; there is a ReLU after each but the last."""

    start: str
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Entries of all weights and biases."""
        return sum(layer.weights + layer.map[0] for layer in self.layers)

    @property
    def vectors(self) -> int:
        """Those that a call works in, nearly: two per weight, and what c/fused.h keeps of every neuron."""
        return sum(2 * layer.weights + 15 * prod(layer.map) + 2 * prod(layer.below) for layer in self.layers)


def recognised(graph: Graph, parameters: Mapping[str, Shape], constants: Collection[str]) -> Network | None:
    """The network if the program is for it; None: it is not. parameters: shapes of the trainable ones."""
    start, rest = graph.input, list(graph.nodes)
    layers: list[Layer] = []
    if any(node.inputs != (before,) for node, before in zip(rest, [start, *(n.output for n in rest)], strict=False)):
        return None
    while rest and rest[0].op in BEFORE and all(name in constants for name in rest[0].params):
        start = rest.pop(0).output
    relu = False
    for node in rest:
        if node.op == "Relu" and layers and not relu:
            relu = True
        elif node.op in ("Conv", "Gemm", "MatMul") and (relu or not layers):
            layer = _layer(node, graph, parameters, layers[-1].map if layers else None)
            if layer is None:
                return None
            layers.append(layer)
            relu = False
        elif node.op not in SHAPES:
            return None
    classes = layers[-1].map if layers else ()
    if len(layers) < 2 or relu or classes[1:] != (1, 1) or not 2 <= classes[0] <= MOST_CLASSES:
        return None
    if graph.output != graph.nodes[-1].output or graph.output_shape != classes[:1]:
        return None
    return Network(start, tuple(layers)) if layers[-1].product else None


def _layer(node: Node, graph: Graph, parameters: Mapping[str, Shape], below: Shape | None) -> Layer | None:
    if any(name not in parameters for name in node.params):
        return None
    weight, bias = node.params[0], node.params[1] if len(node.params) > 1 else None
    shape, entering = parameters[weight], graph.shapes[node.inputs[0]]
    if node.op == "Conv":
        attrs = node.attrs
        if len(entering) != 3 or below not in (None, entering) or len(shape) != 4:
            return None
        if attrs["group"] != 1 or tuple(attrs["dilations"]) != (1, 1):
            return None
        kernel, strides, pads = (shape[2], shape[3]), tuple(attrs["strides"]), tuple(attrs["pads"][:2])
        return Layer(graph.shapes[node.output], entering, kernel, strides, pads, weight, bias)
    if len(entering) != 1:
        return None
    c, h, w = below or (*entering, 1, 1)
    return Layer((shape[0], 1, 1), (c, h, w), (h, w), (1, 1), (0, 0), weight, bias, product=True)
