"""From pixels to a network's input: the one definition that training, conversion, evaluation and devices share.

Every operation here gives the same bytes on x86-64 and aarch64. OpenCV's INTER_LINEAR, INTER_AREA and INTER_CUBIC do
not; its fixed-point INTER_LINEAR_EXACT, its gray conversion and integer look-ups do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError

__all__ = ["PixelCoding", "crop_square", "face_pixels", "gray_image", "halve", "resize_exact"]

Pixels = npt.NDArray[np.uint8]

_INPUT_DTYPES = ("float32", "uint8", "int8", "int16")


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelCoding:
    """How a pixel value 0..255 becomes the number a network takes.

    The network was trained on `(pixel - mean) / std`. A quantized input holds `round(that / scale) + zero_point`,
    clipped to its type. With mean 128, std 128 and scale 1/128 the coding is exact: uint8 inputs are the pixels
    themselves, int8 inputs the pixels minus 128.

    Attributes:
        mean, std: in pixel values.
        dtype: of the input: "float32", "uint8", "int8" or "int16".
        scale, zero_point: of a quantized input; None for float32.
    """

    mean: float
    std: float
    dtype: str = "float32"
    scale: float | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in _INPUT_DTYPES:
            raise ValueError(f"dtype: expected one of {', '.join(_INPUT_DTYPES)}, found {self.dtype!r}")
        if not self.std > 0:
            raise ValueError(f"std: expected a positive number, found {self.std}")
        quantized = self.dtype != "float32"
        if quantized != (self.scale is not None) or quantized != (self.zero_point is not None):
            raise ValueError(f"scale and zero_point go with a quantized dtype and only with one; dtype is {self.dtype}")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"scale: expected a positive number, found {self.scale}")

    def table(self) -> npt.NDArray[Any]:
        """Return the 256 input values, one for each pixel value, in the input's dtype."""
        return _coding_table(self)

    def encode(self, pixels: Pixels, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """Return the network's input for uint8 pixels of any shape; written to `out` where it is given."""
        if out is None:
            out = np.empty(pixels.shape, dtype=self.dtype)
        if pixels.size:
            # Less than half of the time that numpy's take has.
            import_cv2().LUT(pixels.reshape(1, -1), self.table(), dst=out.reshape(1, -1))
        return out


@lru_cache(maxsize=32)
def _coding_table(coding: PixelCoding) -> npt.NDArray[Any]:
    real = (np.arange(256, dtype=np.float64) - coding.mean) / coding.std
    if coding.scale is None or coding.zero_point is None:
        table: npt.NDArray[Any] = real.astype(np.float32)
    else:
        limits = np.iinfo(coding.dtype)
        table = np.clip(np.rint(real / coding.scale) + coding.zero_point, limits.min, limits.max).astype(coding.dtype)
    table.setflags(write=False)
    return table


def halve(image: Pixels) -> Pixels:
    """Return the image at half its width and height (rounded down): each pixel the rounded mean of a 2 x 2 block."""
    cv2 = import_cv2()

    height, width = image.shape[0] // 2, image.shape[1] // 2
    even = image[: 2 * height, : 2 * width]
    return _with_channel_axis(cv2.resize(even, (width, height), interpolation=cv2.INTER_LINEAR_EXACT), image)


def resize_exact(image: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """Resize with the same bytes on every machine; an image that shrinks is averaged, not sampled.

    It is halved (2 x 2 means) while it stays at least twice as large as the target in both directions, brought to
    twice the target's size by one bilinear step (OpenCV's fixed-point INTER_LINEAR_EXACT), and halved once more: a
    bilinear step alone skips pixels where it shrinks. One that grows takes the bilinear step alone.

    Args:
        image: uint8 (height, width) or (height, width, channels), not empty.
        size_wh: the target's width and height in pixels.

    Returns:
        uint8 (size_wh[1], size_wh[0]) or (size_wh[1], size_wh[0], channels).
    """
    cv2 = import_cv2()

    width, height = size_wh
    while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
        image = halve(image)
    if image.shape[0] == height and image.shape[1] == width:
        return image
    if image.shape[0] > height and image.shape[1] > width:
        doubled = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR_EXACT)
        return _with_channel_axis(halve(doubled), image)
    return _with_channel_axis(cv2.resize(image, size_wh, interpolation=cv2.INTER_LINEAR_EXACT), image)


def _with_channel_axis(resized: Any, like: Pixels) -> Pixels:
    """OpenCV drops an axis of one channel; put it back where `like` has it."""
    pixels: Pixels = resized
    return pixels[..., np.newaxis] if pixels.ndim < like.ndim else pixels


def gray_image(image: Pixels) -> Pixels:
    """Return uint8 (height, width): the luma (BT.601) of B, G, R pixels, or the image itself where it has no colour.

    Raises:
        InputError: the array is not uint8 (h, w), (h, w, 1) or (h, w, 3), or is empty.
    """
    cv2 = import_cv2()

    _check_image(image)
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[..., 0]
    gray: Pixels = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return gray


def face_pixels(face: Pixels, size_wh: tuple[int, int], channels: int) -> Pixels:
    """Bring a crop of a face to a classifier's size and colour.

    Args:
        face: uint8 (h, w), (h, w, 1) or (h, w, 3) in B, G, R; any size.
        size_wh: the classifier's input width and height in pixels.
        channels: 1 for gray, 3 for B, G, R.

    Returns:
        uint8 (size_wh[1], size_wh[0], channels).

    Raises:
        InputError: `face` is not such an array.
    """
    if channels == 1:
        return resize_exact(gray_image(face), size_wh)[..., np.newaxis]
    _check_image(face)
    if face.ndim == 2 or face.shape[2] == 1:
        face = np.repeat(face.reshape(*face.shape[:2], 1), channels, axis=2)
    return resize_exact(face, size_wh)


def crop_square(frame: Pixels, box_xyxy: npt.NDArray[np.float32], margin: float) -> Pixels:
    """Cut the square around a face; what lies outside the frame repeats its border.

    Args:
        frame: uint8 (height, width, ...).
        box_xyxy: left, top, right, bottom in pixels.
        margin: the square's side is the box's longer side times (1 + margin).

    Returns:
        uint8 (side, side, ...), a view of the frame where the square lies inside it.
    """
    cv2 = import_cv2()

    left, top, right, bottom = (float(value) for value in box_xyxy)
    side = max(round(max(right - left, bottom - top) * (1.0 + margin)), 1)
    x = round((left + right - side) / 2)
    y = round((top + bottom - side) / 2)
    height, width = frame.shape[:2]
    # A square wholly outside the frame sees the nearest border pixels.
    x0, x1 = (min(max(value, low), high) for value, low, high in ((x, 0, width - 1), (x + side, 1, width)))
    y0, y1 = (min(max(value, low), high) for value, low, high in ((y, 0, height - 1), (y + side, 1, height)))
    inside = frame[y0:y1, x0:x1]
    if inside.shape[:2] == (side, side):
        return inside
    before_y, before_x = min(max(y0 - y, 0), side - (y1 - y0)), min(max(x0 - x, 0), side - (x1 - x0))
    padded = cv2.copyMakeBorder(
        inside,
        before_y,
        side - (y1 - y0) - before_y,
        before_x,
        side - (x1 - x0) - before_x,
        cv2.BORDER_REPLICATE,
    )
    return _with_channel_axis(padded, frame)


def _check_image(image: Any) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"image: expected a numpy array of uint8, found {found}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)) or image.size == 0:
        raise InputError(f"image: expected (h, w), (h, w, 1) or (h, w, 3) and not empty, found {image.shape}")
