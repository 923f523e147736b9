"""The faces of a conversion: which may calibrate, and which are held out to measure on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError, UsageError
from fer_edge.files import sha256_of_file
from fer_edge_train.datasets import Dataset, FaceSet, ReadOptions, read_dataset

__all__ = ["ConversionData", "HeldOut", "read_conversion_data"]

_TRAINING_PARTS = ("Training", "train")
_TEST_PARTS = ("PublicTest", "test")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """Faces that nothing was trained, calibrated or chosen on.

    Attributes:
        name: of the part, e.g. "PublicTest"; figures are filed under it.
        title: of the data set and the part.
        faces: at least one.
    """

    name: str
    title: str
    faces: FaceSet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConversionData:
    """What a conversion is given.

    Attributes:
        pool: training faces that calibration may draw from: neither constant nor in the held-out part.
        pool_title: the data set and its part.
        pool_sha256: of the data set's file; None where it is a folder.
        n_shared: training images left out because the held-out part of the same data set has them too.
        held_out: what is measured on.
    """

    pool: FaceSet
    pool_title: str
    pool_sha256: str | None
    n_shared: int
    held_out: HeldOut

    def to_json(self) -> dict[str, Any]:
        """Return what identifies the data, as JSON types."""
        return {
            "calibration": {"data": self.pool_title, "data_file_sha256": self.pool_sha256},
            "held_out": {
                "data": self.held_out.title,
                "images": len(self.held_out.faces),
                "digest": self.held_out.faces.digest(),
                "shared_with_training_and_left_out_there": self.n_shared,
            },
        }


def read_conversion_data(calibrate: str, measure: str | None, shape_hwc: tuple[int, int, int]) -> ConversionData:
    """Read the training part of one data set, and the test part of the same or of another.

    Args:
        calibrate: what `read_dataset` takes; its published training part is the pool.
        measure: another data set to measure on, by its test part or, undivided, as a whole; None for the same one.
        shape_hwc: of the network's input.

    Raises:
        InputError: the data cannot be read, the two data sets share images, or the network's input is not square.
        UsageError: a data set has no part for its purpose.
    """
    height, width, channels = shape_hwc
    if height != width:
        raise InputError(
            f"expected a network that takes squares, as faces are cut out, found {height} x {width} pixels"
        )
    options = ReadOptions(size_px=height, channels=channels)
    training = read_dataset(calibrate, options)
    other = read_dataset(measure, options) if measure else training
    pool_name = _part(training, _TRAINING_PARTS, "calibration needs a training part")
    test_name = _part(
        other,
        (*_TEST_PARTS, "all") if measure else _TEST_PARTS,
        "measuring needs a test part; name a data set with --measure",
    )
    held_out = other.split(test_name)
    distinct = training.split(pool_name).without_constant_images()
    pool = distinct.without_images_of(held_out)
    n_shared = len(distinct) - len(pool)
    if measure and n_shared:
        raise InputError(
            f"{calibrate} and {measure}: expected different faces, found {n_shared} images in both; "
            "figures on images that calibrated are no figures: choose other data"
        )
    path = Path(calibrate.removeprefix(f"{training.name}:"))
    return ConversionData(
        pool=pool,
        pool_title=f"{training.title} {pool_name}",
        pool_sha256=sha256_of_file(path) if path.is_file() else None,
        n_shared=n_shared,
        held_out=HeldOut(name=test_name, title=f"{other.title} {test_name}", faces=held_out),
    )


def _part(data: Dataset, wanted: tuple[str, ...], need: str) -> str:
    for name in wanted:
        if name in data.splits:
            return name
    raise UsageError(f"{data.title} has the parts {', '.join(data.splits)}, expected {' or '.join(wanted)}; {need}")
