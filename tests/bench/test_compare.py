"""Ratios, intervals and verdicts of hand-made records."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bench.bench_samples import case, circumstances, machine, one_round, reading, record

from fer_edge.errors import InputError
from fer_edge_bench.compare import Comparison, compare_records, differences, format_comparison, verdict_of
from fer_edge_bench.record import BenchRecord, Case
from fer_edge_bench.statistics import ProcessRatio, process_ratio


def made_case(scale: float = 1.0, *, jitter: float = 0.01, n_rounds: int = 4, engine: str = "litert") -> Case:
    """Processes around 10 ms, apart by the jitter, of 20 frames each."""
    rounds = [
        one_round(tuple(10 * scale * (1 + jitter * (i - 1.5)) for _ in range(20)), cold_start_ms=400.0 * scale + i)
        for i in range(n_rounds)
    ]
    return case(*rounds, engine=engine)


def made(scale: float = 1.0, *, jitter: float = 0.01, n_rounds: int = 4, engine: str = "litert") -> BenchRecord:
    return record(made_case(scale, jitter=jitter, n_rounds=n_rounds, engine=engine))


def of_frames(*passes: tuple[float, ...]) -> BenchRecord:
    """Four processes, each with the same passes over as many pictures as one holds."""
    frames = tuple(sample for frames in passes for sample in frames)
    return record(case(*(one_round(frames, n_pictures=len(passes[0])) for _ in range(4))))


def of(comparisons: list[Comparison], figure: str) -> Comparison:
    return next(item for item in comparisons if item.figure == figure)


@pytest.mark.parametrize(
    ("first", "second", "ratio", "verdict"),
    [
        pytest.param(made(), made(), 1.0, "cannot tell", id="the same"),
        pytest.param(made(), made(1.2), 1.2, "worse", id="slower"),
        pytest.param(made(1.2), made(), 1 / 1.2, "better", id="faster"),
        pytest.param(made(jitter=0.1), made(1.05, jitter=0.1), 1.05, "cannot tell", id="within what processes differ"),
    ],
)
def test_verdicts(first: BenchRecord, second: BenchRecord, ratio: float, verdict: str) -> None:
    found = of(compare_records(first, second), "frame")
    assert found.ratio == pytest.approx(ratio, rel=1e-6)
    assert found.interval95[0] <= found.ratio <= found.interval95[1]
    assert (found.verdict, found.why) == (verdict, None)


def test_every_figure_is_compared() -> None:
    found = compare_records(made(), made(2.0))
    assert [(item.figure, item.unit) for item in found] == [
        ("frame", "ms"),
        ("frame, p90", "ms"),
        ("face", "ms"),
        ("cold start", "ms"),
        ("peak memory", "MB"),
    ]
    assert [item.verdict for item in found] == ["worse", "worse", "cannot tell", "worse", "cannot tell"]
    assert of(found, "cold start").first == pytest.approx((400 * 401 * 402 * 403) ** 0.25)
    assert of(found, "peak memory").second == 80.0


def test_frames_count_by_picture() -> None:
    """The median of all frames is 20 ms in both; a typical one takes 5 ** (1 / 3) times as long."""
    found = of(compare_records(of_frames(*[(10.0, 20.0, 100.0)] * 7), of_frames(*[(10.0, 20.0, 500.0)] * 7)), "frame")
    assert (found.first, found.second) == (pytest.approx(20000 ** (1 / 3)), pytest.approx(1e5 ** (1 / 3)))
    assert (found.ratio, found.verdict) == (pytest.approx(5 ** (1 / 3)), "worse")


def test_the_slowest_tenth_is_a_figure_of_its_own() -> None:
    """Two pictures of 10 and 40 ms, typically 20; in the second record every fifth pass takes a tenth longer."""
    steady = (10.0, 40.0)
    found = compare_records(of_frames(*[steady] * 20), of_frames(*([steady] * 4 + [(11.0, 44.0)]) * 4))
    assert (of(found, "frame").ratio, of(found, "frame").verdict) == (1.0, "cannot tell")
    slowest = of(found, "frame, p90")
    assert (slowest.first, slowest.second) == (pytest.approx(20.0), pytest.approx(22.0))
    assert (slowest.verdict, slowest.why) == ("worse", None)


def test_doubts_leave_durations_open_but_not_memory() -> None:
    larger = [one_round((10.0,) * 20, peak_memory_bytes=90_000_000) for _ in range(4)]
    busy = record(case(*larger), circumstances=circumstances(busy_percent=50.0))
    found = compare_records(made(2.0), busy)
    assert (of(found, "frame").verdict, of(found, "frame").ratio) == ("cannot tell", pytest.approx(0.5, rel=1e-3))
    assert of(found, "frame").why == "second: other programs took 50 % of the processor before the start"
    assert of(found, "peak memory").verdict == "worse"


def test_three_processes_are_too_few() -> None:
    found = of(compare_records(made(n_rounds=3), made(2.0)), "frame")
    assert (found.verdict, found.why) == ("cannot tell", "fewer than 4 processes, --rounds 4 is needed")
    assert found.interval95 is not None
    assert found.interval95[0] > 1


def test_one_process_has_no_interval() -> None:
    found = compare_records(made(n_rounds=1), made(2.0))
    assert (of(found, "frame").interval95, of(found, "frame").verdict) == (None, "cannot tell")
    assert " 2.0" in (row := format_comparison(found, []).splitlines()[1])
    assert "  -  " in row


@pytest.mark.parametrize(
    ("second", "figure"),
    [
        pytest.param(
            record(case(*[one_round((10.0,) * 20, peak_memory_bytes=80_004_096) for _ in range(4)])),
            "peak memory",
            id="a page of memory",
        ),
        pytest.param(made(1.005, jitter=0.0001), "frame", id="half a percent of time"),
    ],
)
def test_less_than_a_percent_is_no_verdict(second: BenchRecord, figure: str) -> None:
    found = of(compare_records(made(jitter=0.0001), second), figure)
    assert found.interval95 is not None
    assert found.interval95[0] > 1
    assert (found.verdict, found.why) == ("cannot tell", "less than 1 %")


def test_more_comparisons_ask_for_more() -> None:
    """3 % with an error of 0.9 %: 1 in 60 by chance, too often for the five comparisons of a case, and for ten."""
    why = "of {} comparisons one may well look like this by chance"
    for engines in (("litert",), ("litert", "onnx")):
        one, other = (record(*(made_case(scale, engine=engine) for engine in engines)) for scale in (1.0, 1.03))
        found = of(compare_records(one, other), "frame")
        assert found.interval95 is not None
        assert found.interval95[0] > 1
        assert (found.verdict, found.why) == ("cannot tell", why.format(5 * len(engines)))


@pytest.mark.parametrize(
    ("ratio", "p_value", "n_comparisons", "verdict"),
    [
        pytest.param(1.05, 0.04, 1, "worse", id="alone"),
        pytest.param(0.95, 0.04, 1, "better", id="less"),
        pytest.param(1.05, 0.04, 2, "cannot tell", id="one of two"),
        pytest.param(1.05, 0.002, 24, "worse", id="surer"),
        pytest.param(1.05, 0.06, 1, "cannot tell", id="chance"),
        pytest.param(1.009, 0.0, 1, "cannot tell", id="little more"),
        pytest.param(0.991, 0.0, 1, "cannot tell", id="little less"),
    ],
)
def test_the_bounds_of_a_verdict(ratio: float, p_value: float, n_comparisons: int, verdict: str) -> None:
    measured = ProcessRatio(ratio=ratio, interval95=(0.5, 2.0), p_value=p_value)
    assert verdict_of(measured, n_comparisons)[0] == verdict


def share_of_verdicts(slowdown: float, *, spread: float, n_figures: int, n_trials: int) -> float:
    """Return how many of the comparisons of 24 figures, `n_figures` of them slower, have a verdict on one of these."""
    random = np.random.RandomState(24)
    told = 0
    for _ in range(n_trials):
        ones, others = 1 + spread * random.standard_normal((2, n_figures, 4))
        verdicts = [
            verdict_of(process_ratio((slowdown * other).tolist(), one.tolist()), 24)[0]
            for one, other in zip(ones, others, strict=True)
        ]
        told += set(verdicts) != {"cannot tell"}
    return told / n_trials


def test_a_device_is_not_told_from_itself() -> None:
    """Of 300 comparisons of 24 figures, whose processes are 3 % apart, fewer than 7 % find anything."""
    assert share_of_verdicts(1.0, spread=0.03, n_figures=24, n_trials=300) < 0.07


def test_a_tenth_slower_is_found() -> None:
    """One figure of 24, processes 1 % apart."""
    assert share_of_verdicts(1.1, spread=0.01, n_figures=1, n_trials=300) > 0.95


def test_a_figure_of_no_time() -> None:
    nothing = record(case(*[one_round((10.0,) * 20, cold_start_ms=0.0) for _ in range(4)]))
    for first, second in ((made(), nothing), (nothing, made())):
        with pytest.raises(
            InputError, match="litert int8, cold start: expected more than 0 ms, found 0; measure again"
        ):
            compare_records(first, second)


def test_other_pictures() -> None:
    first = made()
    other = dataclasses.replace(first, load=(dataclasses.replace(first.load[0], sha256="ef" * 32),))
    found = compare_records(first, other)
    assert {item.why for item in found if item.figure != "face"} == {"the pictures are not the same"}
    assert of(found, "face").why is None
    assert differences(first, other) == [
        "pictures: 1 from view-1.jpg on (cdcdcdcd) against 1 from view-1.jpg on (efefefef)"
    ]


def test_another_smallest_face() -> None:
    first = made()
    other = dataclasses.replace(made(2.0), settings=dataclasses.replace(first.settings, min_face_px=80.0))
    found = compare_records(first, other)
    assert {item.why for item in found if item.figure != "face"} == {"the smallest face is not the same"}
    assert {item.verdict for item in found} == {"cannot tell"}
    assert of(found, "face").why is None


def test_nothing_in_common() -> None:
    with pytest.raises(InputError, match="the first record has litert int8, the second onnx int8; measure the same"):
        compare_records(made(), made(engine="onnx"))


def test_what_differs_is_said() -> None:
    first = made()
    second = dataclasses.replace(
        first,
        machine=machine(model="Other Board", python="3.13.1"),
        versions={"fer-edge": "0.2.0", "numpy": "2.4.6"},
        settings=dataclasses.replace(first.settings, min_face_px=20.0),
        circumstances=circumstances(
            before=reading(governors={"policy0": "schedutil", "policy4": "performance"}, max_clock_mhz=2400.0),
            busy_percent=None,
        ),
        cases=(dataclasses.replace(first.cases[0], cores=()),),
    )
    assert differences(first, second) == [
        "board: Some Board against Other Board",
        "Python: 3.11.2 against 3.13.1",
        "smallest face: 40 px against 20 px",
        "governor: performance against performance, schedutil",
        "highest clock: 1800 MHz against 2400 MHz",
        "taken by other programs before: 2 % against unknown",
        "cores of litert int8: bound to 1 against not bound",
        "fer-edge: 0.1.0 against 0.2.0",
        "numpy: none against 2.4.6",
    ]
    assert differences(first, first) == []


def test_the_table() -> None:
    text = format_comparison(compare_records(made(jitter=0), made(1.2, jitter=0)), ["board: A against B"])
    assert text.splitlines()[0] == "differs: board: A against B"
    row = text.splitlines()[3].split()
    assert row[:8] == ["litert", "int8", "frame", "10", "ms", "12", "ms", "1.200"]
    assert row[-1] == "worse"
    markdown = format_comparison(compare_records(made(), made(1.2)), [], markdown=True)
    assert markdown.startswith("| case ")
