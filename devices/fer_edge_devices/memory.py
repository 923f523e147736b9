"""Memory and swap as the kernel tells them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fer_edge_devices.system_tree import SystemTree

__all__ = ["Memory", "SwapArea", "read_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapArea:
    """Where memory is swapped to: a device or file, and its size."""

    path: str
    n_bytes: int

    @property
    def is_compressed_memory(self) -> bool:
        """Whether it is zram: memory that holds compressed pages."""
        return self.path.startswith("/dev/zram")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes of all memory and of what programs can still have, None where not told; and the swap areas in use."""

    total_bytes: int | None
    available_bytes: int | None
    swap: tuple[SwapArea, ...]


def read_memory(tree: SystemTree) -> Memory:
    """Return the memory of a system."""
    info = tree.read_text("/proc/meminfo") or ""
    return Memory(
        total_bytes=_meminfo_bytes(info, "MemTotal"),
        available_bytes=_meminfo_bytes(info, "MemAvailable"),
        swap=_swap_areas(tree.read_text("/proc/swaps") or ""),
    )


def _meminfo_bytes(info: str, key: str) -> int | None:
    match = re.search(rf"^{key}:\s+([0-9]{{1,12}}) kB$", info, re.MULTILINE)
    return 1024 * int(match[1]) if match else None


def _swap_areas(text: str) -> tuple[SwapArea, ...]:
    areas = []
    # Filename, type, size, used, priority; the size in kB. A space in a name stands as \040.
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) == 5 and re.fullmatch(r"[0-9]{1,12}", columns[2]):
            areas.append(SwapArea(path=columns[0], n_bytes=1024 * int(columns[2])))
    return tuple(areas)
