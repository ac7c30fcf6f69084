"""A certificate of all that a run said of one file, and how much of it is covered."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ..check import values
from ..check.certificate import encode
from ..check.checker import Checker
from ..check.digest import data_digest, model_digest
from ..check.header import labelled_questions
from ..check.network import INPUT
from ..check.questions import Question, stated
from ..check.refusal import NotCovered
from ..errors import GlscertError
from ..files import read_bytes
from ..network import Network
from ..region import Entries
from ..settings import Settings
from ..spec import read_query
from ..task import Task
from .leaves import Linked
from .links import links
from .proofs import Certifier, Found, Told, claimed, said

_AT_ONCE = 256  # inputs
_SPARE = 1e-9  # of a row: what is left of a bound, for machines whose sums round otherwise
_MOST_BYTES = 2**30  # of a property

Questions = Callable[[Checker, Sequence[int]], Mapping[int, Question]]


@dataclass(frozen=True)
class Written:
    """A certificate's bytes; covered: how many answers it proves. why: of the others, how many are not for what."""

    data: bytes
    answers: int
    covered: int
    why: Mapping[str, int]


class Subject:
    """A network whose answers are to be certified. Raises NotCovered where the file has no digest to be known by.

    why: why no answer will be covered; "" where some may be."""

    def __init__(self, network: Network, memory: int) -> None:
        """memory: bytes, for what has to be searched again."""
        self._memory, model = memory, network.runtime.file.model
        self._network, self._digest = network, model_digest(model)
        self._checker: Checker | None = None
        self.why = ""
        try:
            self._checker = Checker(model, network.arithmetic.value, _SPARE)
        except NotCovered as error:
            self.why = str(error).rstrip(".")

    def of_labelled(
        self, x: np.ndarray, y: np.ndarray, task: Task, settings: Settings, found: Mapping[int, Found]
    ) -> Written:
        """x [N, *v], y [N]: all of the data set, by whose numbers the answers go."""
        asked = labelled_header(x, y, task, settings)

        def questions(checker: Checker, keys: Sequence[int]) -> dict[int, Question]:
            return labelled_questions(asked, checker.network, x, y.tolist(), keys)

        return self._written(asked, found, questions, _AT_ONCE)

    def of_properties(self, paths: Sequence[Path], found: Mapping[int, Found]) -> Written:
        """Keys are places among the paths."""
        texts = [hashlib.sha256(read_bytes(path, _MOST_BYTES, "property")).hexdigest() for path in paths]
        names = [{"name": path.name, "sha256": text} for path, text in zip(paths, texts, strict=True)]

        def questions(checker: Checker, keys: Sequence[int]) -> dict[int, Question]:
            sizes, ending = checker.network.sizes, checker.network.ending
            if ending is not None:
                raise NotCovered(f"a property of a network that ends in {ending} is not covered.")
            each = {key: read_query(paths[key], sizes[INPUT], sizes[checker.network.output]) for key in keys}
            return {key: stated(own.clauses, own.inputs, own.outputs) for key, own in each.items()}

        return self._written({"kind": "vnnlib", "properties": names}, found, questions, 1)

    def _written(
        self, asked: Mapping[str, Any], found: Mapping[int, Found], questions: Questions, size: int
    ) -> Written:
        told, keys = dict[int, Told](), sorted(found)
        for first in range(0, len(keys), size):
            told.update(self._told({key: found[key] for key in keys[first : first + size]}, questions))
        certificate = values.Certificate(
            self._network.arithmetic.value,
            self._digest,
            dict(asked),
            f"glscert {version('glscert')}",
            tuple((key, own.answer) for key, own in told.items()),
        )
        why = Counter(own.why for own in told.values() if isinstance(own.answer, values.Uncovered))
        return Written(encode(certificate), len(told), len(told) - why.total(), dict(why.most_common()))

    def _told(self, found: Mapping[int, Found], questions: Questions) -> dict[int, Told]:
        if self._checker is None:
            return _nothing(found, self.why)
        try:
            asked = questions(self._checker, [key for key, own in found.items() if claimed(own)])
            certifier = Certifier(self._checker, self._network.engine, self._linked(self._checker), self._memory)
            return certifier.answers(asked, found)
        except GlscertError as error:
            return _nothing(found, str(error).rstrip("."))

    def _linked(self, checker: Checker) -> Linked:
        network, engine = self._network, self._network.engine
        sizes = {name: bend.size for name, bend in engine.bends.items()}
        return Linked(links(network.graph, checker, sizes), list(sizes.values()))


def labelled_header(x: np.ndarray, y: np.ndarray, task: Task, settings: Settings) -> dict[str, Any]:
    """What a certificate says that it is about; x [N, *v], y [N]: all of the data set."""
    return {
        "kind": "labelled",
        "data": data_digest(x, y),
        **{name: _hex(getattr(settings, name)) for name in ("eps", "low", "high")},
        "norm": settings.norm.value,
        "task": _plain(task.described()),
    }


def _nothing(found: Mapping[int, Found], why: str) -> dict[int, Told]:
    return {key: Told(values.Uncovered(said(own)), why) for key, own in found.items()}


def _hex(entries: Entries) -> list[str]:
    return [float(number).hex() for number in np.ravel(entries).tolist()]


def _plain(described: Mapping[str, Any]) -> dict[str, Any]:
    """Without numbers that have a point: these are texts."""
    return {key: value.hex() if isinstance(value, float) else value for key, value in described.items()}
