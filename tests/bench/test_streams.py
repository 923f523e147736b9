"""The search for the most cameras, and a trial with cameras that really run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from fer_edge.bundle import default_bundle_path
from fer_edge.errors import FerEdgeError
from fer_edge_bench.fresh_process import FreshProcess
from fer_edge_bench.load import write_default_load
from fer_edge_bench.samples import StreamTrial
from fer_edge_bench.streams import find_most_streams, run_trial
from fer_edge_bench.workers.camera import CameraAnswer, CameraJob, frames_due
from fer_edge_bench.workers.pipeline_job import PipelineJob


def trial(n_streams: int, dropped: int = 0) -> StreamTrial:
    return StreamTrial(
        n_streams=n_streams,
        due=10 * n_streams,
        dropped=dropped,
        latencies_ms=(5.0,) * (10 * n_streams - dropped),
        memory_bytes=1000 * n_streams,
    )


@pytest.mark.parametrize(
    ("most", "tried"),
    [
        pytest.param(0, [1], id="none"),
        pytest.param(1, [1, 2], id="one"),
        pytest.param(2, [1, 2, 4, 3], id="two"),
        pytest.param(5, [1, 2, 4, 8, 6, 5], id="five"),
        pytest.param(64, [1, 2, 4, 8, 16, 32, 64], id="as many as are tried"),
    ],
)
def test_search(most: int, tried: list[int]) -> None:
    trials = find_most_streams(lambda n: trial(n, dropped=int(n > most)))
    assert [made.n_streams for made in trials] == tried


@pytest.mark.parametrize(("due", "frame_rate", "seconds"), [(75, 15.0, 5.0), (1, 0.5, 1.0), (14, 29.97, 0.5)], ids=str)
def test_frames_due(due: int, frame_rate: float, seconds: float) -> None:
    assert frames_due(frame_rate, seconds) == due


@pytest.fixture
def pipeline(tmp_path: Path) -> PipelineJob:
    return PipelineJob(
        name="litert int8",
        bundle=str(default_bundle_path()),
        pictures=tuple(str(frame.path) for frame in write_default_load(tmp_path)),
        engine="litert",
        precision="int8",
        threads=1,
        stages=None,
        cores=(),
        min_face_px=80.0,
        started_s=time.monotonic(),
    )


@pytest.mark.parametrize(
    ("frame_rate", "least_dropped", "most_dropped"),
    [
        pytest.param(1.0, 0, 0, id="a slow camera loses nothing"),
        # No processor does a frame in half a millisecond.
        pytest.param(2000.0, 3000, 3999, id="one that is too fast loses most"),
    ],
)
def test_cameras(pipeline: PipelineJob, frame_rate: float, least_dropped: int, most_dropped: int) -> None:
    told: list[Sequence[int]] = []
    made = run_trial(
        pipeline, 2, frame_rate=frame_rate, seconds=2000 / 2000 if frame_rate > 1 else 2.0, watching=told.append
    )
    assert made.due == 2 * frames_due(frame_rate, 1.0 if frame_rate > 1 else 2.0)
    assert least_dropped <= made.dropped <= most_dropped
    assert len(made.latencies_ms) == made.due - made.dropped
    # A frame waits at most for the one before it, but for what a busy machine adds.
    assert 0 < min(made.latencies_ms) < 1000
    assert made.memory_bytes > 40_000_000
    assert [len(pids) for pids in told] == [2]


class LateCamera:
    """A process that is never ready in time."""

    pid = 1
    jobs: list[CameraJob]

    def __init__(self) -> None:
        self.jobs = []

    def __call__(self, job: CameraJob) -> FreshProcess:
        self.jobs.append(job)
        return self  # type: ignore[return-value]

    def hand_over(self) -> None: ...

    def answer(self, kind: type[CameraAnswer]) -> CameraAnswer:
        return CameraAnswer(late=True, latencies_ms=(1.0,), memory_bytes=1)

    def __enter__(self) -> LateCamera:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_a_machine_too_busy_to_start_them_is_told_of(pipeline: PipelineJob) -> None:
    late = LateCamera()
    with pytest.raises(FerEdgeError, match=r"^2 cameras: expected all to be ready within 20 s, found some later"):
        run_trial(pipeline, 2, frame_rate=10.0, seconds=1.0, watching=lambda _: None, start=late)
    assert len(late.jobs) == 6
    # Their frames do not all come at once: the second camera's lie between the first one's.
    assert late.jobs[1].first_frame_s - late.jobs[0].first_frame_s == pytest.approx(0.05)
