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


def test_energy_by_the_boards_rail() -> None:
    """4 W rising to 6 W over two seconds, then 6 W: within 1 to 3 s it is 5.5 + 6 joules."""
    readings = [(0.0, reading({"VDD_IN": 4.0, "VDD_CPU": 1.0})), (2.0, reading({"VDD_IN": 6.0}))]
    readings.append((4.0, reading({"VDD_IN": 6.0})))
    # The trapezoid over 0 to 2 s is 10 J, spread evenly: 5 J for the second half of it, then 6 J.
    assert energy_j_within(readings, 1.0, 3.0) == pytest.approx(11.0)


def test_energy_by_counters_that_wrap() -> None:
    readings = [
        (0.0, reading(energy_j={"package-0": 980.0, "package-0/core": 500.0})),
        (1.0, reading(energy_j={"package-0": 990.0, "package-0/core": 505.0})),
        (2.0, reading(energy_j={"package-0": 10.0, "package-0/core": 508.0})),
    ]
    assert energy_j_within(readings, 0.5, 2.0) == pytest.approx(5 + 20)


@pytest.mark.parametrize(
    ("readings", "began_s", "ended_s"),
    [
        pytest.param([], 0.0, 1.0, id="no readings"),
        pytest.param([(0.0, reading({"VDD_IN": 1.0}))], 0.0, 0.0, id="one reading"),
        pytest.param([(0.0, reading()), (5.0, reading())], 1.0, 2.0, id="no sensor"),
        pytest.param([(0.0, reading({"VDD_CPU": 1.0})), (5.0, reading({"VDD_CPU": 1.0}))], 1.0, 2.0, id="a part alone"),
        pytest.param([(1.0, reading({"VIN": 1.0})), (5.0, reading({"VIN": 1.0}))], 0.5, 2.0, id="before the first"),
        pytest.param([(1.0, reading({"VIN": 1.0})), (5.0, reading({"VIN": 1.0}))], 2.0, 5.5, id="after the last"),
        pytest.param([(0.0, reading({"VIN": 1.0})), (5.0, reading())], 1.0, 2.0, id="a sensor that vanished"),
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
        with monitor.watching(3, 11) as watch:
            time.sleep(0.4)
            watch([11, 12, 13])
            time.sleep(0.4)
        (counter / "core_throttle_count").write_text("6\n", encoding="utf-8")
        (zone / "temp").write_text("82000\n", encoding="utf-8")

    assert (monitor.before.hottest_c, monitor.after.hottest_c) == (61.0, 82.0)
    assert "cpu0 core throttled 2 times" in monitor.throttled
    assert set(asked) == {11, 12, 13}
    found = [(point.case, point.memory_bytes) for point in monitor.points]
    assert list(dict.fromkeys(found)) == [(None, None), (3, 30_000_000), (3, 70_000_000)]
    assert [point.t_s for point in monitor.points] == sorted(point.t_s for point in monitor.points)
    assert 0 < monitor.cpu_s < 1.0
    count = len(monitor.points)
    time.sleep(0.3)
    assert len(monitor.points) == count
