"""Where frames come from: photos, videos, cameras, network streams, and other programs (docs/sources.md).

What a file is, is decided by its contents, not by its name.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_edge.errors import InputError, UsageError
from fer_edge.images import check_is_file
from fer_edge.picture_header import PICTURE_FORMATS, picture_format
from fer_edge.sources.base import Frame, OnError, Source
from fer_edge.sources.live import LiveSource
from fer_edge.sources.live_options import LiveOptions
from fer_edge.sources.pictures import PICTURE_SUFFIXES, FolderSource, PhotoSource, picture_paths
from fer_edge.sources.video_file import VideoSource
from fer_edge.video_container import HEAD_BYTES, VIDEO_FORMATS, video_format

__all__ = [
    "PICTURE_SUFFIXES",
    "Frame",
    "LiveOptions",
    "LiveSource",
    "OnError",
    "Source",
    "open_source",
    "picture_paths",
]


def open_source(spec: str, on_error: OnError | None = None, *, live: LiveOptions | None = None) -> Source:
    """Open a photo, a folder, a video file, a camera, a network stream, or frames on standard input.

    A folder gives those of its own files that have one of PICTURE_SUFFIXES, `photo2` before `photo10`; files whose
    name starts with a dot, videos and folders inside it are left out.

    Args:
        spec: path of a file or folder; a camera's number or device file; `picamera` or `picamera:1`; a URL that begins
            with rtsp, rtsps, http or https; `gst:` and a pipeline; `raw:WIDTHxHEIGHT:FORMAT@FPS`.
        on_error: called with what went wrong when reading can go on: a bad picture in a folder, a video that is cut
            short. Without it the first such error is raised.
        live: how a camera or stream is opened and watched.

    Raises:
        InputError: there is no such file, it is empty, neither a picture nor a video, a video without a single frame,
            or a folder without pictures; no such camera, nothing that answers at a URL, or no frame from them.
            Reading the frames raises it for a photo that is damaged.
        MissingExtraError: picamera2, or GStreamer inside OpenCV, is needed and not there.
        UsageError: a size or rate is asked of what is no camera.
    """
    options = live or LiveOptions()
    report = on_error or _raise
    if not spec:
        raise InputError("expected the path of a photo, folder or video, found an empty text")
    if spec == "-" or spec.startswith("raw:"):
        from fer_edge.sources.raw_frames import RawSource

        _check_asks_nothing(options, "frames on standard input")
        return RawSource(spec, report)
    camera = _open_camera(spec, options)
    if camera is not None:
        return camera
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?", spec)
    if scheme is not None and (scheme[2] or _is_unreadable_url(spec, scheme[1])):
        from fer_edge.sources.stream import STREAM_SCHEMES, open_stream

        # Nothing but the scheme is shown: who mistypes a URL may have written a password into it.
        if scheme[1].lower() not in STREAM_SCHEMES or not scheme[2]:
            raise InputError(
                f"{scheme[1]}: expected a URL that begins with {', '.join(f'{name}://' for name in STREAM_SCHEMES)}, "
                "or the path of a file"
            )
        _check_asks_nothing(options, "a stream")
        return open_stream(spec, options)
    _check_asks_nothing(options, "a file")
    return _open_file(Path(spec), report)


def _open_camera(spec: str, options: LiveOptions) -> Source | None:
    from fer_edge.sources.picamera import is_picamera, open_picamera
    from fer_edge.sources.v4l2 import is_v4l2, open_v4l2

    if spec.startswith("gst:"):
        from fer_edge.sources.gstreamer import open_pipeline

        _check_asks_nothing(options, "a pipeline")
        return open_pipeline(spec, options)
    if is_picamera(spec):
        return open_picamera(spec, options)
    return open_v4l2(spec, options) if is_v4l2(spec) else None


def _open_file(path: Path, report: OnError) -> Source:
    try:
        if path.is_dir():
            return FolderSource(path, report)
        check_is_file(path)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if picture_format(head) is not None:
        return PhotoSource(path)
    if video_format(head) is not None:
        return VideoSource(path, report)
    raise InputError(
        f"{path}: not a picture or video that OpenCV can read; "
        f"expected {', '.join(PICTURE_FORMATS + VIDEO_FORMATS)}, found other contents"
    )


def _is_unreadable_url(spec: str, scheme: str) -> bool:
    """Return whether a text is a URL whose slashes are missing, and no file of that name."""
    return scheme.lower() in ("rtsp", "rtsps", "http", "https") and not Path(spec).exists()


def _check_asks_nothing(options: LiveOptions, what: str) -> None:
    if options.size_wh is not None or options.fps is not None:
        raise UsageError(f"a size or a rate can be asked of a camera alone, found {what}; leave them out")


def _raise(error: InputError) -> None:
    raise error
