"""One setting of the C library that bound propagation needs.

Its buffers are a few megabytes each and live for microseconds. glibc gives such blocks back to the system at once and
takes them anew, page by page, which costs as much as the arithmetic.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h


def keep_freed_memory() -> None:
    """Have glibc reuse freed blocks of any size; elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, 1 << 30) or mallopt(_MMAP_THRESHOLD, 1 << 25)  # the most that older ones take
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
