"""Figures of hand-made samples."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from bench.bench_samples import (
    bulk_run,
    case,
    circumstances,
    frame_series,
    one_round,
    point,
    record,
    steady,
    stream_trial,
    sustained_run,
)

from fer_edge_bench.circumstances import doubts
from fer_edge_bench.record import Circumstances
from fer_edge_bench.samples import CpuSeconds, Round
from fer_edge_bench.summary import CpuShare, summarize_case


def with_frames(frame: tuple[float, ...], **changes: Any) -> Round:
    return dataclasses.replace(one_round(frame), frame=steady(**frame_series(frame), **changes))


def test_the_figures_of_a_case() -> None:
    """Rounds (10, 12) and (10, 11) ms of frames, cold starts of 400 and 500 ms, 80 MB of 4 GB."""
    found = record().cases[0].summary
    frame = found.frame["frame"]
    assert (frame.n, frame.min_ms, frame.p50_ms, frame.mean_ms) == (4, 10.0, 10.5, 10.75)
    assert frame.p90_ms == pytest.approx(11.7)
    assert (found.frame["pnet"].p50_ms, found.frame["decode"].p50_ms) == (pytest.approx(4.2), 5.0)
    assert found.frames_per_s == pytest.approx(1000 / 10.75, abs=1e-4)
    assert (found.cold_start_p50_ms, found.cold_start_min_ms, found.cold_start_max_ms) == (450.0, 400.0, 500.0)
    assert (found.face["face"].p50_ms, found.face["engine"].p50_ms, found.faces_per_s) == (0.5, 0.45, 2000.0)
    assert (found.peak_memory_bytes, found.proportional_memory_bytes) == (80_000_000, 70_000_000)
    assert (found.memory_percent, found.memory_percent_of_16_gb) == (2.0, 0.5)
    assert found.process_cpu == CpuShare(user_percent=50.0, system_percent=10.0)
    assert found.process_cpu.percent == 60.0
    assert found.machine_cpu == CpuShare(user_percent=60.0, system_percent=20.0)
    assert found.settled
    assert found.unstable_because is None
    assert (found.energy_mj_per_frame, found.bulk, found.streams, found.sustained) == (None, None, None, None)


def test_the_largest_memory_of_the_rounds_counts() -> None:
    rounds = (one_round((1.0,)), one_round((1.0,), peak_memory_bytes=120_000_000, proportional_memory_bytes=None))
    assert case(*rounds).summary.peak_memory_bytes == 120_000_000
    assert case(*rounds).summary.proportional_memory_bytes is None


def test_energy_of_a_frame_needs_every_round() -> None:
    """3 J and 5 J for two frames each: 2 J a frame."""
    rounds = [with_frames((1.0, 1.0), energy_j=joules) for joules in (3.0, 5.0)]
    assert case(*rounds).summary.energy_mj_per_frame == 2000.0
    assert case(*rounds, one_round((1.0, 1.0))).summary.energy_mj_per_frame is None


def test_a_system_that_does_not_tell_of_other_programs() -> None:
    untold = with_frames((1.0,), machine_cpu=None)
    assert case(untold).summary.machine_cpu is None
    assert case(untold).summary.process_cpu.user_percent == 50.0


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        pytest.param(one_round((10.0,) * 10), None, id="steady"),
        pytest.param(one_round((10.0,) * 7 + (15.0,) * 3), "a frame took 50 %", id="frame"),
        pytest.param(
            one_round((10.0,) * 10, face=steady(face=(1.0,) * 7 + (3.0,) * 3, engine=(1.0,) * 10)),
            "a face took 200 %",
            id="face",
        ),
    ],
)
def test_why_a_case_is_unstable(measured: Round, reason: str | None) -> None:
    found = case(measured).summary.unstable_because
    assert (found is None) if reason is None else (found is not None and reason in found)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param(circumstances(), [], id="quiet"),
        pytest.param(circumstances(busy_percent=9.9), [], id="a little busy"),
        pytest.param(circumstances(busy_percent=None), [], id="not told"),
        pytest.param(
            circumstances(busy_percent=62.4), ["other programs took 62 % of the processor before the start"], id="busy"
        ),
        pytest.param(
            circumstances(throttled="under-voltage", busy_percent=20.0),
            [
                "the board held its processor back (under-voltage)",
                "other programs took 20 % of the processor before the start",
            ],
            id="throttled and busy",
        ),
        pytest.param(
            circumstances(untold="throttled since the boot"),
            ["whether the board held its processor back cannot be told (throttled since the boot)"],
            id="not to be told",
        ),
    ],
)
def test_doubts(changed: Circumstances, expected: list[str]) -> None:
    made = record(circumstances=changed)
    assert doubts(made, made.cases[0]) == expected


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        pytest.param(one_round((10.0,) * 4), [], id="four samples"),
        pytest.param(one_round((10.0,) * 3), ["3 samples of a picture are too few to tell"], id="three"),
        pytest.param(
            one_round((10.0,) * 8, n_pictures=8), ["1 sample of a picture is too few to tell"], id="one of each"
        ),
        pytest.param(
            dataclasses.replace(one_round((10.0,) * 4), frame=steady(settled=False, **frame_series((10.0,) * 4))),
            ["warm-up did not settle: the machine may be busy or its clock changing"],
            id="not settled",
        ),
        pytest.param(
            dataclasses.replace(
                one_round((10.0,) * 4),
                frame=steady(machine_cpu=CpuSeconds(user_s=0.12, system_s=0.02), **frame_series((10.0,) * 4)),
            ),
            ["other programs took 80 % of a core while it was measured"],
            id="others beside it",
        ),
    ],
)
def test_doubts_of_the_samples(measured: Round, expected: list[str]) -> None:
    made = record(case(measured))
    assert doubts(made, made.cases[0]) == expected


@pytest.mark.parametrize(
    ("position", "step", "doubted"),
    [
        pytest.param(0, "single stream", [True, False], id="its own rounds"),
        pytest.param(1, "single stream", [False, True], id="the other's"),
        pytest.param(0, "sustained", [False, False], id="minutes of work afterwards"),
    ],
)
def test_throttling_counts_where_it_was(position: int, step: str, doubted: list[bool]) -> None:
    cases = (case(one_round((10.0,) * 4)), case(one_round((10.0,) * 4), engine="onnx"))
    timeline = (point(1.0, case=position, step=step, throttled="throttled"),)
    made = record(*cases, circumstances=circumstances(throttled="throttled"), timeline=timeline)
    assert [bool(doubts(made, item)) for item in made.cases] == doubted


def test_bulk() -> None:
    """30 photos in 2 s and 30 in 3 s: 12 a second, 15 at best, 10 at worst; 60 J for 60 photos."""
    rounds = [one_round((1.0,), bulk=bulk_run(30, wall_s, energy_j=30.0)) for wall_s in (2.0, 3.0)]
    found = case(*rounds).summary.bulk
    assert found is not None
    assert (found.photos_per_s, found.slowest_per_s, found.fastest_per_s, found.energy_mj) == (12.0, 10.0, 15.0, 1000.0)


@pytest.mark.parametrize(
    ("dropped", "most", "dropped_percent"),
    [
        pytest.param({1: 0, 2: 0, 4: 5, 3: 2}, 2, 20.0, id="between"),
        pytest.param({1: 5}, 0, 50.0, id="not even one"),
        pytest.param({1: 0, 2: 0}, 2, None, id="none failed"),
        pytest.param({1: 0, 2: 1, 3: 0}, 1, 10.0, id="more held by luck: only what is below the first failure counts"),
    ],
)
def test_streams(dropped: dict[int, int], most: int, dropped_percent: float | None) -> None:
    """Ten frames in each trial; those looked at waited 4 ms."""
    trials = [stream_trial(n, *([4.0] * (10 - lost)), dropped=lost) for n, lost in dropped.items()]
    found = summarize_case([one_round((1.0,))], trials, None, 10**9).streams
    assert found is not None
    assert (found.most_streams, found.next_dropped_percent) == (most, dropped_percent)
    assert (found.p90_ms, found.memory_bytes) == ((4.0, 60_000_000 * most) if most else (None, None))


def test_sustained() -> None:
    """A minute at 10 ms, three at 12 ms, a minute at 15 ms."""
    frames = (10.0,) * 6000 + (12.0,) * 15000 + (15.0,) * 4000
    found = summarize_case([one_round((1.0,))], (), sustained_run(*frames), 10**9).sustained
    assert found is not None
    assert (found.duration_s, found.frames) == (300.0, 25000)
    assert (found.first_p50_ms, found.last_p50_ms, found.slowdown, found.p99_ms) == (10.0, 15.0, 1.5, 15.0)


def test_a_short_sustained_run_is_compared_by_halves() -> None:
    found = summarize_case([one_round((1.0,))], (), sustained_run(4.0, 4.0, 8.0), 10**9).sustained
    assert found is not None
    assert (found.first_p50_ms, found.last_p50_ms, found.slowdown) == (4.0, 8.0, 2.0)


def test_nothing_measured() -> None:
    with pytest.raises(ValueError, match="rounds: expected at least one"):
        summarize_case([], (), None, 10**9)


def test_processor_time_cannot_be_negative() -> None:
    with pytest.raises(ValueError, match="user_s: expected 0 or more"):
        CpuSeconds(user_s=-1.0, system_s=0.0)
