"""The page of any record is whole, loads nothing, and says what the record says."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from bench.bench_samples import (
    NO_SENSORS,
    case,
    circumstances,
    machine,
    one_round,
    point,
    reading,
    record,
    steady,
    stream_trial,
    sustained_run,
)
from bench.report.page_checks import check_page
from bench.report.whole_record import ACCURACIES, whole_record

from fer_edge_bench.record import BenchRecord, BundleIdentity, Settings
from fer_edge_bench.report import report_html, write_report

EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


def degenerate(*frame: float, **changes: Any) -> BenchRecord:
    return record(case(one_round(frame)), **changes)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(record(), id="plain"),
        pytest.param(whole_record(), id="everything"),
        pytest.param(degenerate(5.0), id="one sample"),
        pytest.param(degenerate(5.0, 5.0, 5.0), id="all equal"),
        pytest.param(degenerate(0.0, 0.0), id="a clock too coarse"),
        pytest.param(degenerate(0.01, 5000.0), id="far apart"),
        pytest.param(degenerate(0.0, 5000.0), id="zero and far apart"),
        pytest.param(record(timeline=(point(0.0), point(0.0, case=0, memory_bytes=0))), id="no time, no memory"),
        pytest.param(record(timeline=(point(0.0, clock_mhz=0.0, throttled="cap"),)), id="a clock of zero"),
        pytest.param(record(timeline=(point(9.0),)), id="no sensor"),
        pytest.param(
            record(circumstances=circumstances(before=reading(**NO_SENSORS), after=reading(**NO_SENSORS))),
            id="no sensors at all",
        ),
        pytest.param(
            record(case(one_round((1.0,)), stream_trials=(stream_trial(1, dropped=2),))), id="all frames lost"
        ),
        pytest.param(record(case(one_round((1.0,)), sustained=sustained_run(0.001))), id="sustained for no time"),
        pytest.param(record(partial=True, settings=Settings(runs=2, rounds=9)), id="partial"),
        pytest.param(record(*(case(one_round((1.0,)), engine=f"e{i}") for i in range(12))), id="many cases"),
        pytest.param(
            record(case(one_round((1.0,)), stream_trials=tuple(stream_trial(n, 1.0) for n in range(1, 65)))),
            id="many numbers of streams",
        ),
    ],
)
@pytest.mark.parametrize("accuracies", [None, {}, ACCURACIES], ids=["unknown", "none", "known"])
def test_a_page_is_whole(made: BenchRecord, accuracies: Any) -> None:
    page = check_page(report_html(made, command="fer-edge bench", accuracies=accuracies))
    # Each plot is drawn for a phone and for a desktop.
    assert page.tags["svg"] == 2 * page.tags["figure"]


def test_every_plot_and_table_is_there() -> None:
    page = check_page(report_html(whole_record(), command="fer-edge bench --seed 1", accuracies=ACCURACIES))
    assert page.tags["figure"] == 6
    assert page.tags["table"] == 11
    assert page.texts["code"] == ["fer-edge bench --seed 1"]
    assert [heading for heading in page.texts["h2"][1:] if heading] == [
        "Circumstances",
        "A frame",
        "Where the time goes",
        "The classifier",
        "Start, memory and files",
        "Processor and energy",
        "Offline",
        "Several cameras",
        "Heat and sustained work",
        "Training",
        "How it was measured",
    ]


def test_what_was_not_measured_has_no_section() -> None:
    page = check_page(report_html(record(), command="x"))
    assert page.tags["figure"] == 2
    assert "Several cameras" not in page.texts["h2"]
    assert not any("Sustained" in step for step in page.texts["li"])


def test_names_are_text() -> None:
    made = whole_record(
        EVIL,
        machine=machine(model=EVIL, cpu=EVIL),
        bundle=BundleIdentity(name=EVIL, version=EVIL, manifest_sha256=EVIL, classifier=EVIL),
        versions={EVIL: EVIL},
        circumstances=circumstances(denied=(EVIL,), throttled=EVIL),
    )
    html = report_html(made, command=EVIL, accuracies={("litert", EVIL): 0.5})
    page = check_page(html)
    shown = "<script>alert(1)</script>\"'&?[31m?"
    assert page.texts["h1"] == [shown]
    assert page.texts["code"] == [shown]
    assert "<script" not in html
    assert "\x1b" not in html


def test_the_headline_has_the_figures() -> None:
    page = check_page(report_html(record(), command="x"))
    assert page.texts["h2"][0] == "litert int8"
    assert page.texts["dd"][:5] == ["10.5 ms", "93.0 frames/s", "0.500 ms", "80.0 MB", "0.45 s"]
    assert page.texts["dt"][0] == "a frame, p50; 95 % interval 6.7 to 35.7"


@pytest.mark.parametrize(
    ("made", "warning"),
    [
        (record(case(one_round((2.0, 2.0, 2.0, 4.0)))), "Unstable, litert int8: the slowest tenth"),
        (record(circumstances=circumstances(busy_percent=80.0)), "Unstable, litert int8: other programs took 80 %"),
        (record(circumstances=circumstances(throttled="cap")), "Unstable, litert int8: the board held its processor"),
    ],
    ids=["unstable", "busy", "held back"],
)
def test_doubts_leave_no_headline(made: BenchRecord, warning: str) -> None:
    page = check_page(report_html(made, command="x"))
    assert page.texts["h2"][0] == "No headline"
    assert page.texts["li"][0].startswith(warning)
    assert " ms" not in page.texts["section"][0]


def test_those_who_cannot_see_a_plot_are_told() -> None:
    page = check_page(report_html(whole_record(), command="x", accuracies=ACCURACIES))
    # Of 10, 12, 10, 11, 10.5, 11.5: p50 10.75, p90 11.75, p99 11.975; for each width once.
    assert page.texts["desc"][0].startswith("litert int8: p50 10.8, p90 11.8, p99 12.0 ms; onnx float32, 2 threads: ")
    assert page.texts["desc"][::2] == page.texts["desc"][1::2]
    told = "\n".join(page.texts["desc"])
    assert "litert int8: 66.40 %, 0.500 ms, 98.0 kB; onnx float32, 2 threads: 70.00 %" in told
    assert "1 lost 0.0 %, 2 lost 75.0 %" in told
    # The sustained run began at 4 s: its memory has a panel of its own.
    assert "litert int8: 70.0 MB at most" in told
    assert "temperature 45 to 61 °C; clock 1500 to 1800 MHz; power 4 to 4 W" in told
    assert "sustained work, memory: case 1 from 71.0 to 71.0 MB" in told
    assert "held back from 2 to 2 s: int8" in told


def test_every_sample_is_a_dot() -> None:
    made = record(case(one_round((10.0, 12.0)), one_round((10.0, 11.0))))
    html = report_html(made, command="x")
    paths = [part.split('"')[0] for part in html.split('<path d="')[1:]]
    assert [path.count("M") for path in paths] == [4, 4]


def test_dots_that_coincide_are_drawn_once() -> None:
    html = report_html(record(case(one_round((10.0,) * 2001))), command="x")
    dots = html.split('<path d="')[1].split('"')[0]
    assert 1 <= dots.count("M") <= 20


@pytest.mark.parametrize(
    ("accuracies", "face_ms", "sizes", "on_front"),
    [
        # Accuracy, time and size of a, b: b is beaten in one and equal in the others.
        ((0.7, 0.7), (1.0, 2.0), (100, 100), "a"),
        ((0.7, 0.6), (2.0, 1.0), (100, 100), "ab"),
        ((0.7, 0.7), (2.0, 1.0), (99, 100), "ab"),
        ((0.7, 0.7), (1.0, 1.0), (100, 100), "ab"),
        ((0.6, 0.7), (2.0, 1.0), (100, 100), "b"),
    ],
    ids=["slower", "accuracy for time", "size for time", "equal", "beaten in two"],
)
def test_the_front(
    accuracies: tuple[float, float], face_ms: tuple[float, float], sizes: tuple[int, int], on_front: str
) -> None:
    cases = []
    for name, time_ms, size in zip("ab", face_ms, sizes, strict=True):
        made = case(one_round((10.0,), face=steady(face=(time_ms,), engine=(time_ms,))), engine=name)
        stages = dict(made.stages)
        stages["classifier"] = dataclasses.replace(stages["classifier"], bytes=size)
        cases.append(dataclasses.replace(made, stages=stages))
    known = {(name, "int8"): top1 for name, top1 in zip("ab", accuracies, strict=True)}
    page = check_page(report_html(record(*cases), command="x", accuracies=known))
    told = next(text for text in page.texts["desc"] if "kB" in text).split("; ")
    assert "".join(text[0] for text in told if text.endswith("on the front")) == on_front


def test_write_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(record(), path, command="fer-edge bench")
    assert path.read_text(encoding="utf-8") == report_html(record(), command="fer-edge bench")
    assert path.stat().st_size < 40_000
