"""Freed memory stays with a process that takes as much again at once.

A training step takes and frees megabytes in each layer. glibc gives what lies free at the top of its heap back to the
system and has it mapped again, page by page and zeroed, on the next use: time that networks of large maps and few
products notice. `benchmarks/studies/freed_memory.py` measures it.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # of <malloc.h>
_MOST = 2**31 - 1  # mallopt takes an int
_GROWTH_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Tell this process's allocator to keep what is freed in its main heap, and to serve large pieces from there.

    It holds for the process's life: the memory of its largest moment stays with it, which a training that is a part of
    a longer work (`fer-edge convert --fine-tune`) must be able to afford.

    Returns:
        Whether it was told: not where the C library has no mallopt (musl, macOS, Windows), which changes nothing else.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function, no handle; Windows takes no None
        return False
    options = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _MOST), (_M_TOP_PAD, _GROWTH_BYTES))
    return sum(bool(mallopt(option, value)) for option, value in options) == len(options)
