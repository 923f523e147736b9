"""`fer-edge bench` from the command line's words to tables and record, with the bundle and photo that ship."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from pathlib import Path

import pytest

from fer_edge.bundle import Bundle, default_bundle_path
from fer_edge.cli import _SUMMARIES
from fer_edge.errors import FerEdgeError, InputError, MissingExtraError, OutputError, UsageError
from fer_edge_bench.commands.bench import COMMAND
from fer_edge_bench.record import read_record

needs_litert = pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("ai_edge_litert", "tflite_runtime")),
    reason="the engine litert is not installed",
)


def bench(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="fer-edge bench")
    COMMAND.configure(parser)
    return COMMAND.run(parser.parse_args(words))


def test_the_summary_is_the_command_lines() -> None:
    assert COMMAND.summary == _SUMMARIES["bench"] == "measure latency, memory and size on this device"


@needs_litert
def test_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "record.json"
    assert bench("--engine", "litert", "--runs", "3", "--record", str(path)) == 0
    record = read_record(path)
    shown = capsys.readouterr()
    assert "A frame, pixels to faces" in shown.out
    assert "A face, the classifier alone" in shown.out
    assert shown.err == ""

    classifier = Bundle.open(default_bundle_path()).manifest.stages["classifier"]
    expected = [item.precision for item in classifier.variants if item.engine == "litert"]
    assert [case.precision for case in record.cases] == expected
    assert record.photos[0].name == "astronaut.png"
    for case in record.cases:
        sizes = {item.precision: item.model.bytes for item in classifier.variants if item.engine == "litert"}
        assert case.stages["classifier"].bytes == sizes[case.precision]
        assert len(case.rounds) == 2
        for measured in case.rounds:
            photo = measured.photos[0]
            assert (photo.size_wh, photo.n_faces) == ((512, 512), 1)
            for series in photo.frame.samples_ms.values():
                assert len(series) == 3
                assert min(series) > 0
            for whole, detect, classify in zip(*photo.frame.samples_ms.values(), strict=True):
                assert whole >= detect + classify - 0.001
            assert photo.frame.cpu_user_s + photo.frame.cpu_system_s > 0
            # Python and numpy alone take more than 20 MB; nothing here is allowed to come near the parent's size.
            assert 20e6 < measured.peak_memory_bytes < 1e9
            assert measured.cold_start_ms > photo.frame.samples_ms["frame"][0]


@needs_litert
@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_other_outputs(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--engine", "tflite", "--precision", "int8", "--runs", "1", "--rounds", "1", option)
    assert bench(*words) == 0
    out = capsys.readouterr().out
    if option == "--json":
        (tmp_path / "record.json").write_text(out, encoding="utf-8")
        assert [case.engine for case in read_record(tmp_path / "record.json").cases] == ["litert"]
    else:
        assert "| engine | precision |" in out
        assert "| litert | int8      |" in out


@needs_litert
def test_an_engine_that_is_not_installed_is_left_out_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("onnxruntime", "openvino"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    assert bench("--precision", "int8", "--runs", "1", "--rounds", "1", "--json") == 0
    shown = capsys.readouterr()
    assert [case["engine"] for case in json.loads(shown.out)["cases"]] == ["litert"]
    lines = shown.err.splitlines()
    assert [line.startswith("fer-edge: left out: ") for line in lines] == [True] * len(lines)
    assert 'pip install "fer-edge[onnx]"' in shown.err
    with pytest.raises(MissingExtraError, match=r'pip install "fer-edge\[onnx\]"'):
        bench("--engine", "onnx")


@needs_litert
def test_a_photo_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"photo\.png: not a picture"):
        bench("--engine", "litert", "--photo", str(path))


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        pytest.param(("--threads", "0"), UsageError, "threads: expected 1 or more", id="threads"),
        pytest.param(("--runs", "0"), UsageError, "runs: expected 1 or more", id="runs"),
        pytest.param(("--rounds", "0"), UsageError, "rounds: expected 1 or more", id="rounds"),
        pytest.param(("--min-face", "4"), UsageError, "min_face_px: expected 12 or more", id="face"),
        pytest.param(("--min-face", "nan"), UsageError, "min_face_px: expected 12 or more", id="no number"),
        pytest.param(("{tmp}/none",), InputError, "no bundle at", id="bundle"),
        pytest.param(("--photo", "{tmp}/none.png"), InputError, "no such file", id="photo"),
        pytest.param(("--record", "{tmp}/old.json"), UsageError, "exists already", id="record exists"),
        pytest.param(("--record", "{tmp}/none/new.json"), OutputError, "does not exist", id="no folder"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_measured(
    words: tuple[str, ...],
    kind: type[FerEdgeError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a process was started"))
    (tmp_path / "old.json").write_text("old", encoding="utf-8")
    with pytest.raises(kind, match=message):
        bench(*(word.replace("{tmp}", str(tmp_path)) for word in words))
    assert (tmp_path / "old.json").read_text(encoding="utf-8") == "old"
