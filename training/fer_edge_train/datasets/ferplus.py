"""FER+: ten people's votes for each FER-2013 image, joined by row.

Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution" (2016).
The column `Image name` is not the row number and four names occur twice, so the row is the only key.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError

__all__ = ["FERPLUS_COLUMNS", "read_ferplus_votes"]

FERPLUS_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip


def read_ferplus_votes(path: Path) -> npt.NDArray[np.int64]:
    """Read `fer2013new.csv`.

    Returns:
        Votes int64 (rows, 10), columns as FERPLUS_COLUMNS, rows in FER-2013's order.

    Raises:
        InputError: the file cannot be read or a row is malformed; the message names row and column.
    """
    expected = ["Usage", "Image name", *FERPLUS_COLUMNS]
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if header != expected:
                raise InputError(f"{path}: expected the header {','.join(expected)!r}, found {','.join(header)[:80]!r}")
            return np.array([_parse_row(row, f"{path}: row {i + 1}") for i, row in enumerate(reader)], dtype=np.int64)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot read {path}: {reason}; expected FER+'s fer2013new.csv") from error


def _parse_row(row: list[str], where: str) -> list[int]:
    if len(row) != 2 + len(FERPLUS_COLUMNS):
        raise InputError(f"{where}: expected {2 + len(FERPLUS_COLUMNS)} columns, found {len(row)}")
    votes = row[2:]
    for name, value in zip(FERPLUS_COLUMNS, votes, strict=True):
        # The length comes first: Python refuses to convert numbers of thousands of digits.
        if not (value.isascii() and value.isdigit() and len(value) <= 2 and int(value) <= 10):
            raise InputError(f"{where}, column {name}: expected an integer from 0 to 10, found {value[:20]!r}")
    return [int(value) for value in votes]
