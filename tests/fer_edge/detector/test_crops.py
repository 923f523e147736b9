"""Square crops: the same as OpenCV's affine step's, and the frame's own pixels where nothing is resized."""

from __future__ import annotations

import numpy as np
import pytest

from fer_edge._cv2 import import_cv2
from fer_edge.detector.crops import square_crops, surroundings


@pytest.mark.parametrize("side", [24, 48])
def test_crops_are_those_of_opencvs_affine_step(side):
    """Of squares inside, across and outside the border, smaller and larger than the crop."""
    cv2 = import_cv2()
    rng = np.random.default_rng(5)
    frame = cv2.GaussianBlur(rng.integers(0, 256, (200, 300, 3), dtype=np.uint8), (5, 5), 0)
    corners = rng.integers(-40, 280, (60, 2)).astype(np.float32)
    sides = rng.integers(8, 2 * side, (60, 1)).astype(np.float32)
    boxes = np.hstack([corners, corners + sides - 1])
    for box, crop in zip(boxes, square_crops([frame], boxes, side), strict=True):
        step = (box[2] - box[0] + 1) / side
        matrix = np.array([[step, 0, box[0] - 1 + 0.5 * step - 0.5], [0, step, box[1] - 1 + 0.5 * step - 0.5]])
        expected = cv2.warpAffine(frame, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        # Both place pixels to 1/32, rounded differently: a step of this blurred noise.
        assert np.abs(crop.astype(int) - expected).max() <= 12
        assert np.abs(crop.astype(int) - expected).mean() < 0.6


def test_the_surroundings_of_boxes_are_enough_for_their_crops():
    rng = np.random.default_rng(8)
    smaller = 0
    for _ in range(400):
        height, width = rng.integers(1, 400, 2)
        frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        # Some near each other, some across the border or outside.
        corners = rng.integers(-150, 400, (1, 2)) + rng.integers(-30, 30, (rng.integers(1, 4), 2))
        boxes = np.hstack([corners, corners + rng.integers(1, 400)]).astype(np.float32)
        for side in (24, 48):
            part, moved = surroundings(frame, boxes, side)
            smaller += part.size < frame.size
            np.testing.assert_array_equal(square_crops([part], moved, side), square_crops([frame], boxes, side))
    assert smaller > 200


def test_around_small_boxes_nothing_is_halved_so_the_frame_serves():
    frame = np.zeros((80, 60, 3), np.uint8)
    assert surroundings(frame, np.array([[1, 1, 47, 47]], np.float32), 24)[0] is frame
    assert surroundings(frame, np.array([[9, 9, 56, 56]], np.float32), 24)[0].shape == (54, 54, 3)


@pytest.mark.parametrize("box_px", [99, 105, 117])
def test_a_crop_does_not_depend_on_where_its_corner_is_counted_from(box_px):
    """Some of these positions lie midway between two of remap's steps, where sums of doubles would decide."""
    frame = np.random.default_rng(9).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    far = np.zeros((200, 4296, 3), np.uint8)
    far[:, 4096:] = frame
    boxes = np.array([[5, 5, 4 + box_px, 4 + box_px]], np.float32)
    shifted = boxes + np.array([4096, 0, 4096, 0], np.float32)
    np.testing.assert_array_equal(square_crops([far], shifted, 48), square_crops([frame], boxes, 48))


def test_many_crops_are_cut_in_parts():
    frame = np.random.default_rng(6).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    boxes = np.tile(np.array([[11, 21, 34, 44]], np.float32), (1500, 1))
    crops = square_crops([frame], boxes, 24)
    # The square is as large as the crop, so its pixels are the frame's.
    np.testing.assert_array_equal(crops, np.broadcast_to(frame[20:44, 10:34], crops.shape))


def test_no_boxes_no_crops_and_no_octaves():
    octaves = [np.zeros((80, 60, 3), np.uint8)]
    assert square_crops(octaves, np.empty((0, 4), np.float32), 24).shape == (0, 24, 24, 3)
    assert len(octaves) == 1


@pytest.mark.parametrize(
    ("box_px", "n_octaves"),
    [(23, 1), (24, 1), (47, 1), (48, 2), (95, 2), (96, 3)],
)
def test_the_octave_in_which_the_box_is_one_to_two_times_the_crop(box_px, n_octaves):
    octaves = [np.zeros((200, 200, 3), np.uint8)]
    square_crops(octaves, np.array([[1, 1, box_px, box_px]], np.float32), 24)
    assert [image.shape[0] for image in octaves] == [200, 100, 50][:n_octaves]


def test_a_box_far_outside_is_black():
    frame = np.full((80, 60, 3), 255, np.uint8)
    boxes = np.array([[-40000, -40000, -39977, -39977], [40000, 5, 40023, 28]], np.float32)
    assert not square_crops([frame], boxes, 24).any()


@pytest.mark.parametrize("is_tall", [False, True], ids=["wide", "tall"])
@pytest.mark.parametrize("box_px", [20, 24, 70, 150])
def test_crops_of_a_frame_that_is_longer_than_remap_takes(box_px, is_tall):
    frame = np.random.default_rng(7).integers(0, 256, (160, 40000, 3), dtype=np.uint8)
    first_px = np.array([-5, 0, 7, 16380, 16384, 16385, 32600, 32760, 32767, 32770, 39800, 39990])
    # Each crop is that of a short piece of the frame, which begins where all octaves have a pixel's edge.
    pieces = np.maximum(first_px // 8 * 8 - 256, 0)
    boxes = (np.array([1, 1, box_px, box_px]) + np.outer(first_px, [1, 0, 1, 0])).astype(np.float32)
    if is_tall:
        frame = frame.transpose(1, 0, 2)
        boxes = boxes[:, [1, 0, 3, 2]]
    crops = square_crops([np.ascontiguousarray(frame)], boxes, 24)
    for crop, box, start in zip(crops, boxes, pieces.tolist(), strict=True):
        piece = frame[start : start + 1024] if is_tall else frame[:, start : start + 1024]
        moved = box - np.float32(start) * np.array([0, 1, 0, 1] if is_tall else [1, 0, 1, 0], np.float32)
        np.testing.assert_array_equal(crop, square_crops([np.ascontiguousarray(piece)], moved[np.newaxis], 24)[0])


def test_a_box_much_larger_than_the_frame_is_not_halved_to_nothing():
    octaves = [np.full((3, 40, 3), 255, np.uint8)]
    crops = square_crops(octaves, np.array([[-5000, -5000, 5000, 5000]], np.float32), 24)
    assert crops.shape == (1, 24, 24, 3)
    assert [image.shape[:2] for image in octaves] == [(3, 40), (1, 20)]
