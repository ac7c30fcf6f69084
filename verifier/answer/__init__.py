"""What is said about a question, and the records that keep it."""

from .answer import Answer as Answer
from .answer import Verdict as Verdict
from .answer import Witness as Witness
