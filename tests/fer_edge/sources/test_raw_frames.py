"""Frames on standard input: colours of each format, a cut, a terminal, another process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from live_support import RED, middle

from fer_edge.errors import InputError, UsageError
from fer_edge.sources import LiveOptions, open_source
from fer_edge.sources.raw_frames import RawSource

GRAY = (128, 128, 128)


def yuv(colour):
    """Y, U, V of ITU-R BT.601 in its narrow range (16 to 235, 16 to 240), by its definition."""
    blue, green, red = (value / 255 for value in colour)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - y) / 1.772, (red - y) / 1.402
    return round(16 + 219 * y), round(128 + 224 * u), round(128 + 224 * v)


def frame_bytes(kind, colour, size_wh=(16, 12)):
    width, height = size_wh
    n_pixels = width * height
    if kind == "bgr":
        return bytes(colour) * n_pixels
    y, u, v = yuv(colour)
    if kind == "gray":
        return bytes([colour[0]]) * n_pixels
    chroma = bytes([u, v]) * (n_pixels // 4) if kind == "nv12" else bytes([u] * (n_pixels // 4) + [v] * (n_pixels // 4))
    return bytes([y]) * n_pixels + chroma


class Chunks(io.RawIOBase):
    """Bytes that come a few at a time, as from a pipe."""

    def __init__(self, data, size=1000):
        self.data, self.size = memoryview(data), size

    def readable(self):
        return True

    def readinto(self, memory):
        n_bytes = min(len(memory), len(self.data), self.size)
        memory[:n_bytes] = self.data[:n_bytes]
        self.data = self.data[n_bytes:]
        return n_bytes


def read_all(spec, data, size=1000):
    errors = []
    with RawSource(spec, errors.append, Chunks(data, size)) as source:
        frames = list(source)
    return source, frames, [str(error) for error in errors]


@pytest.mark.parametrize("kind", ["bgr", "yuv420", "nv12"])
@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_red_is_red(kind, size):
    data = frame_bytes(kind, RED) + frame_bytes(kind, GRAY)
    source, frames, errors = read_all(f"raw:16x12:{kind}@10", data, size)
    assert (source.kind, source.is_live, source.size_wh, source.fps) == ("raw", False, (16, 12), 10.0)
    assert (source.n_dropped, errors) == (0, [])
    assert [(frame.source, frame.index, frame.time_s) for frame in frames] == [
        (f"raw:16x12:{kind}@10", 0, 0.0),
        (f"raw:16x12:{kind}@10", 1, 0.1),
    ]
    # Each frame keeps its own memory.
    assert all((frame.image_bgr.dtype, frame.image_bgr.shape) == (np.uint8, (12, 16, 3)) for frame in frames)
    np.testing.assert_allclose(middle(frames[0].image_bgr), RED, atol=2)
    np.testing.assert_allclose(middle(frames[1].image_bgr), GRAY, atol=2)


def test_gray_is_gray():
    _, [frame], _ = read_all("raw:16x12:gray@10", frame_bytes("gray", (77, 77, 77)))
    assert (frame.image_bgr == 77).all()
    assert frame.image_bgr.shape == (12, 16, 3)


def test_rows_and_columns_are_not_exchanged():
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    _, [frame], _ = read_all("raw:6x4:bgr", pixels.tobytes())
    np.testing.assert_array_equal(frame.image_bgr, pixels)


def test_without_a_rate_time_runs_from_the_first_frame():
    source, frames, _ = read_all("raw:16x12:gray", frame_bytes("gray", GRAY) * 3)
    assert source.fps is None
    assert frames[0].time_s == 0.0
    assert 0.0 < frames[1].time_s < frames[2].time_s < 5.0


def test_a_cut_inside_a_frame_is_reported_after_those_before():
    _, frames, errors = read_all("raw:16x12:bgr@10", frame_bytes("bgr", RED) * 2 + b"x" * 100)
    assert len(frames) == 2
    assert errors == [
        "raw:16x12:bgr@10: standard input ended inside frame 2, after 100 of its 576 bytes; it was cut short, or size "
        "or format are others"
    ]


def test_without_a_callback_the_cut_is_raised(monkeypatch):
    monkeypatch.setattr("fer_edge.sources.raw_frames._standard_input", lambda: Chunks(b"x" * 600))
    frames = iter(open_source("raw:16x12:bgr"))
    next(frames)
    with pytest.raises(InputError, match="ended inside frame 1, after 24 of its 576 bytes"):
        next(frames)


def test_nothing_at_all_is_an_error():
    with pytest.raises(InputError, match=r"^raw:16x12:bgr: standard input ended before there was a whole frame$"):
        read_all("raw:16x12:bgr", b"")


def test_nothing_can_be_read_after_closing():
    read_end, write_end = os.pipe()
    os.close(write_end)
    source = RawSource("raw:16x12:bgr", lambda error: None, io.FileIO(read_end))
    source.close()
    with pytest.raises(InputError, match=r"^raw:16x12:bgr: cannot read standard input \(I/O operation on closed file"):
        list(source)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "-",
            "frames on standard input: expected raw:WIDTHxHEIGHT:FORMAT or raw:WIDTHxHEIGHT:FORMAT@FPS, FORMAT one of ",
        ),
        ("raw:", "frames on standard input: expected raw:WIDTHxHEIGHT:FORMAT or "),
        ("raw:640x480", "frames on standard input: expected raw:WIDTHxHEIGHT:FORMAT or "),
        ("raw:640x480:rgb", "frames on standard input: expected raw:WIDTHxHEIGHT:FORMAT or "),
        ("raw:640x480:bgr@fast", "frames on standard input: expected raw:WIDTHxHEIGHT:FORMAT or "),
        ("raw:640x480:bgr@0", "raw:640x480:bgr@0: expected frames per second above 0, found 0"),
        ("raw:0x480:bgr", "raw:0x480:bgr: expected 1 to 52428800 pixels a frame, found 0 x 480"),
        ("raw:9999x9999:bgr", "raw:9999x9999:bgr: expected 1 to 52428800 pixels a frame, found 9999 x 9999"),
        ("raw:641x480:nv12", "raw:641x480:nv12: expected even width and height for nv12, found 641 x 480"),
        ("raw:640x481:yuv420", "raw:640x481:yuv420: expected even width and height for yuv420, found 640 x 481"),
    ],
)
def test_what_does_not_say_size_and_format(spec, message):
    with pytest.raises(InputError) as caught:
        open_source(spec)
    assert str(caught.value).startswith(message)


def test_a_size_is_asked_of_a_camera_alone():
    with pytest.raises(UsageError, match="found frames on standard input; leave them out"):
        open_source("raw:16x12:bgr", live=LiveOptions(size_wh=(16, 12)))


READ = """
from fer_edge.errors import InputError
from fer_edge.sources import open_source
try:
    with open_source("raw:16x12:bgr@30", print) as source:
        for frame in source:
            print(frame.index, frame.image_bgr[5, 5].tolist())
except InputError as error:
    print(error)
"""


def run(stdin, **options):
    return subprocess.run(
        [sys.executable, "-c", READ], stdin=stdin, capture_output=True, text=True, timeout=60, **options
    )


def test_frames_of_another_process():
    read_end, write_end = os.pipe()
    data = frame_bytes("bgr", RED) * 2 + b"x"

    def write():
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    done = run(read_end)
    os.close(read_end)
    writer.join(10)
    assert done.stdout.splitlines() == [
        "0 [0, 0, 255]",
        "1 [0, 0, 255]",
        "raw:16x12:bgr@30: standard input ended inside frame 2, after 1 of its 576 bytes; it was cut short, or size or "
        "format are others",
    ]


def test_a_terminal_is_no_source():
    ours, theirs = os.openpty()
    try:
        assert run(theirs).stdout == (
            "expected frames on standard input, found a terminal; pipe them from another program\n"
        )
    finally:
        os.close(ours)
        os.close(theirs)


def test_no_standard_input():
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -c "$1" <&-', sys.executable, READ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "standard input cannot be read (Bad file descriptor); pipe frames into it\n"
