"""Reads what a detector found on a set of photos, as `benchmarks/peers/detection_recording.py` writes it.

JSON, plain or gzip: schema, detector, versions (by package), settings, and for each photo, by its path relative to
the data's root: size_wh, boxes_xyxy, scores, landmarks_xy.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_bench.detection_metrics import Detections

__all__ = ["DetectionRecord", "RecordedPhoto", "read_detection_record"]

_SCHEMA = 1
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedPhoto:
    """What was found in one photo, by descending score.

    Attributes:
        size_wh: the photo's width and height in pixels, as decoded.
        detections: n boxes in pixels and their scores.
        landmarks_xy: float64 (n, 5, 2), pixels: left eye, right eye, nose, left and right mouth corner.
    """

    size_wh: tuple[int, int]
    detections: Detections
    landmarks_xy: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRecord:
    """A detector's record.

    Attributes:
        detector: name of the package.
        versions: of Python and of the packages that decide the result.
        settings: what the detector was given, as JSON types.
        photos: by path relative to the data's root, with forward slashes.
    """

    detector: str
    versions: dict[str, str]
    settings: dict[str, Any]
    photos: dict[str, RecordedPhoto]

    def detections_below(self, folder: str) -> dict[str, Detections]:
        """Return the detections in the photos below `folder`, by path relative to it."""
        prefix = f"{folder.rstrip('/')}/"
        return {
            name.removeprefix(prefix): photo.detections
            for name, photo in self.photos.items()
            if name.startswith(prefix)
        }


def read_detection_record(path: Path) -> DetectionRecord:
    """Return a record from its file.

    Raises:
        InputError: the file cannot be read or is not a record of this schema.
    """
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if data.startswith(_GZIP_MAGIC) else data
        content = json.loads(text)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; expected a detection record as JSON, plain or gzip") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != _SCHEMA:
        raise InputError(f"{path}: expected a detection record of schema {_SCHEMA}, found {schema!r}; record it again")
    try:
        return DetectionRecord(
            detector=content["detector"],
            versions=content["versions"],
            settings=content["settings"],
            photos={name: _photo(entry) for name, entry in content["photos"].items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: not a whole detection record ({error!r}); record it again") from error


def _photo(entry: dict[str, Any]) -> RecordedPhoto:
    width_px, height_px = entry["size_wh"]
    scores = np.array(entry["scores"], dtype=np.float64)
    detections = Detections(
        boxes_xyxy=np.array(entry["boxes_xyxy"], dtype=np.float64).reshape(-1, 4),
        scores=scores,
    )
    landmarks_xy = np.array(entry["landmarks_xy"], dtype=np.float64).reshape(len(scores), 5, 2)
    return RecordedPhoto(size_wh=(width_px, height_px), detections=detections, landmarks_xy=landmarks_xy)
