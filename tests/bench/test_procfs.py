"""The kernel's texts are read field by field; this process's own figures are plausible."""

import os
import time
from pathlib import Path

import pytest

from fer_edge_bench.circumstances import busy_percent
from fer_edge_bench.procfs import (
    cpu_seconds,
    idle_seconds,
    load_average,
    machine_cpu_seconds,
    parse_kib_field,
    peak_memory_bytes,
    proportional_memory_bytes,
    resident_memory_bytes,
)
from fer_edge_bench.samples import CpuSeconds
from fer_edge_devices.system_tree import SystemTree

STATUS = """Name:\tpython
Umask:\t0022
VmPeak:\t  123456 kB
VmHWM:\t   40960 kB
VmRSS:\t   30720 kB
Threads:\t1
"""
ROLLUP = """00400000-7ffd0000 ---p 00000000 00:00 0                          [rollup]
Rss:               30720 kB
Pss:               20480 kB
Pss_Dirty:         10240 kB
"""
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        pytest.param(STATUS, "VmHWM", 40960 * 1024, id="peak"),
        pytest.param(ROLLUP, "Pss", 20480 * 1024, id="pss, not pss_dirty"),
        pytest.param(STATUS, "Vm", None, id="a name's beginning"),
        pytest.param(STATUS, "Threads", None, id="a field without unit"),
        pytest.param("VmHWM:\t12 MB\n", "VmHWM", None, id="another unit"),
        pytest.param("VmHWM:\tmany kB\n", "VmHWM", None, id="no number"),
        pytest.param("VmHWM:\n", "VmHWM", None, id="no value"),
        pytest.param("", "VmHWM", None, id="empty"),
    ],
)
def test_fields(text: str, name: str, expected: int | None) -> None:
    assert parse_kib_field(text, name) == expected


def tree(root: Path, **files: str) -> SystemTree:
    (root / "proc").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / "proc" / name).write_text(text, encoding="utf-8")
    return SystemTree(root)


def test_the_machines_processor_time(tmp_path: Path) -> None:
    system = tree(
        tmp_path, stat=f"cpu  {3 * TICKS} {TICKS} {2 * TICKS} {40 * TICKS} {5 * TICKS} 0 {TICKS} 9 7 7\ncpu0 1\n"
    )
    assert machine_cpu_seconds(system) == CpuSeconds(user_s=4.0, system_s=3.0)
    assert idle_seconds(system) == 45.0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("cpu  1 2 3 4\n", id="an old kernel's"),
        pytest.param("cpu  1 2 3 4 5 6 7 x\n", id="no number"),
        pytest.param("intr 1 2 3 4 5 6 7 8\n", id="another line"),
    ],
)
def test_a_stat_that_does_not_tell(tmp_path: Path, text: str) -> None:
    system = tree(tmp_path, stat=text)
    assert machine_cpu_seconds(system) is None
    assert idle_seconds(system) is None
    assert busy_percent(system, sleep=lambda _: None) is None


def test_how_busy_the_machine_is(tmp_path: Path) -> None:
    """Between two looks 25 ticks of work, 5 that a hypervisor gave to others, and 70 of rest."""

    def look(_: float) -> None:
        tree(tmp_path, stat="cpu  117 0 108 970 100 0 0 5 0 0\n")

    assert busy_percent(tree(tmp_path, stat="cpu  100 0 100 900 100 0 0 0 0 0\n"), sleep=look) == 30.0


def test_no_time_between_two_looks_tells_nothing(tmp_path: Path) -> None:
    assert busy_percent(tree(tmp_path, stat="cpu  1 0 1 9 1 0 0 0 0 0\n"), sleep=lambda _: None) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("0.52 0.58 0.59 1/467 8910\n", 0.52), ("", None), ("high\n", None)], ids=str
)
def test_load_average(tmp_path: Path, text: str, expected: float | None) -> None:
    assert load_average(tree(tmp_path, loadavg=text)) == expected


def test_this_process() -> None:
    before = peak_memory_bytes()
    ballast = bytearray(64 * 1024 * 1024)
    ballast[::4096] = b"x" * len(ballast[::4096])
    assert peak_memory_bytes() >= before
    assert peak_memory_bytes() > 64 * 1024 * 1024
    resident = resident_memory_bytes(os.getpid())
    assert resident is not None
    assert 64 * 1024 * 1024 < resident <= peak_memory_bytes() * 1.01
    pss = proportional_memory_bytes()
    assert pss is None or 0 < pss <= peak_memory_bytes()
    assert proportional_memory_bytes(os.getpid()) is None or pss is not None


def test_a_process_that_is_gone() -> None:
    assert resident_memory_bytes(2**22 + 1) is None
    assert proportional_memory_bytes(2**22 + 1) is None


def test_processor_time_of_work_and_of_sleep() -> None:
    before, started = cpu_seconds(), time.process_time()
    while time.process_time() - started < 0.05:
        pass
    worked = cpu_seconds()
    assert worked.user_s + worked.system_s - before.user_s - before.system_s == pytest.approx(0.05, abs=0.03)
    time.sleep(0.1)
    slept = cpu_seconds()
    assert slept.user_s + slept.system_s - worked.user_s - worked.system_s < 0.05
