"""The tables' exact text, and that what is in doubt gets no headline."""

import dataclasses
import io
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from bench.bench_samples import (
    NO_SENSORS,
    bulk_run,
    case,
    circumstances,
    machine,
    one_round,
    reading,
    record,
    steady,
    stream_trial,
    sustained_run,
)

from fer_edge_bench.load import LoadIdentity
from fer_edge_bench.record import BenchRecord, Case, CaseFailure, Settings, TrainingCase
from fer_edge_bench.samples import FrameWork
from fer_edge_bench.summary import CpuShare
from fer_edge_bench.table import format_columns, format_record, markdown_text, print_record

# By hand. Of litert int8's frames 10, 12, 10, 11: p50 10.5, p90 11 + 0.7, mean 10.75; P-Net takes four tenths. P-Net's
# canvas, 50 crops of R-Net and 5 of O-Net: 110,290,080 + 50 x 1,530,640 + 5 x 12,909,696 multiply-adds. 50 ms of
# processor time in 100 ms are half of one core, an eighth of four.
PLAIN = """\
litert int8: 10.5 ms a frame (95 % interval 6.7 to 35.7), 93.0 frames/s, 80.0 MB at its peak

unstable, onnx float32, 4 threads: the slowest tenth of the runs of a frame took 48 % longer than the median \
(at most 20 % is stable)

board        Some Board (some-board)
processor    Cortex-A72, 4 cores, aarch64; int8: asimddp
memory       4.0 GB
system       Linux 6.6, Python 3.11.2
temperature  45.0 °C before, 52.5 °C after
clock        1800 MHz before, 1800 MHz after, of 1800 MHz at most
governor     performance
held back    the board does not tell
load         other programs took 1.5 % of all cores before the start; load average 0.25
bundle       default 1, classifier sepnet_tiny, manifest abababababababab
pictures     view-1.jpg of 640 x 480, 1 face in it; smallest face looked for 40 px
samples      2 fresh processes x 2 runs of each series; threads: 1, 4; single stream
libraries    fer-edge 0.1.0
measured     2026-01-02T03:04:05+00:00

A frame, pixels to faces (ms)
The interval is that of the median, 95 %. Frames a second follow from the mean.
case                      min   p50  interval      p90   p99  frames/s  stable
litert int8              10.0  10.5  6.7 to 35.7  11.7  12.0      93.0  yes
onnx float32, 4 threads  2.00  2.50  0 to 186     3.70  3.97     363.6  no

A frame by stage (ms, medians)
Decoding comes before the frame. R- and O-Net include their crops and choices. Medians need not add up. Engine: the \
share of the frame spent inside it, of means.
case                     decode  pyramid  pnet  proposals   rnet   onet   crop  classify  frame  engine %
litert int8                5.00     1.05  4.20      0.525   2.10   1.05  0.210      1.05   10.5        60
onnx float32, 4 threads    5.00    0.250  1.00      0.125  0.500  0.250  0.050     0.250   2.50        60

The classifier alone, a crop to probabilities (ms)
One face of 48 x 48 pixels at a time.
case                       min    p50  interval          p90    p99  faces/s  engine %
litert int8              0.500  0.500  0.500 to 0.500  0.500  0.500   2000.0        90
onnx float32, 4 threads  0.500  0.500  0.500 to 0.500  0.500  0.500   2000.0        90

Start and memory
From a process's start to the first picture's faces; resident memory of the whole process at its peak, and its share \
of what is in the machine and of 16 GB. MB = 10^6 bytes.
case                     cold start, ms  fastest to slowest  peak MB  PSS MB  % of memory  % of 16 GB
litert int8                         450  400 to 500             80.0    70.0         2.00        0.50
onnx float32, 4 threads             400  400 to 400             80.0    70.0         2.00        0.50

Files, parameters and arithmetic
Multiply-adds of convolutions and dense layers, in millions: the detector's for a frame, mean of all pictures, \
the classifier's for a face. kB = 10^3 bytes.
case                     detector kB  classifier kB  detector parameters  classifier parameters  \
detector M multiply-adds  classifier M multiply-adds  library
litert int8                   2030.0           98.0              495,431                 56,551  \
                   251.4                        11.3  litert 1.0
onnx float32, 4 threads       2030.0           98.0              495,431                 56,551  \
                   251.4                        11.3  onnx 1.0

Processor while pictures are decoded and analysed (%)
Of one core's time, and of all cores' time together. Everything: the machine with all its programs.
case                     % of         process user  process system  everything user  everything system
litert int8              one core             50.0            10.0             60.0               20.0
litert int8              the machine          12.5             2.5             15.0                5.0
onnx float32, 4 threads  one core             50.0            10.0             60.0               20.0
onnx float32, 4 threads  the machine          12.5             2.5             15.0                5.0

measuring took 0.20 % of one core beside the cases and added at most 0.010 % to a frame
"""

STABLE = one_round((10.0, 10.0, 10.0, 10.0))
SHAKY = one_round((2.0, 2.0, 2.0, 4.0))


def two_cases() -> tuple[Case, Case]:
    return (
        case(one_round((10.0, 12.0)), one_round((10.0, 11.0), cold_start_ms=500.0)),
        case(one_round((2.0, 4.0)), one_round((2.0, 3.0)), engine="onnx", precision="float32", threads=4),
    )


def section(text: str, title: str) -> list[str]:
    """Headings and rows of a table, cells in lists' text form with single spaces."""
    lines = text[text.index(title) :].split("\n\n")[0].splitlines()
    return [" ".join(line.split()) for line in lines[1:]]


def test_plain() -> None:
    assert format_record(record(*two_cases())) == PLAIN


def test_markdown() -> None:
    lines = format_record(record(*two_cases()), markdown=True).splitlines()
    assert (
        lines[0] == "**litert int8: 10.5 ms a frame (95 % interval 6.7 to 35.7), 93.0 frames/s, 80.0 MB at its peak**"
    )
    assert lines[2].startswith("- unstable, onnx float32, 4 threads: the slowest tenth")
    assert "- board: Some Board (some-board)" in lines
    start = lines.index("### A frame, pixels to faces (ms)")
    assert lines[start + 1 : start + 7] == [
        "",
        "The interval is that of the median, 95 %. Frames a second follow from the mean.",
        "",
        "| case                    |  min |  p50 | interval    |  p90 |  p99 | frames/s | stable |",
        "| ----------------------- | ---: | ---: | ----------- | ---: | ---: | -------: | ------ |",
        "| litert int8             | 10.0 | 10.5 | 6.7 to 35.7 | 11.7 | 12.0 |     93.0 | yes    |",
    ]


@pytest.mark.parametrize(
    ("made", "headline", "said"),
    [
        pytest.param(
            record(case(STABLE), case(SHAKY, engine="onnx")),
            "litert int8: 10.0 ms",
            ["unstable, onnx int8: the slowest tenth of the runs of a frame took 70 % longer"],
            id="the fastest is unstable",
        ),
        pytest.param(
            record(case(SHAKY)),
            "no headline: no case can be trusted; close other programs, let the board cool, and measure again",
            ["unstable, litert int8: the slowest tenth"],
            id="all are unstable",
        ),
        pytest.param(
            record(case(STABLE), circumstances=circumstances(throttled="under-voltage")),
            "no headline: no case can be trusted; close other programs, check the board's power supply, let the",
            ["unstable, litert int8: the board held its processor back (under-voltage)"],
            id="held back",
        ),
        pytest.param(
            record(case(STABLE), case(STABLE, engine="onnx"), circumstances=circumstances(busy_percent=55.0)),
            "no headline: no case can be trusted",
            ["unstable, all cases: other programs took 55 % of the processor before the start"],
            id="busy",
        ),
        pytest.param(
            record(partial=True, settings=Settings(runs=2, rounds=3)),
            "litert int8: 10.5 ms",
            ["interrupted: 2 of 3 rounds were measured; what had been measured is shown"],
            id="partial",
        ),
        pytest.param(
            record(partial=True),
            "litert int8: 10.5 ms",
            ["interrupted: some cases or scenarios are missing; what had been measured is shown"],
            id="partial with all rounds",
        ),
        pytest.param(
            record(failures=(CaseFailure(case="onnx int8, 2 threads", step="single stream", error="no such file"),)),
            "litert int8: 10.5 ms",
            ["failed, onnx int8, 2 threads, single stream: no such file"],
            id="failure",
        ),
        pytest.param(
            record(case(one_round((1.0,) * 4, face=steady(settled=False, face=(1.0,) * 4, engine=(1.0,) * 4)))),
            "no headline",
            ["unstable, litert int8: warm-up did not settle: the machine may be busy or its clock changing"],
            id="not settled",
        ),
    ],
)
def test_headline_and_warnings(made: BenchRecord, headline: str, said: list[str]) -> None:
    lines = format_record(made).splitlines()
    assert lines[0].startswith(headline)
    assert lines[1] == ""
    warned = lines[2 : lines.index("", 2)]
    assert len(warned) == len(said)
    assert all(line.startswith(start) for line, start in zip(warned, said, strict=True))


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        pytest.param(
            {"circumstances": circumstances(before=reading(**NO_SENSORS), after=reading(**NO_SENSORS))},
            ["temperature  no sensor", "clock        not told", "governor     not told"],
            id="no sensors",
        ),
        pytest.param(
            {"circumstances": circumstances(load_average=None, busy_percent=None)},
            ["load         other programs took not told before the start; load average not told"],
            id="no /proc",
        ),
        pytest.param(
            {"circumstances": circumstances(denied=("/sys/x: permission denied; run as root or allow reading it",))},
            ["sensor not read: /sys/x: permission denied; run as root or allow reading it"],
            id="denied",
        ),
        pytest.param(
            {"machine": machine(int8_features=())},
            ["processor    Cortex-A72, 4 cores, aarch64; int8: none that speeds up int8"],
            id="no int8",
        ),
    ],
)
def test_circumstances(changes: dict[str, Any], lines: list[str]) -> None:
    shown = format_record(record(**changes)).splitlines()
    assert [line for line in lines if line not in shown] == []


def test_pictures_are_told_by_number_size_and_faces() -> None:
    measured = one_round((1.0, 1.0, 1.0), n_pictures=3)
    work = tuple(FrameWork(n_faces=n, pnet_sizes_wh=(), rnet_crops=0, onet_crops=0) for n in (0, 2, 1))
    made = record(case(dataclasses.replace(measured, work=work)))
    load = (*made.load[:2], LoadIdentity(name="wide.jpg", bytes=1, sha256="0" * 64, size_wh=(1280, 720)))
    text = format_record(dataclasses.replace(made, load=load))
    assert "pictures     3 of 640 x 480, 1280 x 720, 0 to 2 faces in each; smallest face looked for 40 px\n" in text


def test_scenarios_and_energy() -> None:
    # 20 photos in 2 s and 30 in 2 s: 50 in 4 s. 5 J for 50 photos; 0.2 J for two frames.
    rounds = [
        one_round((10.0, 12.0), bulk=bulk_run(photos, 2.0, energy_j=energy_j))
        for photos, energy_j in ((20, 2.0), (30, 3.0))
    ]
    rounds = [dataclasses.replace(item, frame=dataclasses.replace(item.frame, energy_j=0.2)) for item in rounds]
    trials = (stream_trial(1, 10.0, 20.0), stream_trial(2, 30.0, 40.0, 50.0, dropped=1))
    made = case(*rounds, stream_trials=trials, sustained=sustained_run(10.0, 10.0, 30.0, 30.0))
    text = format_record(record(made, case(*rounds, engine="onnx")))
    assert section(text, "Offline")[1:] == ["litert int8 12.5 10.0 15.0", "onnx int8 12.5 10.0 15.0"]
    # Linear between 10 and 20: p90 is 19; a quarter of the four frames of two cameras was lost.
    assert section(text, "Multi-stream: cameras of 15 frames/s")[2:] == ["litert int8 1 19.0 60.0 25.0 -"]
    # 80 ms, of which the first half has three frames.
    assert section(text, "Sustained")[2:] == ["litert int8 0.0 4 10.0 30.0 3.00 30.0"]
    assert section(text, "Energy (mJ)")[2:] == ["litert int8 100.0 100.0", "onnx int8 100.0 100.0"]


def test_what_a_board_does_not_tell_is_a_dash() -> None:
    measured = one_round((10.0,), proportional_memory_bytes=None)
    measured = dataclasses.replace(measured, frame=dataclasses.replace(measured.frame, machine_cpu=None))
    stages = {
        name: dataclasses.replace(stage, parameters=None if name == "pnet" else stage.parameters, multiply_adds=None)
        for name, stage in case(measured).stages.items()
    }
    text = format_record(record(case(measured, stages=stages), case(one_round((10.0,)), engine="onnx")))
    assert section(text, "Start and memory")[2] == "litert int8 400 400 to 400 80.0 - 2.00 0.50"
    assert section(text, "Files")[2] == "litert int8 2030.0 98.0 - 56,551 251.4 - litert 1.0"
    assert section(text, "Processor")[2] == "litert int8 one core 50.0 10.0 - -"
    assert "Energy" not in text


def test_training() -> None:
    measured = TrainingCase(
        architecture="sepnet_tiny",
        backend="torch 2",
        accelerator=None,
        threads=None,
        batch_size=64,
        ms_per_image=(1.0, 3.0, 2.0),
        peak_memory_bytes=900_000_000,
        process_cpu=CpuShare(user_percent=370.2, system_percent=10.2),
        machine_cpu=None,
    )
    text = format_record(record(training=(measured,)))
    assert section(text, "Training")[2:] == ["sepnet_tiny processor torch 2 all 64 3 2.00 900.0 380"]
    assert "Training" not in format_record(record())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_tables_and_names_stay_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    print_record(record(case(STABLE, precision="[red]int8\x1b[2J")), stream)
    text = stream.getvalue()
    assert text.startswith("litert [red]int8?[2J: 10.0 ms a frame")
    assert "─────" in text
    assert "\x1b[2J" not in text


@pytest.mark.parametrize("columns", [50, 60, 80, 100, 200])
def test_a_narrow_terminal_loses_nothing(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    made, stream = record(*two_cases()), Terminal()
    print_record(made, stream)
    shown = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue()).split()
    assert [word for word in format_record(made).split() if word not in shown] == []


@pytest.mark.parametrize("make", [io.StringIO, Terminal], ids=["a file", "no rich"])
def test_else_plain_text_is_printed(make: Callable[[], io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    stream = make()
    print_record(record(), stream)
    assert stream.getvalue() == format_record(record())


@pytest.mark.parametrize(
    ("cell", "markdown", "shown"),
    [
        ("a\x1b[31mb\n", False, "a?[31mb?"),
        ("a\u202eb", False, "a?b"),
        ("a|b", True, "a\\|b"),
        ("a|b", False, "a|b"),
        ("<b>&amp;", True, "\\<b\\>\\&amp;"),
        ("[x](y) `z` *w*", True, "\\[x\\](y) \\`z\\` \\*w\\*"),
        ("mini_xception _x_", True, "mini_xception \\_x\\_"),
        ("a\\|b", True, "a\\\\\\|b"),
    ],
    ids=["terminal", "direction", "cell", "plain", "html", "markdown", "underscores", "backslash"],
)
def test_names_steer_nothing(cell: str, markdown: bool, shown: str) -> None:
    assert shown in format_columns(["name"], [[cell]], markdown=markdown)
    assert not markdown or markdown_text(cell) == shown


def test_numbers_are_aligned_on_the_right() -> None:
    rows = [["a", "1.5", "1,000", "-", "-"], ["b", "10.25", "-", "-", "x"]]
    assert format_columns(["n", "right", "grouped", "none", "text"], rows).splitlines() == [
        "n  right  grouped  none  text",
        "a    1.5    1,000  -     -",
        "b  10.25        -  -     x",
    ]
