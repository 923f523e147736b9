"""The page of `fer-edge bench scaling`."""

from __future__ import annotations

from collections.abc import Iterator

from fer_edge_bench.circumstances import BUSY_PERCENT
from fer_edge_bench.report.blocks import document_html, figure_html, header_html, table_html
from fer_edge_bench.report.plot import Plot
from fer_edge_bench.report.scaling_plots import fit_plots, memory_plots, peak_plot, split_plot
from fer_edge_bench.report.scaling_tables import memory_verdict, scaling_tables
from fer_edge_bench.report.svg import escape
from fer_edge_bench.scaling.figures import LEAK_BOUND_MB, PYTHON_BOUND_PERCENT, verdict
from fer_edge_bench.scaling.record import ScalingCase, ScalingRecord

__all__ = ["scaling_html"]

# Heading, plots and tables of each section, by key.
_SECTIONS = (
    ("The distance to the floor", ("peak",), ("peak",)),
    ("Where the time goes", ("split",), ("frame",)),
    ("How the cost grows", ("faces", "pixels", "rnet", "onet"), ("lines", "points")),
    ("Memory", ("memory-pipeline", "memory-tracker"), ("memory",)),
)


def scaling_html(record: ScalingRecord, *, command: str) -> str:
    """Return a record's page; `command` is the command line that measures it again."""
    drawn = {plot.key: figure_html(plot) for plot in _plots(record)}
    written = {table.key: table_html(table) for table in scaling_tables(record)}
    sections = [
        "\n".join(
            [
                f"<section>\n<h2>{heading}</h2>",
                *(drawn[key] for key in plot_keys if key in drawn),
                *(written[key] for key in table_keys),
                "</section>",
            ]
        )
        for heading, plot_keys, table_keys in _SECTIONS
    ]
    body = "\n".join(
        [
            header_html("fer-edge bench scaling", record.machine, record.bundle, record.created_utc),
            "<main>",
            _headline(record),
            *sections,
            _method(record, command),
            "</main>",
        ]
    )
    return document_html(f"{record.machine.model} - fer-edge bench scaling", body)


def _plots(record: ScalingRecord) -> Iterator[Plot]:
    yield peak_plot(record)
    yield split_plot(record)
    yield from fit_plots(record)
    yield from memory_plots(record)


def _headline(record: ScalingRecord) -> str:
    case = min(record.cases, key=lambda item: item.figures.frame_ms.value)
    figures = case.figures
    cards = []
    if figures.times_floor is not None and figures.floor_ms is not None:
        cards.append(
            (
                f"{figures.times_floor.value:.1f}",
                "x",
                f"the floor of {figures.floor_ms.value:.1f} ms: a frame's multiply-adds at the engine's peak",
            )
        )
    cards += [
        (f"{figures.python.percent.value:.0f}", "%", f"Python's share of a frame; at most {PYTHON_BOUND_PERCENT:g}"),
        (f"{figures.faces.slope:.2f}", "ms", f"for one more face; R² {figures.faces.r2:.4f}"),
        (f"{figures.pixels.slope:.1f}", "ms", f"for one more megapixel; R² {figures.pixels.r2:.4f}"),
    ]
    if figures.memory:
        worst = max(figures.memory, key=lambda item: item.growth_mb)
        cards.append(
            (f"{worst.growth_mb:.2f}", "MB", f"growth of memory in {worst.frames} frames; below {LEAK_BOUND_MB:g}")
        )
    shown = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{value} <small>{unit}</small></dd></div>\n" for value, unit, label in cards
    )
    warned = list(_warnings(record))
    doubt = " doubt" if warned else ""
    listed = "".join(f"<li>{escape(line)}</li>\n" for line in warned)
    return (
        f'<section class="headline{doubt}">\n<h2>{escape(case.name)}</h2>\n<dl>\n{shown}</dl>\n'
        + (f'<ul class="warnings">\n{listed}</ul>\n' if listed else "")
        + "</section>"
    )


def _warnings(record: ScalingRecord) -> Iterator[str]:
    if record.busy_percent is not None and record.busy_percent > BUSY_PERCENT:
        yield f"Other programs took {record.busy_percent:.0f} % of the processor before the start."
    if record.settings.rounds == 1:
        yield "One process of each case: how another would differ is not known."
    for case in record.cases:
        yield from _case_warnings(case)


def _case_warnings(case: ScalingCase) -> Iterator[str]:
    if verdict(case.figures.python.percent, PYTHON_BOUND_PERCENT) != "met":
        share = case.figures.python.percent.value
        yield f"{case.name}: Python's share is {share:.1f} %, not surely at most {PYTHON_BOUND_PERCENT:g} %."
    for memory in case.figures.memory:
        if memory_verdict(memory) == "missed":
            yield f"{case.name}, {memory.kind}: memory grew by {memory.growth_mb:.1f} MB in {memory.frames} frames."
    for crowd in case.rounds[0].crowd:
        if crowd.work.n_faces != crowd.asked:
            yield f"{case.name}: {crowd.work.n_faces} faces were found of {crowd.asked}."


def _method(record: ScalingRecord, command: str) -> str:
    settings = record.settings
    steps = (
        f"Each case runs {settings.rounds} times in a process of its own; the cases take turns. {settings.threads} "
        f"{'thread' if settings.threads == 1 else 'threads'}.",
        f"Stages: {settings.passes} passes over {len(record.load)} views of the demo photo; after each pass the large "
        "convolutions run once, so that both meet the same machine.",
        "Parts: the same passes with a clock around every function of OpenCV. Nothing is taken off for the clocks, so "
        "that Python's share is at most what is shown.",
        "Faces: frames with 1 to 100 copies of a face in turn. Pixels: one size after the other, up and down in turn.",
        f"Memory: a fresh process analyses {settings.frames} frames.",
    )
    listed = "".join(f"<li>{escape(step)}</li>\n" for step in steps)
    return (
        f"<section>\n<h2>How it was measured</h2>\n<ol>\n{listed}</ol>\n"
        f"<h3>Measure it again</h3>\n<pre><code>{escape(command)}</code></pre>\n</section>"
    )
