from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError
from fer_edge.sources import Frame, Source, open_source
from fer_edge.video_container import VideoClaims, video_claims

FPS = 10.0


def write_picture(path, value=100, size_wh=(32, 24)):
    done, data = import_cv2().imencode(path.suffix, np.full((size_wh[1], size_wh[0], 3), value, np.uint8))
    assert done
    path.write_bytes(data.tobytes())
    return path


def write_video(path, n=20, codec="mp4v", size_wh=(64, 48)):
    """Frame number i is gray of value 10 i, its left half black."""
    cv2 = import_cv2()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), FPS, size_wh)
    assert writer.isOpened()
    for number in range(n):
        image = np.full((size_wh[1], size_wh[0], 3), 10 * number, np.uint8)
        image[:, : size_wh[0] // 2] = 0
        writer.write(image)
    writer.release()
    return path


def read_all(spec):
    errors = []
    with open_source(str(spec), errors.append) as source:
        frames = list(source)
    return source, frames, [str(error) for error in errors]


def test_photo(tmp_path):
    path = write_picture(tmp_path / "one.png", value=7)
    source, frames, errors = read_all(path)
    assert (source.kind, source.fps, source.size_wh) == ("photo", None, None)
    assert isinstance(source, Source)
    [frame] = frames
    assert (frame.source, frame.index, frame.time_s, errors) == (str(path), 0, None, [])
    np.testing.assert_array_equal(frame.image_bgr, np.full((24, 32, 3), 7, np.uint8))


def test_path_stays_as_it_was_given(tmp_path, monkeypatch):
    write_picture(tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)
    assert [frame.source for frame in open_source("one.png")] == ["one.png"]
    assert [frame.source for frame in open_source(".")] == ["one.png"]


def test_frames_are_compared_by_identity():
    first, second = (Frame(image_bgr=np.zeros((1, 1, 3), np.uint8), source="", index=0, time_s=None) for _ in range(2))
    assert first == first
    assert first != second


def test_contents_decide_and_not_the_name(tmp_path):
    video = write_video(tmp_path / "video.mp4").rename(tmp_path / "video.jpg")
    photo = write_picture(tmp_path / "photo.png").rename(tmp_path / "photo.mp4")
    with open_source(str(video)) as source:
        assert source.kind == "video"
    assert open_source(str(photo)).kind == "photo"


def test_folder_is_read_in_natural_order_and_leaves_out_the_rest(tmp_path):
    for value, name in enumerate(["photo1.png", "photo2.JPG", "photo10.png", "photo11.webp"]):
        write_picture(tmp_path / name.lower(), value=60 * value).rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._photo1.png").write_bytes(b"what macOS leaves on a memory card")
    write_video(tmp_path / "photo3.mp4")
    (tmp_path / "photo4.png").mkdir()
    write_picture(tmp_path / "photo4.png" / "inside.png")
    source, frames, errors = read_all(tmp_path)
    assert (source.kind, source.fps, source.size_wh, errors) == ("folder", None, None, [])
    assert [(Path(frame.source).name, frame.index, frame.time_s) for frame in frames] == [
        ("photo1.png", 0, None),
        ("photo2.JPG", 1, None),
        ("photo10.png", 2, None),
        ("photo11.webp", 3, None),
    ]
    assert [round(frame.image_bgr.mean() / 60) for frame in frames] == [0, 1, 2, 3]


def folder_with_bad_pictures(folder):
    data = write_picture(folder / "a.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(data[:-10])
    (folder / "c.jpg").touch()
    (folder / "d.jpg").symlink_to(folder / "nowhere.jpg")
    write_picture(folder / "e.jpg")
    return folder


def test_a_bad_picture_in_a_folder_does_not_stop_the_others(tmp_path):
    _, frames, errors = read_all(folder_with_bad_pictures(tmp_path))
    assert [(Path(frame.source).name, frame.index) for frame in frames] == [("a.jpg", 0), ("e.jpg", 4)]
    assert errors == [
        f"{tmp_path}/b.jpg: this JPEG picture is damaged, cut short or of a kind that OpenCV cannot decode; "
        "copy it again from where it came from",
        f"{tmp_path}/c.jpg: the file is empty (0 bytes)",
        f"{tmp_path}/d.jpg: no such file; check the name",
    ]


def test_without_a_callback_the_first_error_is_raised(tmp_path):
    source = open_source(str(folder_with_bad_pictures(tmp_path)))
    frames = iter(source)
    assert next(frames).index == 0
    with pytest.raises(InputError, match=r"b\.jpg: this JPEG picture is damaged"):
        next(frames)


def test_a_damaged_photo_is_raised_not_reported(tmp_path):
    path = write_picture(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes()[:-10])
    errors = []
    source = open_source(str(path), errors.append)
    with pytest.raises(InputError, match="cut short"):
        list(source)
    assert errors == []


@pytest.mark.parametrize(
    ("name", "codec"),
    [("v.mp4", "mp4v"), ("v.mov", "mp4v"), ("v.avi", "MJPG"), ("v.mkv", "mp4v"), ("v.flv", "FLV1")],
)
def test_video(tmp_path, name, codec):
    source, frames, errors = read_all(write_video(tmp_path / name, codec=codec))
    assert (source.kind, source.fps, source.size_wh) == ("video", FPS, (64, 48))
    assert errors == []
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time_s for frame in frames] == pytest.approx([number / FPS for number in range(20)])
    # Frames keep their pixels after later ones were read.
    assert [round(frame.image_bgr[:, 40:].mean() / 10) for frame in frames] == list(range(20))


def test_video_is_read_once(tmp_path):
    errors = []
    with open_source(str(write_video(tmp_path / "v.mp4")), errors.append) as source:
        assert len(list(source)) == 20
        assert list(source) == []
    assert errors == []


def test_a_video_left_early_reports_nothing(tmp_path):
    errors = []
    with open_source(str(write_video(tmp_path / "v.mp4")), errors.append) as source:
        assert next(iter(source)).index == 0
    assert errors == []


def test_video_whose_name_looks_like_a_protocol(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4").rename(tmp_path / "http:v.mp4")
    monkeypatch.chdir(tmp_path)
    _, frames, _ = read_all("http:v.mp4")
    assert len(frames) == 20
    assert frames[0].source == "http:v.mp4"


def test_video_whose_name_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.mp4")
    path.write_bytes(write_video(tmp_path / "v.mp4").read_bytes())
    with pytest.raises(InputError, match="expected a video whose path is UTF-8 text; rename it"):
        open_source(str(path))


def test_a_phone_held_upright_gives_upright_frames(tmp_path):
    path = write_video(tmp_path / "v.mp4")
    data = bytearray(path.read_bytes())
    # The track header's matrix (ISO 14496-12): 90 degrees clockwise instead of none.
    at = data.index(b"tkhd") + 44
    assert struct.unpack_from(">9i", data, at) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, at, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    source, frames, _ = read_all(path)
    assert source.size_wh == (48, 64)
    assert frames[-1].image_bgr.shape == (64, 48, 3)
    # The black left half is now the upper half.
    assert frames[-1].image_bgr[:28].mean() < 5
    assert frames[-1].image_bgr[36:].mean() > 180


@pytest.mark.parametrize(("name", "codec"), [("v.avi", "MJPG"), ("v.mkv", "mp4v")])
def test_a_video_that_is_cut_short_gives_what_it_has_and_says_so(tmp_path, name, codec):
    path = write_video(tmp_path / name, codec=codec)
    data = path.read_bytes()
    kept = len(data) * 3 // 4
    path.write_bytes(data[:kept])
    _, frames, errors = read_all(path)
    assert 5 <= len(frames) < 20
    assert errors == [
        f"{path}: the file is cut short by {len(data) - kept} bytes and ended after {len(frames)} frames; "
        "copy it again from where it came from"
    ]


def box(name, body):
    return struct.pack(">I4s", 8 + len(body), name) + body


def movie(duration, units_per_s=600, handler=b"vide", version=0):
    """The index box of an MP4 file with one track, written by hand."""
    if version == 0:
        mvhd = struct.pack(">B3xIIII", 0, 0, 0, units_per_s, 0) + bytes(80)
        tkhd = struct.pack(">B3xIIIII", 0, 0, 0, 1, 0, duration) + bytes(60)
    else:
        mvhd = struct.pack(">B3xQQIQ", 1, 0, 0, units_per_s, 0) + bytes(80)
        tkhd = struct.pack(">B3xQQIIQ", 1, 0, 0, 1, 0, duration) + bytes(60)
    hdlr = bytes(8) + handler + bytes(12)
    return box(b"moov", box(b"mvhd", mvhd) + box(b"trak", box(b"tkhd", tkhd) + box(b"mdia", box(b"hdlr", hdlr))))


FTYP = box(b"ftyp", b"isom" + bytes(12))
EBML = b"\x1aE\xdf\xa3\x84----"


@pytest.mark.parametrize(
    ("data", "missing_bytes", "duration_s"),
    [
        pytest.param(FTYP + movie(1500), 0, 2.5, id="MP4"),
        pytest.param(FTYP + movie(1500, version=1), 0, 2.5, id="MP4 with 64-bit times"),
        pytest.param(FTYP + movie(1500, handler=b"soun"), 0, None, id="MP4 with sound only"),
        pytest.param(FTYP + movie(0), 0, None, id="MP4 of fragments"),
        pytest.param(FTYP + movie(1500, units_per_s=0), 0, None, id="MP4 without a clock"),
        pytest.param(FTYP + movie(1500) + box(b"mdat", bytes(100))[:-30], 30, 2.5, id="MP4 cut"),
        pytest.param(
            FTYP + struct.pack(">I4sQ", 1, b"mdat", 116) + bytes(60), 40, None, id="MP4 with a 64-bit box cut"
        ),
        pytest.param(
            FTYP + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1), 2**64 - 17, None, id="MP4 with a box without end"
        ),
        pytest.param(FTYP + struct.pack(">I4s", 0, b"mdat") + bytes(60), 0, None, id="MP4 whose box is the rest"),
        pytest.param(FTYP + struct.pack(">I4s", 4, b"mdat") + bytes(60), 0, None, id="MP4 with a senseless box"),
        pytest.param(FTYP + movie(1500)[:40], len(movie(1500)) - 40, None, id="MP4 cut in its index"),
        pytest.param(b"RIFF" + struct.pack("<I", 100) + b"AVI " + bytes(96), 0, None, id="AVI"),
        pytest.param(b"RIFF" + struct.pack("<I", 100) + b"AVI " + bytes(90), 6, None, id="AVI cut"),
        pytest.param(b"RIFF" + bytes(4) + b"AVI " + bytes(90), 0, None, id="AVI never finished"),
        pytest.param(EBML + b"\x18S\x80g\x40\x64" + bytes(100), 0, None, id="Matroska"),
        pytest.param(EBML + b"\x18S\x80g\x40\x64" + bytes(70), 30, None, id="Matroska cut"),
        pytest.param(EBML + b"\x18S\x80g\x01" + b"\xff" * 7 + bytes(70), 0, None, id="Matroska of unknown length"),
        pytest.param(EBML[:6], 0, None, id="Matroska cut in its header"),
        pytest.param(b"FLV\x01" + bytes(100), 0, None, id="FLV says nothing"),
    ],
)
def test_what_a_container_announces(tmp_path, data, missing_bytes, duration_s):
    path = tmp_path / "video"
    path.write_bytes(data)
    assert video_claims(path) == VideoClaims(missing_bytes=missing_bytes, duration_s=duration_s)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: None, "{path}: no such file; check the name", id="absent"),
        pytest.param(lambda path: path.touch(), "{path}: the file is empty (0 bytes)", id="empty file"),
        pytest.param(
            lambda path: path.mkdir(),
            "{path}: no pictures in this folder; expected files named "
            ".jpg, .jpeg, .jpe, .png, .bmp, .dib, .gif, .webp, .tif, .tiff",
            id="empty folder",
        ),
        # FFmpeg would show a text file as a film of its letters.
        pytest.param(
            lambda path: path.write_text("hello\n" * 100),
            "{path}: not a picture or video that OpenCV can read; expected JPEG, PNG, BMP, GIF, WebP, TIFF, "
            "MP4/MOV, AVI, MPEG-TS, Matroska/WebM, MPEG-PS, FLV, WMV, Ogg, IVF, H.264/H.265, found other contents",
            id="text",
        ),
        pytest.param(
            lambda path: path.write_bytes(FTYP.replace(b"isom", b"heic") + bytes(500)),
            "{path}: not a picture or video that OpenCV can read; expected JPEG, PNG, BMP, GIF, WebP, TIFF, "
            "MP4/MOV, AVI, MPEG-TS, Matroska/WebM, MPEG-PS, FLV, WMV, Ogg, IVF, H.264/H.265, found other contents",
            id="HEIC",
        ),
        pytest.param(
            lambda path: path.write_bytes(FTYP + movie(1500, handler=b"soun")),
            "{path}: expected a video with at least one frame that can be decoded, but it has none or is damaged",
            id="video without frames",
        ),
        pytest.param(
            lambda path: path.write_bytes(write_video(path.with_name("w.mp4")).read_bytes()[:-200]),
            "{path}: expected a video with at least one frame that can be decoded, but it is cut short by 200 bytes",
            id="MP4 that lost its index",
        ),
    ],
)
def test_what_is_no_source(tmp_path, make, message, capfd):
    path = tmp_path / "source.txt"
    make(path)
    with pytest.raises(InputError) as caught:
        open_source(str(path))
    assert str(caught.value) == message.format(path=path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("spec", "message"),
    [("", "found an empty text"), ("x" * 5000, "File name too long"), ("/dev/null", "found a device, pipe or socket")],
    ids=["empty", "too long", "device"],
)
def test_path_that_cannot_be_one(spec, message):
    with pytest.raises(InputError, match=message):
        open_source(spec)


def videos():
    folder = os.environ.get("FER_EDGE_DATA")
    if folder is None:
        pytest.skip("FER_EDGE_DATA names no data folder")
    return Path(folder) / "videos"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "n", "size_wh", "last_time_s"),
    [
        ("WolfgangLanger_Pexels.mp4", 472, (640, 360), 471 * 1001 / 24000),
        # 169 frames at varying distances; the container gives an average of 26.4 a second.
        ("face_noface.mov", 169, (960, 540), 6.36035),
        # The header counts 98 frames, its edit list leaves out 3.
        ("no_face.mp4", 95, (960, 540), 94 / 24),
        ("several_faces_1080p.mp4", 105, (1920, 1080), 104 / 25),
    ],
)
def test_real_videos_are_whole(name, n, size_wh, last_time_s):
    errors, times_s = [], []
    with open_source(str(videos() / name), errors.append) as source:
        assert source.size_wh == size_wh
        times_s.extend(frame.time_s for frame in source)
    assert errors == []
    assert len(times_s) == n
    assert times_s[0] == 0.0
    # Half a frame: releases of OpenCV differ in where an edit list starts.
    assert times_s[-1] == pytest.approx(last_time_s, abs=0.018)
    assert (np.diff(times_s) > 0).all()


def langer():
    return (videos() / "WolfgangLanger_Pexels.mp4").read_bytes()


@pytest.mark.data
def test_a_real_video_cut_by_one_percent_says_so(tmp_path):
    data = langer()
    path = tmp_path / "v.mp4"
    path.write_bytes(data[:-16_000])
    _, frames, errors = read_all(path)
    assert 440 < len(frames) < 472
    assert errors == [
        f"{path}: the file is cut short by 16000 bytes and ended after {len(frames)} frames; "
        "copy it again from where it came from"
    ]


@pytest.mark.data
def test_a_real_video_whose_end_was_never_written_says_so(tmp_path):
    data = langer()
    path = tmp_path / "v.mp4"
    path.write_bytes(data[:600_000] + bytes(len(data) - 600_000))
    _, frames, errors = read_all(path)
    assert 100 < len(frames) < 300
    assert errors == [
        f"{path}: the video ended after {len(frames)} frames at {frames[-1].time_s:.1f} s of 19.7 s; "
        "the file is damaged, copy it again from where it came from"
    ]


@pytest.mark.data
def test_a_real_video_trimmed_by_its_edit_list_is_no_false_alarm(tmp_path):
    data = bytearray(langer())
    # The edit and the track's length in 1/600 s: the first 10 s from 5 s on.
    edit = data.index(b"elst") + 12
    struct.pack_into(">Ii", data, edit, 6000, 2002 + 5 * 24000)
    struct.pack_into(">I", data, data.index(b"tkhd") + 24, 6000)
    path = tmp_path / "v.mp4"
    path.write_bytes(data)
    _, frames, errors = read_all(path)
    assert 200 < len(frames) < 260
    assert errors == []


@pytest.mark.data
def test_a_bare_stream_without_time_stamps_is_timed_by_its_rate(tmp_path):
    cv2 = import_cv2()
    capture = cv2.VideoCapture(str(videos() / "WolfgangLanger_Pexels.mp4"), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_FORMAT, -1)  # packets as they are
    path = tmp_path / "v.h264"
    path.write_bytes(b"".join(capture.read()[1].tobytes() for _ in range(30)))
    capture.release()
    source, frames, errors = read_all(path)
    assert errors == []
    assert len(frames) == 30
    # The stream names no rate either; FFmpeg's guess differs between releases.
    assert [frame.time_s for frame in frames] == pytest.approx([number / source.fps for number in range(30)])
