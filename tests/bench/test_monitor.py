"""Energy between two moments by hand; a monitor over a system of files that change under it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from fer_edge_bench.monitor import Monitor, energy_j_within
from fer_edge_devices.sensors import SensorReading, Sensors, Throttling
from fer_edge_devices.system_tree import SystemTree


def reading(
    power_w: Mapping[str, float] | None = None,
    energy_j: Mapping[str, float] | None = None,
    throttling: Throttling | None = None,
) -> SensorReading:
    return SensorReading(
        temperatures_c={"soc": 50.0},
        hottest_c=50.0,
        clocks_mhz={"cpu0": 1500.0, "cpu1": 600.0},
        max_clock_mhz=1800.0,
        governors={},
        throttling=throttling,
        power_w=power_w or {},
        energy_j=energy_j or {},
        energy_range_j={"package-0": 1000.0},
    )


def every_second(found: SensorReading) -> list[tuple[float, SensorReading]]:
    """From 1 to 8 s."""
    return [(float(t), found) for t in range(1, 9)]


def test_energy_by_the_boards_rail() -> None:
    """4 W rising by 1 W a second; from 1.5 s, where it has 5.5 W, to 5.5 s, where it has 9.5 W: 30 joules."""
    readings = [(float(t), reading({"VDD_IN": 4.0 + t, "VDD_CPU": 1.0})) for t in range(8)]
    assert energy_j_within(readings, 1.0, 5.0) == pytest.approx(28.0)
    # Between two readings a line joins the totals: 5.5 of the second's 11 half-joules on either side.
    assert energy_j_within(readings, 0.5, 5.5) == pytest.approx(4.5 / 2 + 28.0 + 9.5 / 2)


def test_energy_by_counters_that_wrap() -> None:
    readings = [
        (float(t), reading(energy_j={"package-0": float((960 + 10 * t) % 1000), "package-0/core": 500.0 + t}))
        for t in range(8)
    ]
    assert energy_j_within(readings, 0.5, 6.0) == pytest.approx(55.0)


@pytest.mark.parametrize(
    ("readings", "began_s", "ended_s"),
    [
        pytest.param([], 0.0, 1.0, id="no readings"),
        pytest.param([(0.0, reading({"VDD_IN": 1.0}))], 0.0, 0.0, id="one reading"),
        pytest.param(every_second(reading()), 1.0, 7.0, id="no sensor"),
        pytest.param(every_second(reading({"VDD_CPU": 1.0})), 1.0, 7.0, id="a part alone"),
        pytest.param(every_second(reading({"VIN": 1.0})), 0.5, 7.0, id="before the first"),
        pytest.param(every_second(reading({"VIN": 1.0})), 2.0, 8.5, id="after the last"),
        pytest.param(every_second(reading({"VIN": 1.0})), 2.0, 5.9, id="four readings are too few"),
        pytest.param([*every_second(reading({"VIN": 1.0})), (9.0, reading())], 1.0, 9.0, id="a sensor that vanished"),
    ],
)
def test_energy_that_cannot_be_told(
    readings: list[tuple[float, SensorReading]], began_s: float, ended_s: float
) -> None:
    assert energy_j_within(readings, began_s, ended_s) is None


def test_a_monitor_sees_memory_heat_and_throttling(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    counter = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle"
    for folder in (zone, counter):
        folder.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n", encoding="utf-8")
    (zone / "temp").write_text("61000\n", encoding="utf-8")
    (counter / "core_throttle_count").write_text("4\n", encoding="utf-8")
    asked: list[int] = []

    def memory(pid: int) -> int | None:
        asked.append(pid)
        return {11: 30_000_000, 12: 40_000_000}.get(pid)

    started_s = time.monotonic()
    monitor = Monitor(Sensors(SystemTree(tmp_path)), started_s, memory=memory)
    with monitor:
        time.sleep(0.4)
        with monitor.watching(3, "multi-stream", 11) as watch:
            time.sleep(0.4)
            watch([11, 12, 13])
            time.sleep(0.4)
        (counter / "core_throttle_count").write_text("6\n", encoding="utf-8")
        (zone / "temp").write_text("82000\n", encoding="utf-8")

    assert (monitor.before.hottest_c, monitor.after.hottest_c) == (61.0, 82.0)
    assert "cpu0 core throttled 2 times" in monitor.throttled
    assert set(asked) == {11, 12, 13}
    found = [(point.case, point.step, point.memory_bytes) for point in monitor.points]
    assert list(dict.fromkeys(found)) == [
        (None, None, None),
        (3, "multi-stream", 30_000_000),
        (3, "multi-stream", 70_000_000),
    ]
    assert [point.t_s for point in monitor.points] == sorted(point.t_s for point in monitor.points)
    assert 0 < monitor.cpu_s < 1.0
    count = len(monitor.points)
    time.sleep(0.3)
    assert len(monitor.points) == count


def flags(source: str, *occurred: str) -> Throttling:
    return Throttling(source=source, flags_now=(), flags_occurred=occurred, event_counts={}, cooling_states={})


@pytest.mark.parametrize(
    ("throttling", "untold"),
    [
        pytest.param(None, None, id="no flags"),
        pytest.param(flags("vcgencmd"), None, id="a clean start"),
        pytest.param(flags("get_throttled", "throttled"), None, id="flags of the last seconds"),
        pytest.param(
            flags("vcgencmd", "under-voltage", "throttled"),
            "under-voltage, throttled since the boot; restart the board to see it again",
            id="flags that stay set",
        ),
    ],
)
def test_flags_that_were_set_before_hide_what_comes(throttling: Throttling | None, untold: str | None) -> None:
    class Board:
        def read(self, *, tools: bool = True) -> SensorReading:
            return reading(throttling=throttling)

    assert Monitor(Board(), time.monotonic()).untold == untold  # type: ignore[arg-type]


@pytest.mark.parametrize(("power_w", "expected"), [({"VDD_IN": 5.0}, 0.25), ({}, 1.0)], ids=["power", "no power"])
def test_sensors_of_power_are_read_more_often(power_w: dict[str, float], expected: float) -> None:
    class Board:
        def read(self, *, tools: bool = True) -> SensorReading:
            return reading(power_w)

    assert Monitor(Board(), time.monotonic())._sensor_period_s == expected  # type: ignore[arg-type]
