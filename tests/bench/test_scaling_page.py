"""Page and tables of any record are whole and say what the record says."""

from __future__ import annotations

import pytest
from bench.report.page_checks import check_page
from bench.scaling_samples import PRECISIONS, case, memory_run, one_round, record

from fer_edge_bench.record import BundleIdentity
from fer_edge_bench.report.scaling_page import scaling_html
from fer_edge_bench.report.scaling_tables import format_scaling
from fer_edge_bench.scaling.figures import case_figures
from fer_edge_bench.scaling.record import ScalingRecord, ScalingSettings
from fer_edge_bench.scaling.samples import MemoryRun

EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


def unknown() -> ScalingRecord:
    """A bundle that does not state its arithmetic, on an engine without large convolutions, without runs of memory."""
    bare = one_round(peak_ms={})
    figures = case_figures((bare,), (), PRECISIONS, None, {})
    return record(
        case(bare, memory=(), classifier_multiply_adds=None, peak_multiply_adds={}, figures=figures),
    )


@pytest.mark.parametrize(
    ("made", "n_figures"),
    [
        pytest.param(record(), 8, id="plain"),
        pytest.param(record(*(case(engine=f"e{i}") for i in range(11))), 8, id="many cases"),
        pytest.param(record(case(one_round())), 8, id="one process"),
        pytest.param(record(case(memory=(memory_run(grown_bytes=9_000_000),))), 7, id="a leak"),
        pytest.param(unknown(), 6, id="unknown"),
    ],
)
def test_a_page_is_whole(made: ScalingRecord, n_figures: int) -> None:
    page = check_page(scaling_html(made, command="fer-edge bench scaling"))
    assert page.tags["figure"] == n_figures
    # Each plot is drawn for a phone and for a desktop.
    assert page.tags["svg"] == 2 * n_figures
    assert page.tags["table"] == 5
    assert page.texts["code"] == ["fer-edge bench scaling"]


def test_the_page_has_the_figures() -> None:
    made = record(case(one_round(), one_round()))
    page = check_page(scaling_html(made, command="x"))
    figures = made.cases[0].figures
    assert figures.times_floor is not None
    assert page.texts["dd"] == [f"{figures.times_floor.value:.1f} x", "10 %", "2.00 ms", "30.0 ms", "0.50 MB"]
    cells = page.texts["td"]
    for text in ("12.5", "40.0", "80.0", "60.0", "2 ms a face", "30 ms a megapixel", "0.500"):
        assert text in cells
    assert "litert int8: 2 ms a face + 5 ms, R² 1.0000, at most 0 % off" in " ".join(page.texts["li"])
    assert "10.0 of 80.0 GMAC/s, 12 %" in " ".join(page.texts["text"])
    # Both processes agree, nothing else ran, the bound is met: nothing to warn of.
    assert not any("!" in text or "surely" in text for text in page.texts["li"])


def test_names_are_text() -> None:
    identity = BundleIdentity(name=EVIL, version=EVIL, manifest_sha256=EVIL, classifier=EVIL)
    html = scaling_html(record(case(engine=EVIL), bundle=identity), command=EVIL)
    assert check_page(html).texts["code"] == ["<script>alert(1)</script>\"'&?[31m?"]
    assert "<script" not in html
    assert "\x1b" not in html


@pytest.mark.parametrize(
    ("made", "warning"),
    [
        (record(busy_percent=55.0), "Other programs took 55 % of the processor before the start."),
        (record(case(one_round())), "One process of each case"),
        (record(case(memory=(memory_run(grown_bytes=9_000_000),))), "pipeline: memory grew by 9.0 MB in 1000 frames."),
    ],
    ids=["busy", "one process", "leak"],
)
def test_warnings(made: ScalingRecord, warning: str) -> None:
    page = check_page(scaling_html(made, command="x"))
    assert any(text.strip().startswith(warning) or warning in text for text in page.texts["li"])
    assert 'class="headline doubt"' in scaling_html(made, command="x")


@pytest.mark.parametrize("markdown", [False, True], ids=["text", "markdown"])
def test_text_has_the_tables(markdown: bool) -> None:
    text = format_scaling(record(), markdown=markdown)
    assert text.count("Growth of memory") == 1
    assert "not told by 1000 frames" in text
    assert ("| litert int8 |" in text) == markdown


def test_enough_frames_tell() -> None:
    runs = (memory_run(grown_bytes=1_000_000, frames=20000), memory_run("tracker", 3_000_000, frames=20000))
    rows = [line.split() for line in format_scaling(_of_20000(runs)).splitlines() if "20000 " in line]
    assert [(row[2], row[4], row[-1]) for row in rows if row[0] == "litert"] == [
        ("pipeline", "1.000", "met"),
        ("tracker", "3.000", "missed"),
    ]


def _of_20000(runs: tuple[MemoryRun, ...]) -> ScalingRecord:
    return record(case(memory=runs), settings=ScalingSettings(rounds=2, frames=20000))
