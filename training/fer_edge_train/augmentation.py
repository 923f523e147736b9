"""Random changes of training faces that a camera or a careless crop makes too.

Works on uint8 pixels and gives uint8 pixels, so that what follows is the runtime's own preprocessing.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.errors import UsageError

__all__ = ["AUGMENTATIONS", "Augmentation", "augmentation_named"]

Pixels = npt.NDArray[np.uint8]

_ERASED_ASPECT = 3.0  # an erased box is at most this many times longer one way than the other


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Ranges that each face's change is drawn from, uniformly and independently. The default changes nothing.

    Attributes:
        mirror_probability: of a left-right flip.
        rotation_deg: rotation within plus or minus this.
        scale_range: factor of size.
        shift_fraction: shift in x and in y within plus or minus this part of the side.
        shear_deg: horizontal shear within plus or minus this.
        contrast_range: factor around mid-gray (128).
        brightness: addition to pixel values within plus or minus this.
        blur_probability: of a loss of detail, as of a face that was small in its photo: shrunk, then enlarged.
        blur_range: the factor it is shrunk by.
        noise_std_max: standard deviation of added Gaussian noise, in pixel values, drawn from 0 to this.
        erase_probability: of a box replaced by one gray value (Zhong et al., "Random Erasing", 2017).
        erase_area_range: the box's share of the picture.
    """

    mirror_probability: float = 0.0
    rotation_deg: float = 0.0
    scale_range: tuple[float, float] = (1.0, 1.0)
    shift_fraction: float = 0.0
    shear_deg: float = 0.0
    contrast_range: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    blur_probability: float = 0.0
    blur_range: tuple[float, float] = (0.4, 0.9)
    noise_std_max: float = 0.0
    erase_probability: float = 0.0
    erase_area_range: tuple[float, float] = (0.02, 0.2)

    def apply(self, images: Pixels, rng: np.random.Generator) -> Pixels:
        """Return changed copies of uint8 (n, h, w, c); pixels from outside repeat the border."""
        cv2 = import_cv2()
        n, height, width, channels = images.shape
        matrices = self._matrices(n, (width, height), rng)
        tables = self._tables(n, rng)
        changed = np.empty_like(images)
        for i in range(n):
            warped = cv2.warpAffine(images[i], matrices[i], (width, height), borderMode=cv2.BORDER_REPLICATE)
            changed[i] = tables[i][warped].reshape(height, width, channels)
        if self.blur_probability:
            self._blur(changed, rng)
        if self.noise_std_max:
            self._add_noise(changed, rng)
        if self.erase_probability:
            self._erase(changed, rng)
        return changed

    def _matrices(self, n: int, size_wh: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Return affine maps (n, 2, 3) from old to new positions: mirror, then shear, rotation and size, then shift."""
        mirrored = rng.random(n) < self.mirror_probability
        angle_rad = np.deg2rad(rng.uniform(-self.rotation_deg, self.rotation_deg, n))
        size_factor = rng.uniform(*self.scale_range, n)
        shift_px = rng.uniform(-self.shift_fraction, self.shift_fraction, (n, 2)) * size_wh

        center = (np.array(size_wh) - 1) / 2
        cos, sin = np.cos(angle_rad) * size_factor, np.sin(angle_rad) * size_factor
        sign = np.where(mirrored, -1.0, 1.0)
        matrices = np.empty((n, 2, 3))
        matrices[:, 0, 0], matrices[:, 0, 1] = sign * cos, sin
        matrices[:, 1, 0], matrices[:, 1, 1] = -sign * sin, cos
        if self.shear_deg:
            slope = np.tan(np.deg2rad(rng.uniform(-self.shear_deg, self.shear_deg, n)))
            matrices[:, :, 1] += slope[:, np.newaxis] * matrices[:, :, 0]
        matrices[:, :, 2] = center + shift_px - matrices[:, :, :2] @ center
        return matrices

    def _tables(self, n: int, rng: np.random.Generator) -> Pixels:
        """Return the new value of each of the 256 pixel values, for each face."""
        contrast = rng.uniform(*self.contrast_range, n)
        brightness = rng.uniform(-self.brightness, self.brightness, n)
        values = np.arange(256, dtype=np.float64)
        tables = (values - 128.0) * contrast[:, np.newaxis] + 128.0 + brightness[:, np.newaxis]
        return np.clip(np.rint(tables), 0, 255).astype(np.uint8)

    def _blur(self, images: Pixels, rng: np.random.Generator) -> None:
        cv2 = import_cv2()
        n, height, width, channels = images.shape
        chosen = rng.random(n) < self.blur_probability
        factors = np.asarray(rng.uniform(*self.blur_range, n))
        for i in np.flatnonzero(chosen):
            small_wh = max(round(width * factors[i]), 2), max(round(height * factors[i]), 2)
            small = cv2.resize(images[i], small_wh, interpolation=cv2.INTER_AREA)
            images[i] = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(
                height, width, channels
            )

    def _add_noise(self, images: Pixels, rng: np.random.Generator) -> None:
        std = rng.uniform(0.0, self.noise_std_max, len(images)).astype(np.float32)
        noise = rng.standard_normal(images.shape, dtype=np.float32)
        noise *= std[:, np.newaxis, np.newaxis, np.newaxis]
        noise += images
        np.rint(noise, out=noise)
        np.clip(noise, 0, 255, out=noise)
        images[...] = noise

    def _erase(self, images: Pixels, rng: np.random.Generator) -> None:
        n, height, width = images.shape[:3]
        chosen = rng.random(n) < self.erase_probability
        area_px = rng.uniform(*self.erase_area_range, n) * height * width
        aspect = np.exp(rng.uniform(-np.log(_ERASED_ASPECT), np.log(_ERASED_ASPECT), n))
        heights = np.clip(np.rint(np.sqrt(area_px * aspect)), 1, height).astype(int)
        widths = np.clip(np.rint(np.sqrt(area_px / aspect)), 1, width).astype(int)
        places = rng.random((n, 2))
        grays = np.asarray(rng.integers(0, 256, n))
        for i in np.flatnonzero(chosen):
            y, x = int(places[i, 0] * (height - heights[i] + 1)), int(places[i, 1] * (width - widths[i] + 1))
            images[i, y : y + heights[i], x : x + widths[i]] = grays[i]

    def to_json(self) -> dict[str, Any]:
        """Return the ranges as JSON types."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(
        mirror_probability=0.5,
        rotation_deg=10.0,
        scale_range=(0.9, 1.1),
        shift_fraction=0.0625,
        contrast_range=(0.8, 1.2),
        brightness=20.0,
    ),
    # Papers C and D name the kinds of change (Keras' ImageDataGenerator) but not their ranges; these are the ones most
    # used with it.
    "paper-c": Augmentation(mirror_probability=0.5, rotation_deg=10.0, scale_range=(0.9, 1.1), shift_fraction=0.1),
    "paper-d": Augmentation(
        mirror_probability=0.5, rotation_deg=15.0, scale_range=(0.85, 1.15), shift_fraction=0.1, shear_deg=8.0
    ),
    "medium": Augmentation(
        mirror_probability=0.5,
        rotation_deg=12.0,
        scale_range=(0.85, 1.15),
        shift_fraction=0.08,
        contrast_range=(0.7, 1.3),
        brightness=25.0,
        erase_probability=0.25,
    ),
    "strong": Augmentation(
        mirror_probability=0.5,
        rotation_deg=15.0,
        scale_range=(0.8, 1.2),
        shift_fraction=0.1,
        shear_deg=5.0,
        contrast_range=(0.6, 1.4),
        brightness=30.0,
        blur_probability=0.2,
        noise_std_max=5.0,
        erase_probability=0.3,
    ),
}


def augmentation_named(name: str) -> Augmentation:
    """Return one of AUGMENTATIONS.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in AUGMENTATIONS:
        near = difflib.get_close_matches(name, AUGMENTATIONS, n=1)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(AUGMENTATIONS)
        raise UsageError(f"no augmentation is named {name!r}; {hint}")
    return AUGMENTATIONS[name]
