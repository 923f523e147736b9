"""Plots of the cases side by side: every timed frame, its parts, and cameras at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fer_edge_bench.record import BenchRecord, Case
from fer_edge_bench.report.figures import ms
from fer_edge_bench.report.plot import (
    AXIS_PX,
    N_COLOURS,
    RIGHT_PX,
    ROOMY_PX,
    LegendEntry,
    Plot,
    time_label,
    time_scale,
)
from fer_edge_bench.report.svg import Drawing, Scale
from fer_edge_bench.samples import STAGE_SERIES, StreamTrial

__all__ = ["latency_plot", "stages_plot", "streams_plot"]

# Above this many dots a case's are drawn at whole pixels, those that coincide once.
_MANY_DOTS = 2000
_OWN_PART = "the rest"


def latency_plot(record: BenchRecord) -> Plot:
    """Return every timed frame of every case."""
    described = "; ".join(
        f"{case.name}: p50 {ms(frame.p50_ms)}, p90 {ms(frame.p90_ms)}, p99 {ms(frame.p99_ms)} ms"
        for case in record.cases
        for frame in (case.summary.frame["frame"],)
    )
    return Plot(
        key="latency",
        title="Every frame that was timed",
        reading="A dot is a frame, pixels to faces; the first run is at the top of its band, the last at the bottom, "
        "and each band is a fresh process. Upright lines: p50 solid, p90 dashed, p99 dotted.",
        description=described,
        legend=(),
        draw=lambda width: _draw_latency(record.cases, width),
    )


def _draw_latency(cases: Sequence[Case], width: float) -> Drawing:
    band_px, label_px = 14.0, 20.0 if width >= ROOMY_PX else 34.0
    row_px = [label_px + band_px * len(case.rounds) + 12 for case in cases]
    drawing = Drawing(width, sum(row_px) + AXIS_PX)
    scale = time_scale(
        [t for case in cases for measured in case.rounds for t in measured.frame.samples_ms["frame"]],
        8.0,
        width - RIGHT_PX,
    )
    drawing.x_axis(scale, 0, sum(row_px), time_label("ms a frame", scale))
    top = 0.0
    for number, case in enumerate(cases):
        frame = case.summary.frame["frame"]
        figures = f"p50 {ms(frame.p50_ms)} · p90 {ms(frame.p90_ms)} · p99 {ms(frame.p99_ms)}"
        drawing.text(0, top + 13, f"{number + 1}  {case.name}", css="name halo")
        if width >= ROOMY_PX:
            drawing.text(width - RIGHT_PX, top + 13, figures, anchor="end", css="tick")
        else:
            drawing.text(0, top + 28, figures, css="tick")
        bands_top = top + label_px
        dots: list[tuple[float, float]] = []
        for position, measured in enumerate(case.rounds):
            band_top = bands_top + position * band_px
            drawing.rect(0, band_top, width, band_px - 2, css="band")
            samples = measured.frame.samples_ms["frame"]
            dots += [
                (scale(t), band_top + 1.5 + (band_px - 5) * (i + 0.5) / len(samples)) for i, t in enumerate(samples)
            ]
        if len(dots) > _MANY_DOTS:
            dots = list(dict.fromkeys((float(round(x)), float(round(y))) for x, y in dots))
        drawing.dots(dots, css=f"dots s{number % N_COLOURS}")
        bottom = bands_top + band_px * len(case.rounds) - 2
        for value, css in ((frame.p50_ms, "p50"), (frame.p90_ms, "p90"), (frame.p99_ms, "p99")):
            drawing.line([(scale(value), bands_top), (scale(value), bottom)], css=css)
        top += row_px[number]
    return drawing


def stages_plot(record: BenchRecord) -> Plot:
    """Return a bar of a frame's parts for every case."""
    names = (*STAGE_SERIES, _OWN_PART)
    described = "; ".join(
        f"{case.name}: " + ", ".join(f"{name} {ms(value)}" for name, value in zip(names, _parts_ms(case), strict=True))
        for case in record.cases
    )
    return Plot(
        key="stages",
        title="The parts of a frame",
        reading="Means, for means add up. The line below a bar is the part of it inside the engine.",
        description=f"{described} ms",
        legend=tuple(
            LegendEntry(css=f"t{number}", sign=str(number + 1), text=name) for number, name in enumerate(names)
        ),
        draw=lambda width: _draw_stages(record.cases, names, width),
    )


def _draw_stages(cases: Sequence[Case], names: Sequence[str], width: float) -> Drawing:
    row_px, bar_px = 56.0, 22.0
    drawing = Drawing(width, row_px * len(cases) + AXIS_PX)
    longest_ms = max(case.summary.frame["frame"].mean_ms for case in cases)
    scale = Scale(low=0.0, high=1.02 * longest_ms or 1.0, start_px=8.0, end_px=width - RIGHT_PX)
    drawing.x_axis(scale, 0, row_px * len(cases), "ms a frame, mean")
    for number, case in enumerate(cases):
        top = number * row_px
        series = case.summary.frame
        drawing.text(0, top + 14, f"{number + 1}  {case.name}", css="name halo")
        drawing.text(width - RIGHT_PX, top + 14, f"{ms(series['frame'].mean_ms)} ms", anchor="end", css="tick")
        begin_ms = 0.0
        for part, (name, value_ms) in enumerate(zip(names, _parts_ms(case), strict=True)):
            left, right = scale(begin_ms), scale(begin_ms + value_ms)
            title = f"{case.name}: {name} {ms(value_ms)} ms"
            drawing.rect(left, top + 20, right - left, bar_px, css=f"part t{part}", title=title)
            if right - left >= 12:
                drawing.text((left + right) / 2, top + 35, str(part + 1), anchor="middle", css="inside")
            begin_ms += value_ms
        engine_y = top + 20 + bar_px + 4
        drawing.line([(scale(0), engine_y), (scale(series["engine"].mean_ms), engine_y)], css="engine")
    return drawing


def _parts_ms(case: Case) -> list[float]:
    """Return the mean of each part of a frame, and last what is left of the frame."""
    series = case.summary.frame
    parts = [series[name].mean_ms for name in STAGE_SERIES]
    return [*parts, max(series["frame"].mean_ms - sum(parts), 0.0)]


def streams_plot(record: BenchRecord) -> Plot | None:
    """Return which numbers of cameras were held; None where none were tried."""
    cases = [(number, case) for number, case in enumerate(record.cases) if case.stream_trials]
    if not cases:
        return None
    described = "; ".join(
        f"{case.name}: "
        + ", ".join(
            f"{trial.n_streams} lost {_lost_percent(trial):.1f} %{' and fell behind' if _is_late(trial) else ''}"
            for trial in _by_number(case.stream_trials)
        )
        for _, case in cases
    )
    return Plot(
        key="streams",
        title="Cameras at once",
        reading=f"Each camera gives {record.settings.frame_rate:g} frames/s. Filled: so many were held. Hollow: "
        "frames were lost, with their share, or came later and later.",
        description=described,
        legend=(),
        draw=lambda width: _draw_streams(cases, width),
    )


def _draw_streams(cases: Sequence[tuple[int, Case]], width: float) -> Drawing:
    row_px = 58.0
    drawing = Drawing(width, row_px * len(cases) + AXIS_PX)
    tried = sorted({trial.n_streams for _, case in cases for trial in case.stream_trials})
    # Evenly spaced whatever the numbers: 1, 2, 4, 3.
    spacing_px = min((width - RIGHT_PX - 20) / max(len(tried), 1), 110.0)
    place = {n_streams: 20 + spacing_px * i for i, n_streams in enumerate(tried)}
    bottom = row_px * len(cases)
    for n_streams in tried:
        drawing.text(place[n_streams], bottom + 14, str(n_streams), anchor="middle", css="tick")
    drawing.text(0, bottom + 30, "cameras at once", css="label")
    for row, (number, case) in enumerate(cases):
        top, colour = row * row_px, number % N_COLOURS
        drawing.text(0, top + 13, f"{number + 1}  {case.name}", css="name halo")
        y = top + 31
        drawing.line([(0, y), (width, y)], css="grid")
        for trial in _by_number(case.stream_trials):
            lost, x = _lost_percent(trial), place[trial.n_streams]
            title = f"{case.name}, {trial.n_streams} cameras: {trial.dropped} of {trial.due} frames lost"
            if _is_late(trial):
                title += ", falling behind"
            css = f"f{colour}" if trial.holds else f"hollow s{colour}"
            drawing.circle(x, y, 6.5, css=css, title=title)
            if not trial.holds and spacing_px >= 36:
                label = "late" if _is_late(trial) else f"{lost:.0f} %" if lost >= 1 else "< 1 %"
                drawing.text(x, y + 20, label, anchor="middle", css="tick halo")
    return drawing


def _by_number(trials: Iterable[StreamTrial]) -> list[StreamTrial]:
    """Return one trial of each number of streams: of several the one that failed."""
    found: dict[int, StreamTrial] = {}
    for trial in sorted(trials, key=lambda trial: (trial.n_streams, trial.holds)):
        found.setdefault(trial.n_streams, trial)
    return list(found.values())


def _is_late(trial: StreamTrial) -> bool:
    return not trial.dropped and trial.falls_behind


def _lost_percent(trial: StreamTrial) -> float:
    return 100 * trial.dropped / trial.due if trial.due else 0.0
