"""From a list of picture files to faces in memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square, face_pixels
from fer_edge.sources import PICTURE_SUFFIXES
from fer_edge_train.datasets.arrays import FaceSet, pixel_digests
from fer_edge_train.datasets.labels import CONTEMPT
from fer_edge_train.datasets.reading import ReadOptions, Skipped

__all__ = ["Crop", "ListedFace", "find_file", "is_picture", "list_folder", "read_faces", "read_rows", "whole_picture"]

Pixels = npt.NDArray[np.uint8]
Crop = Callable[[Pixels], Pixels]

# Files that operating systems leave in folders.
_CLUTTER = frozenset({"thumbs.db", "desktop.ini"})
_BLOCK_PHOTOS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFace:
    """A face that a data set names, not read yet.

    Attributes:
        path: of the picture.
        source: what to call the face: the file within the data set, or a row and the file.
        label: our name for its expression.
        crop: from the whole picture, uint8 (h, w, 3) in B, G, R, to the face.
        subject: who it is, "" where it is not known.
    """

    path: Path
    source: str
    label: str
    crop: Crop
    subject: str = ""


def whole_picture(options: ReadOptions) -> Crop:
    """Return the crop for data sets of whole pictures: what the options' cropper finds, or the largest centred square.

    The crop raises InputError where the cropper finds no face.
    """
    crop_face = options.crop_face
    if crop_face is None:
        return _centred_square

    def crop(image: Pixels) -> Pixels:
        face = crop_face(image)
        if face is None:
            raise InputError("no face was found in the picture; leave it out, or take the whole picture")
        return face

    return crop


def _centred_square(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return crop_square(image, np.array([left, top, left + side, top + side], dtype=np.float32), 0.0)


def read_faces(listed: Sequence[ListedFace], options: ReadOptions, skipped: Skipped, name: str) -> FaceSet:
    """Read the pictures; the faces keep the list's order, and `rows` is their number in it.

    A photo with several faces is decoded once where they follow each other. Contempt is left out and counted unless it
    is asked for.

    Args:
        listed: what to read.
        options: size, colour, and what to do with pictures that cannot be used.
        skipped: where these are counted.
        name: of the data set or split, for messages.

    Raises:
        InputError: a picture cannot be used and is not to be skipped, or none is left.
    """
    labels = options.labels
    numbers = [i for i, face in enumerate(listed) if face.label in labels]
    skipped.leave_out(f"faces of {CONTEMPT}", len(listed) - len(numbers))
    images = np.empty((len(numbers), options.size_px, options.size_px, options.channels), dtype=np.uint8)
    kept: list[int] = []
    originals: list[str] = []
    for number, pixels in _read_all(listed, numbers, options):
        if isinstance(pixels, InputError):
            skipped.bad(pixels)
            continue
        images[len(kept)], original = pixels
        originals.append(original)
        kept.append(number)
    if not kept:
        raise InputError(f"{name}: expected pictures, found none that can be used")
    subjects = np.array([listed[number].subject for number in kept], dtype=np.str_)
    return FaceSet(
        images=images[: len(kept)],
        label_indices=np.array([labels.index(listed[number].label) for number in kept], dtype=np.int64),
        labels=labels,
        rows=np.array(kept, dtype=np.int64),
        subjects=subjects if (subjects != "").any() else None,
        sources=np.array([listed[number].source for number in kept], dtype=np.str_),
        originals=np.array(originals, dtype="U64"),
    )


def _read_all(
    listed: Sequence[ListedFace], numbers: Sequence[int], options: ReadOptions
) -> Iterator[tuple[int, tuple[Pixels, str] | InputError]]:
    """Yield number, and pixels with the digest of what they were scaled from, of each face that `numbers` names."""
    photos = [list(group) for _, group in itertools.groupby(numbers, key=lambda number: listed[number].path)]

    def read_photo(group: list[int]) -> list[tuple[Pixels, str] | InputError]:
        return _read_photo([listed[number] for number in group], options)

    n_done = 0
    # Decoding runs outside Python's lock. A cropper may not be used by two threads at once.
    n_threads = 1 if options.crop_face is not None else min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(n_threads) as pool:
        for at in range(0, len(photos), _BLOCK_PHOTOS):
            block = photos[at : at + _BLOCK_PHOTOS]
            for group, faces in zip(block, list(pool.map(read_photo, block)), strict=True):
                yield from zip(group, faces, strict=True)
                n_done += len(group)
            if options.progress is not None:
                options.progress(n_done, len(numbers))


def _read_photo(faces: Sequence[ListedFace], options: ReadOptions) -> list[tuple[Pixels, str] | InputError]:
    try:
        image = read_image(faces[0].path)
    except InputError as error:
        return [error for _ in faces]
    results: list[tuple[Pixels, str] | InputError] = []
    for face in faces:
        try:
            crop = face.crop(image)
            pixels = face_pixels(crop, (options.size_px, options.size_px), options.channels)
            results.append((pixels, str(pixel_digests([crop])[0])))
        except InputError as error:
            results.append(InputError(f"{face.path}: {error}"))
    return results


def list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder, each sorted by name, without hidden ones and clutter.

    Raises:
        InputError: it is no folder or cannot be read.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if not _is_clutter(path))
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    return [path for path in inside if path.is_dir()], [path for path in inside if not path.is_dir()]


def _is_clutter(path: Path) -> bool:
    return path.name.startswith(".") or path.name.casefold() in _CLUTTER


def is_picture(path: Path) -> bool:
    """Whether a file is meant as a picture, by its name's end."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def find_file(folder: Path, places: Sequence[str]) -> Path | None:
    """Return the first of `places`, relative to `folder`, that exists."""
    return next((path for place in places if (path := folder / place).exists()), None)


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return number, from 1, and fields of each line of a list; fields are divided by spaces, empty lines left out.

    Raises:
        InputError: the file cannot be read or is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot read {path}: {reason}; expected a list as text") from error
    return [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
