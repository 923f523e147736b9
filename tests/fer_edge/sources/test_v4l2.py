"""Cameras of V4L2. No machine of the tests has one: OpenCV's capture is a stand-in that does what a driver would."""

from __future__ import annotations

import os
import stat
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from live_support import RED, eventually, middle, patched

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError
from fer_edge.sources import LiveOptions, open_source
from fer_edge.sources.v4l2 import is_v4l2, open_v4l2

SIZES = [(640, 480), (1280, 720)]


class FakeCamera:
    """OpenCV's capture of a driver that takes the nearest size it has, and 30 frames a second at most."""

    made = None
    works = True

    def __init__(self, path, backend):
        self.path, self.backend = path, backend
        self.values = {self.cv2.CAP_PROP_FPS: 30.0}
        self.wanted = [640, 480]
        self.size_wh = (640, 480)
        self.pulled, self.released = threading.Event(), threading.Event()
        FakeCamera.made.append(self)

    cv2 = import_cv2()

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return FakeCamera.works

    def set(self, number, value):
        if number == self.cv2.CAP_PROP_FRAME_WIDTH:
            self.wanted[0] = value
        elif number == self.cv2.CAP_PROP_FRAME_HEIGHT:
            self.wanted[1] = value
            self.size_wh = min(
                SIZES, key=lambda size_wh: sum(abs(a - b) for a, b in zip(size_wh, self.wanted, strict=True))
            )
        elif number == self.cv2.CAP_PROP_FPS:
            self.values[number] = min(value, 30.0)
        return True

    def get(self, number):
        sides = {self.cv2.CAP_PROP_FRAME_WIDTH: self.size_wh[0], self.cv2.CAP_PROP_FRAME_HEIGHT: self.size_wh[1]}
        return float(sides.get(number, self.values.get(number, 0.0)))

    def read(self, into=None):
        if self.pulled.wait(0.01):
            return False, None
        return True, patched(size_wh=self.size_wh)

    def release(self):
        self.released.set()


@pytest.fixture
def camera_file(tmp_path, monkeypatch):
    """A device file whose camera is FakeCamera."""
    monkeypatch.setattr(FakeCamera, "made", [])
    monkeypatch.setattr(FakeCamera, "works", True)
    cv2 = import_cv2()
    names = {name: getattr(cv2, name) for name in dir(cv2) if name.startswith("CAP_")}
    stand_in = SimpleNamespace(VideoCapture=FakeCamera, error=cv2.error, **names)
    monkeypatch.setattr("fer_edge.sources.v4l2.import_cv2", lambda: stand_in)
    path = tmp_path / "video0"
    path.touch()
    return path


def test_a_camera_is_opened_as_it_is(camera_file):
    with open_v4l2(str(camera_file), LiveOptions()) as source:
        frame = source.read()
        assert (source.name, source.kind, source.fps, source.size_wh) == (str(camera_file), "camera", 30.0, (640, 480))
        np.testing.assert_array_equal(middle(frame.image_bgr), RED)
    [camera] = FakeCamera.made
    assert (camera.path, camera.backend) == (str(camera_file), import_cv2().CAP_V4L2)
    assert camera.released.is_set()


def test_size_and_rate_are_asked_for(camera_file):
    with open_v4l2(str(camera_file), LiveOptions(size_wh=(1280, 720), fps=15.0)) as source:
        assert (source.size_wh, source.fps) == ((1280, 720), 15.0)


def test_a_size_that_the_camera_has_not_is_an_error_that_names_the_nearest(camera_file):
    with pytest.raises(InputError) as caught:
        open_v4l2(str(camera_file), LiveOptions(size_wh=(1920, 1080)))
    assert str(caught.value) == (
        f"{camera_file}: expected pictures of 1920 x 1080, the camera would send 1280 x 720; v4l2-ctl -d {camera_file} "
        "--list-formats-ext shows its sizes"
    )
    assert FakeCamera.made[0].released.is_set()


def test_the_nearest_size_will_do_where_that_is_said(camera_file):
    with open_v4l2(str(camera_file), LiveOptions(size_wh=(1920, 1080), nearest_size=True)) as source:
        assert source.size_wh == (1280, 720)
    assert len(FakeCamera.made) == 1


def test_a_camera_that_is_pulled_and_plugged_in_again(camera_file):
    states = []
    options = LiveOptions(
        offline_after_s=0.3,
        reopen_after_s=0.05,
        reopen_gap_s=0.1,
        on_state=lambda online, reason: states.append((online, reason)),
    )
    with open_v4l2(str(camera_file), options) as source:
        source.read()
        camera_file.unlink()
        FakeCamera.made[0].pulled.set()
        eventually(lambda: source.read(timeout_s=0.05) is None and not source.is_online)
        camera_file.touch()
        eventually(lambda: source.read(timeout_s=0.05) is not None and source.is_online)
    assert [online for online, _ in states] == [False, True]
    assert states[0][1].startswith(f"{camera_file}: no frame for 0.3 s; no such camera; found ")
    assert [camera.released.is_set() for camera in FakeCamera.made] == [True] * len(FakeCamera.made)


def test_a_camera_in_use(camera_file, monkeypatch):
    monkeypatch.setattr(FakeCamera, "works", False)
    with pytest.raises(InputError, match="it sends no pictures, or another program uses it; one camera can have sever"):
        open_v4l2(str(camera_file), LiveOptions())
    assert FakeCamera.made[0].released.is_set()


def test_a_camera_without_permission(camera_file, monkeypatch):
    monkeypatch.setattr("fer_edge.sources.v4l2.os.access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"video0: no permission; add the user to the group video and log in again$"):
        open_v4l2(str(camera_file), LiveOptions())


@pytest.mark.parametrize("spec", ["97", "/dev/video97"])
def test_no_such_camera(spec):
    with pytest.raises(InputError, match=r"^/dev/video97: no such camera; found "):
        open_source(spec)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("0", True),
        ("12", True),
        ("/dev/video0", True),
        ("", False),
        ("1234", False),
        ("-1", False),
        ("0.png", False),
        ("./0", False),
        ("/dev/null", False),
        ("/dev/videos", False),
        ("a\0b", False),
    ],
)
def test_what_names_a_camera(spec, expected):
    assert is_v4l2(spec) is expected


def test_a_link_to_a_camera_names_it(tmp_path):
    device, link = tmp_path / "device", tmp_path / "usb-camera"
    try:
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(81, 0))
    except OSError as error:
        pytest.skip(f"no device file can be made here: {error}")
    link.symlink_to(device)
    assert is_v4l2(str(link))
