"""The processor as /proc/cpuinfo describes it, with the instructions that decide how fast int8 runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fer_edge_devices.system_tree import SystemTree

__all__ = ["INT8_FEATURES", "Processor", "parse_cpu_list", "parse_cpuinfo", "read_processor"]

# The kernel's names. asimddp: int8 dot product (Armv8.2); i8mm: int8 matrix product (Armv8.6); the others are x86's
# 256-bit integers, the dot products for 512 and 256 bits, and the int8 tiles.
INT8_FEATURES = ("asimddp", "i8mm", "avx2", "avx512_vnni", "avx_vnni", "amx_int8")

# Implementer and part of MIDR_EL1, from each core's Technical Reference Manual. The first entries of an implementer are
# its 32-bit cores.
_CORES = {
    (0x41, 0xB76): "ARM1176",
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xC09): "Cortex-A9",
    (0x41, 0xC0F): "Cortex-A15",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4B): "Cortex-A78C",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x4E, 0x003): "Denver 2",
    (0x4E, 0x004): "Carmel",
}
# A list such as 0-4294967295 must not fill the memory; Linux is built for at most 8192 (CONFIG_NR_CPUS).
_MAX_CPUS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """What the kernel says of the processor.

    Attributes:
        model: the name an x86 processor gives itself; elsewhere its kinds of cores; "unknown" where nothing is told.
        architecture: aarch64, arm (32 bits), x86_64, i686, riscv64 or unknown: what the kernel runs.
        cores_total: logical processors that are there, those switched off included.
        cores_online: of these, the ones in use.
        core_parts: each kind of core once, in the order of its first core; a core that is not in the table as
            implementer:part.
        features: those of INT8_FEATURES that every core has.
    """

    model: str
    architecture: str
    cores_total: int
    cores_online: int
    core_parts: tuple[str, ...]
    features: tuple[str, ...]


def read_processor(tree: SystemTree) -> Processor:
    """Describe the processor of a system; where it tells nothing, one core online and the rest unknown."""
    cores = [block for block in parse_cpuinfo(tree.read_text("/proc/cpuinfo") or "") if "processor" in block]
    parts = tuple(dict.fromkeys(name for core in cores if (name := _core_name(core))))
    # cpuinfo lists the cores online; one is running this.
    online = len(parse_cpu_list(tree.read_text("/sys/devices/system/cpu/online") or "")) or len(cores) or 1
    present = len(parse_cpu_list(tree.read_text("/sys/devices/system/cpu/present") or ""))
    named = [set(_features(core)) for core in cores]
    return Processor(
        model=" + ".join(parts) or "unknown",
        architecture=_architecture(cores[0]) if cores else "unknown",
        cores_total=max(present, online),
        cores_online=online,
        core_parts=parts,
        features=tuple(name for name in INT8_FEATURES if named and all(name in has for has in named)),
    )


def parse_cpuinfo(text: str) -> tuple[Mapping[str, str], ...]:
    """Return the blocks of /proc/cpuinfo, which empty lines part; of a key that a block repeats, the first value.

    Keys are those of the architecture. On ARM the last block, without `processor`, names the board.
    """
    blocks: list[Mapping[str, str]] = []
    for part in re.split(r"\n[ \t]*\n", text):
        block: dict[str, str] = {}
        for line in part.splitlines():
            key, colon, value = line.partition(":")
            if colon:
                block.setdefault(key.strip(), value.strip())
        if block:
            blocks.append(block)
    return tuple(blocks)


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Return the numbers of a kernel's list of processors, ascending: "0-2,5" or "0 1 2 5".

    What is neither a number nor a range is left out.
    """
    numbers: set[int] = set()
    for item in re.split(r"[,\s]+", text):
        match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", item)
        if match:
            first, last = int(match[1]), int(match[2] or match[1])
            numbers.update(range(first, min(last, _MAX_CPUS - 1) + 1))
    return tuple(sorted(numbers))


def _core_name(core: Mapping[str, str]) -> str | None:
    implementer, part = core.get("CPU implementer"), core.get("CPU part")
    if implementer and part:
        try:
            return _CORES.get((int(implementer, 16), int(part, 16)), f"{implementer}:{part}")
        except ValueError:
            return f"{implementer}:{part}"
    # RISC-V names the core's design, x86 the product.
    return core.get("model name") or core.get("uarch") or None


def _features(core: Mapping[str, str]) -> Sequence[str]:
    return (core.get("Features") or core.get("flags") or "").split()


def _architecture(core: Mapping[str, str]) -> str:
    names = _features(core)
    if "flags" in core:
        return "x86_64" if "lm" in names else "i686"
    if "CPU implementer" in core:
        # A 64-bit kernel calls the vector unit asimd, a 32-bit one neon.
        return "aarch64" if "asimd" in names else "arm"
    return "riscv64" if core.get("isa", "").startswith("rv64") else "unknown"
