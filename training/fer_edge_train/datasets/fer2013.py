"""FER-2013 in its published csv: `emotion,pixels,Usage`, 48 x 48 gray pixels as text; or as class folders.

Goodfellow et al., "Challenges in Representation Learning" (ICML 2013 workshop).
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge.preprocess import face_pixels
from fer_edge_train.datasets.arrays import FaceSet, pixel_digests
from fer_edge_train.datasets.class_folders import read_class_folders
from fer_edge_train.datasets.labels import EXPRESSIONS
from fer_edge_train.datasets.pictures import find_file, list_folder
from fer_edge_train.datasets.reading import DatasetKind, ReadOptions, Skipped

__all__ = ["FER2013_LABELS", "FER2013_USAGES", "KIND", "read_fer2013"]

FER2013_LABELS = EXPRESSIONS
FER2013_USAGES = ("Training", "PublicTest", "PrivateTest")
_SIDE_PX = 48
_HEADER = "emotion,pixels,Usage"
_CSVS = ("fer2013.csv", "fer2013.csv.gz")


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
    sets = _read_rows(path, wanted, Skipped(skip_bad=False))
    for usage in wanted:
        if usage not in sets:
            raise InputError(f"{path}: no row has the usage {usage!r}; expected some of each asked for")
    return {usage: sets[usage] for usage in wanted}


def _read_rows(path: Path, usages: tuple[str, ...], skipped: Skipped) -> dict[str, FaceSet]:
    """Return a set for each of the usages that has rows."""
    pixels: dict[str, list[npt.NDArray[np.uint8]]] = {usage: [] for usage in usages}
    emotions: dict[str, list[int]] = {usage: [] for usage in usages}
    rows: dict[str, list[int]] = {usage: [] for usage in usages}
    try:
        with _open_text(path) as file:
            header = _normal_header(file.readline())
            if not _is_header(header):
                raise InputError(f"{path}: expected the header {_HEADER!r}, found {header[:60]!r}; is it fer2013.csv?")
            # Empty lines are not counted: FER+ is joined by the row's number. Rows that are skipped are.
            for row, line in enumerate(line for line in file if line.strip()):
                try:
                    emotion, image, usage = _parse_row(line, f"{path}: row {row + 1}")
                except InputError as error:
                    skipped.bad(error)
                    continue
                if usage in pixels:
                    pixels[usage].append(image)
                    emotions[usage].append(emotion)
                    rows[usage].append(row)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot read {path}: {reason}; expected FER-2013's csv or csv.gz") from error
    return {
        usage: FaceSet(
            images=np.stack(images).reshape(-1, _SIDE_PX, _SIDE_PX, 1),
            label_indices=np.array(emotions[usage], dtype=np.int64),
            labels=FER2013_LABELS,
            rows=np.array(rows[usage], dtype=np.int64),
        )
        for usage, images in pixels.items()
        if images
    }


def _normal_header(line: str) -> str:
    return line.strip().lstrip("\ufeff")


def _is_header(header: str) -> bool:
    return header.replace(" ", "").lower() == _HEADER.lower()


def _read(path: Path, options: ReadOptions, skipped: Skipped) -> dict[str, FaceSet]:
    """Read every usage of the csv, or of a folder that holds it, or the class folders of each split."""
    csv_path = find_file(path, _CSVS) if path.is_dir() else path
    if csv_path is None:
        # The pictures are crops of faces already.
        return read_class_folders(path, replace(options, crop_face=None), skipped)
    sets = _read_rows(csv_path, FER2013_USAGES, skipped)
    if not sets:
        raise InputError(f"{csv_path}: expected rows of faces, found none that can be used")
    size_wh = (options.size_px, options.size_px)
    for usage, faces in sets.items():
        images = np.stack([face_pixels(image, size_wh, options.channels) for image in faces.images])
        originals = pixel_digests(faces.images)
        sets[usage] = replace(faces, images=images, labels=options.labels, originals=originals)
    return sets


def _recognise(path: Path) -> bool:
    if path.is_dir():
        usages = {usage.casefold() for usage in FER2013_USAGES}
        names = {child.name.casefold() for child in list_folder(path)[0]}
        return find_file(path, _CSVS) is not None or (bool(names) and names <= usages)
    if not path.name.lower().endswith((".csv", ".csv.gz")):
        return False
    try:
        with _open_text(path) as file:
            return _is_header(_normal_header(file.readline(1000)))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error):
        return False


KIND = DatasetKind(
    title="FER-2013",
    licence="research use (ICML 2013 challenge)",
    layout=f"a csv or csv.gz with the header {_HEADER}, or folders named by its usages",
    recognise=_recognise,
    read=_read,
)


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
