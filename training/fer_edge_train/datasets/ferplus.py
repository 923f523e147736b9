"""FER+: ten people's votes for each FER-2013 image, joined by row.

Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution" (2016).
The column `Image name` is not the row number and four names occur twice, so the row is the only key.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet

__all__ = ["FERPLUS_COLUMNS", "FerPlusVotes", "read_ferplus_votes", "votes_for"]

FERPLUS_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FerPlusVotes:
    """The table, row by row in FER-2013's order.

    Attributes:
        votes: int64 (rows, 10), columns as FERPLUS_COLUMNS.
        usages: str (rows,), "Training", "PublicTest" or "PrivateTest".
    """

    votes: npt.NDArray[np.int64]
    usages: npt.NDArray[np.str_]


def read_ferplus_votes(path: Path) -> FerPlusVotes:
    """Read `fer2013new.csv`.

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
            rows = [(_parse_row(row, f"{path}: row {i + 1}"), row[0]) for i, row in enumerate(reader)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot read {path}: {reason}; expected FER+'s fer2013new.csv") from error
    return FerPlusVotes(
        votes=np.array([votes for votes, _ in rows], dtype=np.int64).reshape(-1, len(FERPLUS_COLUMNS)),
        usages=np.array([usage for _, usage in rows], dtype=np.str_),
    )


def votes_for(faces: FaceSet, table: FerPlusVotes, name: str, *, usage: str) -> npt.NDArray[np.int64]:
    """Return the votes for each face, int64 (n, 10), joined by row.

    Args:
        faces: read from FER-2013's csv.
        table: what `read_ferplus_votes` returned.
        name: what the error calls the votes.
        usage: what the table must say of each face's row; a cut or shuffled csv is found by it.

    Raises:
        InputError: the faces are no rows of FER-2013's csv, or the table has fewer rows or is of other ones.
    """
    if faces.sources is not None:
        raise InputError(
            f"{name}: expected faces from FER-2013's csv, to which the votes are joined by row, "
            f"found {faces.source(0) if len(faces) else 'none'}"
        )
    n_needed = int(faces.rows.max(initial=-1)) + 1
    if len(table.votes) < n_needed:
        raise InputError(
            f"{name}: expected a row for each row of the data (at least {n_needed}), found {len(table.votes)}; "
            "it must be the FER+ file of the same fer2013.csv"
        )
    other = np.flatnonzero(table.usages[faces.rows] != usage)
    if len(other):
        row = int(faces.rows[other[0]])
        raise InputError(
            f"{name}: row {row + 1}: expected the usage {usage} as in the data, found {table.usages[row]}; "
            "it must be the FER+ file of the same fer2013.csv, whole and in its order"
        )
    joined: npt.NDArray[np.int64] = table.votes[faces.rows]
    return joined


def _parse_row(row: list[str], where: str) -> list[int]:
    if len(row) != 2 + len(FERPLUS_COLUMNS):
        raise InputError(f"{where}: expected {2 + len(FERPLUS_COLUMNS)} columns, found {len(row)}")
    votes = row[2:]
    for name, value in zip(FERPLUS_COLUMNS, votes, strict=True):
        # The length comes first: Python refuses to convert numbers of thousands of digits.
        if not (value.isascii() and value.isdigit() and len(value) <= 2 and int(value) <= 10):
            raise InputError(f"{where}, column {name}: expected an integer from 0 to 10, found {value[:20]!r}")
    return [int(value) for value in votes]
