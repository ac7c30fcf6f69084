"""Which neuron of a subdomain is split next, by name of the rule (`Limits.branching`)."""

from collections.abc import Mapping

from .babsr import babsr
from .base import Rule as Rule
from .base import Undivided as Undivided
from .filtered import filtered

BRANCHING: Mapping[str, Rule] = {
    "filtered": filtered,
    "babsr": babsr,
}
