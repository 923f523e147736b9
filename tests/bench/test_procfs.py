"""The kernel's texts are read field by field; this process's own figures are plausible."""

import time

import pytest

from fer_edge_bench.procfs import cpu_times, parse_kib_field, peak_memory_bytes, proportional_memory_bytes

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


def test_this_process() -> None:
    before = peak_memory_bytes()
    ballast = bytearray(64 * 1024 * 1024)
    ballast[::4096] = b"x" * len(ballast[::4096])
    assert peak_memory_bytes() >= before
    assert peak_memory_bytes() > 64 * 1024 * 1024
    pss = proportional_memory_bytes()
    assert pss is None or 0 < pss <= peak_memory_bytes()


def test_processor_time_of_work_and_of_sleep() -> None:
    before, started = cpu_times(), time.process_time()
    while time.process_time() - started < 0.05:
        pass
    worked = cpu_times()
    assert worked.user_s + worked.system_s - before.user_s - before.system_s == pytest.approx(0.05, abs=0.03)
    time.sleep(0.1)
    slept = cpu_times()
    assert slept.user_s + slept.system_s - worked.user_s - worked.system_s < 0.05
