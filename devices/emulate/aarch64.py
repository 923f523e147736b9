"""Runs Python for aarch64 on an x86-64 machine, in a root that build_root.py made, under qemu's user-mode emulation.

qemu looks a path up in the root first and on the machine itself where the root lacks it, so the repository and
temporary folders are seen under their own names. Neither binfmt registration nor administrator rights are needed, but
the emulated Python cannot start itself again (`multiprocessing`, `subprocess` on `sys.executable`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from processors import DEFAULT_PROCESSOR, PROCESSORS, view_of

__all__ = [
    "STAMP_NAME",
    "EmulationError",
    "MissingToolError",
    "default_root",
    "emulated_command",
    "emulated_environment",
    "is_built",
    "qemu_path",
    "run_in_root",
]

STAMP_NAME = "fer-edge-root.json"

_REPOSITORY = Path(__file__).resolve().parents[2]
_QEMU_NAMES = ("qemu-aarch64-static", "qemu-aarch64")


class EmulationError(RuntimeError):
    """The arm64 root cannot be built or used; `exit_code` is what build_root.py ends with."""

    exit_code: ClassVar[int] = 1


class MissingToolError(EmulationError):
    """A program of the system that the emulation needs is not installed."""

    exit_code = 3


def default_root() -> Path:
    """Return the root that FER_EDGE_ARM64_ROOT names, else .cache/arm64-root in the repository."""
    named = os.environ.get("FER_EDGE_ARM64_ROOT")
    return Path(named) if named else _REPOSITORY / ".cache" / "arm64-root"


def is_built(root: Path) -> bool:
    """Return whether build_root.py finished a root there."""
    return (root / STAMP_NAME).is_file()


def qemu_path() -> str:
    """Return the path of qemu's user-mode emulator for aarch64.

    Raises:
        MissingToolError: it is not installed.
    """
    for name in _QEMU_NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    raise MissingToolError(f"{_QEMU_NAMES[0]} is not installed; install it with: apt-get install qemu-user-static")


def emulated_command(root: Path, arguments: Sequence[str], *, processor: str = DEFAULT_PROCESSOR) -> list[str]:
    """Return the command line that runs the root's Python with `arguments`.

    Args:
        root: an unpacked arm64 root.
        arguments: what follows `python3`: a script and its arguments, or `-c` and code.
        processor: the one that qemu plays, a name in `PROCESSORS`. Libraries choose their kernels by it.

    Raises:
        EmulationError: there is no such processor.
        MissingToolError: qemu is not installed.
    """
    if processor not in PROCESSORS:
        raise EmulationError(f"processor: expected one of {', '.join(PROCESSORS)}, found {processor!r}")
    root = root.resolve()
    python = root / "usr" / "bin" / "python3"
    # Without -S, site would add the machine's own packages, which show through where the root has no such folder.
    return [qemu_path(), "-cpu", processor, "-L", str(view_of(root, processor)), str(python), "-S", *arguments]


def emulated_environment(root: Path, pythonpath: Sequence[Path] = ()) -> dict[str, str]:
    """Return the whole environment of the emulated Python; nothing of the caller's but TMPDIR is passed on.

    Args:
        root: an unpacked arm64 root.
        pythonpath: folders of pure Python modules, searched after the root's own packages.
    """
    folders = (root.resolve() / "opt" / "site", *(path.resolve() for path in pythonpath))
    environment = {
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        "PYTHONHASHSEED": "0",
        # One thread each: emulated threads gain nothing, and the order of float sums stays fixed.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    if "TMPDIR" in os.environ:
        environment["TMPDIR"] = os.environ["TMPDIR"]
    return environment


def run_in_root(
    root: Path,
    arguments: Sequence[str],
    *,
    pythonpath: Sequence[Path] = (),
    timeout_s: float,
    processor: str = DEFAULT_PROCESSOR,
) -> subprocess.CompletedProcess[str]:
    """Run the root's Python and return its exit status, stdout and stderr.

    Args:
        root: a root that build_root.py made.
        arguments: what follows `python3`: a script and its arguments, or `-c` and code.
        pythonpath: folders of pure Python modules, searched after the root's own packages.
        timeout_s: when to end it, in seconds.
        processor: the one that qemu plays, a name in `PROCESSORS`.

    Raises:
        EmulationError: there is no finished root at `root`, or no such processor.
        MissingToolError: qemu is not installed.
        subprocess.TimeoutExpired: it ran longer than `timeout_s`.
    """
    if not is_built(root):
        raise EmulationError(f"{root} holds no arm64 root; build one with: python devices/emulate/build_root.py {root}")
    return subprocess.run(
        emulated_command(root, arguments, processor=processor),
        env=emulated_environment(root, pythonpath) | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
