"""The image pyramid, cut and packed into the few shapes on which P-Net runs.

P-Net is fully convolutional with a 12 x 12 field and a stride of 2. A part of an image that begins at even coordinates
therefore gets the very outputs it would get within the whole, and so does what lies at even coordinates of a larger
canvas, in every cell whose field lies wholly inside it. Engines want fixed shapes, and a core wants the feature maps of
a call in its cache. So a large level is cut into tiles of one shape, which overlap by the 10 pixels that make every
cell belong to one of them, and the small levels, whose shapes all differ, share one canvas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.preprocess import halve

__all__ = ["FIELD_PX", "STRIDE_PX", "Canvas", "Level", "Pyramid", "plan_pyramid", "pyramid_scales"]

FIELD_PX = 12
STRIDE_PX = 2
_SHARED_PX = FIELD_PX - STRIDE_PX  # by which two tiles overlap so that no field between them is lost
_CHANNELS = 4  # blue, green, red, and one that nobody reads
# P-Net's first layer makes ten float32 channels of a pixel, 0.8 MB of so many. On an x86-64 core with neighbours at
# work a pixel costs LiteRT 65 ns in tiles of 9,000 to 20,000 pixels, 100 in one of 28,000, 140 and more in one of
# 65,000 (docs/cascade.md).
_TILE_PX = 20000

# A level of more pixels than this is drawn at twice its size at most: the drawing is what the pyramid's time goes to.
_DEAR_PX = 5000

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of the pyramid and its place.

    Attributes:
        octave: how often the frame is halved before the level is drawn from it.
        oversampling: the level is drawn this many times as wide and high and then halved to its size: 1, 2 or 4.
        size_wh: in pixels, even.
        canvas: its number.
        x, y: left and top on the canvas, even.
    """

    octave: int
    oversampling: int
    size_wh: Size
    canvas: int
    x: int
    y: int


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
    """One level, or several side by side, and the tiles that P-Net takes.

    Attributes:
        pixels: uint8 (height, width, 3); what no level fills stays 0.
        tile_size_wh: of every tile.
        grid: columns and rows of tiles.
    """

    def __init__(self, tile_size_wh: Size, grid: Size) -> None:
        self.tile_size_wh = tile_size_wh
        self.grid = grid
        width, height = (n * (side - _SHARED_PX) + _SHARED_PX for n, side in zip(grid, tile_size_wh, strict=True))
        self.pixels: Pixels = np.zeros((height, width, 3), dtype=np.uint8)

    def corners(self) -> Iterator[Size]:
        """Yield left and top of each tile, row by row."""
        columns, rows = self.grid
        width, height = self.tile_size_wh
        for row in range(rows):
            for column in range(columns):
                yield column * (width - _SHARED_PX), row * (height - _SHARED_PX)

    def tiles(self) -> Iterator[Pixels]:
        """Yield a view uint8 (1, height, width, 3) of each tile, row by row."""
        width, height = self.tile_size_wh
        for left, top in self.corners():
            yield self.pixels[np.newaxis, top : top + height, left : left + width]


class Pyramid:
    """The levels of frames of one size, and the canvases that they are drawn into for each frame.

    Attributes:
        frame_size_wh: of the frames.
        levels: finest first; empty where the frame is too small for any.
        canvases: in the order in which P-Net sees them.
        cell_level: int16 (n,), for each of P-Net's output cells, tile by tile and row by row, the level that it looks
            at, -1 for none.
    """

    def __init__(self, frame_size_wh: Size, levels: tuple[Level, ...], canvases: tuple[Canvas, ...]) -> None:
        self.frame_size_wh = frame_size_wh
        self.levels = levels
        self.canvases = canvases
        cells = [_cells_of(canvas, index, levels) for index, canvas in enumerate(canvases)]
        table = np.concatenate([np.empty((0, 3), dtype=np.int32), *cells])
        self.cell_level = table[:, 0].astype(np.int16)
        self._cell_xy = table[:, 1:].astype(np.float32)
        # Whole pixels make a level a little wider or higher than its nominal scale says; this is what it really is.
        self._scale_xy = np.array(
            [np.divide(level.size_wh, frame_size_wh) for level in levels], dtype=np.float32
        ).reshape(-1, 2)
        # Levels are drawn one after the other, so all share the memory of the largest drawing.
        areas = [level.oversampling**2 * math.prod(level.size_wh) for level in levels]
        self._drawings = [np.empty(_CHANNELS * max(areas, default=0) // part, dtype=np.uint8) for part in (1, 4, 16)]
        self._frame_bgra: Pixels = np.empty((frame_size_wh[1], frame_size_wh[0], _CHANNELS), dtype=np.uint8)

    def tiles(self) -> Iterator[Pixels]:
        """Yield what P-Net runs on, uint8 (1, height, width, 3), in the order of `cell_level`."""
        for canvas in self.canvases:
            yield from canvas.tiles()

    def draw(self, frame_bgr: Pixels) -> list[Pixels]:
        """Resize a frame into its levels' places.

        A bilinear step that shrinks skips pixels, and P-Net pays for it with missed faces and false alarms. So a level
        is drawn larger than its source, where a bilinear step loses nothing, and halved to its size: an area filter in
        fixed-point arithmetic. The large levels, which cost the most, are drawn at twice their size, which a bilinear
        step reaches by shrinking by less than two.

        Args:
            frame_bgr: uint8 (height, width, 3), of the pyramid's frame size.

        Returns:
            The frame, then at half its size and so on, as often as levels needed it: uint8 with a fourth channel that
            nobody reads. The first is overwritten by the next frame.
        """
        cv2 = import_cv2()
        # OpenCV resizes four channels in less than half the time of three, to the same values.
        octaves = [cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2BGRA, dst=self._frame_bgra)]
        for level in self.levels:
            while len(octaves) <= level.octave:
                octaves.append(halve(octaves[-1]))
            width, height = level.size_wh
            drawn, times = octaves[level.octave], level.oversampling
            for memory in self._drawings:
                if times == 0 or drawn.shape[:2] == (height, width):
                    break
                drawn = _resize_into(memory, drawn, times * width, times * height)
                times //= 2
            place = self.canvases[level.canvas].pixels[level.y : level.y + height, level.x : level.x + width]
            cv2.cvtColor(drawn, cv2.COLOR_BGRA2BGR, dst=place)
        return octaves

    def boxes_of_cells(self, cells: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return the frame's boxes float32 (n, 4) that P-Net's output cells (n,) look at (see boxes.py)."""
        corner = self._cell_xy[cells]
        scale = self._scale_xy[self.cell_level[cells]]
        corners = np.hstack([(corner + 1) / scale, (corner + FIELD_PX) / scale])
        boxes: npt.NDArray[np.float32] = np.trunc(corners, out=corners)
        return boxes


def _resize_into(memory: Pixels, source: Pixels, width: int, height: int) -> Pixels:
    """Resize into the beginning of a buffer; return that as an image."""
    target = memory[: _CHANNELS * width * height].reshape(height, width, _CHANNELS)
    import_cv2().resize(source, (width, height), dst=target, interpolation=import_cv2().INTER_LINEAR_EXACT)
    return target


def plan_pyramid(frame_size_wh: Size, min_face_px: float, scale_factor: float) -> Pyramid:
    """Lay out the pyramid of frames of a size."""
    width, height = frame_size_wh
    scales = pyramid_scales(frame_size_wh, min_face_px, scale_factor)
    sizes = [(_even(width * scale), _even(height * scale)) for scale in scales]
    # A level of half a tile and more has a canvas of its own, in which nothing is wasted; the others share one.
    n_alone = sum(math.prod(size) > _TILE_PX // 2 for size in sizes)
    places = [(index, 0, 0) for index in range(n_alone)]
    canvases = [Canvas(*_tiling(size)) for size in sizes[:n_alone]]
    if n_alone < len(sizes):
        shared_size, corners = _smallest_packing(sizes[n_alone:])
        places += [(n_alone, x, y) for x, y in corners]
        canvases.append(Canvas(*_tiling(shared_size)))
    levels = tuple(
        Level(octave=octave, oversampling=_oversampling(scale * 2**octave, size), size_wh=size, canvas=canvas, x=x, y=y)
        for scale, octave, size, (canvas, x, y) in zip(scales, map(_octave, scales), sizes, places, strict=True)
    )
    return Pyramid(frame_size_wh, levels, tuple(canvases))


def _octave(scale: float) -> int:
    """Return how often to halve the frame for a level: to two to four times its size, if the frame is that large."""
    return max(math.floor(-math.log2(scale)) - 1, 0)


def _oversampling(scale: float, size_wh: Size) -> int:
    """Return how many times as large a level is drawn that has this scale of what it is drawn from."""
    lossless: int = 2 ** math.ceil(-math.log2(scale))
    return min(lossless, 2) if math.prod(size_wh) > _DEAR_PX else lossless


def _even(length_px: float) -> int:
    return 2 * math.ceil(length_px / 2)


def _cells(length_px: int) -> int:
    """Return P-Net's output cells along so many pixels: a 3 x 3 convolution, a 2 x 2 pooling, two more convolutions."""
    return length_px // STRIDE_PX - _SHARED_PX // STRIDE_PX


def _cells_of(canvas: Canvas, index: int, levels: Sequence[Level]) -> npt.NDArray[np.int32]:
    """Return int32 (n, 3) for the output cells of a canvas's tiles: level, and left and top of the field within it."""
    height, width = canvas.pixels.shape[:2]
    table = np.full((_cells(height), _cells(width), 3), -1, dtype=np.int32)
    for number, level in enumerate(levels):
        if level.canvas == index:
            columns, rows = (_cells(side) for side in level.size_wh)
            place = table[level.y // STRIDE_PX :, level.x // STRIDE_PX :][:rows, :columns]
            place[..., 0] = number
            place[..., 1] = STRIDE_PX * np.arange(columns)
            place[..., 2] = STRIDE_PX * np.arange(rows)[:, np.newaxis]
    columns, rows = (_cells(side) for side in canvas.tile_size_wh)
    tiles = [
        table[top // STRIDE_PX :, left // STRIDE_PX :][:rows, :columns].reshape(-1, 3) for left, top in canvas.corners()
    ]
    return np.concatenate(tiles)


def _tiling(size_wh: Size) -> tuple[Size, Size]:
    """Return the size of a tile and the columns and rows of tiles that cover a canvas with the fewest pixels."""
    best: tuple[int, Size, Size] | None = None
    for columns in range(1, math.ceil(size_wh[0] / _SHARED_PX) + 1):
        width = _part(size_wh[0], columns)
        rows = 1
        while width * _part(size_wh[1], rows) > max(_TILE_PX, width * FIELD_PX):
            rows += 1
        height = _part(size_wh[1], rows)
        found = (columns * rows * width * height, (width, height), (columns, rows))
        best = found if best is None else min(best, found)
        if columns * _SHARED_PX * size_wh[1] > best[0]:
            break  # what more columns share is more than the best way has in all
    assert best is not None  # noqa: S101 - the loop runs at least once
    return best[1], best[2]


def _part(length_px: int, n: int) -> int:
    """Return the even length of each of n parts of a length that share what fields between them need."""
    return _even((length_px - _SHARED_PX) / n) + _SHARED_PX


def _smallest_packing(sizes: Sequence[Size]) -> tuple[Size, list[Size]]:
    """Return the size of the smallest canvas of several widths tried, and the corner of each level on it."""
    widths = sorted({sizes[0][0] + extra for extra in [0, *(width for width, _ in sizes[1:])]})
    packings = [_pack(sizes, width) for width in widths]
    extents = [
        (
            max(x + w for (w, _), (x, _) in zip(sizes, corners, strict=True)),
            max(y + h for (_, h), (_, y) in zip(sizes, corners, strict=True)),
        )
        for corners in packings
    ]
    best = min(range(len(packings)), key=lambda index: math.prod(extents[index]))
    return extents[best], packings[best]


def _pack(sizes: Sequence[Size], canvas_width: int) -> list[Size]:
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
