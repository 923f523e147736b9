"""A Raspberry Pi's camera: a stand-in for picamera2 whose memory is laid out as libcamera defines its formats."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from live_support import RED, middle

from fer_edge.errors import InputError, MissingExtraError
from fer_edge.sources import LiveOptions, open_source

# libcamera's formats are DRM's fourccs: RGB888 is [23:0] R:G:B in a little-endian word (drm_fourcc.h), so its first
# byte in memory is blue. A red scene then is:
BYTES_OF_RED = {"RGB888": (0, 0, 255), "BGR888": (255, 0, 0)}


class Picamera2:
    """Sees one red scene; rows are padded to a multiple of 64 bytes, as the hardware does."""

    n_cameras = 2
    gives = None  # another format than asked for
    fails = None
    made = None

    @staticmethod
    def global_camera_info():
        return [{"Num": number} for number in range(Picamera2.n_cameras)]

    def __init__(self, number):
        if Picamera2.fails == "open":
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.number, self.calls, self.n_held, self.stopped = number, [], 0, threading.Event()
        Picamera2.made.append(self)

    def create_video_configuration(self, main, controls):
        return {"main": {"size": (1280, 720), **main}, "controls": controls}

    def configure(self, configuration):
        self.configuration = configuration

    def camera_configuration(self):
        return {"main": {**self.configuration["main"], **(Picamera2.gives or {})}}

    def start(self):
        if Picamera2.fails == "start":
            raise RuntimeError("Failed to start camera")
        self.calls.append("start")

    def capture_request(self, wait):
        assert wait == 8.0
        if Picamera2.fails == "frame":
            raise TimeoutError
        self.stopped.wait(0.005)
        self.n_held += 1
        return SimpleNamespace(camera=self, release=self._release)

    def _release(self):
        self.n_held -= 1

    def close(self):
        self.calls.append("close")
        self.stopped.set()
        if Picamera2.fails == "frame":
            raise RuntimeError("camera is gone")


class MappedArray:
    def __init__(self, request, stream):
        assert stream == "main"
        main = request.camera.camera_configuration()["main"]
        width, height = main["size"]
        row = np.zeros((-(-3 * width // 64) * 64,), np.uint8)
        row[: 3 * width] = np.tile(BYTES_OF_RED[main["format"]], width)
        memory = np.tile(row, (height, 1))
        self.array = memory[:, : 3 * width].reshape(height, width, 3)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.array = None


@pytest.fixture
def picamera2(monkeypatch):
    for name, value in {"n_cameras": 2, "gives": None, "fails": None, "made": []}.items():
        monkeypatch.setattr(Picamera2, name, value)
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=Picamera2, MappedArray=MappedArray))
    return Picamera2


@pytest.mark.parametrize(("spec", "number"), [("picamera", 0), ("picamera:0", 0), ("picamera:1", 1)])
def test_red_is_red(picamera2, spec, number):
    with open_source(spec) as source:
        frame = source.read()
        assert (source.name, source.kind, source.is_live) == (f"picamera:{number}", "camera", True)
        assert (source.size_wh, source.fps, frame.source) == ((1280, 720), None, f"picamera:{number}")
        np.testing.assert_array_equal(middle(frame.image_bgr), RED)
        source.read()
    [camera] = picamera2.made
    assert (camera.number, camera.calls, camera.n_held) == (number, ["start", "close"], 0)


def test_size_and_rate_are_asked_for(picamera2):
    # 3 * 100 bytes are no multiple of 64.
    with open_source("picamera", live=LiveOptions(size_wh=(100, 50), fps=15.0)) as source:
        frame = source.read()
        assert (source.size_wh, source.fps, frame.image_bgr.shape) == ((100, 50), 15.0, (50, 100, 3))
        assert (frame.image_bgr == RED).all()
    [camera] = picamera2.made
    assert camera.configuration == {
        "main": {"format": "RGB888", "size": (100, 50)},
        "controls": {"FrameRate": 15.0},
    }


@pytest.mark.parametrize(
    ("spec", "faults", "message"),
    [
        pytest.param("picamera:x", {}, "expected picamera or picamera:NUMBER, found picamera:x", id="no number"),
        pytest.param(
            "picamera:2",
            {},
            "picamera:2: no such camera, libcamera sees 2; rpicam-hello --list-cameras shows them",
            id="no such camera",
        ),
        pytest.param(
            "picamera",
            {"n_cameras": 0},
            "picamera:0: no such camera, libcamera sees 0; rpicam-hello --list-cameras shows them",
            id="no camera",
        ),
        pytest.param(
            "picamera",
            {"fails": "open"},
            "picamera:0: it does not open (Camera __init__ sequence did not complete.); does another program use it?",
            id="in use",
        ),
        pytest.param(
            "picamera",
            {"fails": "start"},
            "picamera:0: it does not start (Failed to start camera); check cable and size",
            id="does not start",
        ),
        pytest.param("picamera", {"fails": "frame"}, "picamera:0: no frame came; check the cable", id="sends nothing"),
        pytest.param(
            "picamera",
            {"gives": {"format": "BGR888"}},
            "picamera:0: expected RGB888 of any size, the camera would send BGR888 of (1280, 720); ask for that size",
            id="other colours",
        ),
        pytest.param(
            "picamera",
            {"gives": {"size": (96, 50)}},
            "picamera:0: expected RGB888 of (100, 50), the camera would send RGB888 of (96, 50); ask for that size",
            id="another size",
        ),
    ],
)
def test_what_goes_wrong(picamera2, monkeypatch, spec, faults, message):
    for name, value in faults.items():
        monkeypatch.setattr(picamera2, name, value)
    options = LiveOptions(size_wh=(100, 50)) if "size" in faults.get("gives", {}) else None
    with pytest.raises(InputError) as caught:
        open_source(spec, live=options)
    assert str(caught.value) == message
    assert all(camera.calls[-1:] == ["close"] for camera in picamera2.made)


def test_the_nearest_size_will_do_where_that_is_said(picamera2, monkeypatch):
    monkeypatch.setattr(picamera2, "gives", {"size": (96, 50)})
    with open_source("picamera", live=LiveOptions(size_wh=(100, 50), nearest_size=True)) as source:
        assert next(iter(source)).image_bgr.shape[2] == 3
    assert len(picamera2.made) == 1


def test_without_picamera2_the_way_to_get_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(MissingExtraError) as caught:
        open_source("picamera")
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith("picamera2 cannot be imported (")
    assert str(caught.value).endswith(
        "; sudo apt install python3-picamera2, and make the virtual environment with --system-site-packages"
    )
