"""The sensors of a board: found once, then read as often as a second without disturbing what runs.

A reading takes a file for each zone, cpufreq policy, rail and counter, and nothing else: no folder is listed again.
`vcgencmd` is a process each time, so it runs only where the kernel has no file for the same, and not if not wanted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fer_edge_devices.board import recognise_board
from fer_edge_devices.processor import parse_cpu_list, parse_cpuinfo
from fer_edge_devices.reading import FLAGS, SensorReading, Throttling, energy_between, energy_from_power, has_throttled
from fer_edge_devices.system_tree import SystemTree, run_tool

__all__ = [
    "SensorReading",
    "Sensors",
    "Throttling",
    "energy_between",
    "energy_from_power",
    "has_throttled",
]

Value = TypeVar("Value")

# Beyond these a sensor is off or broken: a Jetson's zone gives -256 while its part has no power, and no part of a board
# works at 150 degrees.
_TEMPERATURE_RANGE_C = (-40.0, 150.0)
_CLOCK_RANGE_MHZ = (1.0, 20_000.0)
_POWER_RANGE_W = (0.0, 10_000.0)
# Counters have at most 64 bits of microjoules.
_ENERGY_RANGE_J = (0.0, 2.0**64 / 1e6)
# A Jetson Nano's PMIC-Die gives 100 degrees whatever the temperature.
_NOT_MEASURED = re.compile(r"PMIC-Die(-\d+)?")
# A PC by AMD has its processor's temperature in hwmon alone.
_PROCESSOR_HWMON = ("k10temp", "zenpower")
# Devices that cool by slowing the processor down: alerts of the Orins, clocks of the Nano's system, Linux' own.
_SLOWS_DOWN = re.compile(r".*-throttle-alert|.*-balanced|(thermal-)?cpufreq-.*")
# Types of /sys/class/power_supply.
_SUPPLY_TYPES = ("Battery", "UPS", "Mains", "USB", "Wireless")
# The channels of the INA3221; Linux' driver shows the shunts' voltages as 4 to 6 and their sum as 7.
_INA3221_CHANNELS = (1, 2, 3)
_PMIC_CURRENT = re.compile(r"(\w+)_A current\(\d+\)=(-?\d{1,4}\.\d+)A")
_PMIC_VOLTAGE = re.compile(r"(\w+)_V volt\(\d+\)=(-?\d{1,4}\.\d+)V")
# A flag that has occurred stands this many bits above the flag itself.
_OCCURRED_SHIFT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    """A set of processors that share a clock."""

    folder: str
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rail:
    """Where a rail's power stands: in one file, or as voltage and current in two, whose product it is."""

    paths: tuple[str, ...]
    units_per_watt: float


class Sensors:
    """The sensors a system had when this was made.

    Args:
        tree: the system.
        run: runs a program and returns its output, None where it has none.
    """

    def __init__(self, tree: SystemTree, *, run: Callable[[Sequence[str]], str | None] = run_tool) -> None:
        self._tree = tree
        self._run = run
        hwmon = _find_hwmon(tree)
        is_raspberry_pi = recognise_board(tree).family == "Raspberry Pi"
        self._zones = _find_zones(tree, hwmon)
        self._asks_temperature = is_raspberry_pi and not self._zones and self._ask_temperature() is not None
        self._policies = _find_policies(tree)
        self._max_clock_mhz = _max_clock_mhz(tree, self._policies)
        # Kernels since 4.19 log once that this file is deprecated; hwmon in its place tells of under-voltage alone.
        self._flags_path = next(iter(tree.glob("/sys/devices/platform/soc*/soc*:firmware/get_throttled")), None)
        self._asks_flags = is_raspberry_pi and self._flags_path is None and self._ask_flags() is not None
        self._alarm_path = _find_alarm(hwmon)
        self._event_paths = _find_event_counts(tree)
        self._cooling_paths = _find_cooling(tree)
        self._rails = _find_rails(tree, hwmon)
        self._asks_rails = is_raspberry_pi and bool(self._ask_rails())
        self._energy_paths, self._energy_range_j = _find_energy(tree)

    def read(self, *, tools: bool = True) -> SensorReading:
        """Read all sensors; one that vanished or gives nonsense is missing.

        Args:
            tools: where a Raspberry Pi's kernel has no file for its flags, its temperature or a Raspberry Pi 5's rails,
                start `vcgencmd` for each, some 10 ms of processor time. Without it they are missing.
        """
        temperatures_c = _values((name, self._temperature_c(path)) for name, path in self._zones.items())
        if tools and self._asks_temperature:
            temperatures_c = _values([("vcgencmd", self._ask_temperature())])
        power_w = _values((name, self._power_w(rail)) for name, rail in self._rails.items())
        if tools and self._asks_rails:
            power_w.update(self._ask_rails())
        return SensorReading(
            temperatures_c=temperatures_c,
            hottest_c=max((t for name, t in temperatures_c.items() if not _NOT_MEASURED.fullmatch(name)), default=None),
            clocks_mhz=self._clocks_mhz(),
            max_clock_mhz=self._max_clock_mhz,
            governors=_values(
                (_last_name(policy.folder), self._tree.read_text(f"{policy.folder}/scaling_governor"))
                for policy in self._policies
            ),
            throttling=self._throttling(tools),
            power_w=power_w,
            energy_j=_values((name, self._energy_j(path)) for name, path in self._energy_paths.items()),
            energy_range_j=self._energy_range_j,
        )

    def describe_denied(self) -> tuple[str, ...]:
        """Return a line for each sensor that is there but that this user may not read."""
        return tuple(f"{path}: permission denied; run as root or allow reading it" for path in self._tree.denied)

    def _temperature_c(self, path: str) -> float | None:
        return _within(_divided(self._tree.read_int(path), 1e3), _TEMPERATURE_RANGE_C)

    def _energy_j(self, path: str) -> float | None:
        return _within(_divided(self._tree.read_int(path), 1e6), _ENERGY_RANGE_J)

    def _clocks_mhz(self) -> dict[str, float]:
        clocks_mhz: dict[str, float] = {}
        for policy in self._policies:
            clock_mhz = _clock_mhz(self._tree, f"{policy.folder}/scaling_cur_freq")
            if clock_mhz is not None:
                clocks_mhz.update((f"cpu{cpu}", clock_mhz) for cpu in policy.cpus)
        return clocks_mhz if self._policies else _cpuinfo_clocks_mhz(self._tree)

    def _throttling(self, tools: bool) -> Throttling | None:
        source, now, occurred = self._flags(tools)
        event_counts = _values((name, self._tree.read_int(path)) for name, path in self._event_paths.items())
        cooling_states = _values((name, self._tree.read_int(path)) for name, path in self._cooling_paths.items())
        if source is None and not event_counts and not cooling_states:
            return None
        return Throttling(
            source=source,
            flags_now=now,
            flags_occurred=occurred,
            event_counts=event_counts,
            cooling_states=cooling_states,
        )

    def _flags(self, tools: bool) -> tuple[str | None, tuple[str, ...] | None, tuple[str, ...] | None]:
        """Return source, flags now and flags that occurred, from the first source that answers."""
        if self._flags_path is not None:
            bits = _parse_hex(self._tree.read_text(self._flags_path))
            if bits is not None:
                return "get_throttled", _flags_of(bits), _flags_of(bits >> _OCCURRED_SHIFT)
        if tools and self._asks_flags:
            bits = self._ask_flags()
            if bits is not None:
                return "vcgencmd", _flags_of(bits), _flags_of(bits >> _OCCURRED_SHIFT)
        alarm = self._tree.read_int(self._alarm_path) if self._alarm_path is not None else None
        return (None, None, None) if alarm is None else ("rpi_volt", FLAGS[:1] if alarm else (), None)

    def _ask_flags(self) -> int | None:
        """Ask the firmware, which answers `throttled=0x50000`."""
        answer = self._run(("vcgencmd", "get_throttled")) or ""
        key, _, value = answer.strip().partition("=")
        return _parse_hex(value) if key == "throttled" else None

    def _ask_temperature(self) -> float | None:
        """Ask the firmware, which answers `temp=42.8'C`."""
        match = re.fullmatch(r"temp=(-?\d{1,3}\.\d+)'C", (self._run(("vcgencmd", "measure_temp")) or "").strip())
        return _within(float(match[1]), _TEMPERATURE_RANGE_C) if match else None

    def _ask_rails(self) -> dict[str, float]:
        """Ask a Raspberry Pi 5's power chip for voltage times current of each rail that has both.

        It answers `VDD_CORE_A current(7)=2.5A` and, lines later, `VDD_CORE_V volt(15)=0.88V`.
        """
        answer = self._run(("vcgencmd", "pmic_read_adc")) or ""
        currents_a = {name: float(value) for name, value in _PMIC_CURRENT.findall(answer)}
        voltages_v = {name: float(value) for name, value in _PMIC_VOLTAGE.findall(answer)}
        return _values(
            (name, _within(current_a * voltages_v[name], _POWER_RANGE_W))
            for name, current_a in currents_a.items()
            if name in voltages_v
        )

    def _power_w(self, rail: _Rail) -> float | None:
        product = 1
        for path in rail.paths:
            factor = self._tree.read_int(path)
            if factor is None:
                return None
            product *= factor
        return _within(product / rail.units_per_watt, _POWER_RANGE_W)


def _find_zones(tree: SystemTree, hwmon: Mapping[str, str]) -> dict[str, str]:
    found = []
    for folder in tree.glob("/sys/class/thermal/thermal_zone*"):
        found.append((tree.read_text(f"{folder}/type") or _last_name(folder), f"{folder}/temp"))
    for folder, name in hwmon.items():
        if name in _PROCESSOR_HWMON:
            found += [(_label(tree, path, name), path) for path in tree.glob(f"{folder}/temp*_input")]
    return _unique(found)


def _find_policies(tree: SystemTree) -> tuple[_Policy, ...]:
    policies = []
    for folder in tree.glob("/sys/devices/system/cpu/cpufreq/policy*"):
        # The processors online; where all are off, the file is empty.
        cpus = parse_cpu_list(tree.read_text(f"{folder}/affected_cpus") or "")
        if cpus:
            policies.append(_Policy(folder=folder, cpus=cpus))
    return tuple(policies)


def _max_clock_mhz(tree: SystemTree, policies: Iterable[_Policy]) -> float | None:
    clocks_mhz = (_clock_mhz(tree, f"{policy.folder}/cpuinfo_max_freq") for policy in policies)
    return max((clock_mhz for clock_mhz in clocks_mhz if clock_mhz is not None), default=None)


def _find_alarm(hwmon: Mapping[str, str]) -> str | None:
    return next((f"{folder}/in0_lcrit_alarm" for folder, name in hwmon.items() if name == "rpi_volt"), None)


def _find_event_counts(tree: SystemTree) -> dict[str, str]:
    """Find x86's counters, one for each core and package (the threads of one show the same), and the Jetsons'."""
    paths: dict[str, str] = {}
    seen: set[tuple[int | None, ...]] = set()
    for folder in tree.glob("/sys/devices/system/cpu/cpu*/thermal_throttle"):
        cpu = folder.removesuffix("/thermal_throttle")
        package = tree.read_int(f"{cpu}/topology/physical_package_id")
        core = tree.read_int(f"{cpu}/topology/core_id")
        if package is None or core is None or (package, core) not in seen:
            paths[f"{_last_name(cpu)} core"] = f"{folder}/core_throttle_count"
        if (package,) not in seen:
            paths["package" if package is None else f"package{package}"] = f"{folder}/package_throttle_count"
        seen |= {(package,), (package, core)}
    for path in tree.glob("/sys/class/hwmon/hwmon*/oc*_event_cnt"):
        paths[_last_name(path).removesuffix("_event_cnt")] = path
    return paths


def _find_cooling(tree: SystemTree) -> dict[str, str]:
    named = (
        (tree.read_text(f"{folder}/type") or "", folder) for folder in tree.glob("/sys/class/thermal/cooling_device*")
    )
    return _unique((name, f"{folder}/cur_state") for name, folder in named if _SLOWS_DOWN.fullmatch(name))


def _find_rails(tree: SystemTree, hwmon: Mapping[str, str]) -> dict[str, _Rail]:
    found: list[tuple[str, _Rail]] = []
    for folder, name in hwmon.items():
        # A battery or charger shows here too, its device is a power_supply: what it moves is not what the board takes.
        if tree.read_text(f"{folder}/device/type") in _SUPPLY_TYPES:
            continue
        if name == "ina3221":
            for channel in _INA3221_CHANNELS:
                paths = (f"{folder}/in{channel}_input", f"{folder}/curr{channel}_input")
                if tree.read_int(paths[1]) is not None:
                    # mV times mA
                    found.append((_label(tree, paths[0], name), _Rail(paths=paths, units_per_watt=1e6)))
        for path in tree.glob(f"{folder}/power*_input"):
            found.append((_label(tree, path, name), _Rail(paths=(path,), units_per_watt=1e6)))
    # NVIDIA's own driver, until its release 32, on the Nano, TX2 and Xavier; in mW.
    for path in tree.glob("/sys/bus/i2c/devices/*/iio:device*/in_power*_input"):
        folder, _, file_name = path.rpartition("/")
        number = file_name.removeprefix("in_power").removesuffix("_input")
        label = tree.read_text(f"{folder}/rail_name_{number}") or f"power{number}"
        found.append((label, _Rail(paths=(path,), units_per_watt=1e3)))
    return _unique(found)


def _find_energy(tree: SystemTree) -> tuple[dict[str, str], dict[str, float]]:
    """Find the processor's energy counters that may be read, and their ranges in joules, both by name."""
    paths: list[tuple[str, str]] = []
    ranges: list[tuple[str, float]] = []
    names: dict[str, str] = {}
    # intel-rapl:0 is a package, intel-rapl:0:1 a part of it. AMD's are called so too.
    for folder in tree.glob("/sys/class/powercap/intel-rapl:*"):
        own, parent = _last_name(folder), _last_name(folder).rpartition(":")[0]
        name = tree.read_text(f"{folder}/name") or own
        names[own] = f"{names[parent]}/{name}" if parent in names else name
        if tree.read_int(f"{folder}/energy_uj") is None:
            continue
        paths.append((names[own], f"{folder}/energy_uj"))
        ranges.append((names[own], (tree.read_int(f"{folder}/max_energy_range_uj") or 0) / 1e6))
    return _unique(paths), {name: range_j for name, range_j in _unique(ranges).items() if range_j > 0}


def _find_hwmon(tree: SystemTree) -> dict[str, str]:
    """Find the folders of hwmon and the names of their drivers."""
    return {folder: tree.read_text(f"{folder}/name") or "" for folder in tree.glob("/sys/class/hwmon/hwmon*")}


def _label(tree: SystemTree, input_path: str, device: str) -> str:
    """Return what a hwmon channel is called: its label, else device and channel, such as "amdgpu power1"."""
    label = tree.read_text(input_path.removesuffix("_input") + "_label")
    return label or f"{device} {_last_name(input_path).removesuffix('_input')}"


def _clock_mhz(tree: SystemTree, path: str) -> float | None:
    return _within(_divided(tree.read_int(path), 1e3), _CLOCK_RANGE_MHZ)


def _cpuinfo_clocks_mhz(tree: SystemTree) -> dict[str, float]:
    """Return the clocks that x86's /proc/cpuinfo gives; virtual machines have no cpufreq."""
    clocks_mhz = {}
    for block in parse_cpuinfo(tree.read_text("/proc/cpuinfo") or ""):
        number, clock = block.get("processor", ""), block.get("cpu MHz", "")
        if re.fullmatch(r"[0-9]{1,4}", number) and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", clock):
            clocks_mhz[f"cpu{int(number)}"] = _within(float(clock), _CLOCK_RANGE_MHZ)
    return _values(clocks_mhz.items())


def _flags_of(bits: int) -> tuple[str, ...]:
    return tuple(flag for bit, flag in enumerate(FLAGS) if bits >> bit & 1)


def _parse_hex(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text, 16) if re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", text) else None


def _divided(value: int | None, divisor: float) -> float | None:
    # 31641 / 1e3 is 31.641, 31641 * 1e-3 is 31.641000000000002.
    return None if value is None else value / divisor


def _within(value: float | None, limits: tuple[float, float]) -> float | None:
    return value if value is not None and limits[0] <= value <= limits[1] else None


def _values(pairs: Iterable[tuple[str, Value | None]]) -> dict[str, Value]:
    return {name: value for name, value in pairs if value is not None}


def _unique(pairs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Return the pairs with "-2", "-3" behind a name's second, third use."""
    named: dict[str, Value] = {}
    for name, value in pairs:
        free, n = name, 1
        while free in named:
            n += 1
            free = f"{name}-{n}"
        named[free] = value
    return named


def _last_name(path: str) -> str:
    return path.rpartition("/")[2]
