"""What the doctor's tests share: a system to examine, made of a tree and of what a process would tell."""

from devices.recorded_trees import TREES, RecordedTool, recorded

from fer_edge_devices.board import recognise_board
from fer_edge_devices.doctor.host import Host, Subject
from fer_edge_devices.profile import profile_for


def host(**changes):
    """A user of Raspberry Pi OS (64-bit) in the group video (44)."""
    usual = {
        "python": (3, 11, 2),
        "pointer_bits": 64,
        "user": "pi",
        "is_root": False,
        "group_ids": (44, 1000),
        "free_bytes": 21_400_000_000,
        "has_picamera2": False,
        "has_gstreamer": False,
    }
    return Host(**(usual | changes))


def no_program(command):
    """A system without any of the programs that are asked."""


def recorded_subject(device, **changes):
    """A recorded device and a process on it."""
    return Subject(tree=recorded(device), run=RecordedTool(TREES / device), host=host(**changes))


def subject(tree, run=no_program, **changes):
    """A tree and a process on it."""
    return Subject(tree=tree, run=run, host=host(**changes))


def board_and_profile(of):
    """The board of a subject, and its profile."""
    board = recognise_board(of.tree)
    return board, profile_for(board)


def advised(findings):
    """The names of what something is advised about."""
    return [finding.name for finding in findings if finding.level == "advice"]


def only(findings, name):
    """The one finding of that name."""
    (found,) = [finding for finding in findings if finding.name == name]
    return found
