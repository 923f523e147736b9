"""RAF-DB's basic part: list_patition_label.txt (as its authors spell it) beside aligned/train_00001_aligned.jpg.

Li, Deng and Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the Wild"
(CVPR 2017): 12,271 training and 3,068 test faces of 100 x 100 pixels. Nothing says who is on them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.pictures import ListedFace, find_file, read_faces, read_rows, whole_picture
from fer_edge_train.datasets.reading import DatasetKind, ReadOptions, Skipped

__all__ = ["KIND", "read_raf_db"]

_LIST = "list_patition_label.txt"
_LISTS = (_LIST, f"EmoLabel/{_LIST}", f"basic/EmoLabel/{_LIST}")
_IMAGES = ("aligned", "Image/aligned", "basic/Image/aligned")
_CODES = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")  # 1 to 7
_NAME = re.compile(r"(train|test)_\d{1,6}\.jpg", re.ASCII)


def read_raf_db(folder: Path, options: ReadOptions, skipped: Skipped) -> dict[str, FaceSet]:
    """Read the faces of the list; they are aligned crops already, so none is cut again.

    Returns:
        Sets "train" and "test", as the names in the list say.

    Raises:
        InputError: list or folder is missing, a row is malformed, names a missing file or one twice, or a picture
            cannot be used.
    """
    list_path, images = find_file(folder, _LISTS), find_file(folder, _IMAGES)
    if list_path is None or images is None:
        missing = f"the list {_LIST}" if list_path is None else "the folder aligned"
        raise InputError(f"{folder}: expected {missing} of RAF-DB in it, found none")
    listed: dict[str, list[ListedFace]] = {"train": [], "test": []}
    crop = whole_picture(replace(options, crop_face=None))
    seen: set[str] = set()
    for number, fields in read_rows(list_path):
        try:
            split, name, label = _parse_row(fields, f"{list_path}: row {number}")
            path = images / f"{Path(name).stem}_aligned.jpg"
            if name in seen:
                raise InputError(f"{list_path}: row {number} names {name} a second time")
            seen.add(name)
            if not path.is_file():
                raise InputError(f"{list_path}: row {number} names {path}, which does not exist")
        except InputError as error:
            skipped.bad(error)
            continue
        listed[split].append(ListedFace(path=path, source=path.name, label=label, crop=crop))
    return {split: read_faces(faces, options, skipped, f"{folder}: {split}") for split, faces in listed.items()}


def _parse_row(fields: list[str], where: str) -> tuple[str, str, str]:
    """Return split, file name and our label of a row."""
    if len(fields) != 2:
        raise InputError(f"{where}: expected 2 columns (name label), found {len(fields)}")
    name, code = fields
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(f"{where}, column name: expected one like train_00001.jpg, found {name[:40]!r}")
    if code not in {"1", "2", "3", "4", "5", "6", "7"}:
        raise InputError(f"{where}, column label: expected an integer from 1 to 7, found {code[:20]!r}")
    return match[1], name, _CODES[int(code) - 1]


def _recognise(path: Path) -> bool:
    return path.is_dir() and find_file(path, _LISTS) is not None


KIND = DatasetKind(
    title="RAF-DB, basic",
    licence="non-commercial research, by agreement with the authors",
    layout=f"{_LIST} and a folder aligned",
    recognise=_recognise,
    read=read_raf_db,
)
