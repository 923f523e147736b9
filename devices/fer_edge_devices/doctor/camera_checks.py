"""Cameras, and whether this user may use them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fer_edge_devices.board import Board
from fer_edge_devices.cameras import ARGUS, LIBCAMERA, V4L2, Camera, find_cameras
from fer_edge_devices.doctor.finding import ADVICE, OK, Finding
from fer_edge_devices.doctor.host import Subject

__all__ = ["check_cameras"]

# nvarguscamerasrc prints to standard output what it does: frames have another way, or they would be shifted.
_HAND_OVER = (
    "gst-launch-1.0 -q nvarguscamerasrc ! nvvidconv ! video/x-raw,format=BGRx,width=640,height=480 ! videoconvert ! "
    "video/x-raw,format=BGR ! fdsink fd=3 3>&1 1>&2 | fer-edge run raw:640x480:bgr"
)


def check_cameras(subject: Subject, board: Board) -> Iterator[Finding]:
    """Yield what there is to say of cameras and groups."""
    cameras = find_cameras(subject.tree)
    for camera in cameras:
        yield _camera(subject, camera)
    if not cameras:
        yield Finding(
            section="cameras",
            name="camera",
            level=ADVICE,
            found="none",
            advice=_how_to_find_one(board),
            command="rpicam-hello --list-cameras" if board.family == "Raspberry Pi" else None,
        )
    yield from _groups(subject, board, cameras)


def _camera(subject: Subject, camera: Camera) -> Finding:
    found = f"{camera.path} {camera.name}"
    if camera.access == LIBCAMERA and not subject.host.has_picamera2:
        return Finding(
            section="cameras",
            name="camera",
            level=ADVICE,
            found=f"{found}, through libcamera; Python has no picamera2",
            advice="its own device gives raw data alone; an environment must see the system's packages",
            command="sudo apt install python3-picamera2 && python3 -m venv --system-site-packages .venv",
        )
    if camera.access == ARGUS and not subject.tree.glob("/usr/sbin/nvargus-daemon"):
        return Finding(
            section="cameras",
            name="camera",
            level=ADVICE,
            found=f"{found}, through Argus; its daemon is missing",
            advice="its own device gives raw data alone",
            command="sudo apt install nvidia-l4t-camera",
        )
    if camera.access == ARGUS and not subject.host.has_gstreamer:
        return Finding(
            section="cameras",
            name="camera",
            level=ADVICE,
            found=f"{found}, through Argus; OpenCV was built without GStreamer",
            advice="its own device gives raw data alone; GStreamer can hand the frames over on standard input",
            command=_HAND_OVER,
        )
    through = {V4L2: "", LIBCAMERA: ", through libcamera", ARGUS: ", through Argus"}[camera.access]
    return Finding(section="cameras", name="camera", level=OK, found=found + through)


def _how_to_find_one(board: Board) -> str:
    if board.family in ("Raspberry Pi", "Jetson"):
        return (
            "photos and videos can be read all the same; switch the board off, then check the cable and its direction"
        )
    return "photos and videos can be read all the same; plug one in; a container or virtual machine must be given it"


def _groups(subject: Subject, board: Board, cameras: Sequence[Camera]) -> Iterator[Finding]:
    wanted = []
    is_closed = any(not subject.tree.is_open(camera.path) for camera in cameras)
    if is_closed or board.family in ("Raspberry Pi", "Jetson"):
        # Owns /dev/video*, the Raspberry Pi's way to its firmware (vcgencmd) and the older Jetsons' GPU. Who sits
        # before a PC may use its camera without.
        wanted.append("video")
    if board.family == "Jetson":
        # Owns the GPU from NVIDIA's release 36 on.
        wanted.append("render")
    database = _group_database(subject)
    for name in wanted:
        # A system that lacks the group, such as release 32 without render, does not want it.
        if name not in database:
            continue
        number, members = database[name]
        if subject.host.is_root or number in subject.host.group_ids:
            yield Finding(section="cameras", name="group", level=OK, found=f"{subject.host.user} may what {name} may")
        elif subject.host.user in members:
            yield Finding(
                section="cameras",
                name="group",
                level=ADVICE,
                found=f"{subject.host.user} is in the group {name}, but was not at the last login",
                advice="log out and in again",
            )
        else:
            yield Finding(
                section="cameras",
                name="group",
                level=ADVICE,
                found=f"{subject.host.user} is not in the group {name}",
                advice="without it cameras and GPU may be closed to this user; log out and in again afterwards",
                command=f"sudo usermod -aG {name} {subject.host.user}",
            )


def _group_database(subject: Subject) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return number and members of each group, by name."""
    groups = {}
    for line in (subject.tree.read_text("/etc/group") or "").splitlines():
        fields = line.split(":")
        if len(fields) == 4 and re.fullmatch(r"[0-9]{1,10}", fields[2]):
            groups[fields[0]] = (int(fields[2]), tuple(fields[3].split(",")))
    return groups
