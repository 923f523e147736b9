"""Memory and swap from /proc."""

import pytest
from devices.recorded_trees import recorded, write_tree

from fer_edge_devices.memory import Memory, SwapArea, read_memory

HEAD = "Filename\tType\tSize\tUsed\tPriority\n"


def test_recorded():
    assert read_memory(recorded("raspberry-pi-5")) == Memory(
        total_bytes=8244228 * 1024,
        available_bytes=7512004 * 1024,
        swap=(SwapArea(path="/dev/zram0", n_bytes=2097148 * 1024),),
    )
    assert read_memory(recorded("container")) == Memory(total_bytes=None, available_bytes=None, swap=())


@pytest.mark.parametrize(
    ("meminfo", "total_bytes", "available_bytes"),
    [
        pytest.param("MemTotal:  1000 kB\nMemAvailable:  10 kB\n", 1_024_000, 10_240, id="both"),
        pytest.param("MemTotal:  1000 kB\nMemFree:  10 kB\n", 1_024_000, None, id="a kernel before 3.14"),
        pytest.param("MemTotal:  1000\n", None, None, id="no unit"),
        pytest.param("HighMemTotal:  1000 kB\n", None, None, id="another key"),
        pytest.param("MemTotal:  " + "9" * 5000 + " kB\n", None, None, id="too many digits"),
    ],
)
def test_meminfo(tmp_path, meminfo, total_bytes, available_bytes):
    memory = read_memory(write_tree(tmp_path, {"/proc/meminfo": meminfo}))
    assert (memory.total_bytes, memory.available_bytes) == (total_bytes, available_bytes)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("/dev/zram0 partition 100 0 100", ("/dev/zram0", 102_400, True), id="zram"),
        pytest.param("/var/swap file 100 0 -2", ("/var/swap", 102_400, False), id="a file"),
        pytest.param("/my\\040swap file 100 0 -2", ("/my\\040swap", 102_400, False), id="a space"),
        pytest.param("/var/swap file many 0 -2", None, id="no number"),
        pytest.param("/var/swap file", None, id="cut short"),
    ],
)
def test_swaps(tmp_path, line, expected):
    areas = read_memory(write_tree(tmp_path, {"/proc/swaps": f"{HEAD}{line}\n"})).swap
    assert [(area.path, area.n_bytes, area.is_compressed_memory) for area in areas] == ([expected] if expected else [])
