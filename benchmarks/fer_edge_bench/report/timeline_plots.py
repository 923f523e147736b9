"""Plots along the time of a benchmark: memory, and heat with what it does to clock and frames."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fer_edge_bench.record import BenchRecord, TimelinePoint
from fer_edge_bench.report.figures import mb, ms
from fer_edge_bench.report.plot import (
    AXIS_PX,
    LEFT_PX,
    N_COLOURS,
    RIGHT_PX,
    TOP_PX,
    LegendEntry,
    Plot,
    case_legend,
)
from fer_edge_bench.report.svg import Drawing, Scale, padded
from fer_edge_bench.samples import SustainedRun

__all__ = ["heat_plot", "memory_plot"]


def memory_plot(record: BenchRecord) -> Plot | None:
    """Return the memory of what ran, over time; None where it was never looked at."""
    began_s = min((case.sustained.began_s for case in record.cases if case.sustained is not None), default=math.inf)
    timeline = [point for point in record.timeline if point.t_s < began_s]
    spans = list(_spans(timeline))
    if not spans:
        return None
    by_case: dict[int, int] = {}
    for case, points in spans:
        by_case[case] = max(by_case.get(case, 0), *(size for _, size in points))
    described = "; ".join(f"{record.cases[case].name}: {mb(size)} MB at most" for case, size in by_case.items())
    return Plot(
        key="memory",
        title="Memory over time",
        reading="Resident memory of the processes at work, up to sustained work, which is shown by itself; the number "
        "is the case's. Several cameras at once are summed.",
        description=described,
        legend=case_legend(record, by_case),
        draw=lambda width: _draw_memory(spans, timeline, width),
    )


def _draw_memory(
    spans: Sequence[tuple[int, list[tuple[float, int]]]], timeline: Sequence[TimelinePoint], width: float
) -> Drawing:
    height = 240.0
    drawing = Drawing(width, height)
    bottom, right = height - AXIS_PX, width - RIGHT_PX
    highest_mb = max(size for _, points in spans for _, size in points) / 1e6
    x_scale = _clock_scale(timeline, right)
    y_scale = Scale(low=0.0, high=1.12 * highest_mb or 1.0, start_px=bottom, end_px=TOP_PX)
    drawing.x_axis(x_scale, TOP_PX, bottom, "seconds since the start")
    drawing.y_axis(y_scale, LEFT_PX, right, "MB")
    last_label_px = -math.inf
    for case, points in spans:
        colour = case % N_COLOURS
        shown = [(x_scale(t), y_scale(size / 1e6)) for t, size in _thinned(points, right - LEFT_PX, max)]
        drawing.line(shown, css=f"curve s{colour}")
        drawing.dots(shown[-1:], css=f"end s{colour}")
        top_x, top_y = min(shown, key=lambda point: point[1])
        if top_x - last_label_px >= 14:
            drawing.text(top_x, top_y - 6, str(case + 1), anchor="middle", css="name halo")
            last_label_px = top_x
    return drawing


def _spans(timeline: Iterable[TimelinePoint]) -> Iterator[tuple[int, list[tuple[float, int]]]]:
    """Yield a case, times and memory of each stretch of the timeline in which it ran."""
    for case, points in itertools.groupby(
        timeline, key=lambda point: None if point.memory_bytes is None else point.case
    ):
        if case is not None:
            yield case, [(point.t_s, point.memory_bytes) for point in points if point.memory_bytes is not None]


def heat_plot(record: BenchRecord) -> Plot | None:
    """Return temperature, clock, power and sustained frames over time, of those there are; None without any."""
    panels = [panel for panel in (_sensor_panel(record, *kind) for kind in _SENSOR_PANELS) if panel is not None]
    runs = [(number, case.sustained) for number, case in enumerate(record.cases) if case.sustained is not None]
    panels += [panel for panel in (_sustained_panel(runs), _memory_panel(record.timeline, runs)) if panel is not None]
    if not panels:
        return None
    held = _held_spans(record.timeline)
    told = "; ".join(panel.described for panel in panels)
    held_text = "; ".join(f"held back from {begin:.0f} to {end:.0f} s: {why}" for begin, end, why in held)
    legend = case_legend(record, [number for number, _ in runs])
    if held:
        legend += (LegendEntry(css="held", sign="▨", text="the board held its processor back"),)
    return Plot(
        key="heat",
        title="Heat, clock and sustained work",
        reading="Panels share the time. Heat shows as a higher temperature, a lower clock and frames that take longer.",
        description=f"{told}; {held_text or 'not held back, or the board does not tell'}",
        legend=legend,
        draw=lambda width: _draw_heat(panels, held, _end_s(record.timeline, runs), width),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One of several plots above each other: lines of times and values by colour and number."""

    label: str
    from_zero: bool
    described: str
    lines: tuple[tuple[str, str, tuple[tuple[float, float], ...]], ...]


# Attribute of the timeline, what it is, unit, and whether the axis begins at 0: a fall then looks as deep as it is.
_SENSOR_PANELS = (
    ("temperature_c", "temperature", "°C", False),
    ("clock_mhz", "clock", "MHz", True),
    ("power_w", "power", "W", True),
)


def _sensor_panel(record: BenchRecord, attribute: str, what: str, unit: str, from_zero: bool) -> _Panel | None:
    points = tuple(
        (point.t_s, float(value)) for point in record.timeline if (value := getattr(point, attribute)) is not None
    )
    if not points:
        return None
    values = [value for _, value in points]
    return _Panel(
        label=f"{what}, {unit}",
        from_zero=from_zero,
        described=f"{what} {min(values):.0f} to {max(values):.0f} {unit}",
        lines=(("sensor", "", points),),
    )


def _sustained_panel(runs: Sequence[tuple[int, SustainedRun]]) -> _Panel | None:
    if not runs:
        return None
    longest_s = max(run.ended_ms[-1] for _, run in runs) / 1000
    # A second, or what a phone's screen can still show of half an hour.
    step_s = max(math.ceil(longest_s / 300), 1)
    lines = []
    described = []
    for number, run in runs:
        medians = _medians(run, step_s)
        lines.append((f"s{number % N_COLOURS}", str(number + 1), tuple(medians)))
        described.append(f"case {number + 1} from {ms(medians[0][1])} to {ms(medians[-1][1])} ms")
    each = "each second" if step_s == 1 else f"each {step_s} s"
    return _Panel(
        label=f"sustained: median frame of {each}, ms",
        from_zero=True,
        described=f"sustained work, median of {each}: {', '.join(described)}",
        lines=tuple(lines),
    )


def _memory_panel(timeline: Sequence[TimelinePoint], runs: Sequence[tuple[int, SustainedRun]]) -> _Panel | None:
    lines = []
    for number, run in runs:
        end_s = run.began_s + run.ended_ms[-1] / 1000
        points = tuple(
            (point.t_s, point.memory_bytes / 1e6)
            for point in timeline
            if point.case == number and point.memory_bytes is not None and run.began_s <= point.t_s <= end_s
        )
        if points:
            lines.append((number, points))
    if not lines:
        return None
    described = (f"case {number + 1} from {points[0][1]:.1f} to {points[-1][1]:.1f} MB" for number, points in lines)
    return _Panel(
        label="sustained: memory, MB",
        from_zero=True,
        described=f"sustained work, memory: {', '.join(described)}",
        lines=tuple((f"s{number % N_COLOURS}", str(number + 1), points) for number, points in lines),
    )


def _medians(run: SustainedRun, step_s: int) -> list[tuple[float, float]]:
    """Return time, in seconds since the benchmark's start, and median of the frames that ended in each step."""
    pairs = zip(run.ended_ms, run.frames_ms, strict=True)
    found = []
    for step, members in itertools.groupby(pairs, key=lambda pair: int(pair[0] // (1000 * step_s))):
        median_ms = statistics.median(frame_ms for _, frame_ms in members)
        found.append((run.began_s + (step + 0.5) * step_s, median_ms))
    return found


def _held_spans(timeline: Sequence[TimelinePoint]) -> list[tuple[float, float, str]]:
    """Return begin, end and reason of each stretch in which the processor was held back."""
    spans = []
    for reason, points in itertools.groupby(timeline, key=lambda point: point.throttled):
        if reason is not None:
            times = [point.t_s for point in points]
            spans.append((times[0], times[-1], reason))
    return spans


def _end_s(timeline: Sequence[TimelinePoint], runs: Sequence[tuple[int, SustainedRun]]) -> float:
    ends = [point.t_s for point in timeline] + [run.began_s + run.ended_ms[-1] / 1000 for _, run in runs]
    return max(ends, default=1.0) or 1.0


def _draw_heat(
    panels: Sequence[_Panel], held: Sequence[tuple[float, float, str]], end_s: float, width: float
) -> Drawing:
    panel_px, gap_px = 110.0, 34.0
    drawing = Drawing(width, (panel_px + gap_px) * len(panels) + AXIS_PX)
    right = width - RIGHT_PX
    x_scale = Scale(low=0.0, high=end_s, start_px=LEFT_PX, end_px=right)
    for position, panel in enumerate(panels):
        top = gap_px + position * (panel_px + gap_px)
        bottom = top + panel_px
        values = [value for _, _, points in panel.lines for _, value in points]
        low, high = (0.0, 1.1 * max(values) or 1.0) if panel.from_zero else padded(values)
        y_scale = Scale(low=low, high=high, start_px=bottom, end_px=top)
        for begin, end, why in held:
            left = x_scale(begin)
            drawing.rect(left, top, max(x_scale(end) - left, 2.0), panel_px, css="held", title=f"held back: {why}")
        drawing.y_axis(y_scale, LEFT_PX, right, "")
        drawing.text(0, top - 10, panel.label, css="label")
        if position == len(panels) - 1:
            drawing.x_axis(x_scale, top, bottom, "seconds since the start")
        for css, sign, points in panel.lines:
            shown = [(x_scale(t), y_scale(value)) for t, value in _thinned(points, right - LEFT_PX, statistics.median)]
            drawing.line(shown, css=f"curve {css}")
            drawing.dots(shown[-1:], css=f"end {css}")
            if sign:
                drawing.text(shown[-1][0] - 3, shown[-1][1] - 7, sign, anchor="end", css="name halo")
    return drawing


def _clock_scale(timeline: Sequence[TimelinePoint], right: float) -> Scale:
    return Scale(low=0.0, high=max(point.t_s for point in timeline) or 1.0, start_px=LEFT_PX, end_px=right)


def _thinned(
    points: Sequence[tuple[float, float]], width_px: float, choose: Callable[[Iterable[float]], float]
) -> list[tuple[float, float]]:
    """Return at most a point for every pixel: of neighbours the middle time, and of their values what is chosen."""
    step = math.ceil(len(points) / width_px)
    parts = [points[i : i + step] for i in range(0, len(points), step)]
    return [(part[len(part) // 2][0], choose([value for _, value in part])) for part in parts]
