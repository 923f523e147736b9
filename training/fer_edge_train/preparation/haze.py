"""Synthetic haze over clear pictures: the atmospheric scattering model with random airlight and transmission.

I = J t + A (1 - t): Koschmieder, "Theorie der horizontalen Sichtweite" (1924), in the notation of He, Sun, Tang,
"Single Image Haze Removal Using Dark Channel Prior" (CVPR 2009). J is the clear picture, A the airlight, and
t = exp(-beta d) the share of light that comes through haze of density beta over the distance d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.errors import UsageError

__all__ = ["Haze", "scatter"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

# A field of so few points, drawn up to the picture, varies as slowly as distance does.
_DEPTH_POINTS = 3
_DEPTH_RANGE = (0.5, 1.5)


def scatter(clear: Pixels, transmission: Floats, airlight: Floats) -> Pixels:
    """Return pictures seen through haze: clear * t + 255 A (1 - t), rounded.

    Args:
        clear: uint8 (n, h, w, c).
        transmission: t, 0 to 1, (n, h, w).
        airlight: A, 0 to 1, (n,); gray, so every channel gets the same.
    """
    t = transmission[..., np.newaxis]
    light = 255.0 * airlight[:, np.newaxis, np.newaxis, np.newaxis]
    return np.rint(clear * t + light * (1.0 - t)).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Haze:
    """Ranges that each picture's haze is drawn from, uniformly and independently.

    Attributes:
        airlight_range: A; 1 is white.
        transmission_range: t at the distance 1; the distance varies from 0.5 to 1.5 where it varies.
        smooth_share: share of the hazy pictures whose distance changes smoothly across the picture.
        clear_share: share of all pictures that stay without haze.
    """

    airlight_range: tuple[float, float] = (0.7, 1.0)
    transmission_range: tuple[float, float] = (0.3, 0.9)
    smooth_share: float = 0.5
    clear_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("airlight_range", "transmission_range"):
            low, high = getattr(self, name)
            if not 0.0 <= low <= high <= 1.0:
                raise UsageError(f"{name}: expected two numbers from 0 to 1 in order, found {low:g} and {high:g}")
        for name in ("smooth_share", "clear_share"):
            share = getattr(self, name)
            if not 0.0 <= share <= 1.0:
                raise UsageError(f"{name}: expected a number from 0 to 1, found {share:g}")

    def apply(self, clear: Pixels, rng: np.random.Generator) -> Pixels:
        """Return hazy copies of uint8 (n, h, w, c)."""
        cv2 = import_cv2()
        n, height, width = len(clear), clear.shape[1], clear.shape[2]
        airlight = rng.uniform(*self.airlight_range, size=(n,))
        transmission = rng.uniform(*self.transmission_range, size=(n,))
        is_smooth = rng.random((n,)) < self.smooth_share
        points = rng.uniform(*_DEPTH_RANGE, size=(n, _DEPTH_POINTS, _DEPTH_POINTS))
        is_clear = rng.random((n,)) < self.clear_share

        field = np.empty((n, height, width))
        for i in range(n):
            depth = cv2.resize(points[i], (width, height), interpolation=cv2.INTER_LINEAR) if is_smooth[i] else 1.0
            field[i] = transmission[i] ** depth  # exp(-beta)^d
        field[is_clear] = 1.0
        return scatter(clear, field, airlight)
