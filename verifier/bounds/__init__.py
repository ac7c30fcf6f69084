"""Sound bounds on a network's outputs over a box of inputs: one engine for training and for verifying.

    RELAXATIONS[name](graph, params, box, spec, **options) -> Bounds(lower [B, M], pre)

Most take no options; `OPTIONS` lists those there are. Specifications are rows C·y + d to prove positive; every number
is a lower bound. No function here looks at tensor values to decide what to compute, so all run under vmap and autograd.
"""

from collections.abc import Callable, Mapping
from functools import partial

from ..ops import Box as Box
from .alpha_crown import alpha_crown
from .crown_ibp import crown_ibp
from .deeppoly import deeppoly
from .deeppoly_ibp import deeppoly_ibp
from .hbox import hbox
from .ibp import ibp
from .options import OPTIONS as OPTIONS
from .options import resolve_options as resolve_options
from .specification import Bounds as Bounds
from .specification import Spec as Spec
from .specification import linf_box as linf_box
from .specification import margin_spec as margin_spec

RELAXATIONS: Mapping[str, Callable[..., Bounds]] = {
    "ibp": ibp,
    "hbox": hbox,
    "crown-ibp": crown_ibp,
    "deeppoly": deeppoly,
    "deeppoly-ibp": deeppoly_ibp,
    "alpha-crown": alpha_crown,
}

# The same rows where only these count: `pre` may then hold wider boxes of neurons that are stable.
ROWS_ONLY: Mapping[str, Callable[..., Bounds]] = {
    **RELAXATIONS,
    "deeppoly": partial(deeppoly, every_box=False),
    "alpha-crown": partial(alpha_crown, every_box=False),
}
