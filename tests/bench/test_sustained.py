"""Sustained work that really runs, to its end and to a signal; and what an interrupted benchmark keeps of it."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.bench_manifest import FULL
from bench.bench_samples import one_round, stream_trial, sustained_run

from fer_edge.bundle import Bundle, default_bundle_path
from fer_edge.errors import FerEdgeError
from fer_edge_bench import harness
from fer_edge_bench.harness import Interrupted, measure_cases
from fer_edge_bench.load import LoadFrame, LoadIdentity, write_default_load
from fer_edge_bench.plan import plan_cases
from fer_edge_bench.record import Case, Settings
from fer_edge_bench.samples import StreamTrial, SustainedRun
from fer_edge_bench.workers.pipeline_job import PipelineJob
from fer_edge_bench.workers.single_stream import SingleStreamAnswer
from fer_edge_bench.workers.sustained import SustainedJob, _EndWanted, start_sustained


@pytest.fixture
def job(tmp_path: Path) -> SustainedJob:
    pipeline = PipelineJob(
        name="litert int8",
        bundle=str(default_bundle_path()),
        pictures=tuple(str(frame.path) for frame in write_default_load(tmp_path)),
        engine="litert",
        precision="int8",
        threads=1,
        stages=None,
        cores=(),
        min_face_px=160.0,
        started_s=time.monotonic(),
    )
    return SustainedJob(pipeline=pipeline, seconds=0.5)


def test_work_to_the_end(job: SustainedJob) -> None:
    with start_sustained(job) as process:
        run = process.answer(SustainedRun)
    assert run.began_s > 0
    assert 500 <= run.ended_ms[-1] < 5000
    # A picture is decoded before each frame, which is no part of its time.
    assert 0 < sum(run.frames_ms) < run.ended_ms[-1]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def catches(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler for a signal: proc(5), SigCgt."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([], id="by its parent alone"),
        # From a terminal a signal comes to both processes, and the parent's comes on top.
        pytest.param([signal.SIGINT], id="Ctrl-C"),
        pytest.param([signal.SIGHUP, signal.SIGHUP], id="the terminal has gone, the shell says it too"),
    ],
)
def test_asked_to_end_it_answers_what_it_has(job: SustainedJob, sent: list[signal.Signals]) -> None:
    endless = SustainedJob(pipeline=job.pipeline, seconds=600.0)
    with start_sustained(endless) as process:
        process.hand_over()
        wait_until(lambda: catches(process.pid, signal.SIGTERM))
        for number in sent:
            process._process.send_signal(number)
        run = process.end(SustainedRun)
    assert 1 <= len(run.ended_ms) == len(run.frames_ms)
    assert run.ended_ms[-1] < 60_000


@pytest.fixture
def signals() -> Iterator[None]:
    """Every handler put back after the test."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_is_noted(number: signal.Signals) -> None:
    end_wanted = _EndWanted()
    assert not end_wanted
    signal.raise_signal(number)
    assert end_wanted
    # A second Ctrl-C ends the process; the others may come twice.
    assert (signal.getsignal(number) == signal.SIG_DFL) == (number == signal.SIGINT)


@pytest.mark.usefixtures("signals")
def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_wanted = _EndWanted()
    signal.raise_signal(signal.SIGHUP)
    assert not end_wanted


class Process:
    """A process that a Ctrl-C comes to while its answer is waited for."""

    pid = 1

    def __init__(self, last: Callable[[], Any]) -> None:
        self._last = last

    def answer(self, kind: type) -> Any:
        raise KeyboardInterrupt

    def end(self, kind: type, *, within_s: float) -> Any:
        # Of 30 minutes.
        assert within_s == 5.0 + 18.0
        return self._last()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None: ...


class SingleStream(Process):
    def answer(self, kind: type) -> Any:
        return self._last()


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Case]:
    """Function that measures one case in a scenario which is interrupted, and returns what is kept of the case."""
    (tmp_path / "manifest.json").write_text(FULL.to_json(), encoding="utf-8")
    single = SingleStreamAnswer(
        engine_version="litert 7", measured=one_round((1.0,)), bulk_began_s=0.0, bulk_ended_s=0.0
    )
    monkeypatch.setattr(harness, "start_single_stream", lambda job: SingleStream(lambda: single))
    identity = LoadIdentity(name="0.jpg", bytes=6, sha256="ab" * 32, size_wh=(640, 480))

    def measure(scenario: str) -> Case:
        with pytest.raises(Interrupted) as raised:
            measure_cases(
                Bundle.open(tmp_path),
                plan_cases(FULL, engines=["litert"], precisions=["int8"], probe=str, say=pytest.fail),
                [LoadFrame(path=tmp_path / "0.jpg", identity=identity)],
                Settings(runs=1, rounds=1, scenarios=(scenario,)),
                progress=lambda *_: None,
            )
        assert raised.value.record is not None
        assert raised.value.record.partial
        (case,) = raised.value.record.cases
        return case

    return measure


def no_answer() -> SustainedRun:
    raise FerEdgeError("it does not answer")


@pytest.mark.parametrize(
    ("last", "frames"),
    [
        pytest.param(lambda: sustained_run(5.0, 6.0), 2, id="two frames done"),
        pytest.param(no_answer, None, id="nothing"),
    ],
)
def test_an_interrupted_benchmark_keeps_the_frames_done(
    interrupted: Callable[[str], Case],
    monkeypatch: pytest.MonkeyPatch,
    last: Callable[[], SustainedRun],
    frames: int | None,
) -> None:
    monkeypatch.setattr(harness, "start_sustained", lambda job: Process(last))
    case = interrupted("sustained")
    assert (None if case.summary.sustained is None else case.summary.sustained.frames) == frames


def test_an_interrupted_benchmark_keeps_the_trials_of_cameras(
    interrupted: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count(1)

    def trial(pipeline: PipelineJob, n_streams: int, **_: Any) -> StreamTrial:
        if next(numbers) == 3:
            raise KeyboardInterrupt
        return stream_trial(n_streams, 4.0, 5.0)

    monkeypatch.setattr(harness, "run_trial", trial)
    case = interrupted("multi-stream")
    assert [made.n_streams for made in case.stream_trials] == [1, 2]
    assert case.summary.streams is not None
    assert (case.summary.streams.most_streams, case.summary.streams.limited_by) == (2, None)
