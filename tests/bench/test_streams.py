"""The search for the most cameras, and a trial with cameras that really run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from bench.bench_samples import case, one_round, record

from fer_edge.bundle import default_bundle_path
from fer_edge.errors import FerEdgeError
from fer_edge_bench import streams
from fer_edge_bench.fresh_process import FreshProcess
from fer_edge_bench.load import write_default_load
from fer_edge_bench.report.case_plots import streams_plot
from fer_edge_bench.samples import StreamTrial
from fer_edge_bench.streams import find_most_streams, frames_due, run_trial
from fer_edge_bench.summary import StreamsSummary, summarize_case
from fer_edge_bench.workers.camera import CameraAnswer, CameraJob
from fer_edge_bench.workers.pipeline_job import PipelineJob
from fer_edge_devices.system_tree import SystemTree

PERIOD_MS = 50.0
MB = 1_000_000


def trial(
    n_streams: int,
    dropped: int = 0,
    latencies_ms: tuple[float, ...] = (5.0,) * 20,
    available_bytes: int | None = None,
) -> StreamTrial:
    """Cameras that take 50 MB each; the last one's frames take these times, those of the others 5 ms."""
    each = ((5.0,) * 20,) * (n_streams - 1)
    return StreamTrial(
        n_streams=n_streams,
        period_ms=PERIOD_MS,
        due=20 * (n_streams - 1) + len(latencies_ms) + dropped,
        dropped=dropped,
        latencies_ms=(*each, latencies_ms),
        memory_bytes=50 * MB * n_streams,
        available_bytes=available_bytes,
    )


def summary(trials: Sequence[StreamTrial]) -> StreamsSummary:
    found = summarize_case([one_round((1.0,))], trials, None, 10**9).streams
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("latencies_ms", "holds"),
    [
        pytest.param((5.0,) * 20, True, id="steady"),
        pytest.param((50.0,) * 20, True, id="just in time"),
        pytest.param((90.0,) * 15 + (5.0,) * 5, True, id="slow at first"),
        # Of 40 frames the last ten count: one may be late, two may not.
        pytest.param((5.0,) * 39 + (50.1,), True, id="the last frame is late"),
        pytest.param((5.0,) * 38 + (50.1,) * 2, False, id="two are late"),
        pytest.param((5.0,) * 14 + (60.0,) + (5.0,) * 5, True, id="one late frame was caught up with"),
        # 5 + 1.25 i: the medians of the first and the last five are 18.75 ms apart, less than 25.
        pytest.param(tuple(5 + 1.25 * i for i in range(20)), True, id="grows a little"),
        # 5 + 2 i: they are 30 ms apart, and the last frame takes 43 ms.
        pytest.param(tuple(5.0 + 2 * i for i in range(20)), False, id="grows"),
        # What takes 1.3 % longer than the time there is: a frame waits 0.65 ms longer than the one before it.
        pytest.param(tuple(1.013 * PERIOD_MS + 0.013 * PERIOD_MS * i for i in range(75)), False, id="1.3 % too slow"),
        pytest.param((5.0,), True, id="one frame"),
        pytest.param((51.0,), False, id="one late frame"),
    ],
)
def test_what_a_machine_can_go_on_with(latencies_ms: tuple[float, ...], holds: bool) -> None:
    """The time between two frames is 50 ms."""
    made = trial(3, latencies_ms=latencies_ms)
    assert (made.holds, made.falls_behind) == (holds, not holds)


def test_a_lost_frame_is_not_held() -> None:
    assert not trial(1, dropped=1).holds
    assert not trial(2, dropped=20, latencies_ms=()).holds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"due": 0, "dropped": -20}, "dropped: expected 0 or more", id="dropped"),
        pytest.param({"due": 0}, "due: expected 1 frame or more", id="due"),
        pytest.param({"period_ms": 0.0}, "period_ms: expected a time above 0, found 0.0", id="period"),
        pytest.param({"n_streams": 2}, "latencies_ms: expected those of 2 streams", id="streams"),
        pytest.param({"n_streams": 0, "latencies_ms": ()}, "expected those of 0 streams, 1 or more", id="no stream"),
        pytest.param({"dropped": 1}, "expected 20 frames of 1 streams, found 1 dropped and 20 looked at", id="frames"),
    ],
)
def test_what_a_trial_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(trial(1), **changes)  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize(
    ("available_bytes", "expected"),
    [
        pytest.param(None, None, id="not told"),
        pytest.param(1000 * MB, 16, id="800 MB for processes of 50 MB"),
        pytest.param(1049 * MB, 16, id="not quite one more"),
        pytest.param(60 * MB, 0, id="not even one"),
    ],
)
def test_how_many_memory_holds(available_bytes: int | None, expected: int | None) -> None:
    assert trial(4, available_bytes=available_bytes).most_in_memory == expected


def lose(n_streams: int) -> StreamTrial:
    return trial(n_streams, dropped=1)


def fall_behind(n_streams: int) -> StreamTrial:
    return trial(n_streams, latencies_ms=(60.0,) * 20)


@pytest.mark.parametrize(
    ("most", "fail", "tried", "limited_by"),
    [
        pytest.param(0, lose, [1], "frames lost", id="none"),
        pytest.param(1, lose, [1, 2, 1], "frames lost", id="one"),
        pytest.param(2, fall_behind, [1, 2, 4, 3, 2], "falling behind", id="two"),
        pytest.param(5, lose, [1, 2, 4, 8, 6, 5, 5], "frames lost", id="five"),
        pytest.param(64, lose, [1, 2, 4, 8, 16, 32, 64, 64], "number tried", id="as many as are tried"),
    ],
)
def test_search(most: int, fail: Callable[[int], StreamTrial], tried: list[int], limited_by: str) -> None:
    trials = list(find_most_streams(lambda n: fail(n) if n > most else trial(n)))
    assert [made.n_streams for made in trials] == tried
    assert (summary(trials).most_streams, summary(trials).limited_by) == (most, limited_by)
    # Where it is interrupted the limit is not known.
    assert [summary(trials[:n]).limited_by for n in range(1, len(trials))] == [None] * (len(trials) - 1)


@pytest.mark.parametrize(
    ("lucky", "tried", "most"),
    [
        # 5 holds once and then no more; 4 has held and has to again.
        pytest.param(5, [1, 2, 4, 8, 6, 5, 5, 4], 4, id="five"),
        pytest.param(1, [1, 2, 1], 0, id="one"),
    ],
)
def test_a_number_that_held_by_luck(lucky: int, tried: list[int], most: int) -> None:
    seen: list[int] = []

    def make(n_streams: int) -> StreamTrial:
        seen.append(n_streams)
        out_of_luck = n_streams == lucky and seen.count(lucky) > 1
        return lose(n_streams) if n_streams > lucky or out_of_luck else trial(n_streams)

    trials = list(find_most_streams(make))
    assert seen == tried
    assert (summary(trials).most_streams, summary(trials).limited_by) == (most, "frames lost")


@pytest.mark.parametrize(
    ("available_mb", "tried", "limited_by"),
    [
        # 80 % of 400 MB holds six processes of 50 MB, and not the eight that come after four.
        pytest.param(400, [1, 2, 4, 6, 6], "memory", id="six"),
        pytest.param(60, [1, 1], "memory", id="one, which was tried without knowing"),
        pytest.param(10_000, [1, 2, 4, 8, 16, 32, 64, 64], "number tried", id="enough"),
    ],
)
def test_the_search_stops_before_memory_would(available_mb: int, tried: list[int], limited_by: str) -> None:
    trials = list(find_most_streams(lambda n: trial(n, available_bytes=available_mb * MB)))
    assert [made.n_streams for made in trials] == tried
    assert (summary(trials).most_streams, summary(trials).limited_by) == (tried[-1], limited_by)


def test_each_trial_is_given_before_the_next_is_made() -> None:
    made: list[int] = []

    def make(n_streams: int) -> StreamTrial:
        made.append(n_streams)
        return trial(n_streams)

    search = find_most_streams(make)
    assert [next(search).n_streams, next(search).n_streams, made] == [1, 2, [1, 2]]


def test_the_figures_of_the_best_are_of_both_its_trials() -> None:
    """One camera with 5 ms and with 15 ms, two that lost two of 40 frames."""
    slower = dataclasses.replace(trial(1, latencies_ms=(15.0,) * 20), memory_bytes=70 * MB)
    found = summary([trial(1), dataclasses.replace(trial(2), dropped=2, due=42), slower])
    assert (found.most_streams, found.p90_ms, found.memory_bytes) == (1, 15.0, 70 * MB)
    assert found.next_dropped_percent == round(100 * 2 / 42, 4)
    behind = summary([trial(1), fall_behind(2), trial(1)])
    assert (behind.next_dropped_percent, behind.limited_by) == (0.0, "falling behind")


def test_the_plot_shows_each_number_once_and_what_failed() -> None:
    """Two cameras held once and then fell behind; three lost one of 61 frames."""
    made = record(case(one_round((10.0, 12.0)), stream_trials=(trial(2), fall_behind(2), lose(3))))
    plot = streams_plot(made)
    assert plot is not None
    assert plot.description == "litert int8: 2 lost 0.0 % and fell behind, 3 lost 1.6 %"
    drawn = plot.draw(800.0).to_svg(key="streams", title="", description="")
    assert "2 cameras: 0 of 40 frames lost, falling behind" in drawn
    assert ">late<" in drawn


@pytest.mark.parametrize(
    ("due", "frame_rate", "seconds"),
    [(150, 30.0, 5.0), (149, 29.97, 5.0), (100, 15.0, 5.0), (100, 0.3, 5.0)],
    ids=str,
)
def test_frames_due(due: int, frame_rate: float, seconds: float) -> None:
    assert frames_due(frame_rate, seconds) == due


@pytest.fixture
def pipeline(tmp_path: Path) -> PipelineJob:
    return PipelineJob(
        name="litert int8",
        bundle=str(default_bundle_path()),
        # Three times as many as a camera keeps.
        pictures=3 * tuple(str(frame.path) for frame in write_default_load(tmp_path)),
        engine="litert",
        precision="int8",
        threads=1,
        stages=None,
        cores=(),
        min_face_px=160.0,
        started_s=time.monotonic(),
    )


@pytest.mark.parametrize(
    ("frame_rate", "frames", "least_dropped", "most_dropped"),
    [
        pytest.param(4.0, 8, 0, 0, id="a slow camera loses nothing"),
        # No processor does a frame in a twentieth of a millisecond.
        pytest.param(20_000.0, 10_000, 10_000, 19_998, id="one that is too fast loses most"),
    ],
)
def test_cameras(
    pipeline: PipelineJob,
    frame_rate: float,
    frames: int,
    least_dropped: int,
    most_dropped: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "MIN_FRAMES", 1)
    # These start faster than cameras of a board; a trial waits longer where they do not.
    monkeypatch.setattr(streams, "_READY_S", 1.0)
    monkeypatch.setattr(streams, "_READY_S_EACH", 0.5)
    told: list[Sequence[int]] = []
    made = run_trial(pipeline, 2, frame_rate=frame_rate, seconds=frames / frame_rate, watching=told.append)
    assert (made.due, made.period_ms) == (2 * frames, 1000 / frame_rate)
    assert least_dropped <= made.dropped <= most_dropped
    assert [bool(stream_ms) for stream_ms in made.latencies_ms] == [True, True]
    latencies_ms = [latency_ms for stream_ms in made.latencies_ms for latency_ms in stream_ms]
    assert len(latencies_ms) == made.due - made.dropped
    # A frame waits at most for the one before it, but for what a busy machine adds.
    assert 0 < min(latencies_ms) < 1000
    assert made.memory_bytes > 40 * MB
    assert made.available_bytes is None or made.available_bytes > made.memory_bytes
    assert [len(pids) for pids in told] == [2]


class Camera:
    """A process that answers at once."""

    pid = 1
    jobs: list[CameraJob]

    def __init__(self, answer: CameraAnswer) -> None:
        self.jobs = []
        self._answer = answer

    def __call__(self, job: CameraJob) -> FreshProcess:
        self.jobs.append(job)
        return self  # type: ignore[return-value]

    def hand_over(self) -> None: ...

    def answer(self, kind: type[CameraAnswer]) -> CameraAnswer:
        return self._answer

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("meminfo", "expected"),
    [
        pytest.param("MemTotal: 2048 kB\nMemAvailable:    1024 kB\n", 1024 * 1024, id="told"),
        pytest.param("MemTotal: 2048 kB\n", None, id="an old kernel"),
        pytest.param(None, None, id="no file"),
    ],
)
def test_a_trial_notes_the_memory_available(
    pipeline: PipelineJob, tmp_path: Path, meminfo: str | None, expected: int | None
) -> None:
    if meminfo is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc/meminfo").write_text(meminfo, encoding="utf-8")
    camera = Camera(CameraAnswer(late=False, latencies_ms=(1.0,) * 99, memory_bytes=7))
    made = run_trial(pipeline, 2, frame_rate=10.0, seconds=5.0, watching=print, start=camera, tree=SystemTree(tmp_path))
    assert (made.available_bytes, made.memory_bytes, made.due, made.dropped) == (expected, 14, 200, 2)
    assert [job.frames for job in camera.jobs] == [100, 100]


def test_a_machine_too_busy_to_start_them_is_told_of(pipeline: PipelineJob) -> None:
    late = Camera(CameraAnswer(late=True, latencies_ms=(1.0,), memory_bytes=1))
    with pytest.raises(FerEdgeError, match=r"^2 cameras: expected all to be ready within 20 s, found some later"):
        run_trial(pipeline, 2, frame_rate=10.0, seconds=1.0, watching=lambda _: None, start=late)
    assert len(late.jobs) == 6
    # Their frames do not all come at once: the second camera's lie between the first one's.
    assert late.jobs[1].first_frame_s - late.jobs[0].first_frame_s == pytest.approx(0.05)
