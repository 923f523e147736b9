"""What sensors told at one moment, and what two or more such moments mean: throttling and energy."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["FLAGS", "SensorReading", "Throttling", "energy_between", "energy_from_power", "has_throttled"]

# What a Raspberry Pi's firmware tells, in the order of its bits: the supply is below 4.63 V; the clock is limited; the
# clock is lowered, for heat or under-voltage; the clock is lowered a first step, from 60 degrees on (3A+ and 3B+).
# From Raspberry Pi's documentation of vcgencmd get_throttled.
FLAGS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")

# The rail through which all of a board's power comes, by NVIDIA's names: on modules of the Orin NX and Nano, on the
# Nano's, and on boards of the Thor. The other rails of these boards are parts of it.
_INPUT_RAILS = ("VDD_IN", "POM_5V_IN", "VIN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """Signs that a board runs slower than it could; None and empty are what it does not tell.

    Attributes:
        source: where the flags of a Raspberry Pi come from: "get_throttled" (the kernel's file), "vcgencmd" (the
            firmware's program), "rpi_volt" (the kernel's alarm, which tells of under-voltage alone), or None.
        flags_now: which of FLAGS hold; with "get_throttled" and "rpi_volt", held at the kernel's last look, 2 s ago or
            less.
        flags_occurred: which of FLAGS have held, with "vcgencmd" at any time since the boot; with "get_throttled" in
            the last 4 s, for the kernel looks every 2 s and clears what it saw.
        event_counts: times since the boot that an x86 processor throttled for heat ("cpu0 core", "package0"), or that
            a Jetson did for its supply ("oc1" under-voltage, "oc2" and "oc3" over-current).
        cooling_states: by the name of a device that cools by slowing down; 0 is not at all.
    """

    source: str | None
    flags_now: tuple[str, ...] | None
    flags_occurred: tuple[str, ...] | None
    event_counts: Mapping[str, int]
    cooling_states: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReading:
    """One reading of all sensors of a board; what it lacks is None or missing.

    Attributes:
        temperatures_c: by the thermal zone's name; a second zone of the same name has "-2" behind it.
        hottest_c: the highest of them, zones left out that show no measured temperature.
        clocks_mhz: by processor, "cpu0". A Raspberry Pi's is the one the kernel asked for: its firmware throttles
            without telling the kernel, so there `throttling` counts.
        max_clock_mhz: the highest the fastest core can be set to.
        governors: how the kernel sets the clock, by cpufreq policy: "policy0".
        throttling: None where the board has no sign of it to give.
        power_w: by rail.
        energy_j: counters that only differences of have a meaning, by name: "package-0", "package-0/core".
        energy_range_j: where each of these counters begins again at 0.
    """

    temperatures_c: Mapping[str, float]
    hottest_c: float | None
    clocks_mhz: Mapping[str, float]
    max_clock_mhz: float | None
    governors: Mapping[str, str]
    throttling: Throttling | None
    power_w: Mapping[str, float]
    energy_j: Mapping[str, float]
    energy_range_j: Mapping[str, float]

    @property
    def board_power_w(self) -> float | None:
        """What the whole board takes; None where no rail is known to carry all of it."""
        return next((self.power_w[rail] for rail in _INPUT_RAILS if rail in self.power_w), None)


def has_throttled(before: SensorReading, after: SensorReading) -> str | None:
    """Return in a few words why the board ran slower than it could between two readings, or does at the second.

    The kernel's file of a Raspberry Pi and cooling states keep nothing of what is over: compare neighbouring readings,
    not the first and the last of a long run.

    Returns:
        Such as "under-voltage, throttled" or "cpu0 core throttled 3 times"; None where nothing says so.
    """
    if after.throttling is None:
        return None
    old, new = before.throttling, after.throttling
    reasons = [flag for flag in FLAGS if flag in (new.flags_now or ()) or _has_occurred(flag, old, new)]
    for name, count in new.event_counts.items():
        # Where the first reading lacks a counter it cannot be said to have grown. One that fell began anew.
        grown = count - old.event_counts.get(name, count) if old else 0
        if grown > 0:
            reasons.append(f"{name} throttled {grown} times" if grown > 1 else f"{name} throttled once")
    reasons += [f"{name} in state {state}" for name, state in new.cooling_states.items() if state > 0]
    return ", ".join(reasons) or None


def _has_occurred(flag: str, old: Throttling | None, new: Throttling) -> bool:
    if flag not in (new.flags_occurred or ()):
        return False
    # The kernel's file tells of the last seconds. The firmware tells of all since the boot: only what it did not tell
    # before is news.
    return new.source == "get_throttled" or (
        old is not None and old.source == new.source and flag not in (old.flags_occurred or ())
    )


def energy_between(before: SensorReading, after: SensorReading) -> dict[str, float]:
    """Return the joules each counter advanced by, at most one new beginning at 0 counted in.

    A package at 100 W takes three quarters of an hour for the usual range of 262 kJ: read more often than that. A
    counter that one reading lacks, or that fell and has no known range, is left out.
    """
    advanced = {}
    for name, old_j in before.energy_j.items():
        if name not in after.energy_j:
            continue
        difference_j = after.energy_j[name] - old_j
        if difference_j < 0:
            difference_j += after.energy_range_j.get(name, 0.0)
        if difference_j >= 0:
            advanced[name] = difference_j
    return advanced


def energy_from_power(elapsed_s: Sequence[float], power_w: Sequence[float]) -> float:
    """Return the joules under power samples, joined by straight lines.

    Args:
        elapsed_s: when each sample was taken, ascending, two or more.
        power_w: the samples.

    Raises:
        ValueError: the lengths differ or are below two, or the times do not ascend.
    """
    if len(elapsed_s) != len(power_w) or len(elapsed_s) < 2:
        raise ValueError(f"expected two or more times and as many samples, found {len(elapsed_s)} and {len(power_w)}")
    if any(later <= earlier for earlier, later in itertools.pairwise(elapsed_s)):
        raise ValueError("expected ascending times, found others")
    return sum((elapsed_s[i + 1] - elapsed_s[i]) * (power_w[i] + power_w[i + 1]) / 2 for i in range(len(elapsed_s) - 1))
