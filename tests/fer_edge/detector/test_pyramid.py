"""The pyramid: its scales, canvases, tiles and drawing, and that P-Net sees each level as if alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from runtime_support import installed_engine

from fer_edge._cv2 import import_cv2
from fer_edge.detector.pyramid import plan_pyramid, pyramid_scales
from fer_edge.preprocess import halve
from fer_edge.stage import Stage

SIZES_WH = [(640, 480), (1920, 1080), (333, 217), (12, 12), (13, 57), (11, 200), (1, 1), (4000, 30), (30, 4000)]


@pytest.mark.parametrize(
    ("size_wh", "min_face_px", "scales"),
    [
        pytest.param((640, 480), 100, [0.12 * 0.709**k for k in range(5)], id="640x480 of 100"),  # 480 * .0303 = 14.6
        pytest.param((12, 12), 12, [1.0], id="exactly one field"),
        pytest.param((17, 300), 12, [1.0, 0.709], id="17 * 0.709 = 12.05"),
        pytest.param((16, 300), 12, [1.0], id="16 * 0.709 = 11.3"),
        pytest.param((640, 39), 40, [], id="no face of 40 fits"),
        pytest.param((640, 40), 40, [0.3], id="one just fits"),
        pytest.param((1, 1), 12, [], id="one pixel"),
        pytest.param((640, 480), math.inf, [], id="infinitely large faces"),
    ],
)
def test_scales_by_hand(size_wh, min_face_px, scales):
    assert pyramid_scales(size_wh, min_face_px, 0.709) == pytest.approx(scales, rel=1e-12)


def test_the_number_of_scales():
    # 12/20 * 480 = 288 px, which can be multiplied by 0.709 nine times before it is below 12: 288 * 0.709^9 = 13.0.
    assert len(pyramid_scales((640, 480), 20, 0.709)) == 10


def level_view(pyramid, level):
    """The level's place in its canvas."""
    width, height = level.size_wh
    return pyramid.canvases[level.canvas].pixels[level.y : level.y + height, level.x : level.x + width]


@pytest.mark.parametrize("min_face_px", [12, 20, 40])
@pytest.mark.parametrize("size_wh", SIZES_WH, ids=str)
def test_levels_are_even_inside_and_apart(size_wh, min_face_px):
    pyramid = plan_pyramid(size_wh, min_face_px, 0.709)
    scales = pyramid_scales(size_wh, min_face_px, 0.709)
    assert len(pyramid.levels) == len(scales)
    taken = [np.zeros(canvas.pixels.shape[:2], int) for canvas in pyramid.canvases]
    for level, scale in zip(pyramid.levels, scales, strict=True):
        width, height = level.size_wh
        assert all(value % 2 == 0 for value in (level.x, level.y, width, height))
        assert 0 <= width - size_wh[0] * scale < 2
        assert 0 <= height - size_wh[1] * scale < 2
        # Drawn from the last octave that is not smaller than twice the level, where there is one.
        assert level.octave == max(math.floor(math.log2(1 / (2 * scale))), 0)
        # Drawn at least as large as its source and less than twice that; the large ones at twice their size at most.
        lossless = 2 ** math.ceil(-math.log2(scale * 2**level.octave))
        assert level.oversampling == (min(lossless, 2) if width * height > 5000 else lossless)
        place = taken[level.canvas][level.y : level.y + height, level.x : level.x + width]
        assert place.shape == (height, width)
        place += 1
    for canvas in taken:
        assert canvas.max() == 1
        assert canvas.mean() > 0.5


@pytest.mark.parametrize("min_face_px", [12, 40])
@pytest.mark.parametrize("size_wh", SIZES_WH, ids=str)
def test_tiles_of_a_canvas_are_small_of_one_shape_and_have_every_field_once(size_wh, min_face_px):
    pyramid = plan_pyramid(size_wh, min_face_px, 0.709)
    for canvas in pyramid.canvases:
        width, height = canvas.tile_size_wh
        # 20,000 pixels, or what one row of fields takes.
        assert width * height <= max(20000, width * 12)
        tiles = list(canvas.tiles())
        assert {tile.shape for tile in tiles} == {(1, height, width, 3)}
        assert all(np.shares_memory(tile, canvas.pixels) for tile in tiles)
        fields = [
            (left + x, top + y)
            for left, top in canvas.corners()
            for y in range(0, height - 11, 2)
            for x in range(0, width - 11, 2)
        ]
        rows, columns = canvas.pixels.shape[:2]
        assert sorted(fields) == [(x, y) for x in range(0, columns - 11, 2) for y in range(0, rows - 11, 2)]
        for tile, (left, top) in zip(tiles, canvas.corners(), strict=True):
            assert tile.ctypes.data - canvas.pixels.ctypes.data == 3 * (top * columns + left)


@pytest.mark.parametrize("min_face_px", [12, 40])
@pytest.mark.parametrize("size_wh", SIZES_WH, ids=str)
def test_cells_look_at_the_level_that_fills_their_field(size_wh, min_face_px):
    pyramid = plan_pyramid(size_wh, min_face_px, 0.709)
    cell, seen = 0, [[] for _ in pyramid.levels]
    for index, canvas in enumerate(pyramid.canvases):
        owner = np.full(canvas.pixels.shape[:2], -1, np.int8)
        for number, level in enumerate(pyramid.levels):
            if level.canvas == index:
                width, height = level.size_wh
                owner[level.y : level.y + height, level.x : level.x + width] = number
        fields = np.lib.stride_tricks.sliding_window_view(owner, (12, 12))[::2, ::2]
        lowest, highest = fields.min(axis=(2, 3)), fields.max(axis=(2, 3))
        expected = np.where(lowest == highest, lowest, -1)
        columns, rows = (len(range(0, side - 11, 2)) for side in canvas.tile_size_wh)
        for left, top in canvas.corners():
            assert (left % 2, top % 2) == (0, 0)
            of_tile = expected[top // 2 :, left // 2 :][:rows, :columns]
            found = pyramid.cell_level[cell : cell + rows * columns]
            np.testing.assert_array_equal(found.reshape(rows, columns), of_tile)
            cell += rows * columns
            for number in np.unique(of_tile[of_tile >= 0]):
                level = pyramid.levels[number]
                y, x = 2 * np.argwhere(of_tile == number).T + [[top - level.y], [left - level.x]]
                seen[number].append(y * level.size_wh[0] + x)
    assert cell == len(pyramid.cell_level)
    for level, places in zip(pyramid.levels, seen, strict=True):
        width, height = level.size_wh
        assert len(np.unique(np.concatenate(places))) == (width // 2 - 5) * (height // 2 - 5)


@pytest.mark.parametrize("size_wh", [(640, 480), (333, 217), (13, 57)], ids=str)
def test_drawn_levels(size_wh):
    cv2 = import_cv2()
    frame = np.random.default_rng(0).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    pyramid = plan_pyramid(size_wh, 12, 0.709)
    octaves = pyramid.draw(frame)
    for level in pyramid.levels:
        width, height = level.size_wh
        image = frame
        for _ in range(level.octave):
            image = halve(image)
        np.testing.assert_array_equal(octaves[level.octave][..., :3], image)
        times = level.oversampling
        if level.size_wh != size_wh:
            image = cv2.resize(image, (times * width, times * height), interpolation=cv2.INTER_LINEAR_EXACT)
        while image.shape[0] > height:
            image = halve(image)
        np.testing.assert_array_equal(level_view(pyramid, level), image)
    # Gaps stay black, and a second frame replaces the first wholly.
    pyramid.draw(np.full_like(frame, 7))
    for index, canvas in enumerate(pyramid.canvases):
        gaps = canvas.pixels.copy()
        for level in pyramid.levels:
            if level.canvas == index:
                assert (level_view(pyramid, level) == 7).all()
                width, height = level.size_wh
                gaps[level.y : level.y + height, level.x : level.x + width] = 0
        assert not gaps.any()


@pytest.mark.parametrize("min_face_px", [20, 40, 63])
def test_drawn_levels_are_next_to_those_of_an_area_filter(min_face_px):
    """OpenCV's INTER_AREA, which is not the same on every machine, is what the levels must look like."""
    cv2 = import_cv2()
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    pyramid = plan_pyramid((640, 480), min_face_px, 0.709)
    pyramid.draw(frame)
    for level in pyramid.levels:
        drawn = level_view(pyramid, level).astype(int)
        area = cv2.resize(frame, level.size_wh, interpolation=cv2.INTER_AREA).astype(int)
        # White noise is the hardest picture; one bilinear step is off by 0.5 to 19 times the deviation.
        assert np.abs(drawn - area).mean() <= 0.85 * area.std()


def test_boxes_of_cells_by_hand():
    pyramid = plan_pyramid((100, 80), 24, 0.709)  # scales 0.5, 0.3545 …: levels of 50 x 40, 36 x 30 …
    assert [level.size_wh for level in pyramid.levels[:2]] == [(50, 40), (36, 30)]
    (canvas,) = pyramid.canvases
    columns = canvas.tile_size_wh[0] // 2 - 5
    second = pyramid.levels[1]
    cells = np.array([0, 3 * columns + 2, (second.y // 2 + 1) * columns + second.x // 2 + 5])
    assert pyramid.cell_level[cells].tolist() == [0, 0, 1]
    # Cell (row, column) sees the level's pixels 2 * column + 1 … 2 * column + 12, counted from 1.
    assert pyramid.boxes_of_cells(cells).tolist() == [
        [2, 2, 24, 24],
        [10, 14, 32, 36],
        [30, 8, 61, 37],  # 11 and 22 over 36/100: 30.6 and 61.1; 3 and 14 over 30/80: 8 and 37.3
    ]


def test_boxes_of_cells_of_a_level_that_is_cut():
    pyramid = plan_pyramid((4000, 30), 12, 0.709)  # the finest level is the frame itself
    canvas = pyramid.canvases[0]
    width, height = canvas.tile_size_wh
    assert canvas.grid[0] > 1
    second_tile = (width // 2 - 5) * (height // 2 - 5)
    left = width - 10
    assert pyramid.boxes_of_cells(np.array([second_tile])).tolist() == [[left + 1, 1, left + 12, 12]]


def test_boxes_of_the_last_cells_of_a_very_long_frame():
    pyramid = plan_pyramid((40000, 14), 12, 0.95)
    (level,) = pyramid.levels[:1]
    assert level.size_wh == (40000, 14)
    boxes = pyramid.boxes_of_cells(np.flatnonzero(pyramid.cell_level == 0))
    assert boxes.max(axis=0).tolist() == [39989, 3, 40000, 14]
    assert boxes.min(axis=0).tolist() == [1, 1, 12, 12]


@pytest.mark.parametrize(
    ("size_wh", "min_face_px"), [((200, 150), 20), ((131, 89), 20), ((40, 160), 20), ((640, 360), 20)], ids=str
)
def test_pnet_on_the_tiles_is_pnet_on_each_level(default_bundle, size_wh, min_face_px):
    stage = Stage(default_bundle, "pnet", installed_engine("onnx"))
    frame = np.random.default_rng(1).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    pyramid = plan_pyramid(size_wh, min_face_px, 0.709)
    assert len(pyramid.levels) > 1
    pyramid.draw(frame)
    outputs = [stage.run(np.ascontiguousarray(tile)) for tile in pyramid.tiles()]
    logits = np.concatenate([found.reshape(-1) for found, _ in outputs])
    offsets = np.concatenate([found.reshape(-1, 4) for _, found in outputs])
    assert logits.size == pyramid.cell_level.size
    for number, level in enumerate(pyramid.levels):
        alone_logits, alone_offsets = stage.run(np.ascontiguousarray(level_view(pyramid, level))[np.newaxis])
        rows, columns = alone_logits.shape[1:3]
        mine = np.flatnonzero(pyramid.cell_level == number)
        x, y = (pyramid._cell_xy[mine].astype(int) // 2).T
        assert sorted(zip(y.tolist(), x.tolist(), strict=True)) == [(r, c) for r in range(rows) for c in range(columns)]
        np.testing.assert_allclose(logits[mine], alone_logits[0, y, x, 0], atol=1e-5, rtol=0)
        np.testing.assert_allclose(offsets[mine], alone_offsets[0, y, x], atol=1e-5, rtol=0)


def pack_by_every_column(sizes, canvas_width):
    """Bottom-left packing that tries every spot."""
    height_at = [0] * canvas_width
    places = []
    for width, height in sizes:
        spots = [(max(height_at[x : x + width]), x) for x in range(0, canvas_width - width + 1, 2)]
        y, x = min(spots)
        height_at[x : x + width] = [y + height] * width
        places.append((x, y))
    return places


@pytest.mark.parametrize("min_face_px", [20, 40])
@pytest.mark.parametrize("size_wh", [(640, 480), (333, 217), (80, 60)], ids=str)
def test_small_levels_share_the_smallest_canvas_of_the_widths_tried(size_wh, min_face_px):
    pyramid = plan_pyramid(size_wh, min_face_px, 0.709)
    shared = [level for level in pyramid.levels if level.canvas == len(pyramid.canvases) - 1]
    assert all(level.size_wh[0] * level.size_wh[1] <= 10000 for level in shared)
    sizes = [level.size_wh for level in shared]
    best = None
    for extra in sorted({0, *(width for width, _ in sizes[1:])}):
        places = pack_by_every_column(sizes, sizes[0][0] + extra)
        width = max(x + w for (w, _), (x, _) in zip(sizes, places, strict=True))
        height = max(y + h for (_, h), (_, y) in zip(sizes, places, strict=True))
        if best is None or width * height < best[0]:
            best = (width * height, places)
    assert [(level.x, level.y) for level in shared] == best[1]


@pytest.mark.parametrize(
    ("size_wh", "min_face_px", "times"),
    [
        pytest.param((640, 480), 40, 1.08, id="640x480"),
        pytest.param((1920, 1080), 40, 1.12, id="1080p"),
        pytest.param((3840, 2160), 40, 1.14, id="4k"),
        pytest.param((320, 240), 40, 1.15, id="one tile"),
    ],
)
def test_pnet_gets_little_more_than_the_levels(size_wh, min_face_px, times):
    pyramid = plan_pyramid(size_wh, min_face_px, 0.709)
    levels_px = sum(math.prod(level.size_wh) for level in pyramid.levels)
    assert levels_px <= sum(tile.shape[1] * tile.shape[2] for tile in pyramid.tiles()) <= times * levels_px
