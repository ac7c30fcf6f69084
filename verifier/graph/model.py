"""A loaded network: its graph, its weights and what its file says about itself."""

from typing import NamedTuple

import numpy as np

from .ir import Graph

METADATA_PREFIX = "org.glscli."
# What an exported file may carry; anything else a trainer notes stays in its run folder.
METADATA_KEYS = ("dataset", "input_range", "classes", "method", "relaxation", "eps", "norm", "net", "seed", "columns")


class Model(NamedTuple):
    """`params`: name -> array in the file's dtype, or in float64 where that would round; `metadata`: the file's
    `org.glscli.*` keys without the prefix."""

    graph: Graph
    params: dict[str, np.ndarray]
    metadata: dict[str, str]
