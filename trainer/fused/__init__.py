"""Bounds, loss and gradient of a small network in one compiled program, where there is one for it; see c/fused.h.

`recognised` says whether a network is such, `program` compiles for it, `robust_sums` is what autograd sees. What the
program does not know goes by torch, operator by operator.
"""

from .network import Network as Network
from .network import recognised as recognised
from .program import RELAXATIONS as RELAXATIONS
from .program import Program as Program
from .program import Sums as Sums
from .program import program as program
from .sums import Inputs as Inputs
from .sums import robust_sums as robust_sums
