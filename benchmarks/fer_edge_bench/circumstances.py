"""What else goes on on the machine, and what of it makes figures worth less."""

from __future__ import annotations

import time
from collections.abc import Callable

from fer_edge_bench.procfs import idle_seconds, machine_cpu_seconds, stolen_seconds
from fer_edge_bench.record import SINGLE_STREAM, BenchRecord, Case
from fer_edge_devices.system_tree import SystemTree

__all__ = ["BUSY_PERCENT", "LEAST_SAMPLES_OF_A_PICTURE", "OTHERS_PERCENT", "busy_percent", "doubts"]

# Of all cores' time. A desktop at rest takes 1 to 3 %; a tenth is a core's half on a board of four.
BUSY_PERCENT = 10.0
# Of one core's time, while pictures were analysed: what a case with one thread can lose to them.
OTHERS_PERCENT = 20.0
# With fewer, each is nearly its own median, and nothing looks unstable.
LEAST_SAMPLES_OF_A_PICTURE = 4
_LOOK_S = 0.5


def busy_percent(
    tree: SystemTree, *, sleep: Callable[[float], None] = time.sleep, seconds: float = _LOOK_S
) -> float | None:
    """Look for half a second how much of all cores' time other programs, or other machines on its host, take.

    Returns:
        Percent; None where the system does not tell.
    """
    before, idle_before, stolen_before = machine_cpu_seconds(tree), idle_seconds(tree), stolen_seconds(tree)
    sleep(seconds)
    after, idle_after, stolen_after = machine_cpu_seconds(tree), idle_seconds(tree), stolen_seconds(tree)
    if before is None or after is None or idle_before is None or idle_after is None:
        return None
    busy_s = after.user_s + after.system_s - before.user_s - before.system_s
    busy_s += (stolen_after or 0.0) - (stolen_before or 0.0)
    total_s = busy_s + idle_after - idle_before
    return round(min(max(100 * busy_s / total_s, 0.0), 100.0), 2) if total_s > 0 else None


def doubts(record: BenchRecord, case: Case) -> list[str]:
    """Return why a case's figures deserve no headline, each reason in a few words; none where they do."""
    summary = case.summary
    samples = summary.frame["frame"].n // len(record.load)
    reasons = [] if summary.unstable_because is None else [summary.unstable_because]
    if samples < LEAST_SAMPLES_OF_A_PICTURE:
        what = "1 sample of a picture is" if samples == 1 else f"{samples} samples of a picture are"
        reasons.append(f"{what} too few to tell")
    if not summary.settled:
        reasons.append("warm-up did not settle: the machine may be busy or its clock changing")
    throttled = _throttled(record, case)
    if throttled is not None:
        reasons.append(f"the board held its processor back ({throttled})")
    if record.circumstances.untold is not None:
        reasons.append(f"whether the board held its processor back cannot be told ({record.circumstances.untold})")
    busy = record.circumstances.busy_percent
    if busy is not None and busy > BUSY_PERCENT:
        reasons.append(f"other programs took {busy:.0f} % of the processor before the start")
    others = None if summary.machine_cpu is None else summary.machine_cpu.percent - summary.process_cpu.percent
    if others is not None and others > OTHERS_PERCENT:
        reasons.append(f"other programs took {others:.0f} % of a core while it was measured")
    return reasons


def _throttled(record: BenchRecord, case: Case) -> str | None:
    """Return why the board held the processor back while a case's single stream was measured."""
    position = record.cases.index(case)
    for point in record.timeline:
        if (point.case, point.step) == (position, SINGLE_STREAM) and point.throttled is not None:
            return point.throttled
    # Between two points of the timeline, or too short for any.
    seen = any(point.throttled is not None for point in record.timeline)
    return None if seen else record.circumstances.throttled
