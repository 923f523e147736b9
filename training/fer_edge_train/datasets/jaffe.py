"""JAFFE: 213 gray pictures of 10 women in one folder; a name says who, what and which: KA.AN1.39.tiff.

Lyons et al., "Coding Facial Expressions with Gabor Wavelets" (FG 1998). The expressions were posed.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.labels import expression_of
from fer_edge_train.datasets.pictures import ListedFace, is_picture, list_folder, read_faces, whole_picture
from fer_edge_train.datasets.reading import DatasetKind, ReadOptions, Skipped

__all__ = ["KIND", "read_jaffe"]

_NAME = re.compile(r"([A-Z]{2})\.(AN|DI|FE|HA|NE|SA|SU)(\d)\.(\d{1,3})\.\w+", re.ASCII | re.IGNORECASE)


def read_jaffe(folder: Path, options: ReadOptions, skipped: Skipped) -> dict[str, FaceSet]:
    """Read the pictures of a folder.

    Returns:
        One set, "all", with subjects.

    Raises:
        InputError: a picture's name says no person and expression, or it cannot be used.
    """
    _, files = list_folder(folder)
    pictures = [path for path in files if is_picture(path)]
    skipped.leave_out("files that are no pictures by their names", len(files) - len(pictures))
    crop = whole_picture(options)
    listed = []
    for path in pictures:
        match = _NAME.fullmatch(path.name)
        if match is None:
            skipped.bad(InputError(f"{path}: expected a name like KA.AN1.39.tiff, with AN, DI, FE, HA, NE, SA or SU"))
            continue
        label = expression_of(match[2]) or ""
        listed.append(ListedFace(path=path, source=path.name, label=label, crop=crop, subject=match[1].upper()))
    return {"all": read_faces(listed, options, skipped, str(folder))}


def _recognise(path: Path) -> bool:
    return path.is_dir() and any(_NAME.fullmatch(file.name) for file in list_folder(path)[1])


KIND = DatasetKind(
    title="JAFFE",
    licence="non-commercial research, by agreement with the authors",
    layout="files like KA.AN1.39.tiff",
    recognise=_recognise,
    read=read_jaffe,
)
