"""Properties of a network: what is asked of it, in exact numbers. Never torch."""

from .logits import check_readable as check_readable
from .query import Clause as Clause
from .query import Query as Query
from .query import Row as Row
from .signature import Signature as Signature
from .signature import Tensor as Tensor
from .text import Source as Source
from .text import read_source as read_source
from .vnnlib import count_inputs as count_inputs
from .vnnlib import read_query as read_query
from .vnnlib import read_signature as read_signature
from .witness import assignment as assignment
from .witness import by_tensor as by_tensor
