"""What the kernel counts for a process and for the machine: memory and processor time.

`ru_maxrss` is not used for memory: a child process inherits its parent's value, so it tells of the wrong program.
"""

from __future__ import annotations

import os
import resource

from fer_edge.errors import FerEdgeError
from fer_edge_bench.samples import CpuSeconds
from fer_edge_devices.system_tree import SystemTree

__all__ = [
    "cpu_seconds",
    "idle_seconds",
    "load_average",
    "machine_cpu_seconds",
    "parse_kib_field",
    "peak_memory_bytes",
    "proportional_memory_bytes",
    "resident_memory_bytes",
    "stolen_seconds",
]

_KIB = 1024
_SYSTEM = SystemTree()
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# The columns of /proc/stat's first line (proc_stat(5)); guests' time is counted in user and nice already.
_STAT_COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def cpu_seconds() -> CpuSeconds:
    """Return this process's processor time; unlike /proc/self/stat it is not counted in steps of 10 ms."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return CpuSeconds(user_s=usage.ru_utime, system_s=usage.ru_stime)


def machine_cpu_seconds(tree: SystemTree = _SYSTEM) -> CpuSeconds | None:
    """Return the processor time of all processes on all cores since the start: user with nice, system with interrupts.

    None where /proc/stat does not tell.
    """
    columns = _stat_columns(tree)
    if columns is None:
        return None
    return CpuSeconds(
        user_s=(columns["user"] + columns["nice"]) / _TICKS_PER_S,
        system_s=(columns["system"] + columns["irq"] + columns["softirq"]) / _TICKS_PER_S,
    )


def idle_seconds(tree: SystemTree = _SYSTEM) -> float | None:
    """Return the seconds that all cores together were idle or waited for a disk; None where that is not told."""
    columns = _stat_columns(tree)
    return None if columns is None else (columns["idle"] + columns["iowait"]) / _TICKS_PER_S


def stolen_seconds(tree: SystemTree = _SYSTEM) -> float | None:
    """Return the seconds that a hypervisor gave to others instead of this machine; None where that is not told."""
    columns = _stat_columns(tree)
    return None if columns is None else columns["steal"] / _TICKS_PER_S


def load_average(tree: SystemTree = _SYSTEM) -> float | None:
    """Return how many processes wanted to run over the last minute, on average; None where that is not told."""
    words = (tree.read_text("/proc/loadavg") or "").split()
    try:
        return float(words[0])
    except (IndexError, ValueError):
        return None


def peak_memory_bytes(tree: SystemTree = _SYSTEM) -> int:
    """Return the largest resident memory this process has had: VmHWM of /proc/self/status.

    Raises:
        FerEdgeError: the system has no such file or field.
    """
    path = "/proc/self/status"
    found = parse_kib_field(tree.read_text(path) or "", "VmHWM")
    if found is None:
        raise FerEdgeError(f"cannot measure memory: expected VmHWM in {path}, found none; a Linux kernel is needed")
    return found


def proportional_memory_bytes(pid: int | None = None, tree: SystemTree = _SYSTEM) -> int | None:
    """Return a process's PSS now: shared pages count in part. None where the kernel does not tell (before 4.14)."""
    return parse_kib_field(tree.read_text(f"/proc/{pid or 'self'}/smaps_rollup") or "", "Pss")


def resident_memory_bytes(pid: int, tree: SystemTree = _SYSTEM) -> int | None:
    """Return a process's resident memory now, cheaply enough to be asked often; None where there is no such process."""
    words = (tree.read_text(f"/proc/{pid}/statm") or "").split()
    return int(words[1]) * _PAGE_BYTES if len(words) > 1 and words[1].isdecimal() else None


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


def _stat_columns(tree: SystemTree) -> dict[str, int] | None:
    lines = (tree.read_text("/proc/stat") or "").splitlines()
    words = lines[0].split() if lines else []
    numbers = words[1 : 1 + len(_STAT_COLUMNS)]
    if words[:1] != ["cpu"] or len(numbers) < len(_STAT_COLUMNS) or not all(word.isdecimal() for word in numbers):
        return None
    return dict(zip(_STAT_COLUMNS, map(int, numbers), strict=True))
