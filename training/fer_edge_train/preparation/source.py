"""The faces to prepare: any data set that can be read, cropped where whole pictures are published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, UsageError
from fer_edge.files import sha256_of_file
from fer_edge.preprocess import crop_square
from fer_edge_train.datasets import FaceSet
from fer_edge_train.datasets.reading import Dataset, ReadOptions
from fer_edge_train.datasets.registry import read_dataset
from fer_edge_train.preparation.crop import FaceCropper

__all__ = ["PictureWithoutFace", "SourceFaces", "read_source"]

Pixels = npt.NDArray[np.uint8]

_TRAINING_NAMES = ("training", "train")
_UNSPLIT = "all"  # what readers call a set that its authors did not divide


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureWithoutFace:
    """A picture in which no face was found."""

    split: str
    label: str
    row: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceFaces:
    """A data set as it was read.

    Attributes:
        sets: by split; a set that came undivided is "train".
        training: name of the training split.
        is_split: whether the data came divided.
        without_face: pictures in which no face was found, kept or not.
        n_several: pictures with several faces, of which the largest was taken.
        stated: what names the data, as JSON types.
    """

    sets: dict[str, FaceSet]
    training: str
    is_split: bool
    without_face: tuple[PictureWithoutFace, ...]
    n_several: int
    stated: dict[str, Any]


def read_source(
    data: str | Path,
    *,
    size_px: int,
    channels: int,
    cropper: FaceCropper | None = None,
    keep_without_face: bool = False,
    skip_bad: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> SourceFaces:
    """Read a data set.

    Args:
        data: path, or name:path, as `read_dataset` takes it.
        size_px: side of the faces.
        channels: 1 for gray, 3 for B, G, R.
        cropper: cuts the face out; None takes the largest centred square.
        keep_without_face: take that square where no face is found, instead of leaving the picture out.
        skip_bad: leave out and count what cannot be read.
        progress: see ReadOptions.

    Raises:
        InputError: the data cannot be read, has splits but none for training, or a split has no picture with a face.
        UsageError: a crop is asked for of a data set whose faces are cut out already.
    """
    recorder = _Recorder(cropper) if cropper is not None else None
    options = ReadOptions(size_px=size_px, channels=channels, skip_bad=skip_bad, progress=progress, crop_face=recorder)
    dataset = read_dataset(data, options)
    sets = dict(dataset.splits)
    without_face: list[PictureWithoutFace] = []
    if recorder is not None:
        if not recorder.n_faces:
            raise UsageError(f"{dataset.title}: its faces are cut out already; leave the crop away")
        sets, without_face = _apply(recorder.n_faces, sets, keep_without_face=keep_without_face)
    is_split = tuple(sets) != (_UNSPLIT,)
    if not is_split:
        sets = {_TRAINING_NAMES[1]: sets[_UNSPLIT]}
        without_face = [replace(note, split=_TRAINING_NAMES[1]) for note in without_face]
    return SourceFaces(
        sets=sets,
        training=_training_split(dataset, sets),
        is_split=is_split,
        without_face=tuple(without_face),
        n_several=sum(n > 1 for n in recorder.n_faces) if recorder is not None else 0,
        stated=_stated(data, dataset),
    )


class _Recorder:
    """Crops each picture it is given and remembers how many faces were found in it.

    Readers call it once for each picture they can read, in the order of the faces they return. Where none is found the
    largest centred square stands in, so that the two keep step.
    """

    def __init__(self, cropper: FaceCropper) -> None:
        self._cropper = cropper
        self.n_faces: list[int] = []

    def __call__(self, image: Pixels) -> Pixels:
        crop = self._cropper(image)
        self.n_faces.append(crop.n_faces if crop is not None else 0)
        if crop is not None:
            return crop.pixels
        height, width = image.shape[:2]
        side = min(height, width)
        left, top = (width - side) // 2, (height - side) // 2
        return crop_square(image, np.array([left, top, left + side, top + side], dtype=np.float32), 0.0)


def _apply(
    n_faces: list[int], sets: dict[str, FaceSet], *, keep_without_face: bool
) -> tuple[dict[str, FaceSet], list[PictureWithoutFace]]:
    """Note the pictures without a face, and leave them out unless they are kept."""
    found = np.array(n_faces) > 0
    if len(found) != sum(len(faces) for faces in sets.values()):
        raise RuntimeError(f"expected a crop for each of {sum(map(len, sets.values()))} faces, found {len(found)}")
    notes: list[PictureWithoutFace] = []
    kept: dict[str, FaceSet] = {}
    start = 0
    for split, faces in sets.items():
        here = found[start : start + len(faces)]
        start += len(faces)
        for i in np.flatnonzero(~here).tolist():
            label = faces.labels[int(faces.label_indices[i])]
            notes.append(PictureWithoutFace(split=split, label=label, row=int(faces.rows[i]), source=faces.source(i)))
        if not here.any() and not keep_without_face:
            raise InputError(f"{split}: expected a face in some of {len(faces)} pictures, found none in any")
        kept[split] = faces if keep_without_face else faces.take(here)
    return kept, notes


def _training_split(dataset: Dataset, sets: dict[str, FaceSet]) -> str:
    by_name = {split.casefold(): split for split in sets}
    for name in _TRAINING_NAMES:
        if name in by_name:
            return by_name[name]
    raise InputError(f"{dataset.title}: expected a split named {' or '.join(_TRAINING_NAMES)}, found {', '.join(sets)}")


def _stated(data: str | Path, dataset: Dataset) -> dict[str, Any]:
    """Return what names the data: a record names files, not somebody's folders."""
    path = Path(str(data).removeprefix(f"{dataset.name}:"))
    is_file = path.is_file()
    return {
        "name": dataset.title,
        "kind": dataset.name,
        "licence": dataset.licence,
        "file_name": path.name if is_file else None,
        "file_sha256": sha256_of_file(path) if is_file else None,
        "skipped": dataset.skipped.to_json(),
    }
