"""`fer-edge run` on a board: its profile counts where neither an option nor `fer-edge tune` says something."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.command import tell

if TYPE_CHECKING:
    from fer_edge.board_settings import BoardSettings
    from fer_edge.sources import LiveOptions, Source

__all__ = ["board_for", "keeps_up", "start_from", "with_wishes"]


def board_for(device: str | None, spec: str) -> BoardSettings | None:
    """Return the settings to start from: of the board that is named, else of this one where a source has to keep up.

    What is found in a file does not depend on the board.

    Args:
        device: name of a board, None for this one.
        spec: of the source.

    Raises:
        MissingExtraError: the profiles cannot be read.
        UsageError: no board has that name.
    """
    from fer_edge.board_settings import board_settings

    return board_settings(device) if device is not None or keeps_up(spec) else None


def keeps_up(spec: str) -> bool:
    """Return whether a source goes on by itself: a camera, a stream, frames of another program at no known rate."""
    if spec.startswith("raw:"):
        return "@" not in spec
    if spec.startswith("gst:") or _is_camera(spec):
        return True
    scheme, separator, _ = spec.partition("://")
    if not separator:
        return False
    from fer_edge.sources.stream import STREAM_SCHEMES

    return scheme.lower() in STREAM_SCHEMES


def with_wishes(asked: LiveOptions, board: BoardSettings | None, spec: str) -> LiveOptions:
    """Return the options with the board's size and rate where a camera is asked for none; the nearest size will do."""
    if board is None or not _is_camera(spec):
        return asked
    if asked.size_wh is None:
        asked = replace(asked, size_wh=board.size_wh, nearest_size=True)
    return replace(asked, fps=board.fps) if asked.fps is None else asked


def start_from(board: BoardSettings, arguments: argparse.Namespace, source: Source) -> None:
    """Put the board's settings where the command line and `fer-edge tune` are silent, and tell all that it gave.

    Args:
        board: to start from.
        arguments: of the command line; those that are None are replaced.
        source: that is open.
    """
    taken: dict[str, object] = {}
    if _is_camera(arguments.source):
        if arguments.size is None and source.size_wh in (None, board.size_wh):
            taken["size"] = "{}x{}".format(*board.size_wh)
        if arguments.fps is None:
            taken["fps"] = board.fps
    proposed: dict[str, object] = {"min_face": board.min_face_px}
    if source.kind not in ("photo", "folder"):
        proposed["detect_every"] = board.detect_every
    proposed |= _proposed_engine(board, arguments)
    given = {name: value for name, value in proposed.items() if getattr(arguments, name) is None}
    vars(arguments).update(given)
    words = [f"--{name.replace('_', '-')} {_shown(value)}" for name, value in {**taken, **given}.items()]
    if words:
        tell(f"from the profile of {board.title}: {' '.join(words)}; --device generic leaves it out")


def _proposed_engine(board: BoardSettings, arguments: argparse.Namespace) -> dict[str, object]:
    """Return engine and threads, if `open_pipeline` will not take what `fer-edge tune` found.

    An accelerated engine has no files of its own in a bundle, so none is taken by itself.
    """
    from fer_edge.bundle import Bundle
    from fer_edge.engines import pick_engine
    from fer_edge.errors import MissingExtraError
    from fer_edge.pipeline import engines_of, tuning_for

    bundle: Path | None = arguments.bundle
    opened = Bundle.open(bundle)
    asked = (arguments.engine, arguments.precision, arguments.detector_precision, arguments.threads)
    if not arguments.no_tuning and tuning_for(opened, *asked) is not None:
        return {}
    in_bundle = engines_of(opened)
    try:
        engine = pick_engine([name for name in board.engines if name in in_bundle]).name
    except MissingExtraError:
        return {"threads": board.threads}
    return {"engine": engine, "threads": board.threads}


def _is_camera(spec: str) -> bool:
    from fer_edge.sources.picamera import is_picamera
    from fer_edge.sources.v4l2 import is_v4l2

    return is_picamera(spec) or is_v4l2(spec)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
