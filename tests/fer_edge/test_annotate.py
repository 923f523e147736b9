"""Where annotated pictures and videos may be written, and what is left where they cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.annotate import open_annotation
from fer_edge.errors import OutputError, UsageError
from fer_edge.results import FrameAnalysis
from fer_edge.sources import Frame, open_source

NOTHING_FOUND = FrameAnalysis(faces=(), detect_ms=1.0, classify_ms=1.0, stages_ms={})
forced_or_not = pytest.mark.parametrize("force", [False, True], ids=["", "force"])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def picture(path, value=90):
    cv2.imwrite(str(path), np.full((48, 64, 3), value, np.uint8))
    return path


def photo_folder(path):
    path.mkdir()
    for name in ("a.png", "b.png"):
        picture(path / name)
    return path


def video(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for value in (50, 100, 150):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


def frame_of(value=90, size_wh=(64, 48), index=0, source="a.png"):
    image_bgr = np.full((size_wh[1], size_wh[0], 3), value, np.uint8)
    return Frame(image_bgr=image_bgr, source=source, index=index, time_s=None)


def annotate(source_path, target, *, force=False):
    """Copy a source to a target with nothing drawn."""
    with (
        open_source(str(source_path)) as source,
        open_annotation(target, source, source_path=Path(source_path), force=force) as writer,
    ):
        for frame in source:
            writer.write(frame, NOTHING_FOUND, ("happy",))


def same(path):
    return path


def linked(path):
    link = path.with_name(f"link{path.suffix}")
    link.symlink_to(path)
    return link


def roundabout(path):
    (path.parent / "sub").mkdir()
    return path.parent / "sub" / ".." / path.name


@forced_or_not
@pytest.mark.parametrize("other", [same, linked, roundabout], ids=lambda function: function.__name__)
@pytest.mark.parametrize(
    ("make", "name"),
    [(picture, "photo.png"), (photo_folder, "photos"), (video, "clip.mp4")],
    ids=["picture", "folder", "video"],
)
def test_the_source_is_never_written_to(tmp_path, make, name, other, force):
    source_path = make(tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    target = other(source_path)
    with pytest.raises(UsageError) as raised:
        annotate(source_path, target, force=force)
    assert str(raised.value) == (
        f"--annotate {target}: expected another place than the source's own; choose another name"
    )
    assert {path: path.read_bytes() for path in before} == before
    assert not list(tmp_path.rglob(".*part*"))


@forced_or_not
def test_a_folder_in_the_place_of_a_picture(tmp_path, force):
    (tmp_path / "drawn.png").mkdir()
    with pytest.raises(UsageError, match=r"drawn\.png is a folder; expected the name of a file"):
        annotate(picture(tmp_path / "photo.png"), tmp_path / "drawn.png", force=force)


@pytest.mark.parametrize("exists", [False, True], ids=["new", "empty"])
def test_a_new_or_empty_folder_is_filled(tmp_path, exists):
    target = tmp_path / "drawn"
    if exists:
        target.mkdir()
    annotate(photo_folder(tmp_path / "photos"), target)
    assert names(target) == ["a.png", "b.png"]


def test_a_folder_with_files_needs_force_before_anything_is_read(tmp_path):
    source_path = photo_folder(tmp_path / "photos")
    target = tmp_path / "drawn"
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    picture(target / "b.png", value=200)
    with (
        open_source(str(source_path)) as source,
        pytest.raises(UsageError, match=r"expected a new or empty folder, found files in it; .* add --force"),
    ):
        open_annotation(target, source, source_path=source_path, force=False)
    assert names(target) == ["b.png", "notes.txt"]
    annotate(source_path, target, force=True)
    assert names(target) == ["a.png", "b.png", "notes.txt"]
    assert cv2.imread(str(target / "b.png"))[0, 0, 0] == 90


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        pytest.param("file", UsageError, "is not a folder; expected the name of a folder", id="a file"),
        pytest.param("none/drawn", OutputError, "does not exist; create it first", id="no folder"),
        pytest.param("x" * 256, OutputError, "File name too long", id="too long"),
    ],
)
def test_a_place_where_no_folder_can_be(tmp_path, name, error, message):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(error, match=message):
        annotate(photo_folder(tmp_path / "photos"), tmp_path / name, force=True)
    assert names(tmp_path) == ["file", "photos"]


def test_a_folder_that_may_not_be_written_into(tmp_path, monkeypatch):
    (tmp_path / "drawn").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the superuser may write anywhere
    with pytest.raises(OutputError, match=r"cannot write into .*drawn: no permission"):
        annotate(photo_folder(tmp_path / "photos"), tmp_path / "drawn")


def test_two_pictures_never_become_one(tmp_path):
    source_path = photo_folder(tmp_path / "photos")
    with (
        open_source(str(source_path)) as source,
        open_annotation(tmp_path / "drawn", source, source_path=source_path, force=True) as writer,
    ):
        writer.write(frame_of(source="photos/a.gif"), NOTHING_FOUND, ())
        with pytest.raises(OutputError, match=r"a\.gif\.png for photos/a\.gif\.png: another picture has that name"):
            writer.write(frame_of(source="photos/a.gif.png"), NOTHING_FOUND, ())


def test_a_video_is_whole_and_alone(tmp_path):
    annotate(video(tmp_path / "clip.mp4"), tmp_path / "drawn.mp4")
    capture = cv2.VideoCapture(str(tmp_path / "drawn.mp4"))
    values = [capture.read()[1].mean() for _ in range(3)]
    assert values == pytest.approx([50, 100, 150], abs=10)  # two lossy encodings
    assert not capture.read()[0]
    assert names(tmp_path) == ["clip.mp4", "drawn.mp4"]


def test_a_video_whose_name_looks_like_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    annotate(video(tmp_path / "clip.mp4"), Path("a:b.mp4"))
    assert names(tmp_path) == ["a:b.mp4", "clip.mp4"]


def test_a_frame_of_another_size_is_not_left_out_silently(tmp_path):
    source_path = video(tmp_path / "clip.mp4")
    target = tmp_path / "drawn.mp4"
    with (  # noqa: PT012
        pytest.raises(OutputError) as raised,
        open_source(str(source_path)) as source,
        open_annotation(target, source, source_path=source_path, force=False) as writer,
    ):
        writer.write(frame_of(), NOTHING_FOUND, ())
        writer.write(frame_of(size_wh=(32, 24), index=1), NOTHING_FOUND, ())
    assert str(raised.value) == (
        f"cannot write {target}: expected frames of 64 x 48 pixels, found 32 x 24 at frame 1; "
        "leave --annotate away for this video"
    )
    assert names(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize("failing", ["fsync", "rename", "encoder"])
def test_a_video_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch, failing):
    source_path = video(tmp_path / "clip.mp4")
    target = tmp_path / "drawn.mp4"
    target.write_bytes(b"old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    if failing != "encoder":
        monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), full)
    with (  # noqa: PT012
        pytest.raises(OutputError) as raised,
        open_source(str(source_path)) as source,
        open_annotation(target, source, source_path=source_path, force=True) as writer,
    ):
        for frame in source:
            writer.write(frame, NOTHING_FOUND, ())
        if failing == "encoder":
            (partial,) = tmp_path.glob(".*.part.mp4")
            partial.unlink()
    reason = {"encoder": "the encoder left no readable video; is the disk full?"}.get(
        failing, "No space left on device"
    )
    assert str(raised.value) == f"cannot write {target}: {reason}"
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["clip.mp4", "drawn.mp4"]


@pytest.mark.parametrize(
    ("box", "covered"),
    [
        ((300, 40, 500, 240), (300, 250)),  # below
        ((200, 250, 400, 470), (420, 400)),  # no room below: to the right
        ((420, 250, 630, 470), (400, 400)),  # nor to the right: to the left
    ],
    ids=["below", "right", "left"],
)
def test_the_bars_leave_the_face_free_where_there_is_room(box, covered):
    from fer_edge.annotate import draw_faces
    from fer_edge.results import Face

    frame = np.full((480, 640, 3), 240, np.uint8)
    labels = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    face = Face(
        box_xyxy=np.array(box, np.float32),
        detection_score=1.0,
        landmarks_xy=np.zeros((5, 2), np.float32),
        probs=np.full(7, 1 / 7, np.float32),
        emotion="angry",
    )
    drawn = draw_faces(frame, (face,), labels)
    left, top, right, bottom = box
    middle = drawn[top + 40 : bottom - 5, left + 5 : right - 5]
    assert (middle == 240).all()
    assert drawn[covered[1] : covered[1] + 60, covered[0] : covered[0] + 20].min() <= 80  # the panel's shade
