"""The frames of a video file, and what is missing of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_edge._cv2 import MAX_IMAGE_PIXELS, import_cv2
from fer_edge.errors import InputError
from fer_edge.sources.base import Frame, OnError, Pixels, Source
from fer_edge.video_container import VideoClaims, video_claims

__all__ = ["VideoSource"]

# A decoder may hold back the last few frames; intact files were seen to deliver up to 3 fewer than they count.
_MISSING_TOLERANCE_FRAMES = 5
_MISSING_TOLERANCE_S = 1.0


class VideoSource(Source):
    """A video's frames in their order; a file that is cut short is reported when what it has was read."""

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
        """Release the file."""
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
