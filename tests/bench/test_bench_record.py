"""A record reads back equal; one that was changed, or whose figures do not follow from its samples, is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.bench_samples import case, one_round, record

from fer_edge.errors import InputError
from fer_edge_bench.record import Settings, read_record
from fer_edge_bench.typed_json import to_json_text


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(to_json_text(record()), encoding="utf-8")
    assert read_record(path) == record()
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == "fer-edge/bench-record/1"


def test_the_figures_of_a_case() -> None:
    """Rounds (10, 12) and (10, 11) ms of frames, cold starts of 400 and 500 ms, 80 MB of 4 GB."""
    found = record().cases[0].summary
    photo = found.photos[0]
    assert (photo.frame.n, photo.frame.min_ms, photo.frame.p50_ms, photo.frame.mean_ms) == (4, 10.0, 10.5, 10.75)
    assert photo.frame.p90_ms == pytest.approx(11.7)
    assert (photo.detect.p50_ms, photo.classify.p50_ms, photo.decode.p50_ms) == (9.5, 0.9, 5.0)
    assert photo.frames_per_s == pytest.approx(1000 / 10.75, abs=1e-4)
    assert photo.cpu_percent == 50.0
    assert (found.cold_start_p50_ms, found.faces_per_s) == (450.0, 2000.0)
    assert (found.peak_memory_bytes, found.memory_percent, found.memory_percent_of_16_gb) == (80_000_000, 2.0, 0.5)


def test_the_largest_memory_of_the_rounds_counts() -> None:
    rounds = (one_round((1.0,)), one_round((1.0,), peak_memory_bytes=120_000_000))
    assert case(*rounds).summary.peak_memory_bytes == 120_000_000


def at(*path: str | int) -> Callable[[dict[str, Any]], Any]:
    def find(content: Any) -> Any:
        for step in path:
            content = content[step]
        return content

    return find


ROUND = ("cases", 0, "rounds", 0)


@pytest.mark.parametrize(
    ("parent", "key", "value", "message"),
    [
        pytest.param(at(), "schema", "fer-edge/bench-record/2", "expected fer-edge/bench-record/1", id="schema"),
        pytest.param(at(), "case", [], "unknown key 'case'; did you mean cases", id="unknown key"),
        pytest.param(at("settings"), "thread", 1, "unknown key 'thread'; did you mean threads", id="unknown setting"),
        pytest.param(at(), "cases", [], "expected at least one", id="no case"),
        pytest.param(at("settings"), "runs", 3, "expected 3 samples in a series, found 2", id="dropped samples"),
        pytest.param(at("settings"), "rounds", 3, "expected 3 rounds, found 2", id="dropped round"),
        pytest.param(at("settings"), "threads", 0, "threads: expected 1 or more", id="no thread"),
        pytest.param(at("machine"), "memory_bytes", 0, "memory_bytes: expected a positive", id="no memory"),
        pytest.param(at("machine"), "memory_bytes", 10**9, "does not follow from the samples", id="other machine"),
        pytest.param(
            at("cases", 0, "summary", "photos", 0, "frame"),
            "p50_ms",
            5.0,
            "litert int8: the summary does not follow from the samples",
            id="better median",
        ),
        pytest.param(at("cases", 0, "summary", "face"), "unstable", True, "does not follow", id="other flag"),
        pytest.param(at(*ROUND, "face", "samples_ms"), "face", [], "expected series of one length", id="no sample"),
        pytest.param(at(*ROUND, "face", "samples_ms"), "face", [-1.0, 1.0], "expected 0 or more", id="negative"),
        pytest.param(
            at(*ROUND, "photos", 0, "frame", "samples_ms"), "detect", [1.0], "one length", id="unequal series"
        ),
        pytest.param(
            at(*ROUND, "face", "samples_ms"), "nose", [1.0, 1.0], "expected the series face", id="unknown series"
        ),
        pytest.param(at(*ROUND), "photos", [], "photos: expected at least one", id="no photo"),
        pytest.param(at(), "photos", [], "expected 0 photos in a round, found 1", id="photo not named"),
    ],
)
def test_a_changed_record_is_refused(
    tmp_path: Path, parent: Callable[[dict[str, Any]], Any], key: str, value: Any, message: str
) -> None:
    content = json.loads(to_json_text(record()))
    parent(content)[key] = value
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=message) as raised:
        read_record(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("data", [None, b"\xff\xfe"], ids=["no file", "not text"])
def test_what_cannot_be_read(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "record.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match="cannot read"):
        read_record(path)


@pytest.mark.parametrize("name", ["threads", "runs", "rounds"])
def test_settings_below_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected 1 or more, found 0"):
        Settings(**{"threads": 1, "runs": 1, "rounds": 1, "min_face_px": 40.0, name: 0})
