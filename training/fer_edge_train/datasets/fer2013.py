"""FER-2013 in its published csv: `emotion,pixels,Usage`, 48 x 48 gray pixels as text.

Goodfellow et al., "Challenges in Representation Learning" (ICML 2013 workshop).
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet

__all__ = ["FER2013_LABELS", "FER2013_USAGES", "read_fer2013"]

FER2013_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FER2013_USAGES = ("Training", "PublicTest", "PrivateTest")
_SIDE_PX = 48
_HEADER = "emotion,pixels,Usage"


def read_fer2013(path: Path, usages: Iterable[str]) -> dict[str, FaceSet]:
    """Read the rows of the given usages from `fer2013.csv` or `fer2013.csv.gz`, in one pass.

    Every row is checked, those of other usages too: a broken file is refused, never read in part.

    Args:
        path: the csv, or the csv compressed with gzip (recognised by its name's end).
        usages: of "Training", "PublicTest", "PrivateTest".

    Returns:
        A set for each usage asked for: images uint8 (n, 48, 48, 1), rows counted over the whole file.

    Raises:
        InputError: the file cannot be read, a row is malformed (the message names row and column), or a usage has no
            row.
    """
    wanted = tuple(usages)
    pixels: dict[str, list[npt.NDArray[np.uint8]]] = {usage: [] for usage in wanted}
    emotions: dict[str, list[int]] = {usage: [] for usage in wanted}
    rows: dict[str, list[int]] = {usage: [] for usage in wanted}
    try:
        with _open_text(path) as file:
            header = file.readline().strip().lstrip("\ufeff")
            if header.replace(" ", "").lower() != _HEADER.lower():
                raise InputError(f"{path}: expected the header {_HEADER!r}, found {header[:60]!r}; is it fer2013.csv?")
            # Empty lines are not counted: FER+ is joined by the row's number.
            for row, line in enumerate(line for line in file if line.strip()):
                emotion, image, usage = _parse_row(line, f"{path}: row {row + 1}")
                if usage in pixels:
                    pixels[usage].append(image)
                    emotions[usage].append(emotion)
                    rows[usage].append(row)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot read {path}: {reason}; expected FER-2013's csv or csv.gz") from error
    for usage in wanted:
        if not pixels[usage]:
            raise InputError(f"{path}: no row has the usage {usage!r}; expected some of each asked for")
    return {
        usage: FaceSet(
            images=np.stack(pixels[usage]).reshape(-1, _SIDE_PX, _SIDE_PX, 1),
            label_indices=np.array(emotions[usage], dtype=np.int64),
            labels=FER2013_LABELS,
            rows=np.array(rows[usage], dtype=np.int64),
        )
        for usage in wanted
    }


@contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            yield file
    else:
        with path.open(encoding="utf-8", newline="") as file:
            yield file


def _parse_row(line: str, where: str) -> tuple[int, npt.NDArray[np.uint8], str]:
    """Return emotion index, pixels uint8 (2304,) and usage of one row."""
    fields = line.rstrip("\r\n").split(",")
    if len(fields) != 3:
        raise InputError(f"{where}: expected 3 columns ({_HEADER}), found {len(fields)}")
    emotion_text, pixel_text, usage = (field.strip().strip('"') for field in fields)
    if emotion_text not in {"0", "1", "2", "3", "4", "5", "6"}:
        raise InputError(f"{where}, column emotion: expected an integer from 0 to 6, found {emotion_text[:20]!r}")
    if usage not in FER2013_USAGES:
        raise InputError(f"{where}, column Usage: expected one of {', '.join(FER2013_USAGES)}, found {usage[:20]!r}")
    return int(emotion_text), _parse_pixels(pixel_text, where), usage


def _parse_pixels(text: str, where: str) -> npt.NDArray[np.uint8]:
    expected = _SIDE_PX * _SIDE_PX
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # numpy's only sign of text that is not a number
            values = np.fromstring(text, dtype=np.int64, sep=" ")
    except (DeprecationWarning, ValueError):
        values = np.empty(0, dtype=np.int64)
    if values.size == expected and values.min() >= 0 and values.max() <= 255:
        return values.astype(np.uint8)
    tokens = text.split()
    for position, token in enumerate(tokens):
        # The length comes first: Python refuses to convert numbers of thousands of digits.
        if not (token.isascii() and token.isdigit() and len(token) <= 20 and int(token) <= 255):
            raise InputError(
                f"{where}, column pixels: value {position + 1} is {token[:20]!r}, expected an integer from 0 to 255"
            )
    raise InputError(f"{where}, column pixels: expected {expected} values (48 x 48), found {len(tokens)}")
