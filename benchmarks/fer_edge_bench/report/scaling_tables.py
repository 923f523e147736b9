"""The tables of `fer-edge bench scaling`, and the same as text."""

from __future__ import annotations

from collections.abc import Sequence

from fer_edge_bench.report.figures import UNKNOWN, ms, printable
from fer_edge_bench.report.tables import Table
from fer_edge_bench.scaling.figures import (
    LEAK_BOUND_MB,
    LEAK_FRAMES,
    PYTHON_BOUND_PERCENT,
    MemoryFigures,
    verdict,
)
from fer_edge_bench.scaling.fits import Estimate, Line
from fer_edge_bench.scaling.record import ScalingCase, ScalingRecord
from fer_edge_bench.statistics import percentile
from fer_edge_bench.table import format_columns, markdown_text

__all__ = ["format_scaling", "memory_verdict", "scaling_tables"]


def scaling_tables(record: ScalingRecord) -> list[Table]:
    """Return the tables in the order to read them."""
    cases = record.cases
    return [_peak_table(cases), _frame_table(cases), _line_table(cases), _point_table(cases), _memory_table(cases)]


def format_scaling(record: ScalingRecord, *, markdown: bool = False) -> str:
    """Return the tables as text for people, or as Markdown to paste."""
    show = markdown_text if markdown else printable
    parts = []
    for table in scaling_tables(record):
        columns = format_columns(table.headings, table.rows, markdown=markdown)
        title, note = show(table.title), show(table.note)
        parts.append(f"### {title}\n\n{note}\n\n{columns}" if markdown else f"{title}\n{note}\n{columns}")
    return "\n\n".join(parts) + "\n"


def memory_verdict(figures: MemoryFigures) -> str:
    """Return whether memory grew by less than the bound, where there were enough frames to tell."""
    if figures.growth_mb >= LEAK_BOUND_MB:
        return "missed"
    return "met" if figures.frames >= LEAK_FRAMES else f"not told by {figures.frames} frames"


def _peak_table(cases: Sequence[ScalingCase]) -> Table:
    return Table(
        key="peak",
        title="Stages and the engine's peak",
        note="MMAC: million multiply-adds of a frame, mean over the pictures. Intervals are 95 %, over the processes.",
        headings=("case", "stage", "precision", "MMAC", "engine ms", "GMAC/s", "peak", "on", "% of peak", "interval"),
        rows=tuple(
            (
                case.name,
                name,
                stage.precision,
                UNKNOWN if stage.mmac is None else f"{stage.mmac:.1f}",
                ms(stage.engine_ms),
                _value(stage.gmac_per_s, 2),
                _value(stage.peak_gmac_per_s, 1),
                (stage.peak or UNKNOWN).split()[0],
                _value(stage.percent_of_peak, 1),
                _interval(stage.percent_of_peak, 1),
            )
            for case in cases
            for name, stage in case.figures.stages.items()
        ),
    )


def _frame_table(cases: Sequence[ScalingCase]) -> Table:
    return Table(
        key="frame",
        title="A frame, its floor and its parts",
        note="Floor: the frame's multiply-adds at the peak. Shares in % of a frame; Python is what is neither engine "
        f"nor OpenCV, and may take {PYTHON_BOUND_PERCENT:g} %. The clocks around OpenCV's calls, counted as Python's, "
        f"took {max(case.figures.clock_percent for case in cases):.2f} % of a frame at most.",
        headings=(
            "case",
            "ms",
            "floor ms",
            "times floor",
            "interval",
            "engine",
            "OpenCV",
            "Python",
            "its interval",
            "9 of 10 frames",
            "bound",
        ),
        rows=tuple(
            (
                case.name,
                ms(figures.frame_ms.value),
                UNKNOWN if figures.floor_ms is None else ms(figures.floor_ms.value),
                _value(figures.times_floor, 2),
                _interval(figures.times_floor, 2),
                _value(figures.engine.percent, 1),
                _value(figures.opencv.percent, 1),
                _value(figures.python.percent, 1),
                _interval(figures.python.percent, 1),
                "{:.1f} to {:.1f}".format(*figures.python.frames90_percent),
                verdict(figures.python.percent, PYTHON_BOUND_PERCENT),
            )
            for case in cases
            for figures in (case.figures,)
        ),
    )


def _line_table(cases: Sequence[ScalingCase]) -> Table:
    def row(case: ScalingCase, what: str, unit: str, line: Line) -> tuple[str, ...]:
        return (
            case.name,
            what,
            f"{line.slope:.4g} {unit}",
            UNKNOWN if line.slope_interval95 is None else "{:.4g} to {:.4g}".format(*line.slope_interval95),
            f"{line.intercept:.2f}",
            f"{line.r2:.5f}",
            f"{line.largest_deviation:.2f}",
            f"{line.largest_deviation_percent:.1f}",
        )

    return Table(
        key="lines",
        title="How the cost grows",
        note="Least squares through the medians. Off: the largest deviation of one of them from the line.",
        headings=("case", "of", "slope", "interval", "at 0, ms", "R²", "off, ms", "off, %"),
        rows=tuple(
            row(case, what, unit, line)
            for case in cases
            for what, unit, line in (
                ("faces", "ms a face", case.figures.faces),
                ("pixels", "ms a megapixel", case.figures.pixels),
                ("R-Net's crops", "ms a crop", case.figures.rnet),
                ("O-Net's crops", "ms a crop", case.figures.onet),
            )
        ),
    )


def _point_table(cases: Sequence[ScalingCase]) -> Table:
    rows = []
    for case in cases:
        for i, crowd in enumerate(case.rounds[0].crowd):
            median = percentile([t for one in case.rounds for t in one.crowd[i].frame_ms], 50)
            work, line = crowd.work, case.figures.faces
            rows.append(
                (
                    case.name,
                    "1280 x 960",
                    str(crowd.asked),
                    str(work.n_faces),
                    str(work.rnet_crops),
                    str(work.onet_crops),
                    ms(median),
                    f"{line.at(work.n_faces):.1f}",
                )
            )
        for i, point in enumerate(case.rounds[0].pixels):
            median = percentile([t for one in case.rounds for t in one.pixels[i].frame_ms], 50)
            work, line = point.work, case.figures.pixels
            rows.append(
                (
                    case.name,
                    f"{point.size_wh[0]} x {point.size_wh[1]}",
                    "1",
                    str(work.n_faces),
                    str(work.rnet_crops),
                    str(work.onet_crops),
                    ms(median),
                    f"{line.at(point.megapixels):.1f}",
                )
            )
    return Table(
        key="points",
        title="The points of the lines",
        note="Medians of all runs; the line's value beside them.",
        headings=("case", "frame", "faces", "found", "R-Net's crops", "O-Net's crops", "ms", "line"),
        rows=tuple(rows),
    )


def _memory_table(cases: Sequence[ScalingCase]) -> Table:
    return Table(
        key="memory",
        title="Growth of memory",
        note="Resident memory from the end of the first tenth to the last frame, by a robust line; it may grow by less "
        f"than {LEAK_BOUND_MB:g} MB in {LEAK_FRAMES} frames. Peak: the growth of its largest value.",
        headings=("case", "run", "frames", "growth, MB", "peak, MB", "frames/s", "bound"),
        rows=tuple(
            (
                case.name,
                figures.kind,
                str(figures.frames),
                f"{figures.growth_mb:.3f}",
                f"{figures.peak_growth_mb:.3f}",
                f"{figures.frames_per_s:.1f}",
                memory_verdict(figures),
            )
            for case in cases
            for figures in case.figures.memory
        ),
    )


def _value(estimate: Estimate | None, digits: int) -> str:
    return UNKNOWN if estimate is None else f"{estimate.value:.{digits}f}"


def _interval(estimate: Estimate | None, digits: int) -> str:
    if estimate is None or estimate.interval95 is None:
        return UNKNOWN
    low, high = estimate.interval95
    return f"{low:.{digits}f} to {high:.{digits}f}"
