"""Photos with labelled faces, in ExpW's layout: `Images/` and `label.lst`, one line for each face.

A line is eight columns between blanks: name, face_id, top, left, right, bottom, confidence, label. The box is in whole
pixels, confidence is what ExpW's own detector gave, label is 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise,
6 neutral. (Zhang et al., "From Facial Expression Recognition to Interpersonal Relation Prediction", 2018.) ExpW labels
some of the faces of a photo, not all. Its photos are for non-commercial research.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_train.datasets.fer2013 import FER2013_LABELS

__all__ = [
    "LISTING_NAME",
    "PARTS",
    "PHOTO_LABELS",
    "LabelledPhoto",
    "part_of_photo",
    "photos_of_part",
    "read_labelled_photos",
]

LISTING_NAME = "label.lst"
_IMAGES_FOLDER = "Images"
PHOTO_LABELS = FER2013_LABELS  # ExpW numbers its classes in the same order
PARTS = ("fit", "held-out", "all")

_COLUMNS = ("name", "face_id", "top", "left", "right", "bottom", "confidence", "label")
_SPLIT_SEED = "fer-edge/1"
_LARGEST_PIXEL = 1_000_000  # no photo is wider; larger numbers would lose digits as float32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledPhoto:
    """One photo and its labelled faces.

    Attributes:
        name: of the file.
        path: of the file; it need not exist.
        boxes_xyxy: float32 (n, 4), left, top, right, bottom in pixels.
        label_indices: int64 (n,), positions in PHOTO_LABELS.
    """

    name: str
    path: Path
    boxes_xyxy: npt.NDArray[np.float32]
    label_indices: npt.NDArray[np.int64]


def read_labelled_photos(folder: Path) -> tuple[LabelledPhoto, ...]:
    """Return the photos that `folder/label.lst` lists, in the order in which it names them first.

    Raises:
        InputError: the list cannot be read or names no face, or a row is malformed (the message names row and column).
    """
    listing = folder / LISTING_NAME
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(
            f"cannot read {listing}: {reason}; expected a folder with {LISTING_NAME} and {_IMAGES_FOLDER}/"
        ) from error
    faces: dict[str, dict[str, tuple[tuple[int, int, int, int], int]]] = {}
    for row, line in enumerate(lines, start=1):
        if line.strip():
            name, face_id, box, label = _parse_row(line, f"{listing}: row {row}")
            if face_id in faces.setdefault(name, {}):
                raise InputError(
                    f"{listing}: row {row}, column face_id: expected each face of {name} once, found {face_id} again"
                )
            faces[name][face_id] = box, label
    if not faces:
        raise InputError(f"{listing}: expected a row for each labelled face, found none")
    return tuple(
        LabelledPhoto(
            name=name,
            path=folder / _IMAGES_FOLDER / name,
            boxes_xyxy=np.array([box for box, _ in found.values()], dtype=np.float32),
            label_indices=np.array([label for _, label in found.values()], dtype=np.int64),
        )
        for name, found in faces.items()
    )


def part_of_photo(name: str) -> str:
    """Return "fit" or "held-out": fixed by the photo's name alone, each for about half of all names.

    "fit" where the first byte of the SHA-256 digest of "fer-edge/1/" and the name is below 128. Whatever is chosen by
    looking at photos is chosen on "fit", so that "held-out" stays unseen.
    """
    return "fit" if hashlib.sha256(f"{_SPLIT_SEED}/{name}".encode()).digest()[0] < 128 else "held-out"


def photos_of_part(photos: tuple[LabelledPhoto, ...], part: str) -> tuple[LabelledPhoto, ...]:
    """Return the photos of "fit", of "held-out", or of "all"."""
    if part not in PARTS:
        raise ValueError(f"part: expected one of {', '.join(PARTS)}, found {part!r}")
    return tuple(photo for photo in photos if part in ("all", part_of_photo(photo.name)))


def _parse_row(line: str, where: str) -> tuple[str, str, tuple[int, int, int, int], int]:
    """Return name, face_id, box (left, top, right, bottom) and label of one line."""
    # From the right: a name may hold blanks.
    fields = line.strip().rsplit(maxsplit=len(_COLUMNS) - 1)
    if len(fields) != len(_COLUMNS):
        raise InputError(f"{where}: expected {len(_COLUMNS)} columns ({' '.join(_COLUMNS)}), found {len(fields)}")
    name, face_id = fields[0], fields[1]
    if any(sign in name for sign in "/\\\0") or name in (".", ".."):
        _refuse(where, "name", f"the name of a file in {_IMAGES_FOLDER}/", name)
    top, left, right, bottom = (
        _whole_number(text, where, column, _LARGEST_PIXEL)
        for column, text in zip(_COLUMNS[2:6], fields[2:6], strict=True)
    )
    if right <= left:
        _refuse(where, "right", f"more than left ({left})", fields[4])
    if bottom <= top:
        _refuse(where, "bottom", f"more than top ({top})", fields[5])
    try:
        confidence = float(fields[6])
    except ValueError:
        confidence = math.nan
    if not math.isfinite(confidence):
        _refuse(where, "confidence", "a number", fields[6])
    return name, face_id, (left, top, right, bottom), _whole_number(fields[7], where, "label", len(PHOTO_LABELS) - 1)


def _whole_number(text: str, where: str, column: str, largest: int) -> int:
    # The length comes first: Python refuses to convert numbers of thousands of digits.
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= largest):
        _refuse(where, column, f"a whole number from 0 to {largest}", text)
    return int(text)


def _refuse(where: str, column: str, expected: str, found: str) -> NoReturn:
    raise InputError(f"{where}, column {column}: expected {expected}, found {found[:40]!r}")
