"""Draws what was found into frames, and writes annotated pictures and videos."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from fer_edge._cv2 import import_cv2
from fer_edge.errors import OutputError, UsageError
from fer_edge.files import ensure_writable_target, partial_path, put_in_place, write_bytes
from fer_edge.results import Face, FrameAnalysis
from fer_edge.sources import Frame, Source
from fer_edge.stage import Pixels

__all__ = ["AnnotationWriter", "draw_faces", "open_annotation"]

_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_VIDEO_CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG"}
_FALLBACK_FPS = 25.0  # of a video that does not state its rate

# B, G, R. A box, its text on it, and the part of the bars that is not filled.
_ACCENT, _INK, _TRACK = (64, 160, 0), (255, 255, 255), (90, 90, 90)


def draw_faces(frame_bgr: Pixels, faces: tuple[Face, ...], labels: tuple[str, ...]) -> Pixels:
    """Return a copy of a frame with each face's box, landmarks, expression, and bars of all probabilities.

    Args:
        frame_bgr: uint8 (height, width, 3) in B, G, R.
        faces: of that frame.
        labels: names of the classes, in the order of `Face.probs`.
    """
    canvas = frame_bgr.copy()
    for face in faces:
        _draw_face(canvas, face, labels)
    return canvas


def _draw_face(canvas: Pixels, face: Face, labels: tuple[str, ...]) -> None:
    cv2 = import_cv2()
    height, width = canvas.shape[:2]
    left, top, right, bottom = (round(value) for value in face.box_xyxy.tolist())
    face_px = max(right - left, bottom - top)
    # Line and letters grow with the picture, letters also with the face, so that both can be read at any size.
    line_px = max(round(max(height, width) / 500), 1)
    font_scale = min(max(face_px / 260, 0.4), max(height, width) / 900 + 0.2)
    thickness = max(round(font_scale * 1.6), 1)

    cv2.rectangle(canvas, (left, top), (right, bottom), _ACCENT, line_px, cv2.LINE_AA)
    for x, y in face.landmarks_xy.tolist():
        cv2.circle(canvas, (round(x), round(y)), line_px + 1, _ACCENT, -1, cv2.LINE_AA)

    number = "" if face.track_id is None else f"{face.track_id}: "
    text = f"{number}{face.emotion} {100 * float(face.probs[labels.index(face.emotion)]):.0f}%"
    (text_width, text_height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, font_scale, thickness)
    strip_height = text_height + baseline + 2 * line_px
    # Above the box where there is room, else inside it.
    strip_top = top - strip_height if top >= strip_height else top
    strip_left = min(max(left, 0), max(width - text_width - 4 * line_px, 0))
    cv2.rectangle(
        canvas,
        (strip_left, strip_top),
        (strip_left + text_width + 4 * line_px, strip_top + strip_height),
        _ACCENT,
        -1,
    )
    cv2.putText(
        canvas,
        text,
        (strip_left + 2 * line_px, strip_top + text_height + line_px),
        cv2.FONT_HERSHEY_SIMPLEX,
        font_scale,
        _INK,
        thickness,
        cv2.LINE_AA,
    )
    if face_px >= _SMALLEST_FACE_WITH_BARS_PX:
        _draw_bars(canvas, face, labels, (left, top, right, bottom), font_scale * 0.62)


_SMALLEST_FACE_WITH_BARS_PX = 96  # below, seven lines of text are larger than the face


def _draw_bars(
    canvas: Pixels, face: Face, labels: tuple[str, ...], box_px: tuple[int, int, int, int], font_scale: float
) -> None:
    """Draw a bar for each probability below the box; beside it, or else over it, where the frame ends before."""
    cv2 = import_cv2()
    height, width = canvas.shape[:2]
    sizes = [cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, font_scale, 1)[0] for label in labels]
    row_px = round(max(size[1] for size in sizes) * 1.9)
    label_px = max(size[0] for size in sizes)
    bar_px = max(label_px, 40)
    panel_width, panel_height = label_px + bar_px + 3 * row_px // 2, row_px * len(labels) + row_px // 2
    box_left, _, box_right, box_bottom = box_px
    gap_px = row_px // 3
    left, top = box_left, box_bottom + gap_px
    if top + panel_height > height:
        if box_right + gap_px + panel_width <= width:
            left = box_right + gap_px
        elif box_left - gap_px - panel_width >= 0:
            left = box_left - gap_px - panel_width
    left = min(max(left, 0), max(width - panel_width, 0))
    top = min(top, max(height - panel_height, 0))
    panel = canvas[top : top + panel_height, left : left + panel_width]
    panel[...] = panel // 3  # dark enough for white letters, the picture still shows
    for row, (label, prob) in enumerate(zip(labels, face.probs.tolist(), strict=True)):
        base_y = top + row_px * (row + 1)
        start = left + label_px + row_px
        cv2.putText(
            canvas, label, (left + row_px // 2, base_y), cv2.FONT_HERSHEY_SIMPLEX, font_scale, _INK, 1, cv2.LINE_AA
        )
        bar_top = base_y - row_px // 2
        cv2.rectangle(canvas, (start, bar_top), (start + bar_px, base_y), _TRACK, -1)
        cv2.rectangle(canvas, (start, bar_top), (start + round(bar_px * prob), base_y), _ACCENT, -1)


class AnnotationWriter:
    """Writes annotated frames somewhere; a context manager. The base class writes nothing."""

    def write(self, frame: Frame, analysis: FrameAnalysis, labels: tuple[str, ...]) -> None:
        """Draw and write one frame.

        Raises:
            OutputError: it cannot be written.
        """

    def close(self, *, complete: bool) -> None:
        """Put the result in place, or remove what was begun where the work is not complete."""

    def __enter__(self) -> AnnotationWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(complete=error is None)


def open_annotation(target: Path | None, source: Source, *, source_path: Path, force: bool) -> AnnotationWriter:
    """Return a writer that fits a source: a picture for a photo, a folder for a folder, a video for a video.

    Args:
        target: file or folder to write; None writes nothing.
        source: what is annotated.
        source_path: where it is read from; never written to.
        force: whether to replace `target`, or files in it, where it exists. An empty folder needs no force.

    Raises:
        UsageError: `target` is the source itself, exists without `force`, or its name does not fit the source.
        OutputError: it cannot be written.
    """
    if target is None:
        return AnnotationWriter()
    if _is_same(target, source_path):
        raise UsageError(f"--annotate {target}: expected another place than the source's own; choose another name")
    suffix = target.suffix.lower()
    if source.kind == "photo":
        _check_suffix(target, suffix, _PICTURE_SUFFIXES, "an annotated photo")
        ensure_writable_target(target, force=force)
        return _PictureWriter(target)
    if source.kind == "folder":
        return _FolderWriter(target, force=force)
    _check_suffix(target, suffix, tuple(_VIDEO_CODECS), "an annotated video")
    ensure_writable_target(target, force=force)
    return _VideoWriter(target, source)


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False  # one of them is not there


def _check_suffix(target: Path, suffix: str, known: tuple[str, ...], what: str) -> None:
    if suffix not in known:
        raise UsageError(f"--annotate {target}: expected a name for {what} ending in {', '.join(known)}")


class _PictureWriter(AnnotationWriter):
    def __init__(self, target: Path) -> None:
        self._target = target

    def write(self, frame: Frame, analysis: FrameAnalysis, labels: tuple[str, ...]) -> None:
        _write_picture(self._target, draw_faces(frame.image_bgr, analysis.faces, labels))


class _FolderWriter(AnnotationWriter):
    def __init__(self, target: Path, *, force: bool) -> None:
        try:
            is_empty = not any(target.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            ensure_writable_target(target, force=force, kind="folder")
            is_empty = True
        except OSError as error:
            raise OutputError(f"cannot write into {target}: {error.strerror or error}") from error
        if not is_empty and not force:
            raise UsageError(
                f"--annotate {target}: expected a new or empty folder, found files in it; choose another name or add "
                "--force to replace those of the same names"
            )
        try:
            target.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
        if not os.access(target, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write into {target}: no permission")
        self._target = target
        self._written: set[Path] = set()

    def write(self, frame: Frame, analysis: FrameAnalysis, labels: tuple[str, ...]) -> None:
        name = Path(frame.source)
        # a.png and a.bmp must not become one file, so the old suffix stays in the name.
        target = self._target / (name.name if name.suffix.lower() in _PICTURE_SUFFIXES else f"{name.name}.png")
        if target in self._written:  # of a.gif and a.gif.png
            raise OutputError(f"cannot write {target} for {frame.source}: another picture has that name; rename one")
        _write_picture(target, draw_faces(frame.image_bgr, analysis.faces, labels))
        self._written.add(target)


class _VideoWriter(AnnotationWriter):
    def __init__(self, target: Path, source: Source) -> None:
        cv2 = import_cv2()
        self._target = target
        self._size_wh = source.size_wh
        # Absolute: FFmpeg reads `a:b.mp4` as protocol `a`.
        self._partial = partial_path(target.absolute())
        codec = cv2.VideoWriter.fourcc(*_VIDEO_CODECS[target.suffix.lower()])
        self._writer: Any = cv2.VideoWriter(str(self._partial), codec, source.fps or _FALLBACK_FPS, source.size_wh)
        if not self._writer.isOpened():
            self._partial.unlink(missing_ok=True)
            raise OutputError(f"cannot write {target}: OpenCV has no encoder for it here; try a name ending in .avi")

    def write(self, frame: Frame, analysis: FrameAnalysis, labels: tuple[str, ...]) -> None:
        size_wh = (frame.image_bgr.shape[1], frame.image_bgr.shape[0])
        if self._size_wh is not None and size_wh != self._size_wh:  # OpenCV would leave it out without a word
            raise OutputError(
                f"cannot write {self._target}: expected frames of {self._size_wh[0]} x {self._size_wh[1]} pixels, "
                f"found {size_wh[0]} x {size_wh[1]} at frame {frame.index}; leave --annotate away for this video"
            )
        self._writer.write(draw_faces(frame.image_bgr, analysis.faces, labels))

    def close(self, *, complete: bool) -> None:
        try:
            self._writer.release()
            if complete:
                self._check_readable()
                put_in_place(self._partial, self._target)
        finally:
            with suppress(OSError):
                self._partial.unlink()

    def _check_readable(self) -> None:
        # The encoder reports no errors (a full disk, say); a container without frames is the sign it leaves.
        check = import_cv2().VideoCapture(str(self._partial))
        written = check.isOpened() and check.grab()
        check.release()
        if not written:
            raise OutputError(f"cannot write {self._target}: the encoder left no readable video; is the disk full?")


def _write_picture(target: Path, image_bgr: Pixels) -> None:
    encoded, data = import_cv2().imencode(target.suffix.lower(), image_bgr)
    if not encoded:
        raise OutputError(f"cannot write {target}: OpenCV has no encoder for {target.suffix}")
    write_bytes(target, data.tobytes())
