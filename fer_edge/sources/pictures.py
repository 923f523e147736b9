"""Photos: one file, or those of a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fer_edge.errors import InputError
from fer_edge.images import read_image
from fer_edge.sources.base import Frame, OnError, Source

__all__ = ["PICTURE_SUFFIXES", "FolderSource", "PhotoSource", "picture_paths"]

# The files of a folder that are meant as pictures; upper and lower case.
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff")


def picture_paths(folder: Path) -> list[Path]:
    """Return a folder's own files that are meant as pictures, as `open_source` chooses and orders them.

    Raises:
        InputError: it cannot be read, or there are none.
    """
    try:
        paths = sorted((path for path in folder.iterdir() if _is_meant_as_picture(path)), key=_natural_order)
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    if not paths:
        raise InputError(f"{folder}: no pictures in this folder; expected files named {', '.join(PICTURE_SUFFIXES)}")
    return paths


class PhotoSource(Source):
    """One frame: the picture in a file."""

    kind = "photo"

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(image_bgr=read_image(self._path), source=str(self._path), index=0, time_s=None)


class FolderSource(Source):
    """A folder's pictures in the order of their names; one that cannot be read is reported and left out."""

    kind = "folder"

    def __init__(self, folder: Path, report: OnError) -> None:
        self._report = report
        self._paths = picture_paths(folder)

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            try:
                image_bgr = read_image(path)
            except InputError as error:
                self._report(error)
                continue
            yield Frame(image_bgr=image_bgr, source=str(path), index=index, time_s=None)


def _is_meant_as_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and not path.is_dir()


def _natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a key that sorts numbers within names by their value."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], path.name
