"""What the doctor learns from this process instead of from the system's files."""

from __future__ import annotations

import getpass
import importlib.util
import os
import re
import shutil
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import MissingExtraError
from fer_edge_devices.system_tree import SystemTree, run_tool

__all__ = ["Host", "Subject", "this_host"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The process that asks.

    Attributes:
        python: version of Python, three numbers.
        pointer_bits: 64, or 32 where the programs are 32-bit ones, whatever the kernel.
        user: name of who runs it.
        is_root: whether that one may do all.
        group_ids: of the groups it has, which are those of the last login.
        free_bytes: on the disk of the user's home; None where that cannot be told.
        has_picamera2: whether Python finds Raspberry Pi's camera package.
        has_gstreamer: whether OpenCV was built with GStreamer; the one of the package index is not.
    """

    python: tuple[int, int, int]
    pointer_bits: int
    user: str
    is_root: bool
    group_ids: tuple[int, ...]
    free_bytes: int | None
    has_picamera2: bool
    has_gstreamer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is examined: the files of a system, its programs, and the process that asks."""

    tree: SystemTree
    run: Callable[[Sequence[str]], str | None] = run_tool
    host: Host


def this_host() -> Host:
    """Return what is true of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        user = str(os.getuid())
    try:
        free_bytes = shutil.disk_usage(Path.home()).free
    except (OSError, RuntimeError):  # RuntimeError: no home is known
        free_bytes = None
    return Host(
        python=sys.version_info[:3],
        pointer_bits=8 * struct.calcsize("P"),
        user=user,
        is_root=os.geteuid() == 0,
        group_ids=tuple(sorted({os.getegid(), *os.getgroups()})),
        free_bytes=free_bytes,
        has_picamera2=importlib.util.find_spec("picamera2") is not None,
        has_gstreamer=_has_gstreamer(),
    )


def _has_gstreamer() -> bool:
    from fer_edge._cv2 import import_cv2

    try:
        information = str(import_cv2().getBuildInformation())
    except MissingExtraError:
        return False
    return re.search(r"GStreamer:\s+YES", information) is not None
