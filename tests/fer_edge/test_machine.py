from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from fer_edge import machine

CPU_INFO = {
    "x86-64": "processor\t: 0\nmodel name\t: Example CPU @ 2 GHz\n\nprocessor\t: 1\nmodel name\t: Another\n",
    "Raspberry Pi": "processor\t: 0\nCPU part\t: 0xd08\n\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
    "old ARM board": "Processor\t: ARMv7\nHardware\t: BCM2835\n",
    "unknown": "processor\t: 0\n",
}
NAMES = {
    "x86-64": "Example CPU @ 2 GHz",
    "Raspberry Pi": "Raspberry Pi 4 Model B Rev 1.4",
    "old ARM board": "BCM2835",
    "unknown": platform.machine(),
}


@pytest.mark.parametrize("kind", CPU_INFO)
def test_the_processors_name(monkeypatch, kind):
    monkeypatch.setattr(Path, "read_text", lambda path, **options: CPU_INFO[kind])
    assert machine.cpu_model() == NAMES[kind]


def test_the_processors_name_without_proc(monkeypatch):
    def fail(path, **options):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", fail)
    assert machine.cpu_model() == platform.machine()


def test_memory_and_cores():
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    total_kb = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal:"))
    assert machine.memory_total_bytes() == pytest.approx(1024 * total_kb, rel=0.01)
    assert machine.available_cores() == len(os.sched_getaffinity(0))


def test_the_summary_is_made_of_json_types():
    summary = machine.machine_summary()
    assert list(summary) == ["architecture", "cpu", "cores", "memory_bytes", "system", "python"]
    assert all(type(value) in (str, int) for value in summary.values())
    assert summary["python"] == platform.python_version()


def test_versions_of_what_is_installed():
    import numpy as np

    assert machine.package_versions(("numpy", "no-such-distribution")) == {"numpy": np.__version__}
