"""The programs for whatever network that come with the package, so that no compiler is needed: for Linux on x86-64, at
each level of its instructions. A source tree has none, and compiles at first use.

`python .ci/build_wheels.py` puts them into `FOLDER`. Their names tell what they were made of, so that those of another
version are never found.
"""

import platform
from collections.abc import Set
from pathlib import Path
from typing import NamedTuple

from . import processor

FOLDER = Path(__file__).with_name("programs")
_V3 = "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"


class Level(NamedTuple):
    """name: of the microarchitecture; needs: what a processor has to have, as Linux calls it; vector: bytes."""

    name: str
    needs: frozenset[str]
    vector: int

    @property
    def flag(self) -> str:
        return f"-march={self.name}"


LEVELS = (  # the best first
    Level("x86-64-v4", frozenset(f"{_V3} avx512f avx512bw avx512cd avx512dq avx512vl".split()), 64),
    Level("x86-64-v3", frozenset(_V3.split()), 32),
    Level("x86-64", frozenset(), 16),
)


def levels(features: Set[str]) -> list[Level]:
    """Those that a processor with these features runs."""
    return [level for level in LEVELS if level.needs <= features]


def here() -> list[Level]:
    """Those that this machine runs."""
    known = platform.system() == "Linux" and platform.machine() in ("x86_64", "AMD64")
    return levels(processor.features()) if known else []


def file_name(header: str, itemsize: int, level: Level, key: str) -> str:
    """Of the program for numbers of so many bytes; key: the hash of all that it is made of."""
    return f"{Path(header).stem}-{8 * itemsize}-{level.name}-{key}.so"
