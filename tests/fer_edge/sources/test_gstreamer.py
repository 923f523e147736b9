"""Pipelines: a stand-in for an OpenCV with GStreamer, and the system's own where it has one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from live_support import RED, SYSTEM_PYTHON, middle, patched

import fer_edge
from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError, MissingExtraError
from fer_edge.sources import LiveOptions, open_source
from fer_edge.sources.gstreamer import open_pipeline

PIPELINE = "nvarguscamerasrc ! nvvidconv ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true"


def stand_in(monkeypatch, image, *, built="GStreamer:   YES (1.20.3)", takes_timeouts=True):
    """An OpenCV whose pipelines deliver one picture again and again; returns what was opened."""
    cv2, opened = import_cv2(), []

    class Capture:
        def __init__(self, *arguments):
            opened.append(arguments)
            self.works = image is not None and (takes_timeouts or len(arguments) == 2)

        def isOpened(self):  # noqa: N802 - OpenCV's name
            return self.works

        def get(self, number):
            return 30.0

        def read(self, into=None):
            return True, image

        def release(self):
            self.works = False

    names = {name: getattr(cv2, name) for name in dir(cv2) if name.startswith("CAP_")}
    fake = SimpleNamespace(
        VideoCapture=Capture, getBuildInformation=lambda: f"  Video I/O:\n    {built}\n", __version__="4.0", **names
    )
    monkeypatch.setattr("fer_edge.sources.gstreamer.import_cv2", lambda: fake)
    return opened


def test_a_pipeline_is_opened_with_timeouts_and_only_its_first_element_is_shown(monkeypatch):
    cv2 = import_cv2()
    opened = stand_in(monkeypatch, patched())
    with open_source(f"gst:{PIPELINE}") as source:
        frame = source.read()
        assert (source.name, source.kind, source.fps) == ("gst:nvarguscamerasrc", "camera", 30.0)
        assert frame.source == "gst:nvarguscamerasrc"
        np.testing.assert_array_equal(middle(frame.image_bgr), RED)
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 8000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 8000]
    assert opened == [(PIPELINE, cv2.CAP_GSTREAMER, timeouts)]


def test_an_opencv_that_knows_no_timeouts_there(monkeypatch):
    opened = stand_in(monkeypatch, patched(), takes_timeouts=False)
    with open_source(f"gst:{PIPELINE}") as source:
        source.read()
    assert [len(arguments) for arguments in opened] == [3, 2]


@pytest.mark.parametrize(
    ("image", "found"),
    [
        pytest.param(np.zeros((360, 320), np.uint8), r"uint8 \(360, 320\)", id="NV12"),
        pytest.param(np.zeros((4, 4, 4), np.uint8), r"uint8 \(4, 4, 4\)", id="BGRx"),
        pytest.param(np.zeros((4, 4, 3), np.uint16), r"uint16 \(4, 4, 3\)", id="16 bits"),
    ],
)
def test_pixels_that_are_not_bgr(monkeypatch, image, found):
    stand_in(monkeypatch, image)
    with pytest.raises(InputError, match=rf"^gst:nvarguscamerasrc: expected pictures of .* in B, G, R, found {found}$"):
        open_source(f"gst:{PIPELINE}")


@pytest.mark.parametrize("pipeline", ["", "videotestsrc", "appsink", "videotestsrc ! fakesink", "a ! appsink ! b"])
def test_a_pipeline_without_an_appsink_at_its_end(pipeline):
    with pytest.raises(
        InputError, match=r"^gst: expected a pipeline that ends in ! appsink, found none there; add it$"
    ):
        open_source(f"gst:{pipeline}")


def test_a_pipeline_that_does_not_start_shows_nothing_of_it(monkeypatch):
    stand_in(monkeypatch, None)
    with pytest.raises(InputError) as caught:
        open_source("gst:rtspsrc location=rtsp://keeper:secret@camera ! appsink")
    assert str(caught.value) == (
        "gst:rtspsrc: the pipeline does not start; try it with gst-launch-1.0 and fakesink for appsink"
    )


def test_an_opencv_without_gstreamer_is_named(monkeypatch):
    stand_in(monkeypatch, patched(), built="GStreamer:                   NO")
    with pytest.raises(MissingExtraError, match=r"^gst:nvarguscamerasrc: this OpenCV \(4\.0\) was built without GStr"):
        open_pipeline(f"gst:{PIPELINE}", LiveOptions())


REAL = """
import sys
from fer_edge.errors import InputError
from fer_edge.sources import open_source
bars = "videotestsrc is-live=true pattern=smpte ! videoconvert ! video/x-raw,format=BGR,width=336,height=240"
with open_source(f"gst:{bars} ! appsink") as source:
    frame = source.read()
    print(source.name, source.size_wh, *(frame.image_bgr[60, 48 * place + 24].tolist() for place in (5, 6)))
try:
    open_source("gst:videotestsrc ! video/x-raw,format=GRAY8 ! appsink")
except InputError as error:
    print(error)
"""


def test_a_real_pipeline_keeps_its_colours():
    """With the system's OpenCV (Debian: python3-opencv), since the one of the package index has no GStreamer."""
    ask = "import cv2, sys; sys.exit('GStreamer:                   YES' not in cv2.getBuildInformation())"
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", ask], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"{SYSTEM_PYTHON} has no OpenCV with GStreamer")
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", REAL],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(fer_edge.__file__).parents[1])},
    )
    assert done.stdout.splitlines() == [
        "gst:videotestsrc (336, 240) [0, 0, 255] [255, 0, 0]",
        "gst:videotestsrc: expected pictures of uint8 (height, width, 3) in B, G, R, found uint8 (240, 320)",
    ], done.stderr
