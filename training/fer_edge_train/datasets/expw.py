"""ExpW: web photos with boxes, `label.lst`: name, face id, top, left, right, bottom, confidence, label.

Zhang et al., "From Facial Expression Recognition to Interpersonal Relation Prediction" (IJCV 2018): 91,793 faces. The
boxes are a detector's, the labels one person's each. Nothing says who is on the photos, and there are no splits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge.preprocess import crop_square
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.labels import EXPRESSIONS
from fer_edge_train.datasets.pictures import Crop, ListedFace, find_file, read_faces, read_rows
from fer_edge_train.datasets.reading import DatasetKind, ReadOptions, Skipped

__all__ = ["KIND", "ExpwFace", "list_expw", "read_expw"]

_LIST = "label.lst"
_LISTS = (_LIST, f"label/{_LIST}", f"data/label/{_LIST}")
_IMAGES = ("image/origin", "data/image/origin", "origin", "Images", "images", "image")
_COLUMNS = ("name", "face_id", "top", "left", "right", "bottom", "confidence", "label")
_INTEGER = re.compile(r"-?\d{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpwFace:
    """One row of the list.

    Attributes:
        path: of the photo.
        face_id: number of the face on its photo.
        box_xyxy: left, top, right, bottom in pixels; it may reach beyond the photo.
        label: the expression, by our name.
    """

    path: Path
    face_id: int
    box_xyxy: tuple[int, int, int, int]
    label: str


def list_expw(folder: Path, skipped: Skipped) -> Iterator[ExpwFace]:
    """Yield the rows of the list, whose photos exist; photos are not opened.

    Raises:
        InputError: list or photos are missing, a row is malformed, names a missing photo, or names a face twice.
    """
    list_path, images = find_file(folder, _LISTS), find_file(folder, _IMAGES)
    if list_path is None or images is None:
        missing = f"the list {_LIST}" if list_path is None else "the folder image/origin or Images"
        raise InputError(f"{folder}: expected {missing} of ExpW in it, found none")
    seen: set[tuple[Path, int]] = set()
    for number, fields in read_rows(list_path):
        try:
            face = _parse_row(fields, f"{list_path}: row {number}", images)
            if (face.path, face.face_id) in seen:
                raise InputError(f"{list_path}: row {number} names face {face.face_id} of {fields[0]} a second time")
            seen.add((face.path, face.face_id))
            if not face.path.is_file():
                raise InputError(f"{list_path}: row {number} names {face.path}, which does not exist")
        except InputError as error:
            skipped.bad(error)
            continue
        yield face


def read_expw(folder: Path, options: ReadOptions, skipped: Skipped) -> dict[str, FaceSet]:
    """Read the faces, each cut out as a square around its box, larger by `options.margin`.

    Returns:
        One set, "all".

    Raises:
        InputError: as `list_expw`, or a photo cannot be used.
    """
    listed = [
        ListedFace(
            path=face.path,
            source=f"{face.path.name} face {face.face_id}",
            label=face.label,
            crop=_box_crop(face, options.margin),
        )
        for face in list_expw(folder, skipped)
    ]
    return {"all": read_faces(listed, options, skipped, str(folder))}


def _box_crop(face: ExpwFace, margin: float) -> Crop:
    def crop(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        left, top, right, bottom = face.box_xyxy
        height, width = image.shape[:2]
        outside = left >= width or top >= height or right <= 0 or bottom <= 0
        # A detector's box reaches a little beyond the photo; one of twice its size is a slip, and large to cut out.
        if outside or max(right - left, bottom - top) > 2 * max(width, height):
            raise InputError(
                f"face {face.face_id}: expected a box on the photo of {width} x {height} pixels, found left {left}, "
                f"top {top}, right {right}, bottom {bottom}"
            )
        return crop_square(image, np.array(face.box_xyxy, dtype=np.float32), margin)

    return crop


def _parse_row(fields: list[str], where: str, images: Path) -> ExpwFace:
    if len(fields) != len(_COLUMNS):
        raise InputError(f"{where}: expected {len(_COLUMNS)} columns ({' '.join(_COLUMNS)}), found {len(fields)}")
    name, face_id, *corners, confidence, code = fields
    if name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise InputError(f"{where}, column name: expected the name of a file, found {name[:40]!r}")
    for column, text in zip(_COLUMNS[1:6], (face_id, *corners), strict=True):
        if not _INTEGER.fullmatch(text):
            raise InputError(f"{where}, column {column}: expected an integer of up to 6 digits, found {text[:20]!r}")
    try:
        float(confidence)
    except ValueError as error:
        raise InputError(f"{where}, column confidence: expected a number, found {confidence[:20]!r}") from error
    if code not in {"0", "1", "2", "3", "4", "5", "6"}:
        raise InputError(f"{where}, column label: expected an integer from 0 to 6, found {code[:20]!r}")
    top, left, right, bottom = (int(text) for text in corners)
    if right <= left or bottom <= top:
        raise InputError(
            f"{where}: expected a box with left < right and top < bottom, found left {left}, top {top}, "
            f"right {right}, bottom {bottom}"
        )
    # ExpW numbers its labels as FER-2013 does.
    return ExpwFace(
        path=images / name, face_id=int(face_id), box_xyxy=(left, top, right, bottom), label=EXPRESSIONS[int(code)]
    )


def _recognise(path: Path) -> bool:
    return path.is_dir() and find_file(path, _LISTS) is not None


KIND = DatasetKind(
    title="ExpW",
    licence="non-commercial research",
    layout=f"{_LIST} and a folder of photos",
    recognise=_recognise,
    read=read_expw,
)
