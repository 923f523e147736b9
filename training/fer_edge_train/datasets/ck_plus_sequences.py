"""CK+ as its original sequences: cohn-kanade-images/S010/004/*.png, and Emotion/S010/004/*_emotion.txt for 327 of 593.

Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)" (CVPR workshops 2010). A sequence begins with a neutral face and
ends at the apex of the expression. The usual rule, by which the 981 crops of 48 x 48 were made as well: the last three
frames get the sequence's label, the first one is neutral. Sequences without a label are left out.
"""

from __future__ import annotations

from pathlib import Path

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.ck_plus import CK_PLUS_LICENCE
from fer_edge_train.datasets.labels import CONTEMPT
from fer_edge_train.datasets.pictures import (
    ListedFace,
    find_file,
    is_picture,
    list_folder,
    read_faces,
    read_rows,
    whole_picture,
)
from fer_edge_train.datasets.reading import DatasetKind, ReadOptions, Skipped

__all__ = ["KIND", "read_ck_plus_sequences"]

_IMAGES = ("cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")
_LABELS = ("Emotion", "Emotion_labels/Emotion", "Emotion_labels")
_NEUTRAL = "neutral"
_CODES = (_NEUTRAL, "angry", CONTEMPT, "disgust", "fear", "happy", "sad", "surprise")


def read_ck_plus_sequences(folder: Path, options: ReadOptions, skipped: Skipped) -> dict[str, FaceSet]:
    """Read `options.last_frames` of the apex and `options.first_frames` neutral ones of each labelled sequence.

    Returns:
        One set, "all", with subjects.

    Raises:
        InputError: a folder is missing, a label is none of 0 to 7, a sequence is too short, or a picture is bad.
    """
    images, labels = find_file(folder, _IMAGES), find_file(folder, _LABELS)
    if images is None or labels is None:
        missing = _LABELS if images is not None else _IMAGES
        raise InputError(f"{folder}: expected CK+'s folder {missing[0]} in it, found none; unpack both archives there")
    listed: list[ListedFace] = []
    for subject in list_folder(images)[0]:
        for sequence in list_folder(subject)[0]:
            try:
                label = _sequence_label(labels / subject.name / sequence.name)
                if label is None:
                    skipped.leave_out("sequences without a label")
                    continue
                listed += _frames(sequence, subject.name, label, folder, options)
            except InputError as error:
                skipped.bad(error)
    return {"all": read_faces(listed, options, skipped, str(folder))}


def _sequence_label(folder: Path) -> str | None:
    """Return the label in the folder's one file, None where there is no file."""
    files = list_folder(folder)[1] if folder.is_dir() else []
    if not files:
        return None
    if len(files) > 1:
        raise InputError(f"{folder}: expected one label file, found {len(files)}: {', '.join(f.name for f in files)}")
    rows = read_rows(files[0])
    text = " ".join(field for _, fields in rows for field in fields)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number not in range(len(_CODES)):
        raise InputError(f"{files[0]}: expected one number from 0 to {len(_CODES) - 1}, found {text[:40]!r}")
    return _CODES[int(number)]


def _frames(sequence: Path, subject: str, label: str, root: Path, options: ReadOptions) -> list[ListedFace]:
    frames = [path for path in list_folder(sequence)[1] if is_picture(path)]
    needed = options.last_frames + options.first_frames
    if len(frames) < needed:
        raise InputError(
            f"{sequence}: expected at least {needed} frames ({options.first_frames} neutral, {options.last_frames} of "
            f"the apex), found {len(frames)}"
        )
    chosen = [(path, _NEUTRAL) for path in frames[: options.first_frames]]
    chosen += [(path, label) for path in frames[-options.last_frames :]]
    crop = whole_picture(options)
    return [
        ListedFace(path=path, source=path.relative_to(root).as_posix(), label=name, crop=crop, subject=subject)
        for path, name in chosen
    ]


def _recognise(path: Path) -> bool:
    return path.is_dir() and find_file(path, _IMAGES) is not None


KIND = DatasetKind(
    title="CK+, sequences",
    licence=CK_PLUS_LICENCE,
    layout="folders cohn-kanade-images and Emotion",
    recognise=_recognise,
    read=read_ck_plus_sequences,
)
