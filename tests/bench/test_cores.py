"""Which cores are chosen, on trees of /sys written here."""

from pathlib import Path

import pytest

from fer_edge_bench.cores import choose_cores
from fer_edge_devices.system_tree import SystemTree


def tree(root: Path, clocks_khz: dict[int, int], siblings: dict[int, str]) -> SystemTree:
    for cpu, clock_khz in clocks_khz.items():
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "cpuinfo_max_freq").write_text(f"{clock_khz}\n", encoding="utf-8")
    for cpu, cpus in siblings.items():
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpus}\n", encoding="utf-8")
    return SystemTree(root)


@pytest.mark.parametrize(
    ("available", "threads", "clocks_khz", "siblings", "expected"),
    [
        pytest.param([0, 1, 2, 3], 1, {}, {}, (3,), id="no files: the last"),
        pytest.param([0, 1, 2, 3], 2, dict.fromkeys(range(4), 1_800_000), {}, (2, 3), id="four alike: the last two"),
        pytest.param([0, 1, 2, 3], 4, {}, {}, (), id="all: free"),
        pytest.param([0], 1, {}, {}, (), id="one core: free"),
        pytest.param(
            [0, 1, 2, 3, 4, 5],
            2,
            {0: 1_500_000, 1: 1_500_000, 2: 1_500_000, 3: 1_500_000, 4: 2_400_000, 5: 2_400_000},
            {},
            (4, 5),
            id="big and little: the big ones",
        ),
        pytest.param(
            [0, 1, 2, 3], 2, {}, {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}, (0, 2), id="two threads of a core: one each"
        ),
        pytest.param(
            [0, 1, 2, 3], 3, {}, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}, (0, 1, 3), id="more threads than cores"
        ),
        pytest.param([1, 3], 1, {1: 2_000_000, 3: 1_000_000}, {}, (1,), id="of those allowed"),
    ],
)
def test_choice(
    tmp_path: Path,
    available: list[int],
    threads: int,
    clocks_khz: dict[int, int],
    siblings: dict[int, str],
    expected: tuple[int, ...],
) -> None:
    assert choose_cores(available, threads, tree(tmp_path, clocks_khz, siblings)) == expected
