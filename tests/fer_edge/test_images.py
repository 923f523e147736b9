from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from fer_edge._cv2 import MAX_IMAGE_PIXELS, import_cv2
from fer_edge.errors import InputError
from fer_edge.images import decode_image, read_image
from fer_edge.picture_header import picture_size_wh

ENCODERS = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "GIF": ".gif", "WebP": ".webp", "TIFF": ".tiff"}


def scene(height=48, width=64):
    """Smooth colours that differ in every channel and along both axes, with a bright corner at the top left."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 3, y * 4, 60 + x + y], axis=2).astype(np.uint8)
    image[:8, :8] = 250
    return image


def encoded(image, suffix, *parameters):
    done, data = import_cv2().imencode(suffix, image, list(parameters))
    assert done
    return data.tobytes()


def pillow_encoded(image_bgr, kind, mode="RGB", **options):
    pillow = pytest.importorskip("PIL.Image", reason="Pillow makes this picture")
    memory = io.BytesIO()
    pillow.fromarray(np.ascontiguousarray(image_bgr[..., ::-1])).convert(mode).save(memory, kind, **options)
    return memory.getvalue()


def png(width, height, rows=None):
    """A gray PNG written by hand, so that its size can be a lie."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = height if rows is None else rows
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    body = b"".join([*(packer.compress(row) for _ in range(rows)), packer.flush()])
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def sized(kind, width, height):
    """The first bytes of a picture of a given size, as its format's specification lays them out."""
    return {
        "JPEG": b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xff\xc2\x00\x0b\x08" + struct.pack(">HH", height, width),
        "BMP": b"BM" + bytes(12) + struct.pack("<Iii", 40, width, -height),
        "BMP of OS/2": b"BM" + bytes(12) + struct.pack("<IHH", 12, width, height),
        "GIF": b"GIF89a" + struct.pack("<HH", width, height),
        "WebP lossy": b"RIFF----WEBPVP8 " + bytes(7) + b"\x9d\x01\x2a" + struct.pack("<HH", width | 0x4000, height),
        "WebP lossless": b"RIFF----WEBPVP8L----\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14),
        "WebP extended": b"RIFF----WEBPVP8X"
        + bytes(8)
        + struct.pack("<I", width - 1)[:3]
        + struct.pack("<I", height - 1)[:3],
        "TIFF": struct.pack(">2sHIHHHIHHHHII", b"MM", 42, 8, 2, 256, 3, 1, width, 0, 257, 4, 1, height),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["JPEG", "BMP", "BMP of OS/2", "GIF", "WebP lossy", "WebP lossless", "WebP extended", "TIFF"],
)
def test_header_gives_width_and_height(kind):
    data = sized(kind, 16000, 9000)
    assert picture_size_wh(data) == (16000, 9000)
    assert [picture_size_wh(data[:length]) for length in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "BMP of OS/2", "GIF", "WebP lossy", "WebP lossless", "TIFF"])
def test_too_many_pixels_are_refused_by_the_header(kind):
    with pytest.raises(InputError, match=f"^big: expected at most {MAX_IMAGE_PIXELS} pixels, found 16000 x 9000; make"):
        decode_image(sized(kind, 16000, 9000), "big")


def test_size_zero_is_damage():
    with pytest.raises(InputError, match="damaged or cut short"):
        decode_image(png(64, 0), "x.png")


@pytest.mark.parametrize("kind", ENCODERS)
def test_pixels_of_every_format(tmp_path, kind):
    path = tmp_path / "picture"
    path.write_bytes(encoded(scene(), ENCODERS[kind]))
    image = read_image(path)
    assert (image.dtype, image.shape, image.flags.c_contiguous) == (np.uint8, (48, 64, 3), True)
    # Lossless formats give the very pixels; GIF has few colours, JPEG and WebP halve the resolution of colour.
    limit = {"JPEG": 4.0, "WebP": 4.0, "GIF": 16.0}.get(kind, 0.0)
    assert np.abs(image.astype(int) - scene()).mean() <= limit
    assert picture_size_wh(path.read_bytes()) == (64, 48)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        pytest.param(scene()[..., 0], np.repeat(scene()[..., :1], 3, axis=2), id="gray"),
        pytest.param(np.dstack([scene(), np.zeros((48, 64), np.uint8)]), scene(), id="transparent"),
        pytest.param(scene().astype(np.uint16) << 8 | 0xFF, scene(), id="16 bits"),
        pytest.param(
            scene()[..., 1].astype(np.uint16) << 8, np.repeat(scene()[..., 1:2], 3, axis=2), id="gray 16 bits"
        ),
    ],
)
def test_other_pixels_become_colour(stored, expected):
    np.testing.assert_array_equal(decode_image(encoded(stored, ".png"), "x"), expected)


def test_cmyk_colours_are_those_of_pillow():
    data = pillow_encoded(scene(), "JPEG", mode="CMYK", quality=95)
    from PIL import Image

    reference = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[..., ::-1].astype(int)
    image = decode_image(data, "x.jpg")
    assert np.abs(image - reference).max() <= 2
    assert np.abs(image.astype(int) - scene()).mean() < 6


# Where the top left corner of the stored picture belongs, by the EXIF specification's orientation values.
@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda image: image),
        (2, lambda image: image[:, ::-1]),
        (3, lambda image: image[::-1, ::-1]),
        (4, lambda image: image[::-1]),
        (5, lambda image: image.transpose(1, 0, 2)),
        (6, lambda image: image.transpose(1, 0, 2)[:, ::-1]),
        (7, lambda image: image.transpose(1, 0, 2)[::-1, ::-1]),
        (8, lambda image: image.transpose(1, 0, 2)[::-1]),
    ],
    ids=[f"orientation {number}" for number in range(1, 9)],
)
def test_orientation_of_the_camera_is_applied(orientation, turned):
    # An APP1 segment: little-endian TIFF header, one entry, tag 0x0112, one 16-bit number.
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    plain = encoded(scene(), ".jpg")
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    image = decode_image(data, "x.jpg")
    np.testing.assert_array_equal(image, turned(decode_image(plain, "x.jpg")))
    assert image.flags.c_contiguous


TRUNCATED = {
    "baseline JPEG": lambda: encoded(scene(), ".jpg"),
    "progressive JPEG": lambda: encoded(scene(), ".jpg", import_cv2().IMWRITE_JPEG_PROGRESSIVE, 1),
    "JPEG with restarts": lambda: encoded(scene(), ".jpg", import_cv2().IMWRITE_JPEG_RST_INTERVAL, 2),
    "gray JPEG": lambda: encoded(scene()[..., 0], ".jpg"),
    "PNG": lambda: encoded(scene(), ".png"),
    "BMP": lambda: encoded(scene(), ".bmp"),
    "GIF": lambda: encoded(scene(), ".gif"),
    "WebP": lambda: encoded(scene(), ".webp"),
}


@pytest.mark.parametrize("kind", TRUNCATED)
def test_a_picture_cut_anywhere_is_refused(kind, capfd):
    data = TRUNCATED[kind]()
    accepted = []
    for length in range(1, len(data)):
        try:
            decode_image(data[:length], "cut")
        except InputError:
            continue
        accepted.append(length - len(data))
    assert accepted == []
    assert capfd.readouterr().err == ""


def test_a_tiff_that_lost_more_than_its_end_marks_is_refused():
    # What follows the pixels of a TIFF may be unused; if the file is accepted, every pixel is right.
    data = encoded(scene(), ".tiff")
    whole = decode_image(data, "x")
    for length in range(1, len(data)):
        try:
            image = decode_image(data[:length], "cut")
        except InputError:
            continue
        np.testing.assert_array_equal(image, whole)


@pytest.mark.parametrize("kind", ["baseline JPEG", "progressive JPEG", "PNG", "GIF", "WebP"])
@pytest.mark.parametrize("tail", [bytes(100), b"maker's notes" * 50], ids=["zeros", "text"])
def test_bytes_after_the_end_do_no_harm(kind, tail):
    data = TRUNCATED[kind]()
    np.testing.assert_array_equal(decode_image(data + tail, "x"), decode_image(data, "x"))


def test_a_jpeg_whose_end_is_replaced_by_an_end_mark_is_refused():
    data = TRUNCATED["baseline JPEG"]()
    with pytest.raises(InputError, match="damaged, cut short"):
        decode_image(data[: len(data) // 2] + b"\xff\xd9", "x.jpg")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: None, "{path}: no such file; check the name", id="absent"),
        pytest.param(lambda path: path.mkdir(), "{path}: expected a file, found a folder", id="folder"),
        pytest.param(lambda path: path.touch(), "{path}: the file is empty (0 bytes)", id="empty"),
        pytest.param(
            lambda path: os.mkfifo(path), "{path}: expected a file, found a device, pipe or socket", id="pipe"
        ),
        pytest.param(
            lambda path: path.write_text("a picture of my cat\n"),
            "{path}: not a picture; expected JPEG, PNG, BMP, GIF, WebP, TIFF, found other contents",
            id="text",
        ),
        pytest.param(
            lambda path: path.write_bytes(b"\0\0\0\x1cftypheic" + bytes(100)),
            "{path}: not a picture; expected JPEG, PNG, BMP, GIF, WebP, TIFF, found other contents",
            id="HEIC",
        ),
        pytest.param(
            lambda path: path.write_bytes(b"\xff\xd8\xff" + b"\xff" * 10_000_000),
            "{path}: this JPEG picture is damaged or cut short; copy it again from where it came from",
            id="only fill bytes",
        ),
        pytest.param(
            lambda path: path.write_bytes(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 100_000),
            "{path}: this JPEG picture is damaged or cut short; copy it again from where it came from",
            id="only empty segments",
        ),
        pytest.param(
            lambda path: path.write_bytes(png(64, 48, rows=10)),
            "{path}: this PNG picture is damaged, cut short or of a kind that OpenCV cannot decode; "
            "copy it again from where it came from",
            id="fewer rows than announced",
        ),
    ],
)
def test_what_is_no_picture(tmp_path, make, message):
    path = tmp_path / "photo.jpg"
    make(path)
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(caught.value) == message.format(path=path)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "photo.jpg"
    with path.open("wb") as file:
        file.truncate(8 * MAX_IMAGE_PIXELS + 1)
    with pytest.raises(InputError, match=r"expected a picture file of at most 419430400 bytes, found 419430401$"):
        read_image(path)


# Peak memory counts from the start of a process and OpenCV reads its limit once, so both need one of their own.
@pytest.mark.parametrize("first", ["", "import cv2"], ids=["", "cv2 was imported before"])
def test_a_bomb_costs_no_memory(tmp_path, first):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(20_000, 20_000))
    assert path.stat().st_size < 60_000
    program = f"""
{first}
from pathlib import Path
from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError
from fer_edge.images import read_image
import_cv2()
def peak_kb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak_kb()
try:
    read_image(Path({str(path)!r}))
except InputError as error:
    print(error)
print(peak_kb() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    message, grown_kb = done.stdout.splitlines()
    assert message == f"{path}: expected at most 52428800 pixels, found 20000 x 20000; make the picture smaller"
    assert int(grown_kb) < 5_000
    assert done.stderr == ""


def test_opencv_is_told_its_limits_before_it_is_loaded():
    program = """
import os, sys
os.environ["OPENCV_LOG_LEVEL"] = "INFO"
import fer_edge.images, fer_edge.preprocess, fer_edge.sources
assert "cv2" not in sys.modules
assert "OPENCV_IO_MAX_IMAGE_PIXELS" not in os.environ
from fer_edge._cv2 import import_cv2
import_cv2()
print([os.environ[f"OPENCV_{name}"] for name in ("IO_MAX_IMAGE_PIXELS", "LOG_LEVEL", "FFMPEG_LOGLEVEL")])
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "['52428800', 'INFO', '-8']\n"


def photos():
    folder = os.environ.get("FER_EDGE_DATA")
    if folder is None:
        pytest.skip("FER_EDGE_DATA names no data folder")
    return Path(folder) / "photos"


@pytest.mark.data
def test_real_photos_are_read_whole_and_refused_when_cut():
    paths = [*sorted(photos().glob("*.jpg")), photos() / "astronaut.png"]
    assert len(paths) >= 7
    for path in paths:
        data = path.read_bytes()
        image = read_image(path)
        assert picture_size_wh(data) == (image.shape[1], image.shape[0])
        for length in [*(len(data) * percent // 100 for percent in range(5, 100, 10)), len(data) - 2, len(data) - 1]:
            with pytest.raises(InputError, match="cut short"):
                decode_image(data[:length], path.name)


@pytest.mark.data
def test_astronaut_has_the_pixels_of_pillow():
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is the reference")
    reference = np.asarray(pillow.open(photos() / "astronaut.png").convert("RGB"))[..., ::-1]
    image = read_image(photos() / "astronaut.png")
    assert hashlib.sha256(image).hexdigest() == hashlib.sha256(np.ascontiguousarray(reference)).hexdigest()
