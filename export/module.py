"""The network as a torch module: what TorchScript and torch.export look at, and the reference they must agree with."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from glscert.verifier.graph import Graph
from glscert.verifier.ops import evaluate


class Network(nn.Module):
    """x [B, *v] -> logits [B, K]; the weights are buffers (nothing here trains)."""

    def __init__(self, graph: Graph, params: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self._graph = graph
        self._names = {name: f"param_{i}" for i, name in enumerate(params)}  # a buffer's name may hold no dot
        for name, array in params.items():
            self.register_buffer(self._names[name], torch.from_numpy(array.copy()))

    def forward(self, x: Tensor) -> Tensor:
        return evaluate(self._graph, {name: getattr(self, buffer) for name, buffer in self._names.items()}, x)


def example(graph: Graph, params: Mapping[str, np.ndarray]) -> Tensor:
    """A blank batch of two in the network's dtype: with one, tracers take the batch axis for a constant."""
    dtype = next((torch.from_numpy(array).dtype for array in params.values()), torch.float32)
    return torch.zeros(2, *graph.input_shape, dtype=dtype)
