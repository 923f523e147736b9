"""The cameras that Linux knows: video devices that give pictures, and how their pictures are to be had."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fer_edge_devices.system_tree import SystemTree

__all__ = ["ACCESSES", "Camera", "find_cameras"]

# How a camera's pictures are had: from its video device; or, of a sensor on the CSI connector, whose video device gives
# raw Bayer data alone, through libcamera (Raspberry Pi) or NVIDIA's Argus (Jetson).
ACCESSES = V4L2, LIBCAMERA, ARGUS = ("v4l2", "libcamera", "argus")

# The receivers of CSI sensors by the names of their video devices: of the Raspberry Pi up to 4, of the 5, and of the
# Jetsons. The first two have further ones, for embedded data and statistics.
_SENSORS = (
    (LIBCAMERA, re.compile(r"unicam(-image)?|rp1-cfe-csi2_ch0")),
    (ARGUS, re.compile(r"vi-output, .+")),
)
# Decoders, encoders, image processors and the rest of the receivers.
_NO_CAMERA = re.compile(
    r"bcm2835-(codec|isp).*|rpivid|rpi-hevc-dec|pispbe-.*|unicam-.*|rp1-cfe-.*|.*(decoder|encoder|-dec|-enc)\b.*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A camera.

    Attributes:
        path: of its video device, "/dev/video0".
        name: as its driver gives it.
        access: one of ACCESSES.
        source: what `fer-edge run` calls it.
    """

    path: str
    name: str
    access: str
    source: str


def find_cameras(tree: SystemTree) -> tuple[Camera, ...]:
    """Return the cameras, in the order of their video devices.

    Video devices that give no pictures are left out, and so are all but the first of a USB camera, which give its
    metadata or another encoding.
    """
    found: list[Camera] = []
    for folder in tree.glob("/sys/class/video4linux/video*"):
        number = folder.rpartition("/video")[2]
        name = tree.read_text(f"{folder}/name") or f"video{number}"
        access = next((access for access, pattern in _SENSORS if pattern.fullmatch(name)), None)
        if access is None:
            if _NO_CAMERA.fullmatch(name) or (tree.read_int(f"{folder}/index") or 0) > 0:
                continue
            access = V4L2
        path = f"/dev/video{number}"
        # libcamera and Argus count their own cameras alone.
        position = sum(camera.access == access for camera in found)
        found.append(Camera(path=path, name=name, access=access, source=_source(path, access, position)))
    return tuple(found)


def _source(path: str, access: str, position: int) -> str:
    if access == LIBCAMERA:
        return f"picamera:{position}" if position else "picamera"
    if access == ARGUS:
        return (
            f"gst:nvarguscamerasrc sensor-id={position} ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! "
            "video/x-raw,format=BGR ! appsink"
        )
    return path
