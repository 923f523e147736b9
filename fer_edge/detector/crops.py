"""Square boxes of a frame as R- and O-Net see them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.preprocess import halve

__all__ = ["square_crops", "surroundings"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# Boxes are cut out of a frame this many at a time: OpenCV's remap takes images of up to 32,767 rows.
_CROPS_AT_ONCE = 512
# Of a pixel, with which OpenCV's remap places what it interpolates.
_REMAP_BITS = 5
_REMAP_STEPS = 1 << _REMAP_BITS
# Places within a box are rounded to so many parts of a step, which sums of doubles are exact in.
_PLACE_PARTS = 2.0**20
_FARTHEST_STEP = ((1 << 15) - 1) * _REMAP_STEPS  # it takes positions of 16 bits
# It refuses longer images. Boxes of such a frame are cut out of windows of it, which begin so far apart: in its octave
# a box is at most two times as large as the crop, and so lies within one.
_LONGEST_PX = (1 << 15) - 2
_WINDOW_STEP_PX = 1 << 14


def square_crops(octaves: list[Pixels], boxes: Floats, side: int) -> Pixels:
    """Cut square boxes out of a frame and bring them to a network's size; what lies outside the frame is black.

    Each crop is one bilinear step from the octave in which the box is between one and two times the network's size.
    Drawing crops at twice their size and halving them, as the pyramid's levels are, found no more faces. All crops of
    an octave are one call of OpenCV's remap, whose positions and weights are whole numbers: the same bytes everywhere.

    Args:
        octaves: the frame, uint8 (height, width, 3), B, G, R, or with a fourth channel that nobody reads; then at half
            its size and so on. Those that are missing are added.
        boxes: float32 (n, 4), squares in whole pixels, counted from 1 (see boxes.py).
        side: of the crops in pixels.

    Returns:
        uint8 (n, side, side, 3).
    """
    n = len(boxes)
    image = octaves[0]
    crops: Pixels = np.empty((n, side, side, image.shape[2]), dtype=np.uint8)
    if n == 0:
        return _without_fourth_channel(crops)
    corner = boxes[:, :2].astype(np.float64) - 1
    box_px = np.maximum(boxes[:, 2] - corner[:, 0], 1.0)
    # The exponent of a number in [2^(e - 1), 2^e) is e. A frame of one pixel in height or width cannot be halved.
    octave = np.minimum(np.maximum(np.frexp(box_px / side)[1] - 1, 0), min(image.shape[:2]).bit_length() - 1)
    group = octave
    window_xy = None
    if max(image.shape[:2]) > _LONGEST_PX:
        window_xy = _windows(corner, octave, image.shape)
        corner -= np.ldexp(window_xy, octave[:, np.newaxis])
        group = np.unique(np.column_stack([octave, window_xy]), axis=0, return_inverse=True)[1].reshape(n)
    order = np.argsort(group, kind="stable")
    octave = octave[order]
    maps, parts = _maps(corner[order], box_px[order], np.ldexp(float(_REMAP_STEPS), -octave), side)
    starts = [0, *(np.flatnonzero(np.diff(group[order])) + 1).tolist(), n]
    for start, end in itertools.pairwise(starts):
        wanted = int(octave[start])
        while len(octaves) <= wanted:
            octaves.append(halve(octaves[-1]))
        source = octaves[wanted]
        if window_xy is not None:
            left, top = window_xy[order[start]].astype(int).tolist()
            source = source[top : top + _LONGEST_PX, left : left + _LONGEST_PX]
        for first in range(start, end, _CROPS_AT_ONCE):
            last = min(first + _CROPS_AT_ONCE, end)
            rows = (last - first) * side
            import_cv2().remap(
                source,
                maps[first:last].reshape(rows, side, 2),
                parts[first:last].reshape(rows, side),
                import_cv2().INTER_LINEAR,
                dst=crops[first:last].reshape(rows, side, -1),
            )
    if len(starts) > 2:
        crops = crops[np.argsort(order)]
    return _without_fourth_channel(crops)


def surroundings(frame: Pixels, boxes: Floats, side: int) -> tuple[Pixels, Floats]:
    """Return a part of a frame, and boxes in it, of which `square_crops` makes the crops that it makes of the whole.

    Where few boxes are cut out of a frame, halving it costs most; its part around them is soon halved.

    Args:
        frame: uint8 (height, width, channels).
        boxes: float32 (n, 4), at least one, as `square_crops` takes them.
        side: of the crops in pixels.

    Returns:
        A view of the frame, and the boxes counted from the view's corner.
    """
    first_xy, last_xy = boxes[:, :2].min(axis=0) - 1, boxes[:, 2:].max(axis=0)
    box_px = float((boxes[:, 2] - boxes[:, 0]).max()) + 1
    # A pixel of the coarsest octave that is needed. The part begins at one of its pixels, so that it is halved as the
    # whole is; a crop takes one pixel beside the box.
    step = 1 << max(math.frexp(box_px / side)[1] - 1, 0)
    height, width = frame.shape[:2]
    left, top = (max(int(value) // step - 1, 0) * step for value in first_xy.tolist())
    right, bottom = (
        min((int(value) // step + 2) * step, length)
        for value, length in zip(last_xy.tolist(), (width, height), strict=True)
    )
    # Halving goes on while a pixel is left: a part cut off by the frame's edge could be too small for the octave.
    if step == 1 or min(right - left, bottom - top) < 2 * step:
        return frame, boxes
    return frame[top:bottom, left:right], boxes - np.array([left, top, left, top], dtype=np.float32)


def _windows(
    corner: npt.NDArray[np.float64], octave: npt.NDArray[np.intc], shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Return float64 (n, 2): left and top, in its octave, of the window of a long frame in which each box lies."""
    # A crop's first column may be interpolated with the one before the box.
    number = (np.ldexp(corner, -octave[:, np.newaxis]) - 1) // _WINDOW_STEP_PX
    last = [(length - 1) // _WINDOW_STEP_PX for length in (shape[1], shape[0])]
    windows: npt.NDArray[np.float64] = _WINDOW_STEP_PX * np.clip(number, 0, np.right_shift(last, octave[:, np.newaxis]))
    return windows


def _maps(
    corner: npt.NDArray[np.float64], box_px: npt.NDArray[np.float64], steps_per_px: npt.NDArray[np.float64], side: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """Return what remap takes: whole columns and rows (n, side, side, 2), and steps between them (n, side, side).

    Args:
        corner: (n, 2), left and top of each box, counted from 0 by edges.
        box_px: (n,), its side.
        steps_per_px: (n,), steps of remap in the octave that a pixel of the frame is wide.
        side: of the crops.
    """
    # Pixel centres: source = (corner + (target + 0.5) * box / side) / 2^octave - 0.5.
    # What lies midway between two steps goes to the even one, whatever a sum rounds off: a box has the same crop
    # wherever its corner is counted from.
    within = (np.arange(side) + 0.5) / side * (box_px * steps_per_px)[:, np.newaxis] - 0.5 * _REMAP_STEPS
    within = np.rint(within * _PLACE_PARTS) / _PLACE_PARTS
    places = within[:, np.newaxis] + (corner * steps_per_px[:, np.newaxis])[:, :, np.newaxis]
    steps = np.rint(places, out=places).clip(-_FARTHEST_STEP, _FARTHEST_STEP).astype(np.int32)
    whole, part = steps >> _REMAP_BITS, steps & (_REMAP_STEPS - 1)
    # A column and a row in one number, so that numpy writes both at once: the low half is the column.
    column, row = whole[:, 0] & 0xFFFF, whole[:, 1] << 16
    maps = (row[:, :, np.newaxis] | column[:, np.newaxis]).astype("<i4", copy=False).view("<i2")
    column_part, row_part = part[:, 0].astype(np.uint16), (part[:, 1] << _REMAP_BITS).astype(np.uint16)
    return maps.reshape(len(corner), side, side, 2), row_part[:, :, np.newaxis] | column_part[:, np.newaxis]


def _without_fourth_channel(crops: Pixels) -> Pixels:
    """Drop the channel that a frame in memory has for speed alone."""
    if crops.shape[-1] == 3:
        return crops
    n, side = crops.shape[:2]
    bgr = np.empty((n, side, side, 3), dtype=np.uint8)
    if n:
        cv2 = import_cv2()
        cv2.cvtColor(crops.reshape(n * side, side, 4), cv2.COLOR_BGRA2BGR, dst=bgr.reshape(n * side, side, 3))
    return bgr
