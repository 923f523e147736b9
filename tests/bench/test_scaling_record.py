"""The record reads back as it was, and nothing else is read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from bench.scaling_samples import case, memory_run, one_round, record

from fer_edge.errors import InputError
from fer_edge.typed_json import to_json_text
from fer_edge_bench.scaling.record import ScalingSettings, measuring_command, read_scaling_record


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made = record(case(), case(one_round(), one_round(0.5), engine="onnx"))
    text = to_json_text(made)
    (tmp_path / "plain.json").write_text(text, encoding="utf-8")
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(text.encode()))
    assert read_scaling_record(tmp_path / "plain.json") == made
    assert read_scaling_record(tmp_path / "packed.json.gz") == made


def changed(*keys: Any, value: Any) -> dict[str, Any]:
    """The record's content with one value changed, or taken out where it is `...`."""
    content: dict[str, Any] = json.loads(to_json_text(record()))
    at: Any = content
    for key in keys[:-1]:
        at = at[key]
    if value is ...:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    return content


ROUND = ("cases", 0, "rounds", 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed("schema", value="fer-edge/scaling-record/9"), "expected a record of schema fer-edge/scaling-record/1"),
        (changed("schema", value=...), "the key 'schema' is missing"),
        (changed("setings", value=1), "unknown key 'setings'; did you mean settings?"),
        (changed("cases", value=[]), "cases: expected at least one"),
        (changed("created_utc", value="today"), "created_utc: expected a time"),
        (changed("settings", "rounds", value=3), "expected 3 rounds, found 2"),
        (changed("settings", "frames", value=20000), "expected memory over 20000 frames"),
        (changed("settings", "frames", value=99), "frames: expected 100 or more, found 99"),
        (changed("load", value=[]), "expected 0 pictures"),
        (changed("cases", 0, "figures", "faces", "slope", value=1.0), "do not follow from the samples"),
        (changed("cases", 0, "figures", "python", "percent", "value", value=5.0), "do not follow from the samples"),
        (changed(*ROUND, "stages", "frame_ms", value=[1.0]), "frame_ms: expected 2 samples, found 1"),
        (changed(*ROUND, "stages", "inputs", value=[0, 0]), "inputs: expected each of 2 pictures"),
        (changed(*ROUND, "stages", "frame_ms", value=[-1.0, 2.0]), "expected durations of 0 or more"),
        (changed(*ROUND, "stages", "peak_ms", value={}), "peak_ms: expected conv1x1 float32"),
        (changed(*ROUND, "split", "opencv_ms", value=[5.0, 3.0, 6.0]), "found more than the whole"),
        (changed(*ROUND, "split", "opencv_calls", value=[1]), "expected series of one length"),
        (changed(*ROUND, "crowd", 0, "rnet_ms", value=[]), "1 faces: expected series of one length"),
        (changed(*ROUND, "pixels", 0, "size_wh", value=[0, 3]), "expected a size"),
        (changed("cases", 0, "memory", 0, "kind", value="leak"), "expected pipeline or tracker, found 'leak'"),
        (changed("cases", 0, "memory", 0, "at_frame", value=[5]), "expected as many readings"),
        (changed("cases", 0, "memory", 0, "frames", value=7), "ascending numbers up to the last frame"),
        (changed("cases", 0, "precisions", value={}), "precisions: expected pnet, rnet, onet, classifier"),
    ],
)
def test_another_record_is_refused(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_scaling_record(path)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("data", [b"", b"{", b"\x1f\x8b\x00", b"[" * 100_000], ids=["empty", "cut", "gzip", "deep"])
def test_no_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "record.json").write_bytes(data)
    with pytest.raises(InputError, match=r"cannot read .*expected a record of fer-edge bench scaling"):
        read_scaling_record(tmp_path / "record.json")


def test_the_command_measures_the_same() -> None:
    made = record(case(memory=(memory_run(frames=20000),)), settings=ScalingSettings(rounds=2, frames=20000, passes=3))
    assert measuring_command(made) == (
        "fer-edge bench scaling --engine litert --precision int8 --threads 1 --frames 20000 --passes 3 --rounds 2 "
        "--min-face 40 --record scaling.json.gz --report scaling.html"
    )
