from __future__ import annotations

import pytest

from fer_edge.errors import UsageError
from fer_edge.sinks.events import EVENT_SCHEMA, FaceEvents, utc_text

NOW_UNIX_S = 1_700_000_000.25


def told(records):
    return [(each["event_type"], each["track_id"], each["emotion"], each["previous_emotion"]) for each in records]


def test_a_face_comes_changes_and_goes(make_result):
    events = FaceEvents()
    frames = [
        (0.0, [(1, "happy")], [("face_appeared", 1, "happy", None)]),
        (0.1, [(1, "happy")], []),
        (0.2, [(1, "angry"), (2, "neutral")], [
            ("apparent_emotion_changed", 1, "angry", "happy"),
            ("face_appeared", 2, "neutral", None),
        ]),
        (0.3, [(2, "neutral")], []),
        (1.1, [(2, "neutral")], []),  # 1 was seen 0.9 s ago
        (1.2, [(2, "neutral")], [("face_left", 1, "angry", None)]),
        (2.3, [(2, "happy")], [("apparent_emotion_changed", 2, "happy", "neutral")]),
    ]  # fmt: skip
    for index, (time_s, faces, expected) in enumerate(frames):
        assert told(events.records(make_result(*faces, index=index, time_s=time_s), NOW_UNIX_S)) == expected, time_s
    assert told(events.end(NOW_UNIX_S)) == [("face_left", 2, "happy", None)]
    assert events.end(NOW_UNIX_S) == []


def test_a_face_found_again_in_time_has_not_left(make_result):
    events = FaceEvents()
    events.records(make_result((1, "happy"), time_s=0.0), NOW_UNIX_S)
    assert events.records(make_result(time_s=0.5), NOW_UNIX_S) == []
    assert events.records(make_result((1, "happy"), time_s=0.9), NOW_UNIX_S) == []


def test_a_gap_longer_than_a_face_is_remembered_is_no_leaving_of_who_is_there_after_it(make_result):
    events = FaceEvents()
    events.records(make_result((1, "happy"), time_s=0.0), NOW_UNIX_S)
    assert told(events.records(make_result((1, "angry"), time_s=5.0), NOW_UNIX_S)) == [
        ("apparent_emotion_changed", 1, "angry", "happy")
    ]


def test_frames_without_a_time_are_a_25th_of_a_second_apart(make_result):
    events = FaceEvents()
    events.records(make_result((1, "happy"), time_s=None), NOW_UNIX_S)
    left = [events.records(make_result(index=i, time_s=None), NOW_UNIX_S) for i in range(1, 27)]
    assert [index for index, records in enumerate(left, start=1) if records] == [25]


def test_a_stream_that_counts_its_time_from_0_again_loses_who_was_there_before(make_result):
    events = FaceEvents()
    events.records(make_result((1, "happy"), time_s=100.0), NOW_UNIX_S)
    assert told(events.records(make_result((2, "happy"), time_s=0.0), NOW_UNIX_S)) == [
        ("face_left", 1, "happy", None),
        ("face_appeared", 2, "happy", None),
    ]


def test_the_record(make_result):
    (record,) = FaceEvents().records(make_result((7, "happy"), index=3, time_s=1 / 3), NOW_UNIX_S)
    assert record == {
        "schema": EVENT_SCHEMA,
        "event_type": "face_appeared",
        "source": "door",
        "frame": 3,
        "time_s": 0.333333,
        "utc": "2023-11-14T22:13:20.250Z",
        "track_id": 7,
        "emotion": "happy",
        "previous_emotion": None,
    }


def test_faces_without_a_number(make_result):
    with pytest.raises(UsageError, match="need faces with a track_id, found one without"):
        FaceEvents().records(make_result((None, "happy")), NOW_UNIX_S)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1970-01-01T00:00:00.000Z"), (1_700_000_000.0, "2023-11-14T22:13:20.000Z")],
    ids=["epoch", "whole second"],
)
def test_utc(seconds, text):
    assert utc_text(seconds) == text
