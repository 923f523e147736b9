"""`fer-edge bench` from the command line's words to tables, record and page, with the bundle and photo that ship."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bench.bench_samples import case, one_round, record
from runtime_support import run_cli

from fer_edge import cli
from fer_edge.assets import demo_photo_path
from fer_edge.bundle import Bundle, default_bundle_path
from fer_edge.cli import _SUMMARIES
from fer_edge.errors import EngineError, FerEdgeError, InputError, MissingExtraError, OutputError, UsageError
from fer_edge.typed_json import to_json_text
from fer_edge_bench.commands.bench import COMMAND
from fer_edge_bench.fresh_process import FreshProcess
from fer_edge_bench.record import read_record

needs_litert = pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("ai_edge_litert", "tflite_runtime")),
    reason="the engine litert is not installed",
)
QUICK = ("--engine", "litert", "--precision", "int8", "--runs", "1", "--rounds", "1")


def bench(*words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command in this process, its errors not turned into text."""
    monkeypatch.setenv("FER_EDGE_DEBUG", "1")
    return cli.main(["bench", *words])


def test_the_summary_is_the_command_lines() -> None:
    assert COMMAND.summary == _SUMMARIES["bench"] == "measure latency, memory and size on this device"
    assert list(COMMAND.actions) == ["compare", "report", "table", "claims", "scaling"]


# It holds clocks of one frame against each other, between which a busy machine may stop the process.
@pytest.mark.alone
@needs_litert
def test_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path, page = tmp_path / "record.json", tmp_path / "report.html"
    words = ("--engine", "litert", "--runs", "8", "--rounds", "2", "--record", str(path), "--report", str(page))
    assert bench(*words, monkeypatch=monkeypatch) == 0
    found = read_record(path)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "litert" in shown.out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")

    classifier = Bundle.open(default_bundle_path()).manifest.stages["classifier"]
    expected = [item.precision for item in classifier.variants if item.engine == "litert"]
    assert [item.precision for item in found.cases] == expected
    assert [picture.size_wh for picture in found.load] == [(640, 480)] * 8
    assert (found.bundle.name, found.bundle.classifier) == ("default", "sepnet_tiny")
    # What measuring costs: the clock and keeping samples, and watching memory and sensors.
    assert 0 < found.harness.timing_percent < 1
    assert 0 <= found.harness.watching_percent < 1
    assert {point.case for point in found.timeline} >= {0, 1}
    sizes = {item.precision: item.model.bytes for item in classifier.variants if item.engine == "litert"}
    for item in found.cases:
        assert item.stages["classifier"].bytes == sizes[item.precision]
        assert item.stages["classifier"].parameters == 56_551
        assert len(item.rounds) == 2
        for measured in item.rounds:
            assert [work.n_faces for work in measured.work] == [1] * 8
            assert measured.frame.inputs == tuple(range(8))
            series = measured.frame.samples_ms
            for whole, engine, *parts in zip(
                series["frame"],
                series["engine"],
                *(series[name] for name in ("pyramid", "pnet", "proposals", "rnet", "onet", "crop", "classify")),
                strict=True,
            ):
                assert 0 < engine < sum(parts) <= whole + 0.001
                assert sum(parts) > 0.9 * whole
            assert measured.frame.process_cpu.user_s > 0
            # Python and numpy alone take more than 20 MB; nothing here is allowed to come near the parent's size.
            assert 20e6 < measured.peak_memory_bytes < 1e9
            assert measured.cold_start_ms > series["frame"][0]
            assert 0 < measured.face.samples_ms["engine"][0] <= measured.face.samples_ms["face"][0]


@needs_litert
@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_other_outputs(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench(*QUICK, option, monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    if option == "--json":
        (tmp_path / "record.json").write_text(out, encoding="utf-8")
        assert [item.engine for item in read_record(tmp_path / "record.json").cases] == ["litert"]
    else:
        assert "| litert" in out


@needs_litert
@pytest.mark.slow
def test_every_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json.gz"
    scenarios = ("--scenario", "offline", "multi-stream", "--frame-rate", "2000", "--minutes", "0.05")
    assert bench(*QUICK, *scenarios, "--record", str(path), monkeypatch=monkeypatch) == 0
    summary = read_record(path).cases[0].summary
    assert summary.bulk is not None
    assert summary.bulk.photos_per_s > 0
    assert summary.streams is not None
    # No processor does a frame in half a millisecond.
    assert (summary.streams.most_streams, summary.streams.limited_by) == (0, "frames lost")
    assert summary.sustained is not None
    assert 3.0 <= summary.sustained.duration_s < 10
    assert summary.sustained.frames > 5


def test_sustained_work_is_of_one_case(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="expected one case, found 2, each of which would heat the board for the next"):
        bench("--engine", "litert", "--minutes", "1", monkeypatch=monkeypatch)


@needs_litert
@pytest.mark.slow
def test_a_picture_that_vanishes_leaves_the_rounds_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, path = tmp_path / "photo.png", tmp_path / "record.json"
    photo.write_bytes(demo_photo_path().read_bytes())
    answer = FreshProcess.answer
    rounds = []

    def answered(self: FreshProcess, *words: Any, **options: Any) -> Any:
        found = answer(self, *words, **options)
        rounds.append(found)
        # The probe of the engine answers first, then the first round.
        if len(rounds) == 2:
            photo.unlink()
        return found

    monkeypatch.setattr(FreshProcess, "answer", answered)
    words = ("--engine", "litert", "--precision", "int8", "--runs", "4", "--rounds", "3", "--photo", str(photo))
    assert bench(*words, "--record", str(path), monkeypatch=monkeypatch) == 1
    found = read_record(path)
    assert [len(item.rounds) for item in found.cases] == [1]
    (failure,) = found.failures
    assert (failure.case, failure.step) == ("litert int8", "single stream")
    assert "no such file" in failure.error.lower()


@needs_litert
def test_a_record_that_cannot_be_written_does_not_lose_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("fer_edge.files.write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        bench(*QUICK, "--record", str(tmp_path / "record.json"), monkeypatch=monkeypatch)
    assert "A frame" in capsys.readouterr().out


@needs_litert
def test_training_that_fails_leaves_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise EngineError("no backend")

    path = tmp_path / "record.json"
    monkeypatch.setattr("fer_edge_bench.training.check_architectures", lambda names: None)
    monkeypatch.setattr("fer_edge_bench.training.measure_training", fail)
    assert bench(*QUICK, "--training", "vgg", "--record", str(path), monkeypatch=monkeypatch) == 1
    found = read_record(path)
    assert len(found.cases) == 1
    assert [(item.case, item.step, item.error) for item in found.failures] == [("vgg", "training", "no backend")]


@needs_litert
def test_claims_beside_the_tables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench(*QUICK, "--claims", monkeypatch=monkeypatch) == 0
    assert "not checkable here" in capsys.readouterr().out


@needs_litert
def test_an_engine_that_is_not_installed_is_left_out_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("onnxruntime", "openvino"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    assert bench("--precision", "int8", "--runs", "1", "--rounds", "1", "--json", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr()
    assert [item["engine"] for item in json.loads(shown.out)["cases"]] == ["litert"]
    lines = shown.err.splitlines()
    assert [line.startswith("fer-edge: left out: ") for line in lines] == [True] * len(lines)
    assert 'pip install "fer-edge[onnx]"' in shown.err
    with pytest.raises(MissingExtraError, match=r'pip install "fer-edge\[onnx\]"'):
        bench("--engine", "onnx", monkeypatch=monkeypatch)


def wait_for_children(pid: int, count: int) -> None:
    """Wait until a process has had so many children: one that asks for the engine, then one for each round."""
    seen: set[str] = set()
    ends_s = time.monotonic() + 60
    while len(seen) < count and time.monotonic() < ends_s:
        seen |= set(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split())
        time.sleep(0.02)


@needs_litert
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminated"])
def test_an_interrupted_run_keeps_what_was_measured(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    path = tmp_path / "record.json"
    words = ["--engine", "litert", "--precision", "int8", "--runs", "8", "--min-face", "160"]
    words += ["--rounds", "500", "--record", str(path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_edge", "bench", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has Ctrl-C ignored there, and children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            wait_for_children(process.pid, 3)
            process.send_signal(sent)
            stdout, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == code, stderr
    assert stderr.splitlines()[-1] == "fer-edge: interrupted: what had been measured is kept, marked as partial"
    assert "interrupted: " in stdout
    found = read_record(path)
    assert found.partial
    assert 0 < len(found.cases[0].rounds) < 500


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        pytest.param(("--threads", "0"), UsageError, "threads: expected 1 or more", id="threads"),
        pytest.param(("--runs", "0"), UsageError, "runs: expected 1 or more", id="runs"),
        pytest.param(("--rounds", "0"), UsageError, "rounds: expected 1 or more", id="rounds"),
        pytest.param(("--min-face", "4"), UsageError, "min_face_px: expected 12 or more", id="face"),
        pytest.param(
            ("--min-face", "inf"), UsageError, "min_face_px: expected a number above 0, found inf", id="endless"
        ),
        pytest.param(
            ("--min-face", "nan"), UsageError, "min_face_px: expected a number above 0, found nan", id="no number"
        ),
        pytest.param(("--minutes", "0"), UsageError, "sustained_s: expected a number above 0", id="no time"),
        pytest.param(("--scenario", "online"), UsageError, "expected offline, multi-stream, sustained", id="scenario"),
        pytest.param(("--frame-rate", "5"), UsageError, "expected --scenario multi-stream beside it", id="frame rate"),
        pytest.param(("--evaluation", "{tmp}/old.json"), UsageError, "expected --claims beside it", id="evaluation"),
        pytest.param(("--training", "mini_xceptoin"), UsageError, "mini_xception", id="network"),
        pytest.param(("{tmp}/none",), InputError, "no bundle at", id="bundle"),
        pytest.param(("--photo", "{tmp}/none.png"), InputError, "no such file", id="photo"),
        pytest.param(("--photo", "{tmp}/old.json"), InputError, "not a picture", id="no picture"),
        pytest.param(("--photo", "{tmp}"), InputError, "no pictures in this folder", id="folder"),
        pytest.param(("--record", "{tmp}/old.json"), UsageError, "exists already", id="record exists"),
        pytest.param(("--report", "{tmp}/old.json"), UsageError, "exists already", id="page exists"),
        pytest.param(("--record", "{tmp}/none/new.json"), OutputError, "does not exist", id="no folder"),
        pytest.param(("--record", "{tmp}/a", "--report", "{tmp}/a"), UsageError, "expected two files", id="one name"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_measured(
    words: tuple[str, ...], kind: type[FerEdgeError], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a process was started"))
    (tmp_path / "old.json").write_text("old", encoding="utf-8")
    with pytest.raises(kind, match=message):
        bench(*(word.replace("{tmp}", str(tmp_path)) for word in words), monkeypatch=monkeypatch)
    assert (tmp_path / "old.json").read_text(encoding="utf-8") == "old"


@pytest.fixture
def records(tmp_path: Path) -> tuple[Path, Path]:
    """Two records, the second half as fast."""
    paths = (tmp_path / "a.json", tmp_path / "b.json")
    for path, scale in zip(paths, (1, 2), strict=True):
        rounds = [one_round((10.0 * scale, 10.1 * scale)) for _ in range(4)]
        path.write_text(to_json_text(record(case(*rounds))), encoding="utf-8")
    return paths


def test_compare(records: tuple[Path, Path]) -> None:
    done = run_cli("bench", "compare", *map(str, records))
    assert (done.returncode, done.stderr) == (0, "")
    line = next(line for line in done.stdout.splitlines() if "frame" in line)
    assert line.split()[-1] == "worse"
    as_json = json.loads(run_cli("bench", "compare", *map(str, reversed(records)), "--json").stdout)
    assert next((item["figure"], item["verdict"]) for item in as_json["comparisons"]) == ("frame", "better")
    assert run_cli("bench", "compare", *map(str, records), "--markdown").stdout.startswith("| case")


def test_report_and_table(records: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run_cli("bench", "report", str(records[0]), "-o", str(page)).returncode == 0
    assert "Some Board" in page.read_text(encoding="utf-8")
    assert run_cli("bench", "report", str(records[0]), "--markdown").stdout.count("| litert") > 1
    assert run_cli("bench", "table", *map(str, records)).stdout.count("Some Board") == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        pytest.param(("compare", "a.json", "none.json"), 1, "none.json", id="no such record"),
        pytest.param(("report", "old.json"), 1, "found fer-edge/bench-record/1; measure again", id="an older schema"),
        pytest.param(("report", "a.json", "--force"), 2, "expected -o FILE beside them", id="nothing to force"),
        pytest.param(("report", "a.json", "-o", "b.json"), 2, "exists already", id="page exists"),
        pytest.param(
            ("report", "a.json", "-o", "new.html", "--bundle", str(default_bundle_path())),
            2,
            "expected the bundle measured",
            id="another bundle",
        ),
        pytest.param(("claims", "old.json"), 1, "bench-record/1; measure again", id="claims of an older schema"),
    ],
)
def test_what_is_wrong_with_records(
    records: tuple[Path, Path], tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    (tmp_path / "old.json").write_text('{"schema": "fer-edge/bench-record/1"}', encoding="utf-8")
    placed = [str(tmp_path / word) if word.endswith((".json", ".html")) else word for word in words]
    done = run_cli("bench", *placed)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "new.html").exists()
