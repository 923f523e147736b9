"""What the kernel counts for this process: memory and processor time.

`ru_maxrss` is not used for memory: a child process inherits its parent's value, so it tells of the wrong program.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import FerEdgeError

__all__ = ["CpuTimes", "cpu_times", "parse_kib_field", "peak_memory_bytes", "proportional_memory_bytes"]

_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """Processor time of all threads of a process since it began, in seconds."""

    user_s: float
    system_s: float


def cpu_times() -> CpuTimes:
    """Return this process's processor time; unlike /proc/self/stat it is not counted in steps of 10 ms."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return CpuTimes(user_s=usage.ru_utime, system_s=usage.ru_stime)


def peak_memory_bytes() -> int:
    """Return the largest resident memory this process has had: VmHWM of /proc/self/status.

    Raises:
        FerEdgeError: the system has no such file or field.
    """
    path = Path("/proc/self/status")
    found = parse_kib_field(_read(path) or "", "VmHWM")
    if found is None:
        raise FerEdgeError(f"cannot measure memory: expected VmHWM in {path}, found none; a Linux kernel is needed")
    return found


def proportional_memory_bytes() -> int | None:
    """Return this process's PSS now: shared pages count in part. None where the kernel does not tell (before 4.14)."""
    return parse_kib_field(_read(Path("/proc/self/smaps_rollup")) or "", "Pss")


def parse_kib_field(text: str, name: str) -> int | None:
    """Return the bytes in a line such as `VmHWM:     1234 kB`; None where there is no such line.

    The kernel writes kB and means 1024 bytes.
    """
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        words = value.split()
        if colon and key == name and len(words) == 2 and words[0].isdecimal() and words[1] == "kB":
            return int(words[0]) * _KIB
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
