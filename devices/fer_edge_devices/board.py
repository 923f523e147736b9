"""Which board this is: by the device tree, then by cpuinfo, the vendor's files, and the firmware of a PC."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fer_edge_devices.processor import parse_cpuinfo, read_processor
from fer_edge_devices.system_tree import SystemTree

__all__ = ["FAMILIES", "GENERIC", "SLUGS", "Board", "recognise_board"]

GENERIC = "generic"
FAMILIES = ("Raspberry Pi", "Jetson", "PC", "other")

# Slug, then what the model's name must match. Compute modules and the keyboards 400 and 500 have the processor of the
# board of their number. The first that matches counts: a Jetson Orin Nano is no Jetson Nano.
_BY_MODEL = (
    ("raspberry-pi-zero-2", r"Raspberry Pi Zero 2"),
    ("raspberry-pi-3", r"Raspberry Pi (Compute Module )?3"),
    ("raspberry-pi-4", r"Raspberry Pi (Compute Module )?4"),
    ("raspberry-pi-5", r"Raspberry Pi (Compute Module )?5"),
    ("jetson-agx-orin", r"AGX Orin"),
    ("jetson-orin-nx", r"Orin NX"),
    ("jetson-orin-nano", r"Orin Nano"),
    ("jetson-nano", r"Jetson Nano"),
)
# The device tree's "compatible" is stricter than its "model", which a maker of carrier boards writes anew. NVIDIA's
# modules: P3448 is the Nano, P3701 the AGX Orin, P3767 the Orin NX (0000, 0001) or Orin Nano (0003 to 0005).
_BY_COMPATIBLE = (
    ("raspberry-pi-zero-2", r"raspberrypi,model-zero-2"),
    ("raspberry-pi-3", r"raspberrypi,3-"),
    ("raspberry-pi-4", r"raspberrypi,4(00|-)"),
    ("raspberry-pi-5", r"raspberrypi,5(00|-)"),
    ("jetson-agx-orin", r"nvidia,(p[\w-]+\+)?p3701-"),
    ("jetson-orin-nx", r"nvidia,(p[\w-]+\+)?p3767-000[01]"),
    ("jetson-orin-nano", r"nvidia,(p[\w-]+\+)?p3767-000[345]"),
    ("jetson-nano", r"nvidia,(jetson-nano|p3450-|(p[\w-]+\+)?p3448-)"),
)
SLUGS = (*(slug for slug, _ in _BY_MODEL), GENERIC)

# What makers of PCs leave in place of a name.
_NO_NAME = re.compile(
    r"(?i)(to be filled by o\.?e\.?m\.?|system manufacturer|system product name|default string|not specified|none|"
    r"o\.?e\.?m\.?)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board that was recognised.

    Attributes:
        slug: one of SLUGS; "generic" where none fits.
        model: the name the system gives, such as "Raspberry Pi 5 Model B Rev 1.0".
        family: one of FAMILIES.
    """

    slug: str
    model: str
    family: str


def recognise_board(tree: SystemTree) -> Board:
    """Return the board of a system; where nothing names one, the processor's name as a generic board."""
    return _from_names(tree) or _from_nvidia_release(tree) or _from_dmi(tree) or _from_processor(tree)


def _from_names(tree: SystemTree) -> Board | None:
    model = (
        tree.read_text("/proc/device-tree/model")
        # Where /proc is not mounted or masked.
        or tree.read_text("/sys/firmware/devicetree/base/model")
        or _cpuinfo_value(tree, "Model")
        or ""
    )
    compatible = (
        tree.read_text("/proc/device-tree/compatible")
        or tree.read_text("/sys/firmware/devicetree/base/compatible")
        or ""
    ).split("\0")
    slug = next((slug for slug, pattern in _BY_COMPATIBLE if any(re.match(pattern, name) for name in compatible)), None)
    slug = slug or next((slug for slug, pattern in _BY_MODEL if re.search(pattern, model)), None)
    # The 32-bit kernels before 4.9 named the board's processor here, and the old ones of the Jetsons the board.
    name = model or compatible[0] or _cpuinfo_value(tree, "Hardware")
    if not name:
        return None
    return Board(slug=slug or GENERIC, model=name, family=_family(name, compatible))


def _family(name: str, compatible: list[str]) -> str:
    if "Raspberry Pi" in name or any(entry.startswith("raspberrypi,") for entry in compatible):
        return "Raspberry Pi"
    if re.search(r"(?i)jetson|\borin\b", name) or any(re.match(r"nvidia,tegra\d", entry) for entry in compatible):
        return "Jetson"
    return "other"


def _from_nvidia_release(tree: SystemTree) -> Board | None:
    """Read what NVIDIA's system leaves in a container too: its release, and a board's name that several share."""
    text = tree.read_text("/etc/nv_tegra_release")
    if not text:
        return None
    release = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    board = re.search(r"BOARD: ([^,\n]+)", text)
    told = [f"Linux for Tegra R{release[1]}.{release[2]}" if release else "Linux for Tegra"]
    if board:
        told.append(board[1].strip())
    return Board(slug=GENERIC, model=", ".join(told), family="Jetson")


def _from_dmi(tree: SystemTree) -> Board | None:
    names = [(tree.read_text(f"/sys/class/dmi/id/{key}") or "").strip() for key in ("sys_vendor", "product_name")]
    told = [name for name in names if not _NO_NAME.fullmatch(name)]
    return Board(slug=GENERIC, model=" ".join(told), family="PC") if told else None


def _from_processor(tree: SystemTree) -> Board:
    processor = read_processor(tree)
    family = "PC" if processor.architecture in ("x86_64", "i686") else "other"
    return Board(slug=GENERIC, model=processor.model, family=family)


def _cpuinfo_value(tree: SystemTree, key: str) -> str | None:
    blocks = parse_cpuinfo(tree.read_text("/proc/cpuinfo") or "")
    return next((block[key] for block in reversed(blocks) if block.get(key)), None)
