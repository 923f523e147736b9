"""How near a picture is to the one it should be: PSNR and SSIM."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2

__all__ = ["psnr_db", "ssim"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_PEAK = 255.0
# Window and constants of Wang et al. 2004, section III-C.
_WINDOW_PX, _WINDOW_SIGMA = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2


def psnr_db(images: Pixels, references: Pixels) -> Floats:
    """Return the peak signal-to-noise ratio 10 log10(255^2 / MSE) of each image in decibels; infinity where equal.

    Args:
        images: uint8 (n, h, w, c).
        references: the same shape.

    Raises:
        ValueError: the shapes differ.
    """
    _check_shapes(images, references)
    error = images.astype(np.float64) - references
    mean_square = np.square(error).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(_PEAK**2 / mean_square), dtype=np.float64)


def ssim(images: Pixels, references: Pixels) -> Floats:
    """Return the mean structural similarity of each image, -1 to 1.

    Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity" (IEEE
    Transactions on Image Processing 2004), with Gaussian windows that lie wholly inside the picture.

    Args:
        images: uint8 (n, h, w, c), at least 11 pixels high and wide.
        references: the same shape.

    Raises:
        ValueError: the shapes differ, or a window does not fit into the pictures.
    """
    _check_shapes(images, references)
    if min(images.shape[1:3]) < _WINDOW_PX:
        raise ValueError(f"SSIM: expected at least {_WINDOW_PX} x {_WINDOW_PX} pixels, found {images.shape[1:3]}")
    return np.array([_ssim_of_one(a, b) for a, b in zip(images, references, strict=True)], dtype=np.float64)


def _ssim_of_one(image: Pixels, reference: Pixels) -> float:
    x, y = image.astype(np.float64), reference.astype(np.float64)
    mean_x, mean_y = _window_means(x), _window_means(y)
    variances = _window_means(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = _window_means(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    similarity /= (mean_x**2 + mean_y**2 + _C1) * (variances + _C2)
    return float(similarity.mean())


def _window_means(values: Floats) -> Floats:
    """Return the Gaussian-weighted mean of every window inside (h, w, c)."""
    cv2 = import_cv2()
    blurred = cv2.GaussianBlur(values, (_WINDOW_PX, _WINDOW_PX), _WINDOW_SIGMA).reshape(values.shape)
    border = _WINDOW_PX // 2
    return np.asarray(blurred[border:-border, border:-border], dtype=np.float64)


def _check_shapes(images: Pixels, references: Pixels) -> None:
    if images.ndim != 4 or images.shape != references.shape:
        raise ValueError(f"expected two arrays (n, h, w, c) of one shape, found {images.shape} and {references.shape}")
