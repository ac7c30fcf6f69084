"""Properties of a network: what is asked of it, in exact numbers. Never torch."""

from .query import Clause as Clause
from .query import Query as Query
from .query import Row as Row
from .vnnlib import read_query as read_query
