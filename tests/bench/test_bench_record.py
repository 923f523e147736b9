"""A record reads back equal; one that was changed, or whose figures do not follow from its samples, is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.bench_samples import bulk_run, case, one_round, point, record, stream_trial, sustained_run

from fer_edge.errors import InputError
from fer_edge.typed_json import to_json_text
from fer_edge_bench.load import LoadIdentity
from fer_edge_bench.record import BenchRecord, CaseFailure, Settings, measuring_command, read_record


def whole_record() -> BenchRecord:
    """Everything that a record can hold."""
    rounds = [one_round(frame, bulk=bulk_run(10, 1.0)) for frame in ((10.0, 12.0), (10.0, 11.0))]
    measured = case(*rounds, stream_trials=(stream_trial(1, 4.0, 6.0),), sustained=sustained_run(5.0, 6.0))
    return record(measured, timeline=(point(0.5), point(1.0, case=0, memory_bytes=5)))


@pytest.mark.parametrize("made", [record(), whole_record()], ids=["plain", "with all scenarios"])
def test_round_trip(tmp_path: Path, made: BenchRecord) -> None:
    path = tmp_path / "record.json"
    path.write_text(to_json_text(made), encoding="utf-8")
    assert read_record(path) == made
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == "fer-edge/bench-record/2"


def test_a_partial_record_may_lack_rounds(tmp_path: Path) -> None:
    made = record(settings=Settings(runs=2, rounds=3), partial=True)
    path = tmp_path / "record.json"
    path.write_text(to_json_text(made), encoding="utf-8")
    assert read_record(path) == made
    with pytest.raises(ValueError, match="expected 3 rounds, found 2"):
        record(settings=Settings(runs=2, rounds=3))


def at(*path: str | int) -> Callable[[dict[str, Any]], Any]:
    def find(content: Any) -> Any:
        for step in path:
            content = content[step]
        return content

    return find


CASE = ("cases", 0)
ROUND = (*CASE, "rounds", 0)


@pytest.mark.parametrize(
    ("parent", "key", "value", "message"),
    [
        pytest.param(at(), "schema", "another", "expected fer-edge/bench-record/2, found 'another'", id="schema"),
        pytest.param(at(), "case", [], "unknown key 'case'; did you mean cases", id="unknown key"),
        pytest.param(at("settings"), "thread", 1, "unknown key 'thread'; did you mean threads", id="unknown setting"),
        pytest.param(at(), "cases", [], "expected at least one", id="no case"),
        pytest.param(at("settings"), "runs", 3, "expected 3 samples, found 2", id="dropped samples"),
        pytest.param(at("settings"), "rounds", 3, "expected 3 rounds, found 2", id="dropped round"),
        pytest.param(at("settings"), "threads", [0], "threads: expected 1 or more", id="no thread"),
        pytest.param(at("settings"), "threads", [2], r"expected \(2,\) threads, found 1", id="other threads"),
        pytest.param(at("settings"), "min_face_px", 0.0, "min_face_px: expected a number above 0", id="no face"),
        pytest.param(at(), "created_utc", "yesterday", "expected a time in ISO 8601, found 'yesterday'", id="time"),
        pytest.param(at("circumstances"), "busy_percent", -5.0, "busy_percent: expected 0 to 100", id="busy"),
        pytest.param(at(*CASE), "stages", {}, "stages: expected pnet, rnet, onet, classifier, found none", id="stages"),
        pytest.param(at(*CASE, "stages", "pnet"), "bytes", -1, "bytes: expected 0 or more", id="negative bytes"),
        pytest.param(at("machine"), "memory_bytes", 10**400, "expected a number of at most 63 bits", id="too large"),
        pytest.param(at(*ROUND), "cold_start_ms", 10**400, "expected a number of at most 63 bits", id="too long"),
        pytest.param(at("settings"), "scenarios", ["online"], "found 'online'", id="scenario"),
        pytest.param(at("machine"), "memory_bytes", 0, "memory_bytes: expected 1 or more", id="no memory"),
        pytest.param(at("machine"), "memory_bytes", 10**9, "does not follow from the samples", id="other machine"),
        pytest.param(
            at(*CASE, "summary", "frame", "frame"),
            "p50_ms",
            5.0,
            "litert int8: the summary does not follow from the samples",
            id="better median",
        ),
        pytest.param(at(*CASE, "summary", "frame", "frame"), "spread", 0.15, "does not follow", id="calmer"),
        pytest.param(at(*CASE, "summary", "face", "face"), "unstable", True, "does not follow", id="other flag"),
        pytest.param(at(*CASE, "summary"), "unstable_because", "bad", "does not follow", id="other reason"),
        pytest.param(at(*ROUND, "face", "samples_ms"), "face", [], "expected series of one length", id="no sample"),
        pytest.param(at(*ROUND, "face", "samples_ms"), "face", [-1.0, 1.0], "expected 0 or more", id="negative"),
        pytest.param(at(*ROUND, "frame", "samples_ms"), "pnet", [1.0], "one length", id="unequal series"),
        pytest.param(
            at(*ROUND, "face", "samples_ms"), "nose", [1.0, 1.0], "expected the series face", id="unknown series"
        ),
        pytest.param(at(*ROUND, "frame"), "inputs", [0, 1], "positions in the load", id="unknown picture"),
        pytest.param(at(*ROUND), "work", [], "expected 1 pictures, found 0", id="work missing"),
        pytest.param(at(), "load", [], "expected 0 pictures, found 1", id="picture not named"),
        pytest.param(at(*CASE, "stream_trials", 0), "due", 0, "due: expected 1 frame or more", id="no frame due"),
        pytest.param(at(*CASE, "stream_trials", 0), "dropped", 1, "1 dropped and 2 looked at", id="frames lost"),
        pytest.param(at(*CASE, "sustained"), "frames_ms", [5.0], "found 2 and 1", id="sustained"),
        pytest.param(at(*CASE, "sustained"), "ended_ms", [6.0, 5.0], "expected ascending times", id="time runs back"),
        pytest.param(at("timeline", 1), "t_s", 0.25, "expected points in order of time", id="timeline runs back"),
        pytest.param(at("timeline", 1), "memory_bytes", -5, "memory_bytes: expected 0 or more", id="negative memory"),
        pytest.param(at("timeline", 1), "case", 1, "expected a case below 1, found 1", id="timeline"),
    ],
)
def test_a_changed_record_is_refused(
    tmp_path: Path, parent: Callable[[dict[str, Any]], Any], key: str, value: Any, message: str
) -> None:
    content = json.loads(to_json_text(whole_record()))
    parent(content)[key] = value
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=message) as raised:
        read_record(path)
    assert str(path) in str(raised.value)


def test_the_last_digits_of_another_processor_are_no_change(tmp_path: Path) -> None:
    content = json.loads(to_json_text(record()))
    content["cases"][0]["summary"]["frame"]["frame"]["p50_interval95_ms"][0] += 1e-4
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_record(path).cases[0].rounds == record().cases[0].rounds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(None, "cannot read", id="no file"),
        pytest.param(b"\xff\xfe", "cannot read", id="not text"),
        pytest.param(b"{", "cannot read", id="no json"),
        pytest.param(b"\x1f\x8bnot packed", "cannot read", id="no gzip"),
        pytest.param(b"[]", "expected dict, found list", id="a list"),
        pytest.param(
            b'{"schema": "fer-edge/bench-record/1"}',
            "expected a record of schema fer-edge/bench-record/2, found fer-edge/bench-record/1; measure again, or",
            id="an older schema",
        ),
        pytest.param(
            b'{"schema": "fer-edge/bench-record/3"}',
            "found fer-edge/bench-record/3; measure again, or read it with the release",
            id="a newer schema",
        ),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, text: bytes | None, message: str) -> None:
    path = tmp_path / "record.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(InputError, match=message):
        read_record(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"threads": (1, 0)}, "threads: expected 1 or more, found 0", id="threads"),
        pytest.param({"threads": ()}, "threads: expected at least one", id="no threads"),
        pytest.param({"runs": 0}, "runs: expected 1 or more, found 0", id="runs"),
        pytest.param({"rounds": 0}, "rounds: expected 1 or more, found 0", id="rounds"),
        pytest.param({"frame_rate": 0.0}, "frame_rate: expected a number above 0", id="frame rate"),
        pytest.param({"sustained_s": float("nan")}, "sustained_s: expected a number above 0", id="no number"),
        pytest.param({"stream_s": float("inf")}, "stream_s: expected a number above 0", id="without end"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**changes)


def test_a_case_twice() -> None:
    with pytest.raises(ValueError, match="cases: expected each once, found litert int8, litert int8"):
        record(case(one_round((1.0,))), case(one_round((1.0,))))


def test_a_case_that_failed_later_may_lack_rounds() -> None:
    failure = CaseFailure(case="litert int8", step="single stream", error="gone")
    assert len(record(settings=Settings(runs=2, rounds=3), failures=(failure,)).cases[0].rounds) == 2


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(
            record(),
            "fer-edge bench --photo PICTURES --engine litert --precision int8 --threads 1 --runs 2 --rounds 2 "
            "--min-face 40",
            id="pictures of one's own",
        ),
        pytest.param(
            record(
                load=(LoadIdentity(name="astronaut-view-1.jpg", bytes=5, sha256="ab" * 32, size_wh=(640, 480)),),
                settings=Settings(
                    runs=2, rounds=2, scenarios=("multi-stream", "sustained"), frame_rate=25.0, sustained_s=90.0
                ),
            ),
            "fer-edge bench --engine litert --precision int8 --threads 1 --runs 2 --rounds 2 --min-face 40 "
            "--scenario multi-stream --frame-rate 25 --minutes 1.5",
            id="scenarios",
        ),
    ],
)
def test_the_command_that_measures_it_again(made: BenchRecord, expected: str) -> None:
    assert measuring_command(made) == expected
