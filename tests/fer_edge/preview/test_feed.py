from __future__ import annotations

import dataclasses
import json
import threading
from itertools import islice

import numpy as np
import pytest
from preview_support import LABELS, make_result, wait_until

from fer_edge._cv2 import import_cv2
from fer_edge.frame_record import frame_record
from fer_edge.preview import feed as feed_module
from fer_edge.preview.feed import PreviewFeed


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def feed(clock):
    made = PreviewFeed(temperature_c=lambda: 47.25, max_rate_hz=10.0, clock=clock)
    yield made
    made.close()


def start(feed):
    """Events of the feed after hello and the source's state, as (name, content)."""
    events = ((name, json.loads(text)) for name, text in feed.events())
    assert [name for name, _ in islice(events, 2)] == ["hello", "source"]
    return events


def test_an_event_is_the_frames_record_and_how_the_run_fares(feed, clock):
    events = start(feed)
    result = make_result(index=7, n_faces=3, n_dropped=4)
    clock.now_s += 2.5
    feed.publish(result)
    assert next(events) == (
        "frame",
        {
            "number": 1,
            "clock_s": 2.5,
            "record": frame_record(result.frame, result.analysis, LABELS, 3.0),
            "frames_per_s": None,
            "mean_latency_ms": {"decode": 3.0, "detect": 8.0, "classify": 2.0, "total": 13.0},
            "mean_stages_ms": {"follow": 1.0, "pnet": 5.0, "crop": 0.5, "classify": 1.5},
            "n_dropped": 4,
            "temperature_c": 47.2,
        },
    )


@pytest.mark.parametrize("skipped", [True, False])
def test_a_record_tells_whether_its_frame_was_looked_at(feed, skipped):
    events = start(feed)
    feed.publish(dataclasses.replace(make_result(), skipped=skipped))
    assert next(events)[1]["record"]["skipped"] is skipped


def test_rate_and_times_are_means_of_all_frames_of_two_seconds(feed, clock):
    # Ten old frames of 500 ms, then 2 s of 20 frames a second, of which every fourth detects: also those that no
    # watcher got count.
    events = start(feed)
    for _ in range(10):
        feed.publish(make_result(detect_ms=500.0))
        clock.now_s += 0.5
    for index in range(60):
        detects = index % 4 == 0
        stages_ms = {"follow": 1.0, "pnet": 8.0, "classify": 2.0} if detects else {"follow": 2.0, "classify": 2.0}
        feed.publish(make_result(detect_ms=10.0 if detects else 2.0, stages_ms=stages_ms))
        clock.now_s += 0.05
    clock.now_s += 1  # a watcher gets the next one for certain
    feed.publish(make_result(detect_ms=10.0, stages_ms={"follow": 1.0, "pnet": 8.0, "classify": 2.0}))
    content = next(events)[1]
    # Within 2 s before the newest, at 0 s: frames at -1.05, -1.10, ... -2.00 s, which are indexes 59 down to 40.
    assert content["frames_per_s"] == pytest.approx(20 / 2.0, abs=0.01)
    n_detecting = 1 + 5
    assert content["mean_latency_ms"]["detect"] == pytest.approx((10 * n_detecting + 2 * 15) / 21, abs=0.001)
    assert content["mean_latency_ms"]["total"] == pytest.approx(3 + 2 + (10 * n_detecting + 2 * 15) / 21, abs=0.001)
    assert content["mean_stages_ms"]["pnet"] == pytest.approx(8 * n_detecting / 21, abs=0.001)
    assert list(content["mean_stages_ms"]) == ["follow", "pnet", "classify"]


def test_the_rate_of_a_slow_run_is_that_of_its_last_two_frames(feed, clock):
    events = start(feed)
    for _ in range(3):
        feed.publish(make_result())
        clock.now_s += 4
    assert next(events)[1]["frames_per_s"] == 0.25


@pytest.mark.parametrize(("given_hz", "expected"), [(5, 50), (14, 100), (30, 100)])
def test_watchers_get_so_many_frames_a_second_at_most(feed, clock, given_hz, expected):
    events = start(feed)
    for _ in range(10 * given_hz):
        feed.publish(make_result())
        clock.now_s += 1 / given_hz
    assert next(events)[1]["number"] == pytest.approx(expected, abs=1)


def test_nothing_is_kept_while_nobody_watches(feed):
    feed.publish(make_result())
    assert feed._snapshot is None
    events = start(feed)
    feed.publish(make_result())
    assert feed._snapshot is not None
    events.close()
    assert feed._snapshot is None
    feed.publish(make_result())
    assert feed._snapshot is None


@pytest.fixture
def encodings(monkeypatch):
    """Shapes of all pictures that were encoded."""
    shapes = []
    encode = feed_module._encode

    def counted(image_bgr):
        shapes.append(image_bgr.shape)
        return encode(image_bgr)

    monkeypatch.setattr(feed_module, "_encode", counted)
    return shapes


def test_without_somebody_who_asks_for_pictures_no_frame_is_copied_or_encoded(feed, clock, encodings):
    for _ in range(5):
        feed.publish(make_result())
    events = start(feed)
    for _ in range(5):
        clock.now_s += 1
        feed.publish(make_result())
        next(events)
        assert feed._snapshot.image_bgr is None
    assert encodings == []


def in_thread(function, *arguments):
    """A function that waits for what another one, started in a thread, returns."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function(*arguments)))
    thread.start()

    def answer():
        thread.join(10)
        return answers[0]

    return answer


def publish_to_all(feed, clock, result, answers):
    """Publish as soon as all threads wait, and return what they get."""
    wait_until(lambda: feed._n_watchers == len(answers))
    clock.now_s += 1
    feed.publish(result)
    return [answer() for answer in answers]


def test_a_picture_is_encoded_once_for_all_who_wait(feed, clock, encodings):
    waiting = [in_thread(feed.picture, 0) for _ in range(3)]
    found = publish_to_all(feed, clock, make_result(gray=77), waiting)
    assert {number for number, _ in found} == {1}
    assert len({jpeg for _, jpeg in found}) == 1
    assert encodings == [(180, 320, 3)]
    cv2 = import_cv2()
    image = cv2.imdecode(np.frombuffer(found[0][1], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (180, 320, 3)
    assert np.abs(image.astype(int) - 77).max() <= 1


@pytest.mark.parametrize(
    ("size_wh", "shown_wh"),
    [
        pytest.param((1920, 1080), (960, 540), id="wide"),
        pytest.param((1080, 1920), (540, 960), id="tall"),
        pytest.param((960, 720), (960, 720), id="as large as may be"),
        pytest.param((4000, 2), (960, 1), id="a line"),
    ],
)
def test_large_frames_are_made_smaller(size_wh, shown_wh):
    cv2 = import_cv2()
    jpeg = feed_module._encode(np.zeros((size_wh[1], size_wh[0], 3), np.uint8))
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert (image.shape[1], image.shape[0]) == shown_wh


def test_a_picture_is_the_frame_as_it_was_though_its_memory_is_used_again(feed, clock):
    result = make_result(gray=200)
    waiting = in_thread(feed.picture, 0)
    with feed._making:  # nobody can encode yet
        wait_until(lambda: feed._n_watchers == 1)
        clock.now_s += 1
        feed.publish(result)
        result.frame.image_bgr[:] = 0
    cv2 = import_cv2()
    image = cv2.imdecode(np.frombuffer(waiting()[1], np.uint8), cv2.IMREAD_COLOR)
    assert image.min() >= 198


def test_a_picture_that_does_not_come(feed, monkeypatch):
    monkeypatch.setattr(feed_module, "_QUIET_S", 0.05)
    assert feed.picture(0) is None


def test_the_sources_state_is_news_and_the_end_is_the_last(feed):
    events = start(feed)
    feed.set_source_state(False, "no frame for 5 s")
    assert feed.online is False
    assert next(events) == ("source", {"online": False, "reason": "no frame for 5 s"})
    feed.set_source_state(True, "")
    assert next(events) == ("source", {"online": True, "reason": ""})
    feed.close()
    assert list(events) == [("end", {})]
    feed.publish(make_result())
    assert feed.picture(0) is None


def test_who_reads_slowly_gets_the_newest_frame(feed, clock):
    events = start(feed)
    for index in range(50):
        feed.publish(make_result(index=index))
        clock.now_s += 1
    assert next(events)[1]["record"]["frame"] == 49


def test_where_nothing_comes_a_reader_is_told_so(feed, monkeypatch):
    monkeypatch.setattr(feed_module, "_QUIET_S", 0.05)
    assert next(start(feed)) == ("quiet", {})


def test_the_temperature_is_read_every_two_seconds(clock):
    readings = []

    def temperature_c():
        readings.append(clock.now_s)

    feed = PreviewFeed(temperature_c=temperature_c, max_rate_hz=10.0, clock=clock)
    events = start(feed)
    for _ in range(41):
        feed.publish(make_result())
        assert next(events)[1]["temperature_c"] is None
        clock.now_s += 0.125
    assert readings == [1000.0, 1002.0, 1004.0]
    feed.close()
