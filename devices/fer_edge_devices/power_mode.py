"""A Jetson's power mode: nvpmodel's choice of clocks and cores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fer_edge_devices.system_tree import SystemTree

__all__ = ["PowerMode", "read_power_mode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerMode:
    """A power mode.

    Attributes:
        number: that nvpmodel knows it by.
        names: of all modes of the board, by number; empty where their list cannot be read.
    """

    number: int
    names: Mapping[int, str]

    @property
    def name(self) -> str:
        """Return what it is called, "MAXN" or "15W"; its number where the list has none."""
        return self.names.get(self.number, str(self.number))

    @property
    def unlimited(self) -> int | None:
        """Return the number of the mode without a limit of power, whose name begins with MAXN; None without one."""
        return next((number for number, name in self.names.items() if name.startswith("MAXN")), None)


def read_power_mode(tree: SystemTree) -> PowerMode | None:
    """Return the power mode that was set last; None where there is none, as on every other board."""
    # "pmode:0002", on some boards followed by the fan's: "pmode:0008 fmode:quiet".
    match = re.match(r"pmode:([0-9]{1,4})\b", tree.read_text("/var/lib/nvpmodel/status") or "")
    if match is None:
        return None
    listed = re.findall(
        r"<\s*POWER_MODEL\s+ID=([0-9]{1,4})\s+NAME=([^\s>]{1,60})\s*>", tree.read_text("/etc/nvpmodel.conf") or ""
    )
    return PowerMode(number=int(match[1]), names={int(number): name for number, name in listed})
