"""A record as one HTML file: plots, tables and how it was measured. It loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fer_edge.files import write_text
from fer_edge_bench.record import BenchRecord
from fer_edge_bench.report.blocks import document_html, figure_html, header_html, table_html
from fer_edge_bench.report.case_plots import latency_plot, stages_plot, streams_plot
from fer_edge_bench.report.contents import best_case, circumstance_lines, headline_text, remarks, warnings
from fer_edge_bench.report.figures import amount, interval, mb, ms
from fer_edge_bench.report.svg import escape
from fer_edge_bench.report.tables import tables
from fer_edge_bench.report.timeline_plots import heat_plot, memory_plot
from fer_edge_bench.report.trade_off import Accuracies, trade_off_plot
from fer_edge_bench.streams import MIN_FRAMES

__all__ = ["report_html", "write_report"]

# Heading, plots and tables of each section, by key. One of which nothing was measured is left out.
_SECTIONS = (
    ("A frame", ("latency",), ("frame",)),
    ("Where the time goes", ("stages",), ("stages",)),
    ("The classifier", ("trade-off",), ("face",)),
    ("Start, memory and files", ("memory",), ("start", "models")),
    ("Processor and energy", (), ("processor", "energy")),
    ("Offline", (), ("offline",)),
    ("Several cameras", ("streams",), ("streams",)),
    ("Heat and sustained work", ("heat",), ("sustained",)),
    ("Training", (), ("training",)),
)


def write_report(record: BenchRecord, path: Path, *, command: str, accuracies: Accuracies | None = None) -> None:
    """Write a record's page; a file that is there is replaced.

    Args:
        record: what was measured.
        path: of the file.
        command: that measures it again.
        accuracies: top-1 in 0..1 of each engine and precision; without, no plot sets accuracy against time.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, report_html(record, command=command, accuracies=accuracies))


def report_html(record: BenchRecord, *, command: str, accuracies: Accuracies | None = None) -> str:
    """Return a record's page; see write_report."""
    title = f"{record.machine.model} - fer-edge bench"
    body = "\n".join(
        [
            header_html("fer-edge bench", record.machine, record.bundle, record.created_utc),
            "<main>",
            _headline(record),
            _circumstances(record),
            *_sections(record, accuracies),
            _method(record, command),
            "</main>",
        ]
    )
    return document_html(title, body)


def _headline(record: BenchRecord) -> str:
    case = best_case(record)
    if case is None:
        # Said in a sentence, without figures that would be remembered.
        text = headline_text(record).removeprefix("no headline: ")
        shown = f'<section class="headline doubt">\n<h2>No headline</h2>\n<p>{escape(_sentence(text))}</p>\n'
    else:
        frame = case.summary.frame["frame"]
        figures = (
            (ms(frame.p50_ms), "ms", f"a frame, p50; 95 % interval {interval(frame)}"),
            (amount(case.summary.frames_per_s), "frames/s", "on average"),
            (ms(case.summary.face["face"].p50_ms), "ms", "a face, the classifier alone"),
            (mb(case.summary.peak_memory_bytes), "MB", "memory at its peak"),
            (amount(case.summary.cold_start_p50_ms / 1000, 2), "s", "cold start to the first faces"),
        )
        cards = "".join(
            f"<div><dt>{escape(label)}</dt><dd>{value} <small>{unit}</small></dd></div>\n"
            for value, unit, label in figures
        )
        shown = f'<section class="headline">\n<h2>{escape(case.name)}</h2>\n<dl>\n{cards}</dl>\n'
    warned = "".join(f"<li>{escape(_sentence(line))}</li>\n" for line in warnings(record))
    return shown + (f'<ul class="warnings">\n{warned}</ul>\n' if warned else "") + "</section>"


def _circumstances(record: BenchRecord) -> str:
    facts = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>\n" for label, text in circumstance_lines(record))
    return f'<section>\n<h2>Circumstances</h2>\n<dl class="facts">\n{facts}</dl>\n</section>'


def _sections(record: BenchRecord, accuracies: Accuracies | None) -> Iterator[str]:
    made = (
        latency_plot(record),
        stages_plot(record),
        trade_off_plot(record, accuracies or {}),
        streams_plot(record),
        memory_plot(record),
        heat_plot(record),
    )
    drawn = {plot.key: figure_html(plot) for plot in made if plot is not None}
    written = {table.key: table_html(table) for table in tables(record)}
    for heading, plot_keys, table_keys in _SECTIONS:
        parts = [drawn[key] for key in plot_keys if key in drawn] + [
            written[key] for key in table_keys if key in written
        ]
        if parts:
            yield "\n".join([f"<section>\n<h2>{heading}</h2>", *parts, "</section>"])


def _method(record: BenchRecord, command: str) -> str:
    steps = "".join(f"<li>{escape(step)}</li>\n" for step in _steps(record))
    notes = "".join(f"<li>{escape(_sentence(line))}</li>\n" for line in remarks(record))
    return (
        f"<section>\n<h2>How it was measured</h2>\n<ol>\n{steps}</ol>\n"
        f'<ul class="remarks">\n{notes}</ul>\n'
        f"<h3>Measure it again</h3>\n<pre><code>{escape(command)}</code></pre>\n</section>"
    )


def _steps(record: BenchRecord) -> Iterator[str]:
    settings = record.settings
    yield (
        f"Each case runs {settings.rounds} times in a process of its own; the cases take turns, so that heat and "
        "other programs meet all alike."
    )
    yield (
        "A process is started, loads the models and finds the first picture's faces: the cold start. Then it warms "
        "up until its time no longer changes."
    )
    yield (
        f"It then takes {settings.runs} samples of a frame, different pictures in turn, and as many of the "
        "classifier on one face. No sample is left out."
    )
    yield (
        "Percentiles are taken of the samples of all processes together. The interval of the median comes from "
        "resampling the processes and the samples within them."
    )
    yield (
        "A case gets no headline where the slowest tenth of its runs takes more than a fifth longer than the "
        "median, where the board held its processor back, or where other programs were busy."
    )
    if "offline" in settings.scenarios:
        yield f"Offline: all pictures again and again for {settings.bulk_s:g} s in each process, decoding included."
    if "multi-stream" in settings.scenarios:
        yield (
            f"Multi-stream: cameras of {settings.frame_rate:g} frames/s for {settings.stream_s:g} s and {MIN_FRAMES} "
            "frames at least, each with a process of its own; their number is doubled until frames are lost or come "
            "later and later, then the gap halved, and the best number tried once more. A camera keeps one frame: "
            "where the pipeline is not free in time, a newer one takes its place and it is lost."
        )
    if "sustained" in settings.scenarios:
        yield f"Sustained: one process without a pause for {settings.sustained_s:g} s."
    if record.training:
        yield "Training: steps of one batch, forward and back, after a warm-up."


def _sentence(text: str) -> str:
    """Return text that begins with a capital and ends with a point; names of engines keep their letters."""
    first = text[:1].upper() + text[1:]
    return first if first.endswith((".", "!", "?")) else f"{first}."
