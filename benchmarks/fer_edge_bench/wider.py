"""Reads WIDER FACE's ground truth in its official text format (`wider_face_val_bbx_gt.txt` and subsets of it).

A photo is its path, the number of its faces, and one line of ten integers for each face:

    0--Parade/0_Parade_Parade_0_616.jpg
    5
    114 162 70 106 0 0 0 0 0 0

The integers are x, y, width, height, blur, expression, illumination, invalid, occlusion, pose. A photo without faces
has the number 0 followed by one line of zeros. Yang et al. 2016, http://shuoyang1213.me/WIDERFACE/.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError

__all__ = ["WiderFace", "WiderPhoto", "read_wider"]

_COLUMNS = ("x", "y", "width", "height", "blur", "expression", "illumination", "invalid", "occlusion", "pose")
_LARGEST_FLAGS = (2, 1, 1, 1, 2, 1)  # of blur .. pose; the smallest is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WiderFace:
    """One labelled face.

    Attributes:
        box_xywh: left, top, width, height in pixels; the official file has a few of width or height 0.
        blur: 0 clear, 1 normal, 2 heavy.
        expression: 0 typical, 1 exaggerated.
        illumination: 0 normal, 1 extreme.
        invalid: the annotators could not use this face; it is neither required nor forbidden to find it.
        occlusion: 0 none, 1 partial, 2 heavy.
        pose: 0 typical, 1 atypical.
    """

    box_xywh: tuple[int, int, int, int]
    blur: int = 0
    expression: int = 0
    illumination: int = 0
    invalid: bool = False
    occlusion: int = 0
    pose: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WiderPhoto:
    """One photo and its labelled faces.

    Attributes:
        name: path below the folder `images`, with forward slashes.
        faces: in the file's order.
    """

    name: str
    faces: tuple[WiderFace, ...]

    def boxes_xyxy(self) -> npt.NDArray[np.float64]:
        """Return float64 (n, 4): left, top, left + width, top + height in pixels."""
        boxes = np.array([face.box_xywh for face in self.faces], dtype=np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes

    def invalid(self) -> npt.NDArray[np.bool_]:
        """Return bool (n,): which faces the annotators marked as invalid."""
        return np.array([face.invalid for face in self.faces], dtype=np.bool_)


def read_wider(path: Path) -> tuple[WiderPhoto, ...]:
    """Return the photos of an annotation file, in its order.

    Raises:
        InputError: the file cannot be read, or a line is not what the format has there.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; expected WIDER FACE's annotations as text") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"{path}: expected WIDER FACE's annotations, found no line")
    reader = _Reader(path, lines)
    photos: dict[str, WiderPhoto] = {}
    while not reader.at_end:
        photo = reader.photo()
        if photo.name in photos:
            raise reader.error(f"a photo that was not listed before, found {photo.name} again")
        photos[photo.name] = photo
    return tuple(photos.values())


class _Reader:
    """Walks over the lines; `_index` is the next line to read."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path = path
        self._lines = lines
        self._index = 0

    @property
    def at_end(self) -> bool:
        return self._index == len(self._lines)

    def error(self, expected: str) -> InputError:
        """Return an error about the line read last."""
        return InputError(f"{self._path}, line {self._index}: expected {expected}; restore the file from WIDER FACE")

    def photo(self) -> WiderPhoto:
        name = self._next("a photo's path")
        parts = PurePosixPath(name)
        if parts.suffix.lower() != ".jpg" or parts.is_absolute() or ".." in parts.parts:
            raise self.error(f"a photo's relative path that ends in .jpg, found {name!r}")
        text = self._next(f"the number of faces in {name}")
        if not (text.isascii() and text.isdigit()):
            raise self.error(f"the number of faces in {name}, found {text!r}")
        n_faces = int(text)
        if n_faces == 0 and not self.at_end and self._lines[self._index].split() == ["0"] * len(_COLUMNS):
            self._index += 1
        return WiderPhoto(name=name, faces=tuple(self._face(name, i + 1, n_faces) for i in range(n_faces)))

    def _next(self, expected: str) -> str:
        if self.at_end:
            raise self.error(f"{expected} after it, found the end of the file")
        self._index += 1
        return self._lines[self._index - 1].strip()

    def _face(self, name: str, number: int, n_faces: int) -> WiderFace:
        text = self._next(f"face {number} of {n_faces} of {name}")
        try:
            values = [int(word) for word in text.split()]
        except ValueError:
            values = []
        if len(values) != len(_COLUMNS):
            columns = " ".join(_COLUMNS)
            raise self.error(f"face {number} of {n_faces} of {name} as ten integers ({columns}), found {text!r}")
        x, y, width, height, *flags = values
        if min(width, height) < 0:
            raise self.error(f"width and height of at least 0, found {width} x {height}")
        for column, flag, largest in zip(_COLUMNS[4:], flags, _LARGEST_FLAGS, strict=True):
            if not 0 <= flag <= largest:
                raise self.error(f"{column} of 0 to {largest}, found {flag}")
        blur, expression, illumination, invalid, occlusion, pose = flags
        return WiderFace(
            box_xywh=(x, y, width, height),
            blur=blur,
            expression=expression,
            illumination=illumination,
            invalid=bool(invalid),
            occlusion=occlusion,
            pose=pose,
        )
