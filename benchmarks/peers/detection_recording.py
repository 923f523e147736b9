"""Runs a public face detector over folders of photos and records what it found as one compact JSON file.

Needs only numpy and OpenCV, so that it works in the environment of any peer; fer-edge is not imported.
`fer_edge_bench.detection_record` reads the file.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["FaceRow", "record_main"]

SCHEMA = 1
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")

# Box x1, y1, x2, y2; score; five landmarks x, y: left eye, right eye, nose, left and right mouth corner (pixels).
FaceRow = tuple[Sequence[float], float, Sequence[Sequence[float]]]
Detect = Callable[[npt.NDArray[np.uint8]], list[FaceRow]]


def record_main(
    detector: str, packages: Sequence[str], settings: dict[str, Any], detect: Detect, decimals: int | None
) -> int:
    """Read the arguments, detect on every photo and write the record.

    Args:
        detector: name of the package that is measured.
        packages: distributions whose versions decide the result.
        settings: what the detector was given, as JSON types.
        detect: takes uint8 (height, width, 3) in R, G, B order.
        decimals: of coordinates in the record; None for a detector that gives whole pixels.
    """
    parser = argparse.ArgumentParser(description=f"Record what {detector} finds in folders of photos.")
    parser.add_argument("data_root", type=Path, help="folder that the recorded paths are relative to")
    parser.add_argument("folders", nargs="+", help="folders below it that hold photos")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the record to write (.json or .json.gz)")
    args = parser.parse_args()

    cv2.setNumThreads(1)
    photos: dict[str, Any] = {}
    started_s = time.perf_counter()
    for path in _photo_paths(args.data_root, args.folders):
        image_bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if image_bgr is None:
            sys.exit(f"{path}: OpenCV cannot decode this photo")
        faces = sorted(detect(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)), key=lambda face: -face[1])
        photos[path.relative_to(args.data_root).as_posix()] = {
            "size_wh": [image_bgr.shape[1], image_bgr.shape[0]],
            "boxes_xyxy": [[_rounded(value, decimals) for value in box] for box, _, _ in faces],
            "scores": [round(float(score), 5) for _, score, _ in faces],
            "landmarks_xy": [[[_rounded(v, decimals) for v in point] for point in points] for _, _, points in faces],
        }
        sys.stderr.write(f"{len(photos)}: {path.name}: {len(faces)} faces\n")
    if not photos:
        sys.exit(f"{args.data_root}: no photos ({', '.join(PHOTO_SUFFIXES)}) below {', '.join(args.folders)}")

    record = {
        "schema": SCHEMA,
        "detector": detector,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "settings": settings,
        "photos": photos,
    }
    data = json.dumps(record, separators=(",", ":")).encode()
    # Without a time in the gzip header the same detections give the same bytes.
    args.output.write_bytes(gzip.compress(data, mtime=0) if args.output.suffix == ".gz" else data)
    n_faces = sum(len(photo["scores"]) for photo in photos.values())
    seconds = time.perf_counter() - started_s
    sys.stderr.write(f"{args.output}: {n_faces} faces in {len(photos)} photos, {seconds:.0f} s\n")
    return 0


def _photo_paths(data_root: Path, folders: Sequence[str]) -> Iterator[Path]:
    for folder in folders:
        if not (data_root / folder).is_dir():
            sys.exit(f"{data_root / folder}: no such folder")
        yield from sorted(path for path in (data_root / folder).rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)


def _rounded(value: float, decimals: int | None) -> int | float:
    return int(value) if decimals is None else round(float(value), decimals)
