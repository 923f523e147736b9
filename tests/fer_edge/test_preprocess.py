"""Preprocessing against arithmetic written out here, byte for byte."""

from __future__ import annotations

import hashlib
import math
import re

import cv2
import numpy as np
import pytest

from fer_edge.errors import InputError
from fer_edge.preprocess import PixelCoding, crop_square, face_pixels, gray_image, halve, resize_exact


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def axis(source, target):
    """Left and right neighbour of each target pixel, and the right one's weight in 256ths."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    left = np.floor(position).astype(int)
    weight = np.rint((position - left) * 256).astype(np.int64)
    return np.clip(left, 0, source - 1), np.clip(left + 1, 0, source - 1), weight


def bilinear(image, size_wh):
    """One bilinear step in integers: weights of 1/256, rounded once, half up."""
    x0, x1, wx = axis(image.shape[1], size_wh[0])
    y0, y1, wy = axis(image.shape[0], size_wh[1])
    wide = image.astype(np.int64)
    rows = np.moveaxis(np.moveaxis(wide[:, x0], 1, -1) * (256 - wx), -1, 1)
    rows += np.moveaxis(np.moveaxis(wide[:, x1], 1, -1) * wx, -1, 1)
    sums = np.moveaxis(np.moveaxis(rows[y0], 0, -1) * (256 - wy), -1, 0)
    sums += np.moveaxis(np.moveaxis(rows[y1], 0, -1) * wy, -1, 0)
    return ((sums + (1 << 15)) >> 16).astype(np.uint8)


def half(image):
    """Mean of each 2 x 2 block, half up; an odd last row or column is dropped."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    even = image[: 2 * height, : 2 * width].astype(np.int64)
    return ((even[::2, ::2] + even[::2, 1::2] + even[1::2, ::2] + even[1::2, 1::2] + 2) // 4).astype(np.uint8)


def resized(image, size_wh):
    while image.shape[0] >= 2 * size_wh[1] and image.shape[1] >= 2 * size_wh[0]:
        image = half(image)
    if image.shape[0] > size_wh[1] and image.shape[1] > size_wh[0]:
        return half(bilinear(image, (2 * size_wh[0], 2 * size_wh[1])))
    return bilinear(image, size_wh)


@pytest.mark.parametrize(
    ("block", "mean"),
    [
        ([[0, 0], [0, 1]], 0),
        ([[0, 0], [1, 1]], 1),  # a half goes up
        ([[1, 1], [0, 1]], 1),
        ([[2, 3], [3, 2]], 3),  # … to an odd number as well
        ([[255, 255], [255, 254]], 255),
        ([[0, 255], [255, 0]], 128),
    ],
    ids=str,
)
def test_the_rounding_of_a_halved_block(block, mean):
    assert halve(np.array(block, np.uint8)).tolist() == [[mean]]


@pytest.mark.parametrize("shape", [(2, 2), (5, 7), (48, 64, 3), (33, 21, 3), (6, 8, 1)], ids=str)
def test_halved(shape):
    image = pixels(*shape)
    assert halve(image).shape == (shape[0] // 2, shape[1] // 2, *shape[2:])
    np.testing.assert_array_equal(halve(image), half(image))


SIZES = [
    ((7, 5), (48, 48)),
    ((48, 48), (48, 48)),
    ((31, 13), (24, 24)),
    ((100, 77), (48, 48)),
    ((97, 95), (48, 48)),
    ((96, 96), (48, 48)),
    ((400, 300), (48, 48)),
    ((300, 50), (24, 24)),
    ((1, 1), (3, 2)),
    ((1, 9), (5, 5)),
    ((9, 1), (4, 4)),
    ((640, 480), (17, 31)),
]


@pytest.mark.parametrize("channels", [(), (1,), (3,)], ids=["gray", "gray with an axis", "colour"])
@pytest.mark.parametrize(("source", "target"), SIZES, ids=str)
def test_resized_byte_for_byte(source, target, channels):
    image = pixels(source[1], source[0], *channels)
    found = resize_exact(image, target)
    assert found.dtype == np.uint8
    assert found.shape == (target[1], target[0], *channels)
    np.testing.assert_array_equal(found, resized(image, target))


@pytest.mark.parametrize(
    ("source", "target"), [((31, 13), (24, 24)), ((7, 5), (48, 48)), ((47, 90), (48, 90))], ids=str
)
def test_growing_is_the_real_bilinear_value_but_for_rounding(source, target):
    # Weights are rounded to 1/256 on each axis, which moves a value by at most 255/512 an axis, and rounding by 0.5.
    image = pixels(source[1], source[0])
    x = np.clip((np.arange(target[0]) + 0.5) * source[0] / target[0] - 0.5, 0, source[0] - 1)
    y = np.clip((np.arange(target[1]) + 0.5) * source[1] / target[1] - 0.5, 0, source[1] - 1)
    real = image.astype(np.float64)
    rows = np.stack([np.interp(x, np.arange(source[0]), row) for row in real])
    exact = np.stack([np.interp(y, np.arange(source[1]), column) for column in rows.T], axis=1)
    assert np.abs(resize_exact(image, target) - exact).max() <= 1.5
    assert np.abs(resize_exact(image, target) - exact).mean() < 0.3


def test_an_image_of_the_right_size_stays_as_it_is():
    image = pixels(48, 48)
    np.testing.assert_array_equal(resize_exact(image, (48, 48)), image)


def test_shrinking_does_not_alias():
    # Stripes of one pixel are gray from afar; nearest or plain bilinear sampling would show black or white.
    stripes = np.zeros((480, 480), np.uint8)
    stripes[:, ::2] = 255
    assert set(np.unique(resize_exact(stripes, (48, 48)))) == {128}


@pytest.mark.parametrize("side", [56, 64, 72, 80, 90, 95])
def test_shrinking_by_less_than_two_leaves_no_more_noise_than_an_area_filter(side):
    """OpenCV's area filter averages all pixels; a bilinear step alone leaves up to 1.6 times its noise."""
    noise = np.random.default_rng(7).normal(128, 25, (side, side)).clip(0, 255).astype(np.uint8)
    area = cv2.resize(noise, (48, 48), interpolation=cv2.INTER_AREA)
    assert resize_exact(noise, (48, 48)).std() <= 1.02 * area.std()


@pytest.mark.parametrize(
    ("bgr", "luma"),
    [
        ((0, 0, 0), 0),
        ((255, 255, 255), 255),
        ((255, 0, 0), 29),  # 255 * 0.114 = 29.07
        ((0, 255, 0), 150),  # 255 * 0.587 = 149.685
        ((0, 0, 255), 76),  # 255 * 0.299 = 76.245
        ((10, 20, 30), 22),  # 1.14 + 11.74 + 8.97 = 21.85
    ],
    ids=str,
)
def test_gray_of_one_colour(bgr, luma):
    assert gray_image(np.full((2, 3, 3), bgr, np.uint8)).tolist() == [[luma] * 3] * 2


def test_gray_is_bt_601_in_32768ths():
    image = pixels(64, 64, 3)
    # round(0.299 * 32768), round(0.587 * 32768), and what is left of 32768 for blue.
    weighted = image.astype(np.int64) @ np.array([3735, 19235, 9798])
    np.testing.assert_array_equal(gray_image(image), (weighted + (1 << 14)) >> 15)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1)], ids=str)
def test_gray_stays_gray(shape):
    image = pixels(*shape)
    np.testing.assert_array_equal(gray_image(image), image.reshape(5, 4))


def test_memory_order_does_not_matter():
    rgb = pixels(40, 60, 3)
    view = rgb[::-1, ::2, ::-1]
    copy = np.ascontiguousarray(view)
    assert not view.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(gray_image(view), gray_image(copy))
    np.testing.assert_array_equal(resize_exact(view, (24, 24)), resize_exact(copy, (24, 24)))
    np.testing.assert_array_equal(halve(view), halve(copy))
    box = np.array([-3, -3, 9, 9], np.float32)
    np.testing.assert_array_equal(crop_square(view, box, 0.0), crop_square(copy, box, 0.0))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[1]], "image: expected a numpy array of uint8, found list"),
        (None, "image: expected a numpy array of uint8, found NoneType"),
        (np.zeros((4, 4)), "image: expected a numpy array of uint8, found float64"),
        (
            np.zeros((4, 4, 2), np.uint8),
            "image: expected (h, w), (h, w, 1) or (h, w, 3) and not empty, found (4, 4, 2)",
        ),
        (
            np.zeros((4, 4, 4), np.uint8),
            "image: expected (h, w), (h, w, 1) or (h, w, 3) and not empty, found (4, 4, 4)",
        ),
        (np.zeros(4, np.uint8), "image: expected (h, w), (h, w, 1) or (h, w, 3) and not empty, found (4,)"),
        (np.zeros((0, 4), np.uint8), "image: expected (h, w), (h, w, 1) or (h, w, 3) and not empty, found (0, 4)"),
        (
            np.zeros((4, 0, 3), np.uint8),
            "image: expected (h, w), (h, w, 1) or (h, w, 3) and not empty, found (4, 0, 3)",
        ),
    ],
    ids=["list", "None", "float", "two channels", "four channels", "one axis", "no rows", "no columns"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_no_image(image, message, channels):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        face_pixels(image, (48, 48), channels)


@pytest.mark.parametrize("shape", [(60, 70), (60, 70, 1), (60, 70, 3)], ids=str)
def test_a_face_in_gray(shape):
    face = pixels(*shape)
    gray = gray_image(face)
    found = face_pixels(face, (24, 32), 1)
    assert found.shape == (32, 24, 1)
    np.testing.assert_array_equal(found[..., 0], resized(gray, (24, 32)))


@pytest.mark.parametrize("shape", [(60, 70), (60, 70, 1)], ids=str)
def test_a_gray_face_in_three_channels(shape):
    face = pixels(*shape)
    found = face_pixels(face, (24, 32), 3)
    assert found.shape == (32, 24, 3)
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], resized(face.reshape(60, 70), (24, 32)))


def test_a_colour_face_in_three_channels():
    face = pixels(60, 70, 3)
    np.testing.assert_array_equal(face_pixels(face, (24, 32), 3), resized(face, (24, 32)))


CODINGS = [
    pytest.param(PixelCoding(mean=0.0, std=255.0), lambda p: p / 255, id="float32 of 0 to 1"),
    pytest.param(PixelCoding(mean=127.5, std=127.5), lambda p: p / 127.5 - 1, id="float32 of -1 to 1"),
    pytest.param(PixelCoding(mean=128.0, std=128.0), lambda p: (p - 128) / 128, id="float32 in 128ths"),
    pytest.param(
        PixelCoding(mean=128.0, std=128.0, dtype="uint8", scale=1 / 128, zero_point=128), lambda p: p, id="uint8 itself"
    ),
    pytest.param(
        PixelCoding(mean=128.0, std=128.0, dtype="int8", scale=1 / 128, zero_point=0),
        lambda p: p - 128,
        id="int8 - 128",
    ),
    pytest.param(  # real values 0..2, of which int8 holds 0..1.275 from zero point -128
        PixelCoding(mean=0.0, std=127.5, dtype="int8", scale=0.005, zero_point=-128),
        lambda p: min(round(p / 127.5 / 0.005) - 128, 127),
        id="int8 clipped above",
    ),
    pytest.param(  # real values -1..1, of which uint8 from zero point 0 holds the positive ones
        PixelCoding(mean=127.5, std=127.5, dtype="uint8", scale=0.01, zero_point=0),
        lambda p: max(round((p / 127.5 - 1) / 0.01), 0),
        id="uint8 clipped below",
    ),
]


@pytest.mark.parametrize(("coding", "value"), CODINGS)
def test_the_coding_of_every_pixel_value(coding, value):
    table = coding.table()
    assert table.dtype == coding.dtype
    if coding.dtype == "float32":
        np.testing.assert_allclose(table, [value(p) for p in range(256)], rtol=2e-7, atol=1e-7)
    else:
        assert table.tolist() == [value(p) for p in range(256)]


def test_encoded_to_a_buffer():
    coding = PixelCoding(mean=128.0, std=128.0, dtype="int8", scale=1 / 128, zero_point=0)
    image = pixels(2, 5, 4, 1)
    buffer = np.empty(image.shape, np.int8)
    assert coding.encode(image, out=buffer) is buffer
    np.testing.assert_array_equal(buffer, image.astype(int) - 128)
    np.testing.assert_array_equal(coding.encode(image), buffer)


def test_a_table_is_shared_and_cannot_be_changed():
    table = PixelCoding(mean=1.0, std=2.0).table()
    assert PixelCoding(mean=1.0, std=2.0).table() is table
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "dtype: expected one of float32, uint8, int8, int16, found 'float16'"),
        ({"std": 0.0}, "std: expected a positive number, found 0.0"),
        ({"std": -1.0}, "std: expected a positive number, found -1.0"),
        ({"std": math.nan}, "std: expected a positive number, found nan"),
        ({"dtype": "int8"}, "scale and zero_point go with a quantized dtype and only with one; dtype is int8"),
        (
            {"dtype": "int8", "scale": 1.0},
            "scale and zero_point go with a quantized dtype and only with one; dtype is int8",
        ),
        (
            {"scale": 1.0, "zero_point": 0},
            "scale and zero_point go with a quantized dtype and only with one; dtype is float32",
        ),
        ({"dtype": "int8", "scale": 0.0, "zero_point": 0}, "scale: expected a positive number, found 0.0"),
    ],
    ids=["dtype", "std 0", "std < 0", "std NaN", "no scale", "no zero point", "float with scale", "scale 0"],
)
def test_a_coding_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        PixelCoding(**{"mean": 0.0, "std": 1.0, **options})


def crop_pixel_by_pixel(frame, box, margin):
    left, top, right, bottom = (float(value) for value in box)
    side = max(round(max(right - left, bottom - top) * (1 + margin)), 1)
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    height, width = frame.shape[:2]
    rows = [min(max(y + row, 0), height - 1) for row in range(side)]
    columns = [min(max(x + column, 0), width - 1) for column in range(side)]
    return np.array([[frame[row, column] for column in columns] for row in rows], np.uint8)


BOXES = {
    "inside": (10, 8, 30, 24),
    "inside, fractions": (10.4, 8.7, 29.9, 24.2),
    "square at the corner": (0, 0, 12, 12),
    "square at the other corner": (28, 18, 40, 30),
    "over the left": (-7, 5, 9, 20),
    "over the top": (5, -7, 20, 9),
    "over the right": (30, 5, 47, 20),
    "over the bottom": (5, 20, 20, 37),
    "over a corner": (-9, -6, 8, 10),
    "over the opposite corner": (33, 24, 50, 38),
    "wholly left": (-40, 5, -20, 20),
    "just left": (-20, 5, 0, 25),
    "wholly above": (5, -40, 20, -22),
    "wholly right": (60, 5, 80, 20),
    "just right": (40, 5, 60, 25),
    "wholly below": (5, 50, 20, 70),
    "beyond a corner": (-40, -40, -22, -22),
    "beyond the opposite corner": (60, 60, 75, 75),
    "larger than the frame": (-20, -30, 70, 60),
    "wider than the frame": (-10, 10, 50, 15),
    "no area": (10, 10, 10, 10),
    "turned over": (20, 20, 10, 10),
    "one pixel beside the frame": (45, 10, 46, 11),
}


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.35, -0.2])
@pytest.mark.parametrize("name", BOXES)
def test_a_crop_pixel_by_pixel(name, margin):
    frame = pixels(30, 40, 3)
    box = np.array(BOXES[name], np.float32)
    np.testing.assert_array_equal(crop_square(frame, box, margin), crop_pixel_by_pixel(frame, box, margin))


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (1, 1, 3), (1, 50, 3)], ids=str)
@pytest.mark.parametrize("name", ["inside", "over a corner", "wholly right"])
def test_a_crop_keeps_the_frames_axes(name, shape):
    frame = pixels(*shape)
    box = np.array(BOXES[name], np.float32)
    found = crop_square(frame, box, 0.1)
    assert found.shape[2:] == shape[2:]
    np.testing.assert_array_equal(found, crop_pixel_by_pixel(frame, box, 0.1))


def test_a_crop_inside_the_frame_is_not_copied():
    frame = pixels(30, 40, 3)
    assert np.shares_memory(crop_square(frame, np.array(BOXES["inside"], np.float32), 0.0), frame)


# SHA-256 of shape, dtype and bytes. They hold on every machine; whoever changes one changes what every trained network
# sees, and must train and convert again.
GOLDEN = {
    "resize 640x480 to 48x48": "d28e04fb2b2c5d96e45649846bd77912579d602f173f9e21b11028333f759b76",
    "resize 161x161 to 160x160": "65760af2bbe97616068955666612d9e03cab22d578ce784ed5e65ab92bd289f1",
    "resize 12x12 to 112x112": "836b6d2010c68c9dc8506205812bacd92fdab7018ce2279bcc7961422ad8f8b5",
    "halve 641x479": "e0fe022c8ab69dbd329a15ef70647d5edfdad0773ead0e7c46ffe6c0f1d60238",
    "gray 320x240": "2760fd98f0e4f8ce063a285444d11d90863bb807cf8618153db70df01e04fadd",
    "face 90x110 to 48x48 gray": "584b4ee78632d6805937c7b76803f2b5357a77d56d0c785d07e6b78ede0aa762",
    "face 90x110 to 112x112 colour": "63967e383396ab01268a1ac07cb6d4d25501670afe19412d1ac12093af485d60",
    "crop over a corner": "6b51345aa80e5d7049919f6ae7a5434b2f91d055be9f4326da583e8d86e1ba3f",
    "float32 coding": "6b186deed767a35b16181d1400a06949e09db2dc362a67d28c5788220f7d26d8",
}


def golden_arrays():
    face = pixels(110, 90, 3, seed=5)
    yield "resize 640x480 to 48x48", resize_exact(pixels(480, 640, 3, seed=1), (48, 48))
    yield "resize 161x161 to 160x160", resize_exact(pixels(161, 161, seed=2), (160, 160))
    yield "resize 12x12 to 112x112", resize_exact(pixels(12, 12, 3, seed=3), (112, 112))
    yield "halve 641x479", halve(pixels(479, 641, 3, seed=4))
    yield "gray 320x240", gray_image(pixels(240, 320, 3, seed=6))
    yield "face 90x110 to 48x48 gray", face_pixels(face, (48, 48), 1)
    yield "face 90x110 to 112x112 colour", face_pixels(face, (112, 112), 3)
    yield "crop over a corner", crop_square(face, np.array([60.5, 70.25, 120, 119], np.float32), 0.1)
    yield "float32 coding", PixelCoding(mean=123.675, std=58.395).encode(face)


def test_golden_digests():
    found = {
        name: hashlib.sha256(f"{array.shape} {array.dtype}".encode() + array.tobytes()).hexdigest()
        for name, array in golden_arrays()
    }
    assert found == GOLDEN
