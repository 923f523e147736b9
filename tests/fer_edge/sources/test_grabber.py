"""How often a lost camera is opened again, on a clock of its own."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from live_support import FakeClock

from fer_edge.errors import InputError, MissingExtraError
from fer_edge.sources.grabber import Grabber
from fer_edge.sources.live_options import OFFLINE_AFTER_S, OPEN_TIMEOUT_S, READ_TIMEOUT_S, LiveOptions
from fer_edge.sources.newest import NewestFrame

PICTURE = np.zeros((4, 6, 3), np.uint8)
GONE_S = 60.0  # after the first opening


class Camera:
    """A camera that goes after GONE_S and returns; what happens while it is gone depends on the kind of outage."""

    def __init__(self, outage, back_s, end_s, key_frame_s=5.0):
        self.outage, self.key_frame_s = outage, key_frame_s
        self.clock = FakeClock()
        self.begin_s = self.clock.now
        self.back_s, self.end_s = back_s, end_s
        self.opened_s, self.frames_s, self.fps = [], [], 25.0
        self.newest = NewestFrame()
        self.grabber = Grabber(self.open, LiveOptions(), self.clock, threading.Condition(), self.newest)

    @property
    def now_s(self):
        now_s = self.clock.now - self.begin_s
        if now_s > self.end_s:
            self.grabber.closed = True
        return now_s

    @property
    def is_gone(self):
        return GONE_S <= self.now_s < self.back_s

    def open(self):
        self.opened_s.append(self.now_s)
        self.first = True
        if self.is_gone and self.outage == "no answer":
            self.clock.spend(OPEN_TIMEOUT_S)
            raise InputError("fake: no answer")
        if self.is_gone and self.outage == "refused":
            raise InputError("fake: refused")
        self.clock.spend(2.0)
        return self

    def read(self, into):
        self.clock.spend(self.key_frame_s if self.first else 0.04)
        if self.is_gone:
            if self.outage == "dies at once" and self.first:
                self.first = False
                return PICTURE
            if self.outage in ("no frames", "no answer"):
                self.clock.spend(READ_TIMEOUT_S)
            raise InputError("fake: no frame came")
        self.first = False
        self.frames_s.append(self.now_s)
        return PICTURE

    def close(self):
        pass


OUTAGES = ["refused", "no answer", "no frames", "dies at once"]


@pytest.mark.parametrize("outage", OUTAGES)
def test_never_more_than_five_openings_in_a_minute(outage):
    camera = Camera(outage, back_s=1e9, end_s=900.0)
    camera.grabber.run()
    assert camera.grabber.failure is None
    assert camera.grabber.n_opened == len(camera.opened_s) > 30
    for begin_s in camera.opened_s:
        assert sum(begin_s <= opened_s <= begin_s + 60.0 for opened_s in camera.opened_s) <= 5


def test_a_camera_that_always_fails_after_its_first_frame_is_not_opened_more_often():
    camera = Camera("dies at once", back_s=1e9, end_s=900.0, key_frame_s=0.1)
    camera.grabber.run()
    assert min(after - before for before, after in pairwise(camera.opened_s)) == pytest.approx(12.5)


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_camera_that_returns_is_back_within_thirty_seconds(outage):
    lost_s = []
    for back_s in np.arange(GONE_S + 20.0, GONE_S + 60.0, 1.3):
        camera = Camera(outage, back_s=back_s, end_s=back_s + 60.0)
        camera.grabber.run()
        lost_s.append(min(frame_s for frame_s in camera.frames_s if frame_s >= back_s) - back_s)
    assert max(lost_s) < 30.0
    assert max(lost_s) > 10.0  # the worst moment was tried


def test_a_short_break_is_over_before_the_source_goes_offline():
    camera = Camera("refused", back_s=GONE_S + 1.0, end_s=120.0)
    camera.grabber.run()
    assert max(after - before for before, after in pairwise(camera.frames_s)) < OFFLINE_AFTER_S
    assert camera.grabber.n_opened == 2


def grabber_of(open_capture):
    return Grabber(open_capture, LiveOptions(), FakeClock(), threading.Condition(), NewestFrame())


@pytest.mark.parametrize(
    "error", [InputError("no camera"), MissingExtraError("no picamera2"), ZeroDivisionError("bug")]
)
def test_what_fails_before_the_first_frame_is_not_tried_again(error):
    def open_capture():
        raise error

    grabber = grabber_of(open_capture)
    grabber.run()
    assert grabber.failure is error
    assert grabber.n_opened == 1


def test_an_error_that_is_no_outage_ends_it():
    camera = Camera("refused", back_s=0.0, end_s=10.0)
    bug = ZeroDivisionError("bug")
    read = camera.read

    def read_and_fail(into):
        if len(camera.frames_s) == 3:
            raise bug
        return read(into)

    camera.read = read_and_fail
    camera.grabber.run()
    assert camera.grabber.failure is bug
    assert camera.newest.n_put == 3
