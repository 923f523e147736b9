"""Cases take turns; what was measured, failed or was interrupted is in the record."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.bench_manifest import FULL
from bench.bench_samples import bulk_run, one_round, stream_trial, sustained_run
from bench.test_monitor import reading

from fer_edge.bundle import Bundle
from fer_edge.errors import EngineError, FerEdgeError, IntegrityError
from fer_edge_bench import harness
from fer_edge_bench.harness import Interrupted, measure_cases, whole_passes
from fer_edge_bench.load import LoadFrame, LoadIdentity
from fer_edge_bench.monitor import Monitor, energy_j_within
from fer_edge_bench.plan import plan_cases
from fer_edge_bench.record import BenchRecord, Settings
from fer_edge_bench.samples import Round, StreamTrial
from fer_edge_bench.workers.pipeline_job import PipelineJob
from fer_edge_bench.workers.single_stream import SingleStreamAnswer, SingleStreamJob
from fer_edge_bench.workers.sustained import SustainedJob

SETTINGS = Settings(threads=(2,), runs=2, rounds=2, min_face_px=33.0)


class Process:
    """A process that answers at once, or fails."""

    pid = 1

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def answer(self, kind: type) -> Any:
        found = self._answer()
        assert isinstance(found, kind)
        return found

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None: ...


class Board:
    """Stands in for the fresh processes: notes the jobs, and answers with frames of 1, 2, 3 … ms."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: list[SingleStreamJob] = []
        self.sustained: list[SustainedJob] = []
        self.streams: list[PipelineJob] = []
        self.before_answer: Callable[[SingleStreamJob], None] = lambda job: None
        self.seconds = 0.1
        monkeypatch.setattr(harness, "start_single_stream", lambda job: Process(lambda: self._single(job)))
        monkeypatch.setattr(harness, "start_sustained", lambda job: Process(lambda: self._sustained(job)))
        monkeypatch.setattr(harness, "run_trial", self._trial)
        monkeypatch.setattr(harness, "busy_percent", lambda tree: 1.0)

    def _single(self, job: SingleStreamJob) -> SingleStreamAnswer:
        self.jobs.append(job)
        self.before_answer(job)
        n_pictures = len(job.pipeline.pictures)
        frames = tuple(float(len(self.jobs)) for _ in range(job.runs))
        bulk = bulk_run(10, 1.0) if job.bulk_s else None
        return SingleStreamAnswer(
            engine_version=f"{job.pipeline.engine} 7",
            measured=self._lasting(one_round(frames, n_pictures=n_pictures, bulk=bulk)),
            bulk_began_s=0.0,
            bulk_ended_s=0.0,
        )

    def _lasting(self, measured: Round) -> Round:
        frame = dataclasses.replace(measured.frame, ended_s=measured.frame.began_s + self.seconds)
        return dataclasses.replace(measured, frame=frame)

    def _sustained(self, job: SustainedJob) -> Any:
        self.sustained.append(job)
        return sustained_run(5.0, 5.0)

    def _trial(self, job: PipelineJob, n_streams: int, **how: Any) -> StreamTrial:
        self.streams.append(job)
        assert (how["frame_rate"], how["seconds"]) == (15.0, 5.0)
        how["watching"]([1])
        return stream_trial(n_streams, 4.0, dropped=int(n_streams > 1))


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(monkeypatch)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    folder = tmp_path / "bundle"
    folder.mkdir()
    # The line end more is not as fer-edge writes it: the digest is of the file's own bytes.
    (folder / "manifest.json").write_text(FULL.to_json() + "\n", encoding="utf-8")
    return Bundle.open(folder)


def load(n_pictures: int = 1) -> list[LoadFrame]:
    identities = [
        LoadIdentity(name=f"{number}.jpg", bytes=6, sha256="ab" * 32, size_wh=(640, 480))
        for number in range(n_pictures)
    ]
    return [LoadFrame(path=Path(f"/pictures/{identity.name}"), identity=identity) for identity in identities]


def measure(
    bundle: Bundle, settings: Settings = SETTINGS, *, n_pictures: int = 1, told: list[str] | None = None
) -> BenchRecord:
    cases = plan_cases(FULL, engines=["litert"], precisions=[], probe=str, say=pytest.fail)

    def progress(done: float, total: float, what: str) -> None:
        if told is not None:
            told.append(f"{100 * done / total:.0f} % {what}")

    return measure_cases(bundle, cases, load(n_pictures), settings, progress=progress)


def test_rounds_take_turns(bundle: Bundle, board: Board) -> None:
    told: list[str] = []
    record = measure(bundle, told=told)
    jobs = board.jobs
    assert [job.pipeline.precision for job in jobs] == ["int8", "float32", "int8", "float32"]
    assert told[2] == "50 % litert int8, 2 threads: round 2 of 2"
    assert (jobs[0].pipeline.threads, jobs[0].runs, jobs[0].pipeline.min_face_px) == (2, 2, 33.0)
    assert (jobs[0].pipeline.bundle, jobs[0].pipeline.pictures) == (str(bundle.path), ("/pictures/0.jpg",))

    found = {case.precision: [r.frame.samples_ms["frame"][0] for r in case.rounds] for case in record.cases}
    assert found == {"int8": [1.0, 3.0], "float32": [2.0, 4.0]}
    assert record.cases[0].engine_version == "litert 7"
    assert record.cases[0].stages["classifier"].bytes == 100
    assert record.bundle.manifest_sha256 == hashlib.sha256((bundle.path / "manifest.json").read_bytes()).hexdigest()
    assert [picture.name for picture in record.load] == ["0.jpg"]
    assert (record.partial, record.failures, record.training) == (False, (), ())
    assert record.circumstances.busy_percent == 1.0
    assert 0 < record.harness.timing_percent < 100


def test_every_number_of_threads_is_a_case(bundle: Bundle, board: Board) -> None:
    record = measure(bundle, Settings(threads=(1, 2), runs=1, rounds=1))
    assert [case.name for case in record.cases] == [
        "litert int8",
        "litert float32",
        "litert int8, 2 threads",
        "litert float32, 2 threads",
    ]
    assert [job.pipeline.threads for job in board.jobs] == [1, 1, 2, 2]
    for case, job in zip(record.cases, board.jobs, strict=True):
        assert case.cores == job.pipeline.cores
        assert len(case.cores) in (0, case.threads)


@pytest.mark.parametrize(("runs", "n_pictures", "expected"), [(40, 8, 40), (41, 8, 48), (5, 13, 13), (1, 1, 1)])
def test_every_picture_is_measured_equally_often(runs: int, n_pictures: int, expected: int) -> None:
    assert whole_passes(runs, n_pictures) == expected


def test_the_record_says_how_many_runs_that_made(bundle: Bundle, board: Board) -> None:
    record = measure(bundle, n_pictures=3)
    assert (board.jobs[0].runs, record.settings.runs) == (3, 3)


def test_scenarios(bundle: Bundle, board: Board) -> None:
    settings = Settings(runs=1, rounds=1, scenarios=("offline", "multi-stream", "sustained"), sustained_s=90.0)
    told: list[str] = []
    record = measure(bundle, settings, told=told)
    assert [job.bulk_s for job in board.jobs] == [5.0, 5.0]
    assert [job.seconds for job in board.sustained] == [90.0, 90.0]
    # Bound to one core, cameras would share it.
    assert {job.cores for job in board.streams} == {()}
    # Rounds of 4 s and 5 s of bulk, 7 trials of 6.7 and 5 s, a minute and a half of work, of each of two cases.
    assert told[2] == "5 % litert int8: cameras at once"
    assert told[-1] == "75 % litert float32: 1.5 minutes"
    summary = record.cases[0].summary
    assert summary.bulk is not None
    assert summary.streams is not None
    assert summary.streams.most_streams == 1
    assert summary.sustained is not None


def test_a_case_that_fails_leaves_the_others(bundle: Bundle, board: Board) -> None:
    def fail(job: SingleStreamJob) -> None:
        if job.pipeline.precision == "int8" and len(board.jobs) > 2:
            raise EngineError("the engine gave up")

    board.before_answer = fail
    record = measure(bundle)
    assert [(case.precision, len(case.rounds)) for case in record.cases] == [("int8", 1), ("float32", 2)]
    (failure,) = record.failures
    assert (failure.case, failure.step, failure.error) == (
        "litert int8, 2 threads",
        "single stream",
        "the engine gave up",
    )


def test_a_later_step_that_fails_leaves_what_was_measured_before(
    bundle: Bundle, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> StreamTrial:
        raise FerEdgeError("too busy")

    monkeypatch.setattr(harness, "run_trial", fail)
    record = measure(bundle, Settings(runs=1, rounds=1, scenarios=("multi-stream",)))
    assert [len(case.rounds) for case in record.cases] == [1, 1]
    assert [(failure.case, failure.step) for failure in record.failures] == [
        ("litert int8", "multi-stream"),
        ("litert float32", "multi-stream"),
    ]


@pytest.mark.parametrize(
    ("provenance", "architecture", "costs"),
    [
        pytest.param({}, None, (None, None), id="nothing"),
        pytest.param({"arithmetic": None, "classifier": [1], "detector": 5}, None, (None, None), id="of another form"),
        pytest.param(
            {"classifier": {"model": {"architecture": "a", "parameters": 7}}, "arithmetic": {"multiply_adds": 9}},
            "a",
            (7, 9),
            id="stated",
        ),
        pytest.param(
            {"classifier": {"model": {"architecture": 3, "parameters": -1}}, "arithmetic": {"multiply_adds": True}},
            None,
            (None, None),
            id="not as it should be",
        ),
    ],
)
def test_what_a_bundle_says_of_itself(
    provenance: dict[str, Any], architecture: str | None, costs: tuple[int | None, int | None], tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_text(dataclasses.replace(FULL, provenance=provenance).to_json(), encoding="utf-8")
    made = Bundle.open(folder)
    assert harness.identify_bundle(made).classifier == architecture
    assert harness.costs_of_stages(made.manifest.provenance)["classifier"] == costs


def test_energy_is_known_to_the_last_moment_of_a_round(
    bundle: Bundle, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board of 5 W: each round is asked for only when a reading has followed it."""
    asked: list[tuple[float, float]] = []

    def energy(self: Monitor, began_s: float, ended_s: float) -> float | None:
        asked.append((began_s, ended_s))
        return energy_j_within([(0.5 * n, reading({"VDD_IN": 5.0})) for n in range(20)], began_s, ended_s)

    read = []
    monkeypatch.setattr(Monitor, "energy_j", energy)
    monkeypatch.setattr(Monitor, "read_now", lambda self, tools=False: read.append(len(asked)) or reading())
    board.seconds = 3.0
    record = measure(bundle, Settings(runs=2, rounds=2))
    # Frames from 1 to 4 s, twice two of them: 15 J for two.
    assert record.cases[0].rounds[0].frame.energy_j == pytest.approx(15.0)
    assert record.cases[0].summary.energy_mj_per_frame == pytest.approx(7500.0)
    # Once before the first round, then before each of the four rounds' two questions, and at the end.
    assert read[:1] + [count for count in read if count][:3] == [0, 2, 4, 6]


def test_where_all_fail_the_first_error_is_told(bundle: Bundle, board: Board) -> None:
    errors = itertools.chain([IntegrityError("the first")], itertools.repeat(FerEdgeError("another")))

    def fail(job: SingleStreamJob) -> None:
        raise next(errors)

    board.before_answer = fail
    with pytest.raises(IntegrityError, match="the first"):
        measure(bundle)
    # Each case once: what failed is not tried again.
    assert len(board.jobs) == 2


@pytest.mark.parametrize(
    ("at_job", "rounds"),
    [
        pytest.param(1, None, id="before anything was measured"),
        pytest.param(2, [1], id="one case known"),
        pytest.param(4, [2, 1], id="in the second round"),
    ],
)
def test_an_interruption_keeps_what_was_measured(
    bundle: Bundle, board: Board, at_job: int, rounds: list[int] | None
) -> None:
    def interrupt(job: SingleStreamJob) -> None:
        if len(board.jobs) == at_job:
            raise KeyboardInterrupt

    board.before_answer = interrupt
    with pytest.raises(Interrupted) as raised:
        measure(bundle)
    record = raised.value.record
    assert isinstance(raised.value.__cause__, KeyboardInterrupt)
    if rounds is None:
        assert record is None
    else:
        assert record is not None
        assert record.partial
        assert [len(case.rounds) for case in record.cases] == rounds
