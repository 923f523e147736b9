"""The settings of a board's profile as `fer-edge run` takes them: the entry point in `fer_edge.board_settings`."""

from __future__ import annotations

import difflib

from fer_edge.board_settings import BoardSettings
from fer_edge.errors import UsageError
from fer_edge_devices.board import GENERIC, recognise_board
from fer_edge_devices.system_tree import SystemTree

__all__ = ["run_settings"]


def run_settings(device: str | None, tree: SystemTree | None = None) -> BoardSettings | None:
    """Return the settings of a board's profile; None for the generic one: the runtime starts as it does by itself.

    Args:
        device: a profile's slug; None for the board that this machine is.
        tree: of the machine; None for this one.

    Raises:
        MissingExtraError: Python is older than 3.11 and tomli, which reads the profiles, is not installed.
        UsageError: there is no such profile.
    """
    slug = recognise_board(tree or SystemTree()).slug if device is None else device
    if slug == GENERIC:
        return None
    # Not before a board was recognised: most machines have no profile, and need no reader of them.
    from fer_edge_devices.profile import profile_slugs, read_profile

    slugs = profile_slugs()
    if slug not in slugs:
        if device is None:
            return None
        near = difflib.get_close_matches(device.lower(), slugs, n=1)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(slugs)
        raise UsageError(f"--device: there is no profile {device!r}; {hint}")
    profile = read_profile(slug)
    return BoardSettings(
        title=profile.title,
        size_wh=profile.camera.size_wh,
        fps=profile.camera.fps,
        engines=profile.run.engines,
        threads=profile.run.threads,
        min_face_px=profile.run.min_face_px,
        detect_every=profile.run.detect_every,
    )
