"""What else goes on on the machine, and what of it makes figures worth less."""

from __future__ import annotations

import time
from collections.abc import Callable

from fer_edge_bench.procfs import idle_seconds, machine_cpu_seconds
from fer_edge_bench.record import BenchRecord, Case
from fer_edge_devices.system_tree import SystemTree

__all__ = ["BUSY_PERCENT", "busy_percent", "doubts"]

# Of all cores' time. A desktop at rest takes 1 to 3 %; a tenth is a core's half on a board of four.
BUSY_PERCENT = 10.0
_LOOK_S = 0.5


def busy_percent(
    tree: SystemTree, *, sleep: Callable[[float], None] = time.sleep, seconds: float = _LOOK_S
) -> float | None:
    """Look for half a second how much of all cores' time other programs take, in percent; None where not told."""
    before, idle_before = machine_cpu_seconds(tree), idle_seconds(tree)
    sleep(seconds)
    after, idle_after = machine_cpu_seconds(tree), idle_seconds(tree)
    if before is None or after is None or idle_before is None or idle_after is None:
        return None
    busy_s = after.user_s + after.system_s - before.user_s - before.system_s
    total_s = busy_s + idle_after - idle_before
    return round(min(max(100 * busy_s / total_s, 0.0), 100.0), 2) if total_s > 0 else None


def doubts(record: BenchRecord, case: Case) -> list[str]:
    """Return why a case's figures deserve no headline, each reason in a few words; none where they do."""
    reasons = [] if case.summary.unstable_because is None else [case.summary.unstable_because]
    if record.circumstances.throttled is not None:
        reasons.append(f"the board held its processor back ({record.circumstances.throttled})")
    busy = record.circumstances.busy_percent
    if busy is not None and busy > BUSY_PERCENT:
        reasons.append(f"other programs took {busy:.0f} % of the processor before the start")
    return reasons
