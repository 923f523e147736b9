"""The processors that qemu can play here, and how each tells its name to the libraries that ask.

Emulated code reads what the processor can do from the auxiliary vector, which qemu fills, but its name from files of
the kernel, where it would find the x86-64 machine's: onnxruntime then crashes when it is imported, and openvino misses
the register MIDR_EL1. So each processor has a view of the root: a folder of links to it, and these two files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["DEFAULT_PROCESSOR", "PROCESSORS", "Processor", "view_of", "write_views"]

_BASE = "fp asimd aes pmull sha1 sha2 crc32 cpuid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """A core by Arm, as its main identification register and the kernel's feature names describe it.

    Attributes:
        board: a camera's computer that has it.
        part, variant, revision: fields of the register MIDR_EL1.
        features: the names of the bits of AT_HWCAP that qemu sets for it.
    """

    board: str
    part: int
    variant: int
    revision: int
    features: str

    def cpuinfo(self) -> str:
        """Return what /proc/cpuinfo says on a board with four of these cores."""
        return "".join(
            f"processor\t: {core}\n"
            f"Features\t: {self.features}\n"
            "CPU implementer\t: 0x41\n"
            "CPU architecture: 8\n"
            f"CPU variant\t: {self.variant:#x}\n"
            f"CPU part\t: {self.part:#05x}\n"
            f"CPU revision\t: {self.revision}\n\n"
            for core in range(4)
        )

    def midr_el1(self) -> int:
        """Return the main identification register: implementer (0x41 is Arm), variant, architecture, part, revision."""
        return 0x41 << 24 | self.variant << 20 | 0xF << 16 | self.part << 4 | self.revision


# By qemu's names. The second has the int8 dot product and half floats, the first neither: libraries run other kernels.
PROCESSORS = {
    "cortex-a72": Processor(board="Raspberry Pi 4", part=0xD08, variant=0, revision=3, features=_BASE),
    "cortex-a76": Processor(
        board="Raspberry Pi 5",
        part=0xD0B,
        variant=4,
        revision=1,
        features=f"{_BASE} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp",
    ),
}
DEFAULT_PROCESSOR = "cortex-a76"


def view_of(root: Path, processor: str) -> Path:
    """Return the folder in which emulated code on this processor looks paths up."""
    return root / "processors" / processor


def write_views(root: Path) -> None:
    """Write the view of every processor into an unpacked root; the links are relative, so the root can be moved."""
    entries = [entry.name for entry in root.iterdir()]
    for name, processor in PROCESSORS.items():
        view = view_of(root, name)
        for path, text in (
            ("proc/cpuinfo", processor.cpuinfo()),
            ("sys/devices/system/cpu/cpu0/regs/identification/midr_el1", f"{processor.midr_el1():#018x}\n"),
        ):
            (view / path).parent.mkdir(parents=True)
            (view / path).write_text(text, encoding="ascii")
        for entry in entries:
            (view / entry).symlink_to(Path("../..", entry))
