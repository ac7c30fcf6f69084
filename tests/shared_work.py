"""Work that processes of their own can import: parts are numbers, and what is found of each two squares."""

import os
import signal
from pathlib import Path

from glscert.verifier.errors import InputError


def _squares(part):
    yield 2 * part, part**2
    yield 2 * part + 1, part**2


def steady(common):
    return _squares


def fragile(folder):
    """Part 3 takes its process with it between its two answers, the first time; where there is no folder, each time."""

    def work(part):
        told = _squares(part)
        yield next(told)
        if part == 3 and (folder is None or not (Path(folder) / "killed").exists()):
            if folder is not None:
                (Path(folder) / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield from told

    return work


def refusing(common):
    def work(part):
        if part == 2:
            error = InputError("part 2 cannot be used")
            error.excerpt = "\n    here"
            raise error
        yield from _squares(part)

    return work


def faulty(common):
    def work(part):
        yield from _squares(part)
        raise KeyError("a fault of ours")

    return work


def never(common):
    raise InputError("nothing begins with this")
