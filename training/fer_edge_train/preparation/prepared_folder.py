"""Prepared faces as they lie on disk: PNG files in class folders by split, lists of what became of each, a record.

- OUT/Training/happy/000017.png: a face; the number is the row of its source, counted from 0;
- OUT/Training/disgust/000299_copy1.png: a copy with noise;
- OUT/faces.csv: what each file is; OUT/notes.csv: what was left out, or kept without a face;
- OUT/record.json: options, counts, digests.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError, OutputError
from fer_edge.files import replace_folder
from fer_edge_train.datasets import FaceSet

__all__ = ["FACES_COLUMNS", "FACES_NAME", "NOTES_COLUMNS", "write_prepared"]

RECORD_NAME = "record.json"
FACES_NAME = "faces.csv"  # other folders have a record.json too, none has this
FACES_COLUMNS = ("file", "split", "label", "row", "source", "subject", "copy")
NOTES_COLUMNS = ("split", "label", "row", "source", "note", "same_as")

Row = tuple[str | int, ...]


def write_prepared(
    out: Path,
    sets: Mapping[str, FaceSet],
    *,
    copy_numbers: Mapping[str, npt.NDArray[np.int64]],
    notes: Sequence[Row],
    record: dict[str, Any],
) -> None:
    """Write the folder beside its place, then rename it in: it appears whole or not at all.

    A class without a face gets no folder.

    Args:
        out: the folder; one that is there is replaced.
        sets: by split.
        copy_numbers: for splits with copies, (n,): 0 for originals.
        notes: rows of NOTES_COLUMNS.
        record: JSON.

    Raises:
        InputError: two faces of a split would get one name.
        OutputError: the folder cannot be written.
    """
    staging = out.with_name(f".{out.name}.staging")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        listed: list[Row] = []
        for split, faces in sets.items():
            listed += _write_split(staging, split, faces, copy_numbers.get(split, np.zeros(len(faces), dtype=np.int64)))
        _write_csv(staging / FACES_NAME, FACES_COLUMNS, listed)
        _write_csv(staging / "notes.csv", NOTES_COLUMNS, notes)
        text = json.dumps(record, indent=1, allow_nan=False) + "\n"
        (staging / RECORD_NAME).write_text(text, encoding="utf-8")
        os.sync()  # tens of thousands of small files: once for all instead of once for each
        replace_folder(staging, out)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_split(staging: Path, split: str, faces: FaceSet, copy_numbers: npt.NDArray[np.int64]) -> list[Row]:
    """Write the faces of a split and return their rows of FACES_COLUMNS."""
    cv2 = import_cv2()
    listed: list[Row] = []
    written: set[str] = set()
    for i, (row, number) in enumerate(zip(faces.rows.tolist(), copy_numbers.tolist(), strict=True)):
        name = f"{row:06d}_copy{number}.png" if number else f"{row:06d}.png"
        if name in written:
            raise InputError(f"{split}: expected one face for each row, found two of row {row} ({faces.source(i)})")
        written.add(name)
        label = faces.labels[int(faces.label_indices[i])]
        folder = staging / split / label
        folder.mkdir(parents=True, exist_ok=True)
        _, encoded = cv2.imencode(".png", faces.images[i])
        (folder / name).write_bytes(encoded.tobytes())
        subject = "" if faces.subjects is None else str(faces.subjects[i])
        listed.append((f"{split}/{label}/{name}", split, label, row, faces.source(i), subject, number))
    return listed


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
