"""What a benchmark works on: pictures as files hold them, different ones in turn.

One picture again and again would stay in the caches, and its branches would be learned; a camera shows something new in
each frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge._cv2 import import_cv2
from fer_edge.assets import demo_photo_path
from fer_edge.files import sha256_of_file, write_bytes
from fer_edge.images import read_image
from fer_edge.sources import picture_paths

__all__ = ["LoadFrame", "LoadIdentity", "read_load", "write_default_load"]

# Left, top and width of windows in the demo photo of 512 x 512 pixels, three quarters as high as wide, each with the
# whole face: the camera pans and zooms.
_VIEWS = (
    (0, 0, 512),
    (0, 40, 512),
    (20, 10, 460),
    (52, 30, 460),
    (40, 0, 400),
    (90, 20, 400),
    (60, 40, 340),
    (100, 30, 330),
)
_VIEW_SIZE_WH = (640, 480)
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadIdentity:
    """Which picture: its name without folders, length in bytes and SHA-256 digest as a file, width and height."""

    name: str
    bytes: int
    sha256: str
    size_wh: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.size_wh) < 1 or self.bytes < 1:
            raise ValueError(f"{self.name}: expected a picture, found {self.bytes} bytes of {self.size_wh} pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFrame:
    """A picture's file and what it is known by."""

    path: Path
    identity: LoadIdentity


def write_default_load(folder: Path) -> tuple[LoadFrame, ...]:
    """Write eight views of the demo photo into a folder: 640 x 480 pixels, one face in each, JPEG."""
    cv2 = import_cv2()
    photo = read_image(demo_photo_path())
    frames = []
    for number, (left, top, width) in enumerate(_VIEWS, start=1):
        window = photo[top : top + width * 3 // 4, left : left + width]
        view = cv2.resize(window, _VIEW_SIZE_WH, interpolation=cv2.INTER_LINEAR_EXACT)
        path = folder / f"{demo_photo_path().stem}-view-{number}.jpg"
        write_bytes(path, cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes())
        frames.append(_frame(path))
    return tuple(frames)


def read_load(paths: Sequence[Path]) -> tuple[LoadFrame, ...]:
    """Look at photos, and at all photos of folders.

    Raises:
        InputError: there is no such file, a folder has no pictures, or one of them cannot be decoded.
    """
    return tuple(_frame(file) for given in paths for file in (picture_paths(given) if given.is_dir() else [given]))


def _frame(path: Path) -> LoadFrame:
    height, width = read_image(path).shape[:2]
    identity = LoadIdentity(
        name=path.name, bytes=path.stat().st_size, sha256=sha256_of_file(path), size_wh=(width, height)
    )
    return LoadFrame(path=path.resolve(), identity=identity)
