"""KDEF: 4,900 pictures of 70 people, seven posed expressions, five angles, two sessions: AF01/AF01ANS.JPG.

Lundqvist, Flykt and Öhman, "The Karolinska Directed Emotional Faces" (Karolinska Institutet, 1998). A name says session
(A, B), gender (F, M), number, expression and angle: FL and HL full and half left profile, S straight, HR and FR right.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.labels import expression_of
from fer_edge_train.datasets.pictures import ListedFace, is_picture, list_folder, read_faces, whole_picture
from fer_edge_train.datasets.reading import DatasetKind, ReadOptions, Skipped

__all__ = ["KIND", "read_kdef"]

_NAME = re.compile(r"([AB])([FM]\d{2})(AF|AN|DI|HA|NE|SA|SU)(FL|HL|S|HR|FR)\.\w+", re.ASCII | re.IGNORECASE)


def read_kdef(folder: Path, options: ReadOptions, skipped: Skipped) -> dict[str, FaceSet]:
    """Read the pictures of `options.angles`, from a folder for each person and session, or from one folder.

    Returns:
        One set, "all"; a subject is gender and number, the same in both sessions.

    Raises:
        InputError: a picture's name says no person, expression and angle, or it cannot be used.
    """
    folders, files = list_folder(folder)
    for person in folders:
        files += list_folder(person)[1]
    pictures = [path for path in files if is_picture(path)]
    skipped.leave_out("files that are no pictures by their names", len(files) - len(pictures))
    crop = whole_picture(options)
    listed = []
    for path in pictures:
        match = _NAME.fullmatch(path.name)
        if match is None:
            skipped.bad(InputError(f"{path}: expected a name like AF01ANS.JPG: session, person, expression, angle"))
        elif match[4].upper() not in options.angles:
            skipped.leave_out("pictures from other angles")
        else:
            listed.append(
                ListedFace(
                    path=path,
                    source=path.relative_to(folder).as_posix(),
                    label=expression_of(match[3]) or "",
                    crop=crop,
                    subject=match[2].upper(),
                )
            )
    return {"all": read_faces(listed, options, skipped, str(folder))}


def _recognise(path: Path) -> bool:
    if not path.is_dir():
        return False
    folders, files = list_folder(path)
    return any(_NAME.fullmatch(file.name) for file in [*files, *(f for p in folders for f in list_folder(p)[1])])


KIND = DatasetKind(
    title="KDEF",
    licence="non-commercial research, with the authors' terms of use",
    layout="files like AF01ANS.JPG, in folders like AF01",
    recognise=_recognise,
    read=read_kdef,
)
