"""Which cores a case's processes are bound to, so that no run pays for a move between two."""

from __future__ import annotations

from collections.abc import Sequence

from fer_edge_devices.processor import parse_cpu_list
from fer_edge_devices.system_tree import SystemTree

__all__ = ["choose_cores"]

_CPU = "/sys/devices/system/cpu"


def choose_cores(available: Sequence[int], threads: int, tree: SystemTree) -> tuple[int, ...]:
    """Return as many cores as threads: the fastest kind, no two threads of one core, the last of them first.

    Interrupts go to the first core unless somebody moved them.

    Args:
        available: numbers of the processors this process may use.
        threads: that the case may use.
        tree: the system.

    Returns:
        Ascending; empty where there are not more processors than threads, so that nothing is bound.
    """
    if threads >= len(available):
        return ()

    def order(cpu: int) -> tuple[int, int, int]:
        clock_khz = tree.read_int(f"{_CPU}/cpu{cpu}/cpufreq/cpuinfo_max_freq") or 0
        siblings = parse_cpu_list(tree.read_text(f"{_CPU}/cpu{cpu}/topology/thread_siblings_list") or "") or (cpu,)
        return (-clock_khz, sorted(siblings).index(cpu) if cpu in siblings else 0, -cpu)

    return tuple(sorted(sorted(available, key=order)[:threads]))
