from __future__ import annotations

import pytest

from fer_edge.errors import UsageError
from fer_edge.sinks.aggregate import AGGREGATE_SCHEMA, FaceWindows, aggregate_record


def crowd(**counts):
    """(track_id, emotion) of that many faces of each."""
    emotions = [emotion for emotion, count in counts.items() for _ in range(count)]
    return list(enumerate(emotions, start=1))


def counts_of(make_result, faces, **options):
    windows = FaceWindows(60.0, **options)
    assert windows.add(make_result(*faces, time_s=0.0)) is None
    return windows.add(make_result(time_s=60.0))


@pytest.mark.parametrize(
    ("faces", "n_faces", "happy", "neutral"),
    [
        pytest.param({}, None, None, None, id="nobody"),
        pytest.param({"happy": 4}, None, None, None, id="four alike"),
        pytest.param({"happy": 2, "neutral": 2}, None, None, None, id="four"),
        pytest.param({"happy": 3, "neutral": 2}, 5, None, None, id="five: their number alone"),
        pytest.param({"happy": 5}, None, 5, None, id="five alike: the total would tell that nobody else was there"),
        pytest.param({"happy": 7, "neutral": 1}, None, 7, None, id="the total would tell of the one other"),
        pytest.param({"happy": 7, "neutral": 4, "angry": 1}, 12, 7, None, id="five others, not told apart"),
        pytest.param({"happy": 5, "neutral": 6, "angry": 5}, 16, 5, 6, id="all of them many"),
    ],
)
def test_no_number_below_five_is_told_or_can_be_computed(make_result, faces, n_faces, happy, neutral):
    found = counts_of(make_result, crowd(**faces))
    assert (found.n_faces, found.by_emotion["happy"], found.by_emotion["neutral"]) == (n_faces, happy, neutral)
    told = [count for count in found.by_emotion.values() if count is not None]
    assert all(count >= 5 for count in told)
    if found.n_faces is not None:
        rest = found.n_faces - sum(told)
        assert rest >= 5 or len(told) == len(found.by_emotion)


def test_more_than_five_may_be_asked_for(make_result):
    found = counts_of(make_result, crowd(happy=6, neutral=8), min_faces=7)
    assert (found.n_faces, dict(found.by_emotion)) == (None, {"angry": None, "happy": None, "neutral": 8})


def test_a_face_counts_once_under_what_it_showed_in_most_frames(make_result):
    windows = FaceWindows(60.0)
    for index, emotion in enumerate(["happy", "neutral", "neutral"]):
        windows.add(make_result(*((i, emotion) for i in range(5)), index=index, time_s=float(index)))
    found = windows.add(make_result(time_s=61.0))
    assert dict(found.by_emotion) == {"angry": None, "happy": None, "neutral": 5}


def test_windows_follow_one_another_and_leave_out_those_without_frames(make_result):
    windows = FaceWindows(60.0)
    times = [7.0, 30.0, 66.9, 67.0, 300.0]
    found = [windows.add(make_result(*crowd(happy=5), time_s=time_s)) for time_s in times]
    assert found[:3] == [None, None, None]
    assert [(each.start_s, each.end_s) for each in found[3:]] == [(7.0, 67.0), (67.0, 127.0)]
    last = windows.end()
    assert (last.start_s, last.end_s) == (247.0, 300.0)


@pytest.mark.parametrize(("last_s", "is_told"), [(9.9, False), (10.0, True)], ids=["too short", "long enough"])
def test_the_window_that_the_end_cuts_short(make_result, last_s, is_told):
    windows = FaceWindows(60.0)
    windows.add(make_result(*crowd(happy=6), time_s=0.0))
    windows.add(make_result(time_s=last_s))
    found = windows.end()
    assert (found is not None) == is_told
    if found is not None:
        assert (found.start_s, found.end_s, found.by_emotion["happy"]) == (0.0, last_s, 6)
    assert windows.end() is None


def test_a_stream_that_counts_its_time_from_0_again_begins_another_window(make_result):
    windows = FaceWindows(60.0)
    windows.add(make_result(*crowd(happy=6), time_s=100.0))
    windows.add(make_result(time_s=130.0))
    found = windows.add(make_result(*crowd(neutral=6), time_s=0.0))
    assert (found.start_s, found.end_s, found.by_emotion["happy"]) == (100.0, 130.0, 6)
    assert windows.add(make_result(time_s=60.0)).by_emotion["neutral"] == 6


def test_the_record_has_no_track(make_result):
    found = counts_of(make_result, crowd(happy=5, neutral=5))
    assert aggregate_record(found, "door", 1_700_000_000.0) == {
        "schema": AGGREGATE_SCHEMA,
        "source": "door",
        "start_s": 0.0,
        "end_s": 60.0,
        "utc": "2023-11-14T22:13:20.000Z",
        "n_faces": None,
        "by_emotion": {"angry": None, "happy": 5, "neutral": 5},
    }


def test_faces_without_a_number(make_result):
    with pytest.raises(UsageError, match="need faces with a track_id"):
        FaceWindows(60.0).add(make_result((None, "happy")))
