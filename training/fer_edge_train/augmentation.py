"""Random changes of training faces that a camera or a careless crop makes too.

Works on uint8 pixels and gives uint8 pixels, so that what follows is the runtime's own preprocessing.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.errors import UsageError

__all__ = ["AUGMENTATIONS", "Augmentation", "Changes", "augmentation_named"]

Pixels = npt.NDArray[np.uint8]

_ERASED_ASPECT = 3.0  # an erased box is at most this many times longer one way than the other


class Changes(NamedTuple):
    """What is done to each of n faces, in this order; whoever does it works on the same numbers.

    Attributes:
        matrices: float64 (n, 2, 3), affine maps from old to new positions; pixels from outside repeat the border.
        contrast: float64 (n,), factor around mid-gray (128).
        brightness: float64 (n,), added to pixel values after it.
        small_hw: int64 (n, 2), height and width to shrink to and enlarge from; 0 where nothing is shrunk.
        noise_std: float64 (n,), of Gaussian noise in pixel values.
        erased_yxyx: int64 (n, 4), rows and columns (from, up to) that become one gray value; empty where nothing does.
        grays: int64 (n,), that value.
    """

    matrices: npt.NDArray[np.float64]
    contrast: npt.NDArray[np.float64]
    brightness: npt.NDArray[np.float64]
    small_hw: npt.NDArray[np.int64]
    noise_std: npt.NDArray[np.float64]
    erased_yxyx: npt.NDArray[np.int64]
    grays: npt.NDArray[np.int64]

    def part(self, start: int, stop: int) -> Changes:
        """Return what is done to the faces from `start` up to `stop`."""
        chosen: dict[str, Any] = {name: values[start:stop] for name, values in self._asdict().items()}
        return Changes(**chosen)


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
        changes = self.draw(n, (height, width), rng)
        tables = _tables(changes)
        changed = np.empty_like(images)
        for i in range(n):
            warped = cv2.warpAffine(images[i], changes.matrices[i], (width, height), borderMode=cv2.BORDER_REPLICATE)
            changed[i] = tables[i][warped].reshape(height, width, channels)
        _blur(changed, changes.small_hw)
        if changes.noise_std.any():
            _add_noise(changed, changes.noise_std, rng)
        for image, (top, bottom, left, right), gray in zip(changed, changes.erased_yxyx, changes.grays, strict=True):
            image[top:bottom, left:right] = gray
        return changed

    def draw(self, n: int, size_hw: tuple[int, int], rng: np.random.Generator) -> Changes:
        """Draw the changes of n faces of a size; the noise itself is drawn by whoever adds it."""
        height, width = size_hw
        matrices = self._matrices(n, (width, height), rng)
        contrast = np.asarray(rng.uniform(*self.contrast_range, n))
        brightness = np.asarray(rng.uniform(-self.brightness, self.brightness, n))
        small_hw = np.zeros((n, 2), np.int64)
        if self.blur_probability:
            chosen = rng.random(n) < self.blur_probability
            factors = np.asarray(rng.uniform(*self.blur_range, n))[:, np.newaxis]
            small_hw[chosen] = np.maximum(np.rint(factors * size_hw), 2)[chosen]
        noise_std = np.zeros(n)
        if self.noise_std_max:
            noise_std = np.asarray(rng.uniform(0.0, self.noise_std_max, n))
        erased, grays = self._erased(n, size_hw, rng)
        return Changes(matrices, contrast, brightness, small_hw, noise_std, erased, grays)

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

    def _erased(
        self, n: int, size_hw: tuple[int, int], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the boxes int64 (n, 4) and gray values (n,) of `Changes`."""
        erased, grays = np.zeros((n, 4), np.int64), np.zeros(n, np.int64)
        if not self.erase_probability:
            return erased, grays
        height, width = size_hw
        chosen = rng.random(n) < self.erase_probability
        area_px = rng.uniform(*self.erase_area_range, n) * height * width
        aspect = np.exp(rng.uniform(-np.log(_ERASED_ASPECT), np.log(_ERASED_ASPECT), n))
        heights = np.clip(np.rint(np.sqrt(area_px * aspect)), 1, height).astype(int)
        widths = np.clip(np.rint(np.sqrt(area_px / aspect)), 1, width).astype(int)
        places = rng.random((n, 2))
        grays = np.asarray(rng.integers(0, 256, n), dtype=np.int64)
        top = (places[:, 0] * (height - heights + 1)).astype(int)
        left = (places[:, 1] * (width - widths + 1)).astype(int)
        erased[chosen] = np.stack([top, top + heights, left, left + widths], axis=1)[chosen]
        return erased, grays

    def to_json(self) -> dict[str, Any]:
        """Return the ranges as JSON types."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _tables(changes: Changes) -> Pixels:
    """Return the new value of each of the 256 pixel values, for each face."""
    values = np.arange(256, dtype=np.float64)
    tables = (values - 128.0) * changes.contrast[:, np.newaxis] + 128.0 + changes.brightness[:, np.newaxis]
    return np.clip(np.rint(tables), 0, 255).astype(np.uint8)


def _blur(images: Pixels, small_hw: npt.NDArray[np.int64]) -> None:
    cv2 = import_cv2()
    _, height, width, channels = images.shape
    for i in np.flatnonzero(small_hw[:, 0]):
        small_wh = int(small_hw[i, 1]), int(small_hw[i, 0])
        small = cv2.resize(images[i], small_wh, interpolation=cv2.INTER_AREA)
        images[i] = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, channels)


def _add_noise(images: Pixels, noise_std: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    noise *= noise_std.astype(np.float32)[:, np.newaxis, np.newaxis, np.newaxis]
    noise += images
    np.rint(noise, out=noise)
    np.clip(noise, 0, 255, out=noise)
    images[...] = noise


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
