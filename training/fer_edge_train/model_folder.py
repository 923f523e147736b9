"""Trained float models as they lie on disk: a folder with Keras files and the record that says what they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError, IntegrityError
from fer_edge.files import sha256_of_file

__all__ = ["RECORD_NAME", "TRAINING_RECORD_SCHEMA", "ClassifierSource", "check_file", "read_classifier", "read_record"]

RECORD_NAME = "record.json"
TRAINING_RECORD_SCHEMA = "fer-edge/training-record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSource:
    """A trained classifier: its file, and what its training record states.

    Attributes:
        path: the Keras file.
        name: of the model.
        sha256: of the file, compared with it.
        labels: the classes, in the order of the outputs.
        input_shape_hwc: height, width and channels of the input.
        pixel_mean, pixel_std: the network takes (pixel - mean) / std.
        record: the whole training record.
    """

    path: Path
    name: str
    sha256: str
    labels: tuple[str, ...]
    input_shape_hwc: tuple[int, int, int]
    pixel_mean: float
    pixel_std: float
    record: dict[str, Any]


def read_classifier(folder: Path) -> ClassifierSource:
    """Read a model folder made by `fer-edge train`.

    Raises:
        InputError: the folder or its record cannot be read.
        IntegrityError: the model file is not the one that the record describes.
    """
    record = read_record(folder, TRAINING_RECORD_SCHEMA)
    try:
        model = record["model"]
        height, width, channels = (int(length) for length in model["input_shape_hwc"])
        source = ClassifierSource(
            path=folder / model["file"],
            name=model["name"],
            sha256=model["sha256"],
            labels=tuple(model["labels"]),
            input_shape_hwc=(height, width, channels),
            pixel_mean=float(model["pixel_mean"]),
            pixel_std=float(model["pixel_std"]),
            record=record,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / RECORD_NAME} lacks or misstates {error}; train the model again") from error
    check_file(source.path, source.sha256)
    return source


def read_record(folder: Path, schema: str) -> dict[str, Any]:
    """Read `folder/record.json`.

    Raises:
        InputError: it cannot be read, or states another schema.
    """
    path = folder / RECORD_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read {path}: {reason}; expected a folder with a {schema} record") from error
    if not isinstance(record, dict) or record.get("schema") != schema:
        found = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise InputError(f"{path}: expected the schema {schema}, found {found!r}")
    return record


def check_file(path: Path, digest: str) -> None:
    """Compare a file with the digest that its record states.

    Raises:
        InputError: the file cannot be read.
        IntegrityError: it is another file.
    """
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; the record names it") from error
    if found != digest:
        raise IntegrityError(
            f"{path}: expected SHA-256 {str(digest)[:16]}…, found {found[:16]}…; the record is of another file"
        )
