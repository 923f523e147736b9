"""Where frames come from: a photo, a folder of photos, or a video file.

What a file is, is decided by its contents, not by its name.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from fer_edge._cv2 import MAX_IMAGE_PIXELS, import_cv2
from fer_edge.errors import InputError
from fer_edge.images import check_is_file, read_image
from fer_edge.picture_header import PICTURE_FORMATS, picture_format
from fer_edge.video_container import HEAD_BYTES, VIDEO_FORMATS, VideoClaims, video_claims, video_format

__all__ = ["PICTURE_SUFFIXES", "Frame", "Source", "open_source", "picture_paths"]

Pixels = npt.NDArray[np.uint8]
OnError = Callable[[InputError], object]

# The files of a folder that are meant as pictures; upper and lower case.
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff")

# A decoder may hold back the last few frames; intact files were seen to deliver up to 3 fewer than they count.
_MISSING_TOLERANCE_FRAMES = 5
_MISSING_TOLERANCE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture and where it came from.

    Attributes:
        image_bgr: uint8 (height, width, 3) in B, G, R; the frame's own memory.
        source: the file's path as it was given, for a folder the folder's path and the file's name.
        index: from 0, the frame's number in a video, the picture's number in a folder.
        time_s: position in a video in seconds; None for a photo.
    """

    image_bgr: Pixels
    source: str
    index: int
    time_s: float | None


class Source(ABC):
    """Frames to be read once, in order; a context manager that releases what it holds.

    Attributes:
        kind: what the frames come from.
        fps: a video's average frames per second; None for pictures and where the video does not say.
        size_wh: a video's width and height in pixels as delivered, after any rotation; None for pictures.
    """

    kind: ClassVar[Literal["photo", "folder", "video"]]
    fps: float | None = None
    size_wh: tuple[int, int] | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:  # noqa: B027 - pictures hold nothing open
        """Release the file; nothing can be read after that."""

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_source(spec: str, on_error: OnError | None = None) -> Source:
    """Open a photo, a folder or a video file.

    A folder gives those of its own files that have one of PICTURE_SUFFIXES, `photo2` before `photo10`; files whose
    name starts with a dot, videos and folders inside it are left out.

    Args:
        spec: path of the file or folder.
        on_error: called with what went wrong when reading can go on: a bad picture in a folder, a video that is cut
            short. Without it the first such error is raised.

    Raises:
        InputError: there is no such file, it is empty, neither a picture nor a video, a video without a single frame,
            or a folder without pictures. Reading the frames raises it for a photo that is damaged.
    """
    report = on_error or _raise
    if not spec:
        raise InputError("expected the path of a photo, folder or video, found an empty text")
    path = Path(spec)
    try:
        if path.is_dir():
            return _FolderSource(path, report)
        check_is_file(path)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if picture_format(head) is not None:
        return _PhotoSource(path)
    if video_format(head) is not None:
        return _VideoSource(path, report)
    raise InputError(
        f"{path}: not a picture or video that OpenCV can read; "
        f"expected {', '.join(PICTURE_FORMATS + VIDEO_FORMATS)}, found other contents"
    )


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


class _PhotoSource(Source):
    kind = "photo"

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Frame]:
        yield Frame(image_bgr=read_image(self._path), source=str(self._path), index=0, time_s=None)


class _FolderSource(Source):
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


class _VideoSource(Source):
    kind = "video"

    def __init__(self, path: Path, report: OnError) -> None:
        self._path = path
        self._report = report
        try:
            self._claims: VideoClaims = video_claims(path)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        cv2 = import_cv2()
        self._capture: Any = cv2.VideoCapture(_path_for_ffmpeg(path), cv2.CAP_FFMPEG)
        width = round(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = round(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_IMAGE_PIXELS:
            self.close()
            raise InputError(f"{path}: expected at most {MAX_IMAGE_PIXELS} pixels a frame, found {width} x {height}")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and fps > 0 else None
        # A file may open and yet hold no frame; and only a decoded frame tells its size after rotation.
        first_image = self._read()
        if first_image is None:
            self.close()
            missing_bytes = self._claims.missing_bytes
            reason = f"it is cut short by {missing_bytes} bytes" if missing_bytes else "it has none or is damaged"
            raise InputError(f"{path}: expected a video with at least one frame that can be decoded, but {reason}")
        self._first_image: Pixels | None = first_image
        self.size_wh = (first_image.shape[1], first_image.shape[0])

    def __iter__(self) -> Iterator[Frame]:
        position_property = import_cv2().CAP_PROP_POS_MSEC
        image, self._first_image = self._first_image, None
        if image is None:
            return
        index, time_s = 0, None
        while image is not None:
            # After a read this is the time stamp of the frame just read; before it, of the one before.
            # Older releases of OpenCV give the first frame of some edit lists a time just below 0.
            time_s = max(self._capture.get(position_property) / 1000.0, 0.0)
            if index > 0 and time_s == 0.0:
                # A bare H.264 stream has no time stamps.
                time_s = index / self.fps if self.fps else None
            yield Frame(image_bgr=image, source=str(self._path), index=index, time_s=time_s)
            image = self._read()
            index += 1
        self._report_what_is_missing(index, time_s)

    def close(self) -> None:
        self._first_image = None
        self._capture.release()

    def _read(self) -> Pixels | None:
        delivered, image = self._capture.read()
        return image if delivered else None

    def _report_what_is_missing(self, frames: int, last_time_s: float | None) -> None:
        claims = self._claims
        if claims.missing_bytes:
            self._report(
                InputError(
                    f"{self._path}: the file is cut short by {claims.missing_bytes} bytes and ended after {frames} "
                    "frames; copy it again from where it came from"
                )
            )
            return
        if claims.duration_s is None or last_time_s is None:
            return
        # Each figure alone cries wolf: the last frame may be shown for long, an edit list may leave frames out.
        missing_frames = self._capture.get(import_cv2().CAP_PROP_FRAME_COUNT) - frames
        if missing_frames > _MISSING_TOLERANCE_FRAMES and claims.duration_s - last_time_s > _MISSING_TOLERANCE_S:
            self._report(
                InputError(
                    f"{self._path}: the video ended after {frames} frames at {last_time_s:.1f} s of "
                    f"{claims.duration_s:.1f} s; the file is damaged, copy it again from where it came from"
                )
            )


def _path_for_ffmpeg(path: Path) -> str:
    """Return an absolute path: FFmpeg reads `a:b.mp4` as protocol `a`, and OpenCV crashes on a name that is no text."""
    name = str(path.absolute())
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{path!r}: expected a video whose path is UTF-8 text; rename it") from error
    return name


def _is_meant_as_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and not path.is_dir()


def _natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a key that sorts numbers within names by their value."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], path.name


def _raise(error: InputError) -> None:
    raise error
