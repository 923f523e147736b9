"""The canvas of the pyramid: its scales, its layout, what it draws, and that P-Net sees each level as if alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from runtime_support import installed_engine

from fer_edge._cv2 import import_cv2
from fer_edge.detector.pyramid import plan_canvas, pyramid_scales
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


@pytest.mark.parametrize("min_face_px", [12, 20, 40])
@pytest.mark.parametrize("size_wh", SIZES_WH, ids=str)
def test_levels_are_even_inside_and_apart(size_wh, min_face_px):
    canvas = plan_canvas(size_wh, min_face_px, 0.709)
    scales = pyramid_scales(size_wh, min_face_px, 0.709)
    assert len(canvas.levels) == len(scales)
    height, width, channels = canvas.pixels.shape
    assert channels == 3
    taken = np.zeros((height, width), int)
    for level, scale in zip(canvas.levels, scales, strict=True):
        assert all(value % 2 == 0 for value in (level.x, level.y, level.width, level.height))
        assert 0 <= level.width - size_wh[0] * scale < 2
        assert 0 <= level.height - size_wh[1] * scale < 2
        # Drawn at least as large as its source and less than twice as large, from the last octave that is not smaller
        # than twice the level.
        assert level.octave == max(math.floor(math.log2(1 / (2 * scale))), 0)
        assert 1 <= level.oversampling * scale * 2**level.octave < 2
        assert level.x + level.width <= width
        assert level.y + level.height <= height
        taken[level.y : level.y + level.height, level.x : level.x + level.width] += 1
    assert taken.max(initial=0) <= 1
    if canvas.levels:
        # The columns and rows at the end are in use, and no more than half of the canvas is wasted.
        assert taken[:, -1].any()
        assert taken[-1].any()
        assert taken.mean() > 0.5


@pytest.mark.parametrize("size_wh", SIZES_WH, ids=str)
def test_cells_belong_to_the_level_that_fills_their_field(size_wh):
    canvas = plan_canvas(size_wh, 12, 0.709)
    owner = np.full(canvas.pixels.shape[:2], -1)
    for index, level in enumerate(canvas.levels):
        owner[level.y : level.y + level.height, level.x : level.x + level.width] = index
    rows = max(canvas.pixels.shape[0] // 2 - 5, 0)
    assert canvas.cell_level.shape == (rows * max(canvas.columns, 0),)
    step = max(canvas.cell_level.size // 3000, 1)
    for cell in range(0, canvas.cell_level.size, step):
        row, column = divmod(cell, canvas.columns)
        field = owner[2 * row : 2 * row + 12, 2 * column : 2 * column + 12]
        whole = field.min() == field.max()
        assert canvas.cell_level[cell] == (field[0, 0] if whole else -1)


@pytest.mark.parametrize("size_wh", [(640, 480), (333, 217), (13, 57)], ids=str)
def test_drawn_levels(size_wh):
    cv2 = import_cv2()
    frame = np.random.default_rng(0).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    canvas = plan_canvas(size_wh, 12, 0.709)
    expected = np.zeros_like(canvas.pixels)
    for level in canvas.levels:
        image = frame
        for _ in range(level.octave):
            image = halve(image)
        times = level.oversampling
        image = cv2.resize(image, (times * level.width, times * level.height), interpolation=cv2.INTER_LINEAR_EXACT)
        while times > 1:
            image, times = halve(image), times // 2
        expected[level.y : level.y + level.height, level.x : level.x + level.width] = image
    canvas.draw(frame)
    np.testing.assert_array_equal(canvas.pixels, expected)
    # A second frame replaces the first wholly.
    canvas.draw(np.full_like(frame, 7))
    assert set(np.unique(canvas.pixels)) <= {0, 7}


@pytest.mark.parametrize("min_face_px", [20, 40, 63])
def test_drawn_levels_are_those_of_an_area_filter(min_face_px):
    """OpenCV's INTER_AREA, which is not the same on every machine, is what the levels must look like."""
    cv2 = import_cv2()
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    canvas = plan_canvas((640, 480), min_face_px, 0.709)
    canvas.draw(frame)
    for level in canvas.levels:
        drawn = canvas.pixels[level.y : level.y + level.height, level.x : level.x + level.width].astype(int)
        area = cv2.resize(frame, (level.width, level.height), interpolation=cv2.INTER_AREA).astype(int)
        # White noise is the hardest picture; one bilinear step is off by 0.5 to 19 times the deviation.
        assert np.abs(drawn - area).mean() <= 0.55 * area.std()


def test_boxes_of_cells_by_hand():
    canvas = plan_canvas((100, 80), 24, 0.709)  # scales 0.5, 0.3545 …: levels of 50 x 40, 36 x 30 …
    first, second = canvas.levels[:2]
    assert (first.x, first.y, first.width, first.height) == (0, 0, 50, 40)
    assert (second.width, second.height) == (36, 30)
    cells = np.array(
        [
            0,
            3 * canvas.columns + 2,
            (second.y // 2 + 1) * canvas.columns + second.x // 2 + 5,
        ]
    )
    assert canvas.cell_level[cells].tolist() == [0, 0, 1]
    # Cell (row, column) sees the level's pixels 2 * column + 1 … 2 * column + 12, counted from 1.
    assert canvas.boxes_of_cells(cells).tolist() == [
        [2, 2, 24, 24],
        [10, 14, 32, 36],
        [30, 8, 61, 37],  # 11 and 22 over 36/100: 30.6 and 61.1; 3 and 14 over 30/80: 8 and 37.3
    ]


@pytest.mark.parametrize("size_wh", [(200, 150), (131, 89), (40, 160)], ids=str)
def test_pnet_on_the_canvas_is_pnet_on_each_level(default_bundle, size_wh):
    stage = Stage(default_bundle, "pnet", installed_engine("onnx"))
    frame = np.random.default_rng(1).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)
    canvas = plan_canvas(size_wh, 20, 0.709)
    assert len(canvas.levels) > 1
    canvas.draw(frame)
    logit_map, offset_map = stage.run(canvas.pixels[np.newaxis])
    assert logit_map.size == canvas.cell_level.size
    cells = canvas.cell_level.reshape(logit_map.shape[1:3])
    for index, level in enumerate(canvas.levels):
        alone = canvas.pixels[level.y : level.y + level.height, level.x : level.x + level.width]
        logits, offsets = stage.run(np.ascontiguousarray(alone)[np.newaxis])
        mine = cells == index
        np.testing.assert_allclose(logit_map[0][mine], logits.reshape(-1, 1), atol=1e-5, rtol=0)
        np.testing.assert_allclose(offset_map[0][mine], offsets.reshape(-1, 4), atol=1e-5, rtol=0)


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


@pytest.mark.parametrize("min_face_px", [12, 40])
@pytest.mark.parametrize("size_wh", [(640, 480), (333, 217), (80, 60)], ids=str)
def test_the_canvas_is_the_smallest_of_the_widths_tried(size_wh, min_face_px):
    canvas = plan_canvas(size_wh, min_face_px, 0.709)
    sizes = [(level.width, level.height) for level in canvas.levels]
    best = None
    for extra in sorted({0, *(width for width, _ in sizes[1:])}):
        places = pack_by_every_column(sizes, sizes[0][0] + extra)
        width = max(x + w for (w, _), (x, _) in zip(sizes, places, strict=True))
        height = max(y + h for (_, h), (_, y) in zip(sizes, places, strict=True))
        if best is None or width * height < best[0]:
            best = (width * height, places, (height, width))
    assert [(level.x, level.y) for level in canvas.levels] == best[1]
    assert canvas.pixels.shape[:2] == best[2]
