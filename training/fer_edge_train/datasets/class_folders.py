"""A folder with a folder of pictures for each class (`DATA/happy/1.png`), or with such folders for each split.

Class folders are named by an expression, as any of the data sets calls it; splits are named train, test and the like.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.labels import expression_of, known_names
from fer_edge_train.datasets.pictures import ListedFace, is_picture, list_folder, read_faces, whole_picture
from fer_edge_train.datasets.reading import DatasetKind, ReadOptions, Skipped

__all__ = ["KIND", "read_class_folders"]

_SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test", "testing", "publictest", "privatetest")
_UNSPLIT = "all"


def read_class_folders(
    folder: Path, options: ReadOptions, skipped: Skipped, *, subject_of: Callable[[str], str] | None = None
) -> dict[str, FaceSet]:
    """Read the pictures of every class folder, in the order of their names.

    Args:
        folder: with the class folders, or with splits of them.
        options: how pictures become faces.
        skipped: where pictures that cannot be used, and files that are none, are counted.
        subject_of: from a picture's file name to the person on it; InputError where the name says none.

    Returns:
        A set for each split, by its folder's name; "all" where there are none.

    Raises:
        InputError: a folder is named by no expression, is empty or at the wrong level, or a picture cannot be used.
    """
    splits = _class_folders(folder)
    return {
        split: read_faces(
            [
                face
                for class_folder in inside
                for face in _list_class(class_folder, folder, options, skipped, subject_of)
            ],
            options,
            skipped,
            f"{folder}: {split}" if split != _UNSPLIT else str(folder),
        )
        for split, inside in splits.items()
    }


def _class_folders(folder: Path) -> dict[str, list[Path]]:
    """Return the class folders of each split, by the split's name ("all" where the folder is not divided).

    Raises:
        InputError: a folder is named by no expression and no split, or there are classes beside splits.
    """
    inside, _ = list_folder(folder)
    splits = [child for child in inside if child.name.casefold() in _SPLIT_NAMES]
    if not splits:
        return {_UNSPLIT: _checked_classes(folder, inside)}
    if len(splits) < len(inside):
        other = next(child for child in inside if child not in splits)
        raise InputError(
            f"{folder}: expected only splits ({', '.join(child.name for child in splits)}) or only classes, "
            f"found {other.name} beside them"
        )
    return {split.name: _checked_classes(split, list_folder(split)[0]) for split in splits}


def _checked_classes(folder: Path, inside: list[Path]) -> list[Path]:
    if not inside:
        raise InputError(
            f"{folder}: expected a folder for each class, found none; give the folder that has the class folders in it"
        )
    by_expression: dict[str, Path] = {}
    for child in inside:
        expression = expression_of(child.name)
        if expression is None:
            raise InputError(
                f"{child}: expected a class folder named by its expression ({known_names()}), found {child.name!r}; "
                "rename it, or give another folder level"
            )
        if expression in by_expression:
            raise InputError(
                f"{folder}: expected one folder for {expression}, found {by_expression[expression].name} and "
                f"{child.name}; put them together"
            )
        by_expression[expression] = child
    return inside


def _list_class(
    class_folder: Path,
    root: Path,
    options: ReadOptions,
    skipped: Skipped,
    subject_of: Callable[[str], str] | None,
) -> list[ListedFace]:
    label = expression_of(class_folder.name) or ""
    deeper, files = list_folder(class_folder)
    pictures = [path for path in files if is_picture(path)]
    if deeper:
        raise InputError(
            f"{class_folder}: expected only pictures of this class, found the folder {deeper[0].name}; "
            "give another folder level"
        )
    skipped.leave_out("files that are no pictures by their names", len(files) - len(pictures))
    if not pictures:
        skipped.bad(InputError(f"{class_folder}: expected pictures of this class, found none"))
    listed = []
    crop = whole_picture(options)
    for path in pictures:
        try:
            subject = subject_of(path.name) if subject_of is not None else ""
        except InputError as error:
            skipped.bad(InputError(f"{path}: {error}"))
            continue
        source = path.relative_to(root).as_posix()
        listed.append(ListedFace(path=path, source=source, label=label, crop=crop, subject=subject))
    return listed


def _recognise(path: Path) -> bool:
    if not path.is_dir():
        return False
    inside, _ = list_folder(path)
    classes = [*inside]
    for child in inside:
        if child.name.casefold() in _SPLIT_NAMES:
            classes += list_folder(child)[0]
    return any(expression_of(child.name) is not None for child in classes)


KIND = DatasetKind(
    title="class folders",
    licence="as its owner says",
    layout="folders named by expressions with pictures in them, in train/ and test/ or not",
    recognise=_recognise,
    read=read_class_folders,
)
