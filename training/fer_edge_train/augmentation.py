"""Random changes of training faces that a camera makes too: mirror, rotation, size, position, contrast, brightness.

Works on uint8 pixels and gives uint8 pixels, so that what follows is the runtime's own preprocessing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2

__all__ = ["Augmentation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Ranges that each face's change is drawn from, uniformly and independently.

    Attributes:
        mirror_probability: of a left-right flip.
        rotation_deg: rotation within plus or minus this.
        scale_range: factor of size.
        shift_fraction: shift in x and in y within plus or minus this part of the side.
        contrast_range: factor around mid-gray (128).
        brightness: addition to pixel values within plus or minus this.
    """

    mirror_probability: float = 0.5
    rotation_deg: float = 10.0
    scale_range: tuple[float, float] = (0.9, 1.1)
    shift_fraction: float = 0.0625
    contrast_range: tuple[float, float] = (0.8, 1.2)
    brightness: float = 20.0

    def apply(self, images: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Return changed copies of uint8 (n, h, w, c); pixels from outside repeat the border."""
        cv2 = import_cv2()
        n = len(images)
        height, width, channels = images.shape[1:]
        mirrored = rng.random(n) < self.mirror_probability
        angle_rad = np.deg2rad(rng.uniform(-self.rotation_deg, self.rotation_deg, n))
        size_factor = rng.uniform(*self.scale_range, n)
        shift_px = rng.uniform(-self.shift_fraction, self.shift_fraction, (n, 2)) * (width, height)
        contrast = rng.uniform(*self.contrast_range, n)
        brightness = rng.uniform(-self.brightness, self.brightness, n)

        center = np.array([(width - 1) / 2, (height - 1) / 2])
        cos, sin = np.cos(angle_rad) * size_factor, np.sin(angle_rad) * size_factor
        sign = np.where(mirrored, -1.0, 1.0)
        matrices = np.empty((n, 2, 3))
        matrices[:, 0, 0], matrices[:, 0, 1] = sign * cos, sin
        matrices[:, 1, 0], matrices[:, 1, 1] = -sign * sin, cos
        matrices[:, :, 2] = center + shift_px - matrices[:, :, :2] @ center

        values = np.arange(256, dtype=np.float64)
        tables = (values - 128.0) * contrast[:, np.newaxis] + 128.0 + brightness[:, np.newaxis]
        tables_u8 = np.clip(np.rint(tables), 0, 255).astype(np.uint8)

        changed = np.empty_like(images)
        for i in range(n):
            warped = cv2.warpAffine(images[i], matrices[i], (width, height), borderMode=cv2.BORDER_REPLICATE)
            changed[i] = tables_u8[i][warped].reshape(height, width, channels)
        return changed
