"""What slows a board down: governor, power mode, supply, heat; and whether its sensors can be read."""

from __future__ import annotations

from collections.abc import Iterator

from fer_edge_devices.doctor.finding import ADVICE, OK, Finding
from fer_edge_devices.doctor.host import Subject
from fer_edge_devices.power_mode import read_power_mode
from fer_edge_devices.profile import Profile
from fer_edge_devices.reading import FLAGS, SensorReading, Throttling
from fer_edge_devices.sensors import Sensors
from fer_edge_devices.system_tree import SystemTree

__all__ = ["check_speed"]

# Nearer than this to where it slows down, a board will do so on the first warm day.
_MARGIN_C = 5.0
# Drivers whose "powersave" raises the clock with the load, as "schedutil" does elsewhere: the processor chooses.
_SELF_CHOOSING_DRIVERS = ("intel_pstate", "amd-pstate-epp", "amd_pstate_epp")
_SET_PERFORMANCE = "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"
_UNDER_VOLTAGE = FLAGS[0]
# The over-current counters of the Jetsons' supply.
_SUPPLY_COUNTERS = ("oc1", "oc2", "oc3")


def check_speed(subject: Subject, profile: Profile) -> Iterator[Finding]:
    """Yield what there is to say of clock, supply, heat and sensors."""
    sensors = Sensors(subject.tree, run=subject.run)
    reading = sensors.read()
    yield from _governor(subject.tree, reading)
    yield from _power_mode(subject)
    yield from _throttling(reading.throttling)
    yield from _temperature(subject.tree, reading, profile)
    yield from _missing_sensors(reading, profile, sensors.describe_denied())


def _governor(tree: SystemTree, reading: SensorReading) -> Iterator[Finding]:
    governors = list(dict.fromkeys(reading.governors.values()))
    if not governors:
        return
    found = ", ".join(governors)
    drivers = {
        tree.read_text(f"/sys/devices/system/cpu/cpufreq/{policy}/scaling_driver") for policy in reading.governors
    }
    if "powersave" in governors and not drivers & set(_SELF_CHOOSING_DRIVERS):
        yield Finding(
            section="speed",
            name="governor",
            level=ADVICE,
            found=f"{found}: the clock stays at its lowest",
            advice="let the clock rise; the command holds until the next start",
            command=_SET_PERFORMANCE,
        )
    elif governors == ["performance"]:
        yield Finding(section="speed", name="governor", level=OK, found=found)
    else:
        remark = "the clock follows the load; latencies vary less with performance"
        yield Finding(section="speed", name="governor", level=OK, found=f"{found}: {remark}")


def _power_mode(subject: Subject) -> Iterator[Finding]:
    mode = read_power_mode(subject.tree)
    if mode is None:
        return
    if mode.unlimited is None or mode.number == mode.unlimited:
        yield Finding(section="speed", name="power mode", level=OK, found=mode.name)
    else:
        yield Finding(
            section="speed",
            name="power mode",
            level=ADVICE,
            found=f"{mode.name} of {', '.join(mode.names.values())}",
            advice="a mode with a limit lowers clocks and may switch cores off; if supply and cooling allow, lift it",
            command=f"sudo nvpmodel -m {mode.unlimited}",
        )


def _throttling(throttling: Throttling | None) -> Iterator[Finding]:
    if throttling is None:
        return
    now = list(throttling.flags_now or ())
    before = [flag for flag in throttling.flags_occurred or () if flag not in now]
    supply = [name for name in _SUPPLY_COUNTERS if throttling.event_counts.get(name, 0) > 0]
    heat = [name for name, count in throttling.event_counts.items() if count > 0 and name not in _SUPPLY_COUNTERS]
    heat += [name for name, state in throttling.cooling_states.items() if state > 0]
    told = []
    if now:
        told.append(f"now: {', '.join(now)}")
    if before:
        told.append(f"{_since(throttling)}: {', '.join(before)}")
    if supply or heat:
        told.append(f"has slowed down: {', '.join((*supply, *heat))}")
    if not told:
        yield Finding(section="speed", name="throttling", level=OK, found="nothing holds the board back")
        return
    if _UNDER_VOLTAGE in now or _UNDER_VOLTAGE in before or supply:
        advice = "the supply is too weak: use the maker's own, a short thick cable, and no unpowered USB devices"
    else:
        advice = "it got too hot: give it a heat sink or a fan and air"
    yield Finding(section="speed", name="throttling", level=ADVICE, found="; ".join(told), advice=advice)


def _since(throttling: Throttling) -> str:
    # The kernel's file forgets, the firmware does not.
    return "since the start" if throttling.source == "vcgencmd" else "a moment ago"


def _temperature(tree: SystemTree, reading: SensorReading, profile: Profile) -> Iterator[Finding]:
    if reading.hottest_c is None:
        return
    limit_c = profile.hardware.throttle_c if profile.hardware else None
    if limit_c is None:
        limit_c = _lowest_trip_c(tree)
    found = f"{reading.hottest_c:.0f} degrees Celsius"
    if limit_c is not None:
        found += f", slows down at {limit_c:.0f}"
    if limit_c is not None and reading.hottest_c > limit_c - _MARGIN_C:
        yield Finding(
            section="speed",
            name="temperature",
            level=ADVICE,
            found=found,
            advice="give it a heat sink or a fan and air",
        )
    else:
        yield Finding(section="speed", name="temperature", level=OK, found=found)


def _lowest_trip_c(tree: SystemTree) -> float | None:
    """Return where the kernel begins to slow something down; None where no zone says so."""
    limits = []
    for path in tree.glob("/sys/class/thermal/thermal_zone*/trip_point_*_type"):
        # "active" trips turn fans; "passive" ones slow down.
        if tree.read_text(path) == "passive":
            limit = tree.read_int(path.removesuffix("_type") + "_temp")
            if limit is not None and limit > 0:
                limits.append(limit / 1e3)
    return min(limits, default=None)


def _missing_sensors(reading: SensorReading, profile: Profile, denied: tuple[str, ...]) -> Iterator[Finding]:
    there = {
        "temperature": reading.hottest_c is not None,
        "clock": bool(reading.clocks_mhz),
        "throttling": reading.throttling is not None,
        "power": bool(reading.power_w),
    }
    missing = [kind for kind in profile.sensors if not there[kind]]
    read = ", ".join(kind for kind, found in there.items() if found) or "none"
    if missing or denied:
        told = [f"read: {read}"]
        if missing:
            told.append(f"not read: {', '.join(missing)}")
        if denied:
            told.append(denied[0] + (f", and {len(denied) - 1} more" if len(denied) > 1 else ""))
        yield Finding(
            section="speed",
            name="sensors",
            level=ADVICE,
            found="; ".join(told),
            advice="in a container pass /sys; vcgencmd wants the group video; energy counters are for root",
        )
    else:
        yield Finding(section="speed", name="sensors", level=OK, found=read)
