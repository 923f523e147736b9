"""What a board's profile proposes for `fer-edge run`; the packages that know boards offer it through an entry point.

The value of one in the group `fer_edge.board_settings` is `module:function`, and the function like `Provider`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass

from fer_edge.errors import MissingExtraError, UsageError

__all__ = ["BoardSettings", "Provider", "board_settings"]

_GROUP = "fer_edge.board_settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSettings:
    """Where to start on a board.

    Attributes:
        title: of the board, for people.
        size_wh: width and height in pixels to ask a camera for.
        fps: frames per second to ask a camera for.
        engines: in the order to try them in.
        threads: that an engine may use.
        min_face_px: smallest face looked for.
        detect_every: of a video, frames from one detection to the next at most.
    """

    title: str
    size_wh: tuple[int, int]
    fps: float
    engines: tuple[str, ...]
    threads: int
    min_face_px: float
    detect_every: int


# From a board's name, None for the one that this machine is, to its settings; None where a board has none of its own.
# It raises UsageError for a name that it does not know.
Provider = Callable[[str | None], BoardSettings | None]


def board_settings(device: str | None = None) -> BoardSettings | None:
    """Return the settings of a board; None where it has none of its own.

    Args:
        device: the board's name, such as "raspberry-pi-5"; None for the board that this machine is.

    Raises:
        MissingExtraError: the profiles, or the package that has them, cannot be read.
        UsageError: no board has that name, or several packages say where to start.
    """
    points = list(importlib.metadata.entry_points(group=_GROUP))
    if len(points) > 1:
        packages = ", ".join(point.value for point in points)
        raise UsageError(f"expected one package that knows boards, found {packages}; uninstall all but one")
    if points:
        try:
            provider: Provider = points[0].load()
        except ImportError as error:
            raise MissingExtraError(f"{points[0].value} cannot be imported ({error}); install it again") from error
        return provider(device)
    if device is not None:
        raise UsageError(f"--device: no board is known here, found {device!r}; install fer-edge again, or leave it out")
    return None
