"""Files that ship with the package."""

from __future__ import annotations

from pathlib import Path

__all__ = ["demo_photo_path"]


def demo_photo_path() -> Path:
    """Return a photo of one person (Eileen Collins; NASA, public domain), 512 x 512 pixels."""
    return Path(__file__).resolve().parent / "astronaut.png"
