"""Runs this Python on an older x86-64 processor than the machine's own, under qemu's user-mode emulation.

The program and its packages are those of the calling Python; only the processor that they find is another. Libraries
choose their kernels by it. qemu 7.2 plays nothing newer than AVX2, so processors with AVX-512 and without VNNI are not
among these.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aarch64 import EmulationError, MissingToolError

__all__ = ["X86_PROCESSORS", "emulated_x86_command", "run_on_x86"]

_QEMU_NAMES = ("qemu-x86_64-static", "qemu-x86_64")

# By qemu's names: the newest kind of vector instructions that each has.
X86_PROCESSORS = {
    "Haswell": "AVX2 and FMA, of 2013: no VNNI",
    "Nehalem": "SSE4.2, of 2008: no AVX",
}


def emulated_x86_command(arguments: Sequence[str], *, processor: str) -> list[str]:
    """Return the command line that runs the calling Python with `arguments` on an emulated processor.

    Args:
        arguments: what follows `python`: a script and its arguments, or `-c` and code.
        processor: a name in `X86_PROCESSORS`.

    Raises:
        EmulationError: there is no such processor, or this machine's own is no x86-64.
        MissingToolError: qemu is not installed.
    """
    if processor not in X86_PROCESSORS:
        raise EmulationError(f"processor: expected one of {', '.join(X86_PROCESSORS)}, found {processor!r}")
    if platform.machine() not in ("x86_64", "AMD64"):
        raise EmulationError(f"this Python is built for {platform.machine()}; one for x86_64 is needed to emulate that")
    for name in _QEMU_NAMES:
        found = shutil.which(name)
        if found is not None:
            return [found, "-cpu", processor, sys.executable, *arguments]
    raise MissingToolError(f"{_QEMU_NAMES[0]} is not installed; install it with: apt-get install qemu-user-static")


def run_on_x86(
    arguments: Sequence[str], *, pythonpath: Sequence[Path] = (), timeout_s: float, processor: str
) -> subprocess.CompletedProcess[str]:
    """Run the calling Python on an emulated processor and return its exit status, stdout and stderr.

    Args:
        arguments: what follows `python`: a script and its arguments, or `-c` and code.
        pythonpath: folders of modules, searched before the environment's packages.
        timeout_s: when to end it, in seconds.
        processor: a name in `X86_PROCESSORS`.

    Raises:
        EmulationError: there is no such processor, or this machine's own is no x86-64.
        MissingToolError: qemu is not installed.
        subprocess.TimeoutExpired: it ran longer than `timeout_s`.
    """
    return subprocess.run(
        emulated_x86_command(arguments, processor=processor),
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(str(path.resolve()) for path in pythonpath), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
