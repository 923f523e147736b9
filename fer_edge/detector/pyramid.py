"""The image pyramid, packed into one canvas so that P-Net runs once a frame.

P-Net is fully convolutional with a 12 x 12 field and a stride of 2. A level that lies at even coordinates of a larger
canvas therefore gets the very outputs it would get alone, in every cell whose field lies wholly inside the level. One
call on one canvas replaces a call for each level, whose shapes all differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.preprocess import halve

__all__ = ["FIELD_PX", "STRIDE_PX", "Canvas", "Level", "plan_canvas", "pyramid_scales"]

FIELD_PX = 12
STRIDE_PX = 2
_CHANNELS = 4  # blue, green, red, and one that nobody reads

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of the pyramid and its place on the canvas.

    Attributes:
        octave: how often the frame is halved before the level is drawn from it.
        oversampling: the level is drawn this many times as wide and high, at least as large as what it is drawn from,
            and then halved to its size: 1, 2 or 4.
        x, y: left and top on the canvas, even.
        width, height: in pixels, even.
    """

    octave: int
    oversampling: int
    x: int
    y: int
    width: int
    height: int


def pyramid_scales(frame_size_wh: tuple[int, int], min_face_px: float, scale_factor: float) -> list[float]:
    """Return the scales at which P-Net's 12 px field sees faces of `min_face_px` and more, finest first.

    The coarsest level's shorter side is at least 12 px.
    """
    scale = FIELD_PX / min_face_px
    shorter_px = min(frame_size_wh)
    scales = []
    while shorter_px * scale >= FIELD_PX:
        scales.append(scale)
        scale *= scale_factor
    return scales


class Canvas:
    """The levels of frames of one size, and the buffer they are drawn into for each frame.

    Attributes:
        levels: finest first; empty where the frame is too small for any.
        pixels: uint8 (height, width, 3), what P-Net takes; gaps between levels stay 0.
        cell_level: int16 (rows * columns,), for each of P-Net's output cells the level it belongs to, -1 for none.
        columns: of P-Net's output.
    """

    def __init__(self, frame_size_wh: tuple[int, int], levels: tuple[Level, ...], size_wh: tuple[int, int]) -> None:
        self.frame_size_wh = frame_size_wh
        self.levels = levels
        width, height = size_wh
        self.pixels: Pixels = np.zeros((height, width, 3), dtype=np.uint8)
        # ceil((n - 2) / 2) - 4: a valid 3 x 3 convolution, a 2 x 2 pooling, two more convolutions.
        rows, self.columns = height // 2 - 5, width // 2 - 5
        cells = np.full((max(rows, 0), max(self.columns, 0)), -1, dtype=np.int16)
        for index, level in enumerate(levels):
            top, left = level.y // STRIDE_PX, level.x // STRIDE_PX
            cells[top : top + level.height // 2 - 5, left : left + level.width // 2 - 5] = index
        self.cell_level = cells.reshape(-1)
        # Whole pixels make a level a little wider or higher than its nominal scale says; this is what it really is.
        frame_width, frame_height = frame_size_wh
        self._scale_xy = np.array(
            [(level.width / frame_width, level.height / frame_height) for level in levels], dtype=np.float32
        ).reshape(-1, 2)
        self._origin_xy = np.array([(level.x, level.y) for level in levels], dtype=np.float32).reshape(-1, 2)
        # Levels are drawn one after the other, so all share the memory of the largest drawing.
        n_values = max((_CHANNELS * level.oversampling**2 * level.height * level.width for level in levels), default=0)
        self._drawings: tuple[Pixels, Pixels] = (
            np.empty(n_values, dtype=np.uint8),
            np.empty(n_values // 4, dtype=np.uint8),
        )
        self._level_values = np.empty(
            max((_CHANNELS * level.height * level.width for level in levels), default=0), dtype=np.uint8
        )
        self._frame_bgra: Pixels = np.empty((frame_height, frame_width, _CHANNELS), dtype=np.uint8)

    def draw(self, frame_bgr: Pixels) -> None:
        """Resize a frame into its levels' places.

        A bilinear step that shrinks skips pixels, and P-Net pays for it with missed faces and false alarms. So each
        level is drawn larger than its source, where a bilinear step loses nothing, and halved to its size: an area
        filter in fixed-point arithmetic.

        Args:
            frame_bgr: uint8 (height, width, 3), of the canvas's frame size.
        """
        cv2 = import_cv2()
        # OpenCV resizes four channels in less than half the time of three, to the same values.
        octaves = [cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2BGRA, dst=self._frame_bgra)]
        for level in self.levels:
            while len(octaves) <= level.octave:
                octaves.append(halve(octaves[-1]))
            source, times = octaves[level.octave], level.oversampling
            for drawing in self._drawings:
                if times == 1:
                    break
                source = _resize_into(drawing, source, times * level.width, times * level.height)
                times //= 2
            drawn = _resize_into(self._level_values, source, level.width, level.height)
            place = self.pixels[level.y : level.y + level.height, level.x : level.x + level.width]
            cv2.cvtColor(drawn, cv2.COLOR_BGRA2BGR, dst=place)

    def boxes_of_cells(self, cells: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return the frame's boxes float32 (n, 4) that P-Net's output cells (n,) look at (see boxes.py)."""
        level = self.cell_level[cells]
        origin = np.stack([cells % self.columns, cells // self.columns], axis=1) * np.float32(STRIDE_PX)
        origin -= self._origin_xy[level]
        scale = self._scale_xy[level]
        corners = np.hstack([(origin + 1) / scale, (origin + FIELD_PX) / scale])
        return np.trunc(corners).astype(np.float32)


def _resize_into(memory: Pixels, source: Pixels, width: int, height: int) -> Pixels:
    """Resize into the beginning of a buffer; return that as an image."""
    target = memory[: _CHANNELS * width * height].reshape(height, width, _CHANNELS)
    import_cv2().resize(source, (width, height), dst=target, interpolation=import_cv2().INTER_LINEAR_EXACT)
    return target


def plan_canvas(frame_size_wh: tuple[int, int], min_face_px: float, scale_factor: float) -> Canvas:
    """Lay out the pyramid of frames of a size; the smallest canvas of several widths tried."""
    width, height = frame_size_wh
    scales = pyramid_scales(frame_size_wh, min_face_px, scale_factor)
    sizes = [(_even(width * scale), _even(height * scale)) for scale in scales]
    if not sizes:
        return Canvas(frame_size_wh, (), (0, 0))
    widths = sorted({sizes[0][0] + extra for extra in [0, *(w for w, _ in sizes[1:])]})
    places = min((_pack(sizes, limit) for limit in widths), key=lambda found: _extent(sizes, found)[2])
    canvas_width, canvas_height, _ = _extent(sizes, places)
    levels = tuple(
        Level(octave=octave, oversampling=oversampling, x=x, y=y, width=w, height=h)
        for (octave, oversampling), (w, h), (x, y) in zip(map(_drawing, scales), sizes, places, strict=True)
    )
    return Canvas(frame_size_wh, levels, (canvas_width, canvas_height))


def _drawing(scale: float) -> tuple[int, int]:
    """Return octave and oversampling with which a level of a scale is drawn one to two times as large as its source."""
    octave = max(math.floor(-math.log2(scale)) - 1, 0)
    return octave, 2 ** math.ceil(-math.log2(scale * 2**octave))


def _even(length_px: float) -> int:
    return 2 * math.ceil(length_px / 2)


def _extent(sizes: list[tuple[int, int]], places: list[tuple[int, int]]) -> tuple[int, int, int]:
    """Return width, height and area of the rectangle around all places."""
    width = max(x + w for (w, _), (x, _) in zip(sizes, places, strict=True))
    height = max(y + h for (_, h), (_, y) in zip(sizes, places, strict=True))
    return width, height, width * height


def _pack(sizes: list[tuple[int, int]], canvas_width: int) -> list[tuple[int, int]]:
    """Place rectangles in order, each at the lowest free spot of a strip (bottom-left skyline); return corners."""
    # The height filled so far, for every second column: all sizes are even.
    skyline = np.zeros(canvas_width // 2, dtype=np.int64)
    places = []
    for width, height in sizes:
        columns = width // 2
        # The lowest spot starts at the border or where a higher neighbour on its left ends.
        steps = np.flatnonzero(np.diff(skyline[: len(skyline) - columns + 1]) < 0) + 1
        y, i = min((int(skyline[start : start + columns].max()), int(start)) for start in (0, *steps))
        skyline[i : i + columns] = y + height
        places.append((2 * i, y))
    return places
