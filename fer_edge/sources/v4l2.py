"""Cameras of the Linux kernel's V4L2: USB cameras, mostly."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError
from fer_edge.sources.grabber import Capture
from fer_edge.sources.live import LiveSource
from fer_edge.sources.live_options import LiveOptions
from fer_edge.sources.opencv_capture import OpenCvCapture

__all__ = ["is_v4l2", "open_v4l2"]

_V4L_MAJOR = 81  # Documentation/admin-guide/devices.txt of the kernel


def is_v4l2(spec: str) -> bool:
    """Return whether a text names a camera: a number, /dev/videoN, or a link to one such as those in /dev/v4l/by-id."""
    if re.fullmatch(r"[0-9]{1,3}|/dev/video[0-9]{1,3}", spec):
        return True
    try:
        status = Path(spec).stat()
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) == _V4L_MAJOR


def open_v4l2(spec: str, options: LiveOptions) -> LiveSource:
    """Open a camera.

    Args:
        spec: a number or a device file.
        options: size and rate to ask for, timeouts; the timeout of reading is OpenCV's own of 10 s.

    Raises:
        InputError: there is no such camera, it is in use, may not be opened, sends nothing, or has no such size.
    """
    path = Path(f"/dev/video{int(spec)}" if spec.isdecimal() else spec)
    return LiveSource(str(path), "camera", lambda: _open(path, options), options)


def _open(path: Path, options: LiveOptions) -> Capture:
    if not path.exists():
        raise InputError(f"{path}: no such camera; {_cameras()}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise InputError(f"{path}: no permission; add the user to the group video and log in again")
    cv2 = import_cv2()
    capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
    try:
        if not capture.isOpened():
            raise InputError(
                f"{path}: it sends no pictures, or another program uses it; one camera can have several device files, "
                "v4l2-ctl --list-devices shows them, its first is mostly the right one"
            )
        if options.size_wh is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.size_wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.size_wh[1])
            sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
            width, height = (round(capture.get(side)) for side in sides)
            # A driver takes the nearest it has.
            if (width, height) != options.size_wh and not options.nearest_size:
                raise InputError(
                    f"{path}: expected pictures of {options.size_wh[0]} x {options.size_wh[1]}, the camera would send "
                    f"{width} x {height}; v4l2-ctl -d {path} --list-formats-ext shows its sizes"
                )
        if options.fps is not None:
            capture.set(cv2.CAP_PROP_FPS, options.fps)
        return OpenCvCapture(str(path), capture, states_fps=True, advice="it was unplugged, or another program has it")
    except BaseException:
        capture.release()
        raise


def _cameras() -> str:
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    return f"found {', '.join(found)}" if found else "found no /dev/video* on this machine; plug one in"
