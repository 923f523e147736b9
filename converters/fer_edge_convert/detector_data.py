"""The photos that an int8 detector is calibrated on, and those that it is measured on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, UsageError
from fer_edge.files import sha256_of_file
from fer_edge.images import read_image
from fer_edge_bench.wider import WiderPhoto, read_wider
from fer_edge_train.labelled_photos import part_of_photo

__all__ = ["MIN_MEASURED_FACES", "DetectorData", "read_detector_data"]

Pixels = npt.NDArray[np.uint8]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_IMAGES_FOLDER = "images"
# Of them about 40,000 crops are drawn from; more change nothing (docs/mtcnn-int8.md).
_MAX_CALIBRATION_PHOTOS = 75
MIN_MEASURED_FACES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorData:
    """Photos of faces, the two kinds without a photo in common.

    Attributes:
        calibration: files of the photos that calibrate.
        calibration_folder: where they are.
        annotations: WIDER FACE's ground truth that the measured photos come with.
        measured: photos and their labelled faces.
    """

    calibration: tuple[Path, ...]
    calibration_folder: Path
    annotations: Path
    measured: tuple[WiderPhoto, ...]

    def calibration_photos(self) -> Iterator[Pixels]:
        """Read the photos that calibrate, one after the other, uint8 (h, w, 3) in B, G, R.

        Raises:
            InputError: one cannot be read.
        """
        return (read_image(path) for path in self.calibration)

    def read(self, photo: WiderPhoto) -> Pixels:
        """Read a measured photo, uint8 (h, w, 3) in B, G, R.

        Raises:
            InputError: it cannot be read.
        """
        return read_image(_path(self.annotations, photo))

    def to_json(self) -> dict[str, Any]:
        """Return what identifies the data, as JSON types."""
        return {
            "calibration": {"folder": self.calibration_folder.name, "photos": len(self.calibration)},
            "measured": {
                "annotations": self.annotations.name,
                "annotations_sha256": sha256_of_file(self.annotations),
                "photos": len(self.measured),
                "faces": sum(len(photo.faces) for photo in self.measured),
            },
        }


def read_detector_data(photos_folder: Path, annotations: Path, *, seed: int) -> DetectorData:
    """Choose the photos that calibrate, and read the labels of those that are measured.

    Calibration takes photos of the part "fit" alone (`part_of_photo`), so that what is measured on a folder's part
    "held-out" later stays unseen.

    Args:
        photos_folder: photos in it and in folders below it.
        annotations: in WIDER FACE's format, the photos in the folder `images` beside it.
        seed: of the choice, where there are more than enough.

    Raises:
        InputError: a folder or a file is missing or is no such, or a photo both calibrates and is measured on.
        UsageError: too few faces are labelled to judge by.
    """
    if not photos_folder.is_dir():
        raise InputError(f"{photos_folder}: expected a folder of photos with faces, found none")
    files = sorted(path for path in photos_folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    usable = [path for path in files if part_of_photo(path.name) == "fit"]
    if not usable:
        raise InputError(
            f"{photos_folder}: expected photos with faces to calibrate the detector, found {len(files)}, none of "
            "them of the part that calibrates (half of all names): give more"
        )
    chosen = np.random.default_rng(seed).permutation(len(usable))[:_MAX_CALIBRATION_PHOTOS]
    calibration = tuple(usable[index] for index in np.sort(chosen))
    measured = read_wider(annotations)
    n_faces = sum(len(photo.faces) for photo in measured)
    if n_faces < MIN_MEASURED_FACES:
        raise UsageError(
            f"{annotations}: expected at least {MIN_MEASURED_FACES} labelled faces, found {n_faces}: too few to tell a "
            "point of average precision from chance; name more with --measure-detector"
        )
    missing = [photo.name for photo in measured if not _path(annotations, photo).is_file()]
    if missing:
        raise InputError(
            f"{annotations}: expected its {len(measured)} photos in {annotations.parent / _IMAGES_FOLDER}, found "
            f"{len(missing)} of them missing, the first {missing[0]}"
        )
    known = {sha256_of_file(path): path for path in calibration}
    for photo in measured:
        path = _path(annotations, photo)
        if (twin := known.get(sha256_of_file(path))) is not None:
            raise InputError(
                f"{twin} and {path}: expected different photos to calibrate and to measure on, found the same one; "
                "figures on photos that calibrated are no figures: choose others"
            )
    return DetectorData(
        calibration=calibration, calibration_folder=photos_folder, annotations=annotations, measured=measured
    )


def _path(annotations: Path, photo: WiderPhoto) -> Path:
    return annotations.parent / _IMAGES_FOLDER / photo.name
