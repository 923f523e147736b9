"""What the machine is and what it offers, read from the system without any package."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["available_cores", "cpu_model", "machine_summary", "memory_total_bytes", "package_versions"]


def cpu_model() -> str:
    """Return the processor's name as the kernel gives it, else the architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.machine()
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    # x86 names the processor, ARM boards name themselves.
    for key in ("model name", "Model", "Hardware"):
        if fields.get(key):
            return fields[key]
    return platform.machine()


def memory_total_bytes() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_cores() -> int:
    """Return the number of cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_summary() -> dict[str, str | int]:
    """Return architecture, processor, cores, memory, kernel and Python as JSON types."""
    return {
        "architecture": platform.machine(),
        "cpu": cpu_model(),
        "cores": available_cores(),
        "memory_bytes": memory_total_bytes(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those of the named distributions that are installed."""
    from importlib.metadata import PackageNotFoundError, version  # 3 MB that inference does not need

    versions: dict[str, str] = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
