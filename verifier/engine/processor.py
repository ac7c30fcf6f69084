"""What this machine's processor can do, as far as the system says so without running anything."""

import platform
from functools import cache
from pathlib import Path

# What a compiler may make of -march=native depends on these; frequencies and the like change from hour to hour.
_TELLING = "vendor_id,cpu family,model,model name,stepping,flags,CPU implementer,CPU architecture,CPU variant,CPU part"
_TELLING += ",Features,cpu,isa,uarch"
_MOST = 1 << 16  # characters of one processor's entry


def _entry(text: str) -> dict[str, str]:
    """The first processor's lines in the format of /proc/cpuinfo."""
    lines = text.split("\n\n", 1)[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


@cache
def _own() -> dict[str, str]:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            return _entry(file.read(_MOST))
    except OSError:
        return {}


def features() -> frozenset[str]:
    """The names by which Linux calls what the processor has; empty where it is not asked."""
    return frozenset(_own().get("flags", "").split())


def identity() -> str:
    """The same for machines on which the same instructions run, as far as they can be told apart."""
    known = [f"{name}: {_own()[name]}" for name in _TELLING.split(",") if name in _own()]
    return "\n".join([platform.system(), platform.machine(), *(known or [platform.node(), platform.release()])])
