"""What the reader of a live source sees: the newest frame, states, ends. Real threads, scripted cameras."""

from __future__ import annotations

import gc
import itertools
import threading
import time

import numpy as np
import pytest
from live_support import FakeCapture, FakeClock, eventually

from fer_edge.errors import InputError, MissingExtraError
from fer_edge.sources import LiveOptions, LiveSource


def picture(number, size_wh=(6, 4)):
    return np.full((size_wh[1], size_wh[0], 3), number, np.uint8)


def source_of(*captures, clock=None, **options):
    captures = iter(captures)
    return LiveSource("fake", "camera", lambda: next(captures), LiveOptions(**options), clock=clock)


def test_the_first_frame_tells_size_and_rate():
    stop = threading.Event()
    with source_of(FakeCapture([picture(7), stop], fps=30.0)) as source:
        assert (source.kind, source.is_live, source.is_online, source.fps) == ("camera", True, True, 30.0)
        assert (source.size_wh, source.n_dropped, source.n_opened) == ((6, 4), 0, 1)
        frame = source.read()
        assert (frame.source, frame.index, frame.time_s) == ("fake", 0, 0.0)
        assert (frame.image_bgr == 7).all()
        assert source.read(timeout_s=0.05) is None
        stop.set()


def test_a_slow_reader_gets_the_newest_frame_and_the_others_are_counted():
    come, stop = threading.Event(), threading.Event()
    with source_of(FakeCapture([picture(0), come, *map(picture, range(1, 10)), stop])) as source:
        first = source.read()
        come.set()
        eventually(lambda: source.n_dropped == 8)
        frame = source.read()
        assert (first.index, frame.index, frame.image_bgr[0, 0, 0]) == (0, 9, 9)
        assert frame.time_s >= first.time_s
        stop.set()


def test_the_frame_that_is_read_keeps_its_pixels_while_others_come():
    come, stop = threading.Event(), threading.Event()
    capture = FakeCapture([picture(200), come, *(picture(number % 100) for number in range(500)), stop])
    with source_of(capture) as source:
        frame = source.read()
        come.set()
        eventually(lambda: source.n_dropped == 499)
        assert (frame.image_bgr == 200).all()
        assert len({id(memory) for memory in capture.memory}) == 3
        stop.set()


def test_frames_of_another_size_come_whole():
    come, stop = threading.Event(), threading.Event()
    with source_of(FakeCapture([picture(1), come, picture(2, (10, 8)), stop])) as source:
        assert source.read().image_bgr.shape == (4, 6, 3)
        come.set()
        assert source.read().image_bgr.shape == (8, 10, 3)
        stop.set()


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        pytest.param([], "the script is at its end", id="error"),
        pytest.param([threading.Event()], "the camera or its driver does not answer", id="stuck"),
    ],
)
def test_no_frame_for_twenty_seconds_is_offline_and_frames_are_online_again(steps, reason):
    clock, states = FakeClock(), []
    back, stop, failed = threading.Event(), threading.Event(), threading.Event()
    stuck = [step for step in steps if isinstance(step, threading.Event)]

    def on_state(online, why):
        states.append((online, why, clock.now - begin_s))
        if not online:
            for event in [back, *stuck]:
                event.set()

    class Captures:
        """The first fails after its script; the second waits until the source went offline."""

        def __init__(self):
            self.made = [FakeCapture([picture(1), *steps]), FakeCapture([back, picture(2), stop])]

        def __call__(self):
            capture = self.made.pop(0)
            if not self.made:
                failed.set()
            return capture

    # The thread that reads must not move the fake clock: it waits for real while it may open again only later.
    options = LiveOptions(on_state=on_state, reopen_after_s=1e-9, reopen_gap_s=1e-9)
    with LiveSource("fake", "camera", Captures(), options, clock=clock) as source:
        assert source.read().index == 0
        begin_s = source._newest.newest_s
        if not stuck:
            assert failed.wait(10)
        frame = source.read()
        assert (frame.index, frame.image_bgr[0, 0, 0]) == (1, 2)
        assert source.is_online
        assert [state[0] for state in states] == [False, True]
        assert states[0][1].startswith("fake: no frame for 20 s; ")
        assert states[0][1].endswith(reason)
        assert states[0][2] == pytest.approx(20.0, abs=0.01)
        assert states[1][1] == "fake: frames come again"
        stop.set()


def test_reading_with_a_timeout_goes_on_through_an_outage():
    clock, states, stop = FakeClock(), [], threading.Event()
    with source_of(
        FakeCapture([picture(1), stop]), clock=clock, on_state=lambda online, why: states.append(online)
    ) as source:
        source.read()
        begin_s = clock.now
        for _ in range(6):
            assert source.read(timeout_s=5.0) is None
        assert clock.now - begin_s == pytest.approx(30.0)
        assert states == [False]
        assert not source.is_online
        stop.set()


@pytest.mark.parametrize("error", [InputError("fake: no such camera"), MissingExtraError("fake: no picamera2")])
def test_a_camera_that_does_not_open_is_an_error_at_once(error):
    def open_capture():
        raise error

    with pytest.raises(type(error), match=r"^fake: no "):
        LiveSource("fake", "camera", open_capture)


def test_a_camera_that_opens_and_sends_nothing_is_an_error_and_given_back():
    capture = FakeCapture([])
    with pytest.raises(InputError, match="the script is at its end"):
        source_of(capture)
    assert capture.closed.wait(10)


def test_a_camera_that_never_answers_holds_up_the_caller_no_longer_than_its_timeouts(monkeypatch):
    monkeypatch.setattr("fer_edge.sources.live._CLOSE_WAIT_S", 0.1)
    answer = threading.Event()
    started_s = time.monotonic()
    with pytest.raises(InputError, match=r"^fake: no frame came within 0\.3 s; is the camera connected\?$"):
        source_of(FakeCapture([answer]), open_timeout_s=0.2, read_timeout_s=0.1)
    assert time.monotonic() - started_s < 2.0
    answer.set()


def test_a_bug_in_the_thread_is_raised_where_the_frames_are_read():
    come = threading.Event()
    with source_of(FakeCapture([picture(1), come, ZeroDivisionError("bug")])) as source:
        source.read()
        come.set()
        with pytest.raises(ZeroDivisionError, match="bug"):
            source.read()


def test_closing_does_not_wait_for_a_driver_that_does_not_answer(monkeypatch):
    monkeypatch.setattr("fer_edge.sources.live._CLOSE_WAIT_S", 0.2)
    answer = threading.Event()
    capture = FakeCapture([picture(1), answer, picture(2)])
    source = source_of(capture)
    started_s = time.monotonic()
    source.close()
    assert 0.2 <= time.monotonic() - started_s < 2.0
    assert not capture.closed.is_set()
    answer.set()  # the driver comes back, and the thread gives the camera back by itself
    assert capture.closed.wait(10)
    assert list(source) == []


def test_closing_ends_a_loop_in_another_thread(monkeypatch):
    monkeypatch.setattr("fer_edge.sources.live._CLOSE_WAIT_S", 0.1)
    stop, seen = threading.Event(), []
    source = source_of(FakeCapture([picture(1), stop]))

    def loop():
        for frame in source:
            seen.append(frame.index)

    thread = threading.Thread(target=loop)
    thread.start()
    eventually(lambda: seen == [0])
    source.close()
    thread.join(0.6)  # it is told so: by itself it would look after a second
    assert not thread.is_alive()
    stop.set()


def test_a_source_that_is_forgotten_gives_its_camera_back():
    capture = FakeCapture(itertools.repeat(picture(0)))
    source = source_of(capture)
    del source
    gc.collect()
    assert capture.closed.wait(10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_wh": (0, 480)}, r"^size_wh: expected two numbers of pixels above 0, found \(0, 480\)$"),
        ({"fps": 0.0}, "^fps: expected a number above 0, found 0.0$"),
        ({"fps": float("nan")}, "^fps: expected a number above 0, found nan$"),
        ({"open_timeout_s": 0.0}, "^open_timeout_s: expected seconds above 0, found 0.0$"),
        ({"offline_after_s": float("inf")}, "^offline_after_s: expected seconds above 0, found inf$"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_are_checked_when_they_are_made(options, message):
    with pytest.raises(ValueError, match=message):
        LiveOptions(**options)
