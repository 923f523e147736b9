"""Frames whose work is known: so many faces on a canvas of one size, and one face on canvases of several."""

from __future__ import annotations

import numpy as np

from fer_edge.assets import demo_photo_path
from fer_edge.images import read_image
from fer_edge.preprocess import Pixels, resize_exact

__all__ = ["CROWDS", "CROWD_FACE_PX", "CROWD_SIZE_WH", "FRAME_SIZES_WH", "crowd_frame", "padded_frame"]

# Numbers of faces in a frame, and the frame's size.
CROWDS = (1, 2, 5, 10, 20, 50, 100)
CROWD_SIZE_WH = (1280, 960)
FRAME_SIZES_WH = ((320, 240), (480, 360), (640, 480), (960, 720), (1280, 720), (1600, 900), (1920, 1080))

# A square of the demo photo around the face, left and top and side, and the side of its copies: a face of 51 pixels,
# a quarter above the smallest that is looked for, in places for 130.
CROWD_FACE_PX = 51
_HEAD_LEFT, _HEAD_TOP, _HEAD_PX = 135, 40, 180
_TILE_PX = 96
# Left and top of the demo photo's part that is in every frame of the other kind, as large as the smallest of them.
_PART_LEFT, _PART_TOP = 70, 10
_GRAY = 128
_SEED = 1


def crowd_frame(n_faces: int) -> Pixels:
    """Return uint8 (960, 1280, 3), B, G, R: copies of the demo photo's face on gray, at places drawn once and for all.

    The places of fewer faces are among those of more.

    Raises:
        ValueError: there is no room for so many.
    """
    columns, rows = (side // _TILE_PX for side in CROWD_SIZE_WH)
    if not 0 <= n_faces <= columns * rows:
        raise ValueError(f"n_faces: expected 0 to {columns * rows}, found {n_faces}")
    photo = read_image(demo_photo_path())
    head = photo[_HEAD_TOP : _HEAD_TOP + _HEAD_PX, _HEAD_LEFT : _HEAD_LEFT + _HEAD_PX]
    tile = resize_exact(np.ascontiguousarray(head), (_TILE_PX, _TILE_PX))
    frame = np.full((CROWD_SIZE_WH[1], CROWD_SIZE_WH[0], 3), _GRAY, dtype=np.uint8)
    # RandomState's stream of numbers is fixed for all versions of numpy.
    places = np.random.RandomState(_SEED).permutation(columns * rows)[:n_faces]
    for row, column in (divmod(place, columns) for place in places.tolist()):
        frame[row * _TILE_PX : (row + 1) * _TILE_PX, column * _TILE_PX : (column + 1) * _TILE_PX] = tile
    return frame


def padded_frame(size_wh: tuple[int, int]) -> Pixels:
    """Return uint8 (height, width, 3), B, G, R: a part of the demo photo with its face, gray around it.

    Raises:
        ValueError: the frame is smaller than the part, the smallest of FRAME_SIZES_WH.
    """
    width, height = size_wh
    part_width, part_height = FRAME_SIZES_WH[0]
    if width < part_width or height < part_height:
        raise ValueError(f"size_wh: expected {part_width} x {part_height} or more, found {width} x {height}")
    photo = read_image(demo_photo_path())
    frame = np.full((height, width, 3), _GRAY, dtype=np.uint8)
    left, top = (width - part_width) // 2, (height - part_height) // 2
    frame[top : top + part_height, left : left + part_width] = photo[
        _PART_TOP : _PART_TOP + part_height, _PART_LEFT : _PART_LEFT + part_width
    ]
    return frame
