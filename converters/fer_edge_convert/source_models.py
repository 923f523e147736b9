"""The float detector as it lies on disk: a folder with three Keras files and the record that says what they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError
from fer_edge_convert.mtcnn_source import NETWORKS
from fer_edge_train.model_folder import RECORD_NAME, check_file, read_record

__all__ = ["MTCNN_RECORD_SCHEMA", "DetectorSource", "read_detector"]

MTCNN_RECORD_SCHEMA = "fer-edge/mtcnn-record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSource:
    """MTCNN's three networks: their files by name, and their record."""

    paths: dict[str, Path]
    record: dict[str, Any]


def read_detector(folder: Path) -> DetectorSource:
    """Read a detector folder made by `fer-edge import-mtcnn`.

    Raises:
        InputError: the folder or its record cannot be read.
        IntegrityError: a model file is not the one that the record describes.
    """
    record = read_record(folder, MTCNN_RECORD_SCHEMA)
    try:
        paths = {name: folder / record["files"][name]["file"] for name in NETWORKS}
        digests = {name: record["files"][name]["sha256"] for name in NETWORKS}
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / RECORD_NAME} lacks or misstates {error}; import the detector again") from error
    for name, path in paths.items():
        check_file(path, digests[name])
    return DetectorSource(paths=paths, record=record)
