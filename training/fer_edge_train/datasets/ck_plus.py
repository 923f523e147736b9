"""CK+ as its 981 crops of 48 x 48 pixels in class folders; a name begins with the person: S010_004_00000017.png.

Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)" (CVPR workshops 2010). The crops are the last three frames of
each of 327 labelled sequences of 118 people, so a random split has nearly equal pictures on both sides: split by
subject too. There is no neutral class; contempt is one of the seven.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from fer_edge.errors import InputError
from fer_edge_train.datasets import class_folders
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.pictures import list_folder
from fer_edge_train.datasets.reading import DatasetKind, ReadOptions, Skipped

__all__ = ["CK_PLUS_LICENCE", "KIND", "read_ck_plus"]

CK_PLUS_LICENCE = "non-commercial research, by agreement with the authors"
_NAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})\.\w+", re.ASCII)


def read_ck_plus(folder: Path, options: ReadOptions, skipped: Skipped) -> dict[str, FaceSet]:
    """Read the class folders; the pictures are crops already, so none is cut again.

    Returns:
        One set, "all" (or splits, where the folders were divided), with subjects.

    Raises:
        InputError: as `read_class_folders`, or a file's name does not begin with a person.
    """
    return class_folders.read_class_folders(folder, replace(options, crop_face=None), skipped, subject_of=_subject_of)


def _subject_of(name: str) -> str:
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError("expected a name like S010_004_00000017.png, which says who it is, found another")
    return match[1]


def _recognise(path: Path) -> bool:
    if not class_folders.KIND.recognise(path):
        return False
    inside, _ = list_folder(path)
    folders = [*inside, *(deeper for child in inside for deeper in list_folder(child)[0])]
    return any(_NAME.fullmatch(file.name) for folder in folders for file in list_folder(folder)[1])


KIND = DatasetKind(
    title="CK+, crops of 48 x 48",
    licence=CK_PLUS_LICENCE,
    layout="class folders with files like S010_004_00000017.png",
    recognise=_recognise,
    read=read_ck_plus,
)
