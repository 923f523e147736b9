"""Ratios, intervals and verdicts of hand-made records."""

from __future__ import annotations

import dataclasses

import pytest
from bench.bench_samples import case, circumstances, machine, one_round, record

from fer_edge.errors import InputError
from fer_edge_bench.compare import Comparison, compare_records, differences, format_comparison
from fer_edge_bench.record import BenchRecord


def made(scale: float = 1.0, *, jitter: float = 0.01, n_rounds: int = 4, engine: str = "litert") -> BenchRecord:
    """Processes around 10 ms, apart by the jitter, of 20 frames each."""
    rounds = [
        one_round(tuple(10 * scale * (1 + jitter * (i - 1.5)) for _ in range(20)), cold_start_ms=400.0 * scale + i)
        for i in range(n_rounds)
    ]
    return record(case(*rounds, engine=engine))


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
        ("face", "ms"),
        ("cold start", "ms"),
        ("peak memory", "MB"),
    ]
    assert [item.verdict for item in found] == ["worse", "cannot tell", "worse", "cannot tell"]
    assert of(found, "cold start").first == pytest.approx(401.5)
    assert of(found, "peak memory").second == 80.0


def test_doubts_leave_durations_open_but_not_memory() -> None:
    larger = [one_round((10.0,) * 20, peak_memory_bytes=90_000_000) for _ in range(4)]
    busy = record(case(*larger), circumstances=circumstances(busy_percent=50.0))
    found = compare_records(made(2.0), busy)
    assert (of(found, "frame").verdict, of(found, "frame").ratio) == ("cannot tell", pytest.approx(0.5))
    assert of(found, "frame").why == "second: other programs took 50 % of the processor before the start"
    assert of(found, "peak memory").verdict == "worse"


def test_three_processes_are_too_few() -> None:
    found = of(compare_records(made(n_rounds=3), made(2.0)), "frame")
    assert (found.verdict, found.why) == ("cannot tell", "fewer than 4 processes, --rounds 4 is needed")


def test_other_pictures() -> None:
    first = made()
    other = dataclasses.replace(first, load=(dataclasses.replace(first.load[0], sha256="ef" * 32),))
    found = compare_records(first, other)
    assert of(found, "frame").why == "the pictures are not the same"
    assert of(found, "face").why is None
    assert differences(first, other) == [
        "pictures: 1 from view-1.jpg on (cdcdcdcd) against 1 from view-1.jpg on (efefefef)"
    ]


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
    )
    assert differences(first, second) == [
        "board: Some Board against Other Board",
        "Python: 3.11.2 against 3.13.1",
        "smallest face: 40 px against 20 px",
        "fer-edge: 0.1.0 against 0.2.0",
        "numpy: none against 2.4.6",
    ]
    assert differences(first, first) == []


def test_the_table() -> None:
    text = format_comparison(compare_records(made(), made(1.2)), ["board: A against B"])
    assert text.splitlines()[0] == "differs: board: A against B"
    row = text.splitlines()[3].split()
    assert row[:8] == ["litert", "int8", "frame", "10", "ms", "12", "ms", "1.200"]
    assert row[-1] == "worse"
    markdown = format_comparison(compare_records(made(), made(1.2)), [], markdown=True)
    assert markdown.startswith("| case ")
