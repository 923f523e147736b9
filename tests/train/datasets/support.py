"""Small picture files in the layouts that data sets are published in."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

from fer_edge_train.datasets import FaceSet, ReadOptions, Skipped

SIDE_PX = 16


def pixels_of(name: str, height: int = SIDE_PX, width: int = SIDE_PX) -> np.ndarray:
    """Return the gray picture that a test's file of this name holds: uint8 (height, width)."""
    return np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (height, width), dtype=np.uint8)


def save(path: Path, image: np.ndarray | None = None) -> Path:
    """Write a picture without loss: TIFF where the name says so, else PNG, which is read whatever the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = ".tiff" if path.suffix.lower() in (".tif", ".tiff") else ".png"
    ok, data = cv2.imencode(suffix, pixels_of(path.name) if image is None else image)
    assert ok
    path.write_bytes(data.tobytes())
    return path


def options(**changes) -> ReadOptions:
    return ReadOptions(**{"size_px": SIDE_PX, "channels": 1, **changes})


def contents(faces: FaceSet) -> list[tuple[str, str]]:
    """Return label and source of each face."""
    return [(faces.labels[i], faces.source(n)) for n, i in enumerate(faces.label_indices)]


def strict() -> Skipped:
    return Skipped(skip_bad=False)


def lenient() -> Skipped:
    return Skipped(skip_bad=True)
