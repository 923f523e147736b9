"""Trained float models as they lie on disk: a folder with Keras files and the record that says what they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError, IntegrityError
from fer_edge.files import sha256_of_file
from fer_edge_convert.mtcnn_source import NETWORKS

__all__ = ["MTCNN_RECORD_SCHEMA", "ClassifierSource", "DetectorSource", "read_classifier", "read_detector"]

TRAINING_RECORD_SCHEMA = "fer-edge/training-record/1"
MTCNN_RECORD_SCHEMA = "fer-edge/mtcnn-record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSource:
    """A trained classifier: its file, and what its training record states."""

    path: Path
    name: str
    labels: tuple[str, ...]
    input_shape_hwc: tuple[int, int, int]
    pixel_mean: float
    pixel_std: float
    record: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSource:
    """MTCNN's three networks: their files by name, and their record."""

    paths: dict[str, Path]
    record: dict[str, Any]


def read_classifier(folder: Path) -> ClassifierSource:
    """Read a model folder made by `fer-edge train`.

    Raises:
        InputError: the folder or its record cannot be read.
        IntegrityError: the model file is not the one that the record describes.
    """
    record = _read_record(folder, TRAINING_RECORD_SCHEMA)
    try:
        model = record["model"]
        source = ClassifierSource(
            path=folder / model["file"],
            name=model["name"],
            labels=tuple(model["labels"]),
            input_shape_hwc=tuple(model["input_shape_hwc"]),
            pixel_mean=float(model["pixel_mean"]),
            pixel_std=float(model["pixel_std"]),
            record=record,
        )
        digest = model["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder}/record.json lacks or misstates {error}; train the model again") from error
    _check_file(source.path, digest)
    return source


def read_detector(folder: Path) -> DetectorSource:
    """Read a detector folder made by `fer-edge import-mtcnn`; raises as read_classifier does."""
    record = _read_record(folder, MTCNN_RECORD_SCHEMA)
    try:
        paths = {name: folder / record["files"][name]["file"] for name in NETWORKS}
        digests = {name: record["files"][name]["sha256"] for name in NETWORKS}
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder}/record.json lacks or misstates {error}; import the detector again") from error
    for name, path in paths.items():
        _check_file(path, digests[name])
    return DetectorSource(paths=paths, record=record)


def _read_record(folder: Path, schema: str) -> dict[str, Any]:
    path = folder / "record.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; expected a folder with a {schema} record") from error
    if not isinstance(record, dict) or record.get("schema") != schema:
        found = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise InputError(f"{path}: expected the schema {schema}, found {found!r}")
    return record


def _check_file(path: Path, digest: str) -> None:
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; the record names it") from error
    if found != digest:
        raise IntegrityError(
            f"{path}: expected SHA-256 {str(digest)[:16]}…, found {found[:16]}…; the record is of another file"
        )
