"""Board, processor, memory, swap, disk and clock."""

from __future__ import annotations

from collections.abc import Iterator

from fer_edge_devices.board import GENERIC, Board
from fer_edge_devices.doctor.finding import ADVICE, OK, Finding
from fer_edge_devices.doctor.host import Subject
from fer_edge_devices.memory import Memory, read_memory
from fer_edge_devices.processor import Processor, parse_cpuinfo, read_processor
from fer_edge_devices.profile import Profile

__all__ = ["check_board"]

# What a processor's names for its instructions mean for the speed of models.
_FEATURE_NAMES = {
    "asimddp": "int8 dot product",
    "i8mm": "int8 matrix product",
    "asimdhp": "float16",
    "avx2": "AVX2",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "amx_int8": "AMX int8",
}
# Below this a system without swap ends programs when something else wants memory for a moment.
_LITTLE_MEMORY_BYTES = 1_100_000_000
# fer-edge remembers tunings and writes annotated videos; a disk this full fails other programs first.
_LITTLE_DISK_BYTES = 200_000_000
# Of the memory a board is sold with, firmware and GPU keep up to a quarter for themselves (a Zero 2 W with a camera).
_LEAST_SHARE = 0.75


def check_board(subject: Subject, board: Board, profile: Profile) -> Iterator[Finding]:
    """Yield what there is to say of the board and its system."""
    processor, memory = read_processor(subject.tree), read_memory(subject.tree)
    yield _board(board, profile)
    yield from _processor(subject, processor, profile)
    yield from _programs(subject, processor)
    yield from _memory(memory, profile)
    yield from _swap(memory)
    yield from _disk(subject)
    yield from _clock(subject)


def _board(board: Board, profile: Profile) -> Finding:
    if profile.slug == GENERIC:
        return Finding(
            section="board",
            name="board",
            level=OK,
            found=f"{board.model}: no profile of its own, the generic one is used",
        )
    return Finding(section="board", name="board", level=OK, found=f"{board.model}, profile {profile.slug}")


def _processor(subject: Subject, processor: Processor, profile: Profile) -> Iterator[Finding]:
    features = list(processor.features)
    if _every_core_has(subject, "asimdhp"):
        features.append("asimdhp")
    named = ", ".join(_FEATURE_NAMES[name] for name in features)
    found = f"{processor.model} ({processor.architecture}), {_count(processor.cores_online, 'core')}"
    found += f", {named}" if named else ""
    x86 = processor.architecture in ("x86_64", "i686")
    if x86 and "avx2" not in processor.features:
        yield Finding(
            section="board",
            name="processor",
            level=ADVICE,
            found=f"{found}, no AVX2",
            advice="the engines' fast kernels need AVX2; a virtual machine may have to be given the host's processor",
        )
    elif processor.architecture == "aarch64" and "asimddp" not in processor.features:
        yield Finding(
            section="board",
            name="processor",
            level=OK,
            found=f"{found}, no int8 dot product: int8 models may be no faster than float32 ones, fer-edge tune tells",
        )
    else:
        yield Finding(section="board", name="processor", level=OK, found=found)
    expected = profile.hardware.cores if profile.hardware else processor.cores_total
    if processor.cores_online < expected:
        yield Finding(
            section="board",
            name="cores",
            level=ADVICE,
            found=f"{processor.cores_online} of {expected} cores are in use",
            advice="the others are switched off: by a power mode, by maxcpus= on the kernel's command line, or by hand",
            command="echo 1 | sudo tee /sys/devices/system/cpu/cpu*/online",
        )


def _every_core_has(subject: Subject, feature: str) -> bool:
    cores = [block for block in parse_cpuinfo(subject.tree.read_text("/proc/cpuinfo") or "") if "processor" in block]
    return bool(cores) and all(feature in core.get("Features", "").split() for core in cores)


def _programs(subject: Subject, processor: Processor) -> Iterator[Finding]:
    """Tell of 32-bit programs, for which no engine has wheels."""
    if subject.host.pointer_bits >= 64 and processor.architecture not in ("arm", "i686"):
        return
    kernel = "64-bit" if processor.architecture in ("aarch64", "x86_64") else "32-bit"
    yield Finding(
        section="board",
        name="system",
        level=ADVICE,
        found=f"{subject.host.pointer_bits}-bit Python on a {kernel} kernel",
        advice="no engine has wheels for 32-bit systems; install the 64-bit system, such as Raspberry Pi OS (64-bit)",
    )


def _memory(memory: Memory, profile: Profile) -> Iterator[Finding]:
    if memory.total_bytes is None:
        return
    total_mb = memory.total_bytes / 1e6
    found = f"{total_mb:.0f} MB"
    if memory.available_bytes is not None:
        found += f", {memory.available_bytes / 1e6:.0f} MB of it free for programs"
    wanted_mb = profile.service.memory_max_mb
    if memory.available_bytes is not None and memory.available_bytes < wanted_mb * 1e6:
        yield Finding(
            section="board",
            name="memory",
            level=ADVICE,
            found=found,
            advice=f"the profile plans {wanted_mb} MB for fer-edge: end what else runs; a desktop takes most",
            # Without a desktop from the next start on; a PC's owner may want the desktop more than the camera.
            command=None if profile.slug == GENERIC else "sudo systemctl set-default multi-user.target",
        )
        return
    smallest = profile.hardware.memory_mb[0] if profile.hardware else 0
    if total_mb < _LEAST_SHARE * smallest:
        yield Finding(
            section="board",
            name="memory",
            level=ADVICE,
            found=found,
            advice=f"the board has {smallest} MB or more: gpu_mem in config.txt, mem= or a container keeps the rest",
        )
        return
    yield Finding(section="board", name="memory", level=OK, found=found)


def _swap(memory: Memory) -> Iterator[Finding]:
    on_disk = [area.path for area in memory.swap if not area.is_compressed_memory]
    found = ", ".join(f"{area.path} ({area.n_bytes / 1e6:.0f} MB)" for area in memory.swap) or "none"
    little = memory.total_bytes is not None and memory.total_bytes < _LITTLE_MEMORY_BYTES
    if little and not memory.swap:
        advice = "with so little memory a moment's need ends programs; compressed memory (zram) gives room"
    elif little and on_disk:
        advice = (
            "swapping to a card or disk stalls the camera for seconds and wears it; compressed memory (zram) does not"
        )
    else:
        yield Finding(section="board", name="swap", level=OK, found=found)
        return
    yield Finding(
        section="board",
        name="swap",
        level=ADVICE,
        found=found,
        advice=advice,
        command="sudo apt install zram-tools",
    )


def _disk(subject: Subject) -> Iterator[Finding]:
    free_bytes = subject.host.free_bytes
    if free_bytes is None:
        return
    found = f"{free_bytes / 1e9:.1f} GB free at home"
    if free_bytes < _LITTLE_DISK_BYTES:
        yield Finding(
            section="board",
            name="disk",
            level=ADVICE,
            found=found,
            advice="make room: logs and programs fail on a full disk",
            command="sudo apt clean && sudo journalctl --vacuum-size=50M",
        )
    else:
        yield Finding(section="board", name="disk", level=OK, found=found)


def _clock(subject: Subject) -> Iterator[Finding]:
    """Tell whether the clock follows a time server, where systemd knows."""
    answer = subject.run(("timedatectl", "show", "--property=NTPSynchronized", "--value"))
    if answer == "yes":
        yield Finding(section="board", name="clock", level=OK, found="synchronised")
    elif answer == "no":
        yield Finding(
            section="board",
            name="clock",
            level=ADVICE,
            found="not synchronised",
            advice="records get wrong times and certificates look invalid; a board without a clock needs a server",
            command="sudo timedatectl set-ntp true",
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
