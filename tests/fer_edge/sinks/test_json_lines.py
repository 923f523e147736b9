from __future__ import annotations

import json
import os
import resource
import signal
from contextlib import contextmanager

import pytest

from fer_edge.errors import OutputError
from fer_edge.frame_record import frame_record
from fer_edge.sinks.content import make_content
from fer_edge.sinks.json_lines import JsonLinesFile, StandardOutput
from fer_edge.sinks.options import ContentOptions, JsonLinesOptions


def open_file(path, content="frames", **options):
    return JsonLinesFile(make_content(ContentOptions(content=content)), JsonLinesOptions(path=str(path), **options))


def frames(path):
    return [json.loads(line)["frame"] for line in path.read_text().splitlines()]


@contextmanager
def room_for(n_bytes):
    """A file system on which no file may be longer."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as the interpreter has it
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def test_each_frame_is_a_line_that_is_there_at_once(tmp_path, make_result):
    results = [make_result((1, "happy"), index=i, time_s=i / 25) for i in range(3)]
    with open_file(tmp_path / "a.jsonl") as sink:
        for count, result in enumerate(results, start=1):
            sink.write(result)
            assert len((tmp_path / "a.jsonl").read_text().splitlines()) == count
    expected = [frame_record(each.frame, each.analysis, each.labels, each.decode_ms) for each in results]
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()] == expected


@pytest.mark.parametrize("skipped", [None, False, True])
def test_whether_a_frame_was_looked_at_is_told_where_not_all_are(tmp_path, make_result, skipped):
    with open_file(tmp_path / "a.jsonl") as sink:
        sink.write(make_result(skipped=skipped))
    record = json.loads((tmp_path / "a.jsonl").read_text())
    assert record.get("skipped") is skipped
    assert ("skipped" in record) == (skipped is not None)


def test_events_alone(tmp_path, make_result):
    with open_file(tmp_path / "a.jsonl", content="events") as sink:
        sink.write(make_result((1, "happy"), time_s=0.0))
        sink.write(make_result((1, "happy"), time_s=0.1))
        sink.source_state(True, "it is there")
        sink.write(make_result((1, "angry"), time_s=0.2))
        sink.source_state(False, "the cable is out")
        sink.write(make_result((2, "happy"), time_s=9.0))
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(each["event_type"], each["track_id"]) for each in records] == [
        ("face_appeared", 1),
        ("apparent_emotion_changed", 1),
        ("face_left", 1),
        ("face_appeared", 2),
        ("face_left", 2),
    ]


@pytest.mark.parametrize("content", ["frames", "events", "aggregate"])
def test_no_picture_is_written(tmp_path, make_result, content):
    with open_file(tmp_path / "a.jsonl", content=content) as sink:
        for i in range(100):
            sink.write(make_result(*((n, "happy") for n in range(6)), index=i, time_s=float(i)))
    text = (tmp_path / "a.jsonl").read_text()
    assert text
    # 48 x 64 x 3 pixels, as base64 they would be 12288 characters of one text.
    assert max(len(part) for part in text.split('"')) < 200


def test_lines_are_added_and_a_line_that_was_cut_short_does_not_spoil_the_next(tmp_path, make_result):
    path = tmp_path / "a.jsonl"
    path.write_text('{"frame": 7}\n{"fra')
    with open_file(path) as sink:
        sink.write(make_result(index=8))
    lines = path.read_text().splitlines()
    assert lines[:2] == ['{"frame": 7}', '{"fra']
    assert json.loads(lines[2])["frame"] == 8


def test_the_file_is_not_for_everybody(tmp_path, make_result):
    umask = os.umask(0)
    try:
        open_file(tmp_path / "a.jsonl").close()
    finally:
        os.umask(umask)
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("keep", "n_files"), [(0, 1), (2, 3)])
def test_rotation_keeps_the_newest_lines_whole(tmp_path, make_result, keep, n_files):
    path = tmp_path / "a.jsonl"
    line_bytes = len(json.dumps(frame_record(*_parts(make_result(index=100))))) + 1
    n_lines_a_file = 65536 // line_bytes
    n_lines = 4 * n_lines_a_file + 5
    with open_file(path, max_bytes=65536, keep=keep) as sink:
        for i in range(n_lines):
            sink.write(make_result(index=100 + i % 900))
    files = [path, *(path.with_name(f"a.jsonl.{i + 1}") for i in range(keep))]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert len(files) == n_files
    assert all(each.stat().st_size <= 65536 for each in files)
    kept = [index for each in reversed(files) for index in frames(each)]
    assert kept == [100 + i % 900 for i in range(n_lines)][-len(kept) :]
    assert len(kept) == 5 + keep * n_lines_a_file


def _parts(result):
    return result.frame, result.analysis, result.labels, result.decode_ms


def test_a_full_disk_takes_no_half_line_and_is_tried_again(tmp_path, make_result):
    path = tmp_path / "a.jsonl"
    with open_file(path) as sink:
        sink.write(make_result(index=0))
        n_bytes = path.stat().st_size
        with room_for(n_bytes + 100):
            for i in (1, 2):
                with pytest.raises(OutputError, match=r"cannot write .*a\.jsonl: File too large"):
                    sink.write(make_result(index=i))
                assert path.stat().st_size == n_bytes
                assert sink.trouble is not None
        sink.write(make_result(index=3))
        assert sink.trouble is None
    assert frames(path) == [0, 3]


def test_trouble_lasts_until_something_is_written(tmp_path, make_result):
    with open_file(tmp_path / "a.jsonl", content="events") as sink:
        with room_for(10), pytest.raises(OutputError):
            sink.write(make_result((1, "happy")))
        sink.write(make_result((1, "happy")))
        assert sink.trouble is not None
        sink.write(make_result((1, "angry")))
        assert sink.trouble is None


def write_many(sink, make_result):
    for i in range(400):  # more than 65536 bytes
        sink.write(make_result(index=i))


def test_a_rotation_that_fails_is_tried_again(tmp_path, make_result):
    path = tmp_path / "a.jsonl"
    with open_file(path, max_bytes=65536) as sink:
        sink.write(make_result(index=0))
        path.with_name("a.jsonl.4").mkdir()
        with pytest.raises(OutputError, match=r"cannot write .*a\.jsonl: "):
            write_many(sink, make_result)
        path.with_name("a.jsonl.4").rmdir()
        sink.write(make_result(index=999))
    assert frames(path) == [999]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("folder", "Is a directory"),
        ("link", "it is a link; name the file itself"),
        ("pipe", "expected a file, found something else"),
        ("nowhere", "No such file or directory"),
    ],
)
def test_what_is_no_file(tmp_path, kind, message):
    path = tmp_path / "a"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "b")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = tmp_path / "no" / "a"
    with pytest.raises(OutputError) as raised:
        open_file(path)
    assert str(raised.value) == f"cannot write {path}: {message}"
    assert not (tmp_path / "b").exists()


def test_standard_output(make_result, capsys):
    with StandardOutput(make_content(ContentOptions())) as sink:
        sink.write(make_result(index=4))
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["frame"] == 4
