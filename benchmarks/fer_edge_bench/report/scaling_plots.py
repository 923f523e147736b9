"""The plots of `fer-edge bench scaling`: stages under their peaks, a frame's parts, lines through points, memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fer_edge_bench.report.figures import ms
from fer_edge_bench.report.plot import (
    AXIS_PX,
    LEFT_PX,
    N_COLOURS,
    RIGHT_PX,
    ROOMY_PX,
    TOP_PX,
    LegendEntry,
    Plot,
)
from fer_edge_bench.report.svg import Drawing, Scale
from fer_edge_bench.scaling.figures import LEAK_BOUND_MB, PYTHON_BOUND_PERCENT, StageFigures
from fer_edge_bench.scaling.fits import Line
from fer_edge_bench.scaling.record import ScalingCase, ScalingRecord
from fer_edge_bench.scaling.samples import MemoryRun
from fer_edge_bench.statistics import percentile

__all__ = ["fit_plots", "memory_plots", "peak_plot", "split_plot"]

# Of the palette of a frame's parts, told apart also without colour.
_ENGINE, _OPENCV, _PYTHON = 1, 3, 6
_FIT_HEIGHT_PX = 320.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """Points of a case: x, and for each x all samples; and the line through the medians."""

    number: int
    name: str
    xs: tuple[float, ...]
    samples: tuple[tuple[float, ...], ...]
    line: Line


def peak_plot(record: ScalingRecord) -> Plot:
    """Return each stage's multiply-adds a second under the engine's own peak."""
    described = "; ".join(
        f"{case.name}, {name}: {_of_peak(stage)}"
        for case in record.cases
        for name, stage in case.figures.stages.items()
    )
    return Plot(
        key="peak",
        title="Multiply-adds a second, achieved and possible",
        reading="A bar is what a stage achieves inside the engine. The ground behind it reaches to the engine's own "
        "peak: a large convolution of the same precision, with as many threads, in the same process.",
        description=described,
        legend=(),
        draw=lambda width: _draw_peak(record.cases, width),
    )


def _of_peak(stage: StageFigures) -> str:
    if stage.gmac_per_s is None:
        return "multiply-adds not stated"
    if stage.peak_gmac_per_s is None or stage.percent_of_peak is None:
        return f"{stage.gmac_per_s.value:.1f} GMAC/s, peak not known"
    return (
        f"{stage.gmac_per_s.value:.1f} of {stage.peak_gmac_per_s.value:.1f} GMAC/s, {stage.percent_of_peak.value:.0f} %"
    )


def _draw_peak(cases: Sequence[ScalingCase], width: float) -> Drawing:
    roomy = width >= ROOMY_PX
    row_px, bar_px, head_px = (27.0, 19.0, 24.0) if roomy else (42.0, 19.0, 24.0)
    name_px, text_px = (104.0, 168.0) if roomy else (0.0, 0.0)
    height = sum(head_px + row_px * len(case.figures.stages) + 10 for case in cases)
    drawing = Drawing(width, height + AXIS_PX)
    rates = [
        rate.value
        for case in cases
        for stage in case.figures.stages.values()
        for rate in (stage.gmac_per_s, stage.peak_gmac_per_s)
        if rate is not None
    ]
    scale = Scale(
        low=0.0, high=1.02 * max(rates, default=1.0), start_px=name_px or 8.0, end_px=width - RIGHT_PX - text_px
    )
    drawing.x_axis(scale, 0, height, "GMAC/s: 10^9 multiply-adds a second")
    top = 0.0
    for number, case in enumerate(cases):
        drawing.text(0, top + 16, f"{number + 1}  {case.name}", css="name halo")
        top += head_px
        for part, (name, stage) in enumerate(case.figures.stages.items()):
            bar_top = top + (0 if roomy else 15)
            label = f"{name} {stage.precision}"
            if roomy:
                drawing.text(name_px - 8, bar_top + 14, label, anchor="end", css="tick")
                drawing.text(scale.end_px + 8, bar_top + 14, _of_peak(stage), css="tick")
            else:
                drawing.text(0, top + 10, f"{label}: {_of_peak(stage)}", css="tick halo")
            left = scale(0)
            if stage.peak_gmac_per_s is not None:
                peak = scale(stage.peak_gmac_per_s.value)
                drawing.rect(left, bar_top, peak - left, bar_px, css="band", title=f"{case.name}: peak on {stage.peak}")
                drawing.line([(peak, bar_top - 2), (peak, bar_top + bar_px + 2)], css="p50")
            if stage.gmac_per_s is not None:
                achieved = scale(stage.gmac_per_s.value)
                title = f"{case.name}, {name}: {_of_peak(stage)}"
                drawing.rect(left, bar_top + 3, achieved - left, bar_px - 6, css=f"t{_BAR_COLOURS[part]}", title=title)
            top += row_px
        top += 10
    return drawing


_BAR_COLOURS = (1, 3, 5, 6)


def split_plot(record: ScalingRecord) -> Plot:
    """Return a frame's time as one bar: inside the engine, inside OpenCV, and the rest."""
    described = "; ".join(
        f"{case.name}: engine {case.figures.engine.percent.value:.1f}, OpenCV {case.figures.opencv.percent.value:.1f}, "
        f"Python {case.figures.python.percent.value:.1f} %"
        for case in record.cases
    )
    return Plot(
        key="split",
        title="Who has the time of a frame",
        reading=f"Python, with numpy, is all that is neither engine nor OpenCV; the dashed line leaves it the "
        f"{PYTHON_BOUND_PERCENT:g} % that it may take. The whisker is where it begins in nine of ten single frames.",
        description=described,
        legend=(
            LegendEntry(css=f"t{_ENGINE}", sign="E", text="engine"),
            LegendEntry(css=f"t{_OPENCV}", sign="O", text="OpenCV"),
            LegendEntry(css=f"t{_PYTHON}", sign="P", text="Python and numpy"),
        ),
        draw=lambda width: _draw_split(record.cases, width),
    )


def _draw_split(cases: Sequence[ScalingCase], width: float) -> Drawing:
    row_px, bar_px = 58.0, 24.0
    height = row_px * len(cases)
    drawing = Drawing(width, height + AXIS_PX)
    scale = Scale(low=0.0, high=100.0, start_px=8.0, end_px=width - RIGHT_PX)
    drawing.x_axis(scale, 0, height, "% of a frame")
    bound = scale(100 - PYTHON_BOUND_PERCENT)
    for number, case in enumerate(cases):
        top, figures = number * row_px, case.figures
        drawing.text(0, top + 14, f"{number + 1}  {case.name}", css="name halo")
        drawing.text(
            width - RIGHT_PX, top + 14, f"{ms(figures.frame_ms.value)} ms a frame", anchor="end", css="tick halo"
        )
        begin = 0.0
        for name, share, colour in (
            ("engine", figures.engine, _ENGINE),
            ("OpenCV", figures.opencv, _OPENCV),
            ("Python", figures.python, _PYTHON),
        ):
            value = share.percent.value
            left, right = scale(begin), scale(begin + value)
            title = f"{case.name}: {name} {value:.1f} %"
            drawing.rect(left, top + 22, right - left, bar_px, css=f"part t{colour}", title=title)
            if right - left >= 34:
                drawing.text((left + right) / 2, top + 38, f"{value:.0f} %", anchor="middle", css="inside")
            begin += value
        least, most = figures.python.frames90_percent
        drawing.line([(scale(100 - most), top + 50), (scale(100 - least), top + 50)], css="engine")
        drawing.line([(bound, top + 18), (bound, top + 22 + bar_px + 8)], css="p90")
    return drawing


def fit_plots(record: ScalingRecord) -> list[Plot]:
    """Return what a frame costs against its faces and its pixels, and the two networks against their crops."""
    return [
        _fit_plot(
            record,
            key="faces",
            title="A frame against the faces in it",
            reading="Copies of one face in a frame of 1280 x 960 pixels, as many as were found. A dot is a frame, a "
            "ring the median of its number, the line the least squares of these.",
            x_label="faces found",
            y_label="ms a frame",
            series=lambda case: (
                [point.work.n_faces for point in case.rounds[0].crowd],
                [[one.crowd[i].frame_ms for one in case.rounds] for i in range(len(case.rounds[0].crowd))],
                case.figures.faces,
            ),
        ),
        _fit_plot(
            record,
            key="pixels",
            title="A frame against its pixels",
            reading="One face of the same size in frames of 320 x 240 to 1920 x 1080 pixels, gray around it.",
            x_label="megapixels",
            y_label="ms a frame",
            series=lambda case: (
                [point.megapixels for point in case.rounds[0].pixels],
                [[one.pixels[i].frame_ms for one in case.rounds] for i in range(len(case.rounds[0].pixels))],
                case.figures.pixels,
            ),
        ),
        _fit_plot(
            record,
            key="rnet",
            title="R-Net against its crops",
            reading="The part of a crowd's frame that cuts R-Net's crops, runs it and chooses among its boxes.",
            x_label="crops",
            y_label="ms a frame",
            series=lambda case: (
                [point.work.rnet_crops for point in case.rounds[0].crowd],
                [[one.crowd[i].rnet_ms for one in case.rounds] for i in range(len(case.rounds[0].crowd))],
                case.figures.rnet,
            ),
        ),
        _fit_plot(
            record,
            key="onet",
            title="O-Net against its crops",
            reading="The same of O-Net.",
            x_label="crops",
            y_label="ms a frame",
            series=lambda case: (
                [point.work.onet_crops for point in case.rounds[0].crowd],
                [[one.crowd[i].onet_ms for one in case.rounds] for i in range(len(case.rounds[0].crowd))],
                case.figures.onet,
            ),
        ),
    ]


_Points = tuple[Sequence[float], Sequence[Sequence[Sequence[float]]], Line]


def _fit_plot(
    record: ScalingRecord,
    *,
    key: str,
    title: str,
    reading: str,
    x_label: str,
    y_label: str,
    series: Callable[[ScalingCase], _Points],
) -> Plot:
    drawn = []
    for number, case in enumerate(record.cases):
        xs, by_point, line = series(case)
        samples = tuple(tuple(t for process in point for t in process) for point in by_point)
        drawn.append(_Series(number=number, name=case.name, xs=tuple(xs), samples=samples, line=line))
    unit = x_label.split()[0].removesuffix("s")
    texts = [
        f"{item.name}: {item.line.slope:.3g} ms a {unit} {_signed(item.line.intercept)} ms, R² {item.line.r2:.4f}, "
        f"at most {item.line.largest_deviation_percent:.0f} % off"
        for item in drawn
    ]
    return Plot(
        key=key,
        title=title,
        reading=reading,
        description="; ".join(texts),
        legend=tuple(
            LegendEntry(css=f"f{item.number % N_COLOURS}", sign=str(item.number + 1), text=text)
            for item, text in zip(drawn, texts, strict=True)
        ),
        draw=lambda width: _draw_fit(drawn, x_label, y_label, width),
    )


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'} {abs(value):.3g}"


def _draw_fit(series: Sequence[_Series], x_label: str, y_label: str, width: float) -> Drawing:
    drawing = Drawing(width, _FIT_HEIGHT_PX)
    bottom, right = _FIT_HEIGHT_PX - AXIS_PX, width - RIGHT_PX
    # The medians decide on the height: a frame that was interrupted is drawn at the upper edge.
    highest = max(
        max(percentile(samples, 95), item.line.at(x))
        for item in series
        for x, samples in zip(item.xs, item.samples, strict=True)
    )
    widest = max(x for item in series for x in item.xs)
    x_scale = Scale(low=0.0, high=1.04 * widest or 1.0, start_px=LEFT_PX, end_px=right)
    y_scale = Scale(low=0.0, high=1.08 * highest or 1.0, start_px=bottom, end_px=TOP_PX)
    drawing.x_axis(x_scale, TOP_PX, bottom, x_label)
    drawing.y_axis(y_scale, LEFT_PX, right, y_label)
    for item in series:
        colour = item.number % N_COLOURS
        ends = [(x_scale(x), y_scale(item.line.at(x))) for x in (0.0, widest)]
        drawing.line(ends, css=f"curve s{colour}")
        # Side by side, so that one case's frames do not hide another's.
        aside = 3.0 * (item.number - (len(series) - 1) / 2)
        points = {
            (round(x_scale(x) + aside, 1), round(y_scale(sample), 1))
            for x, samples in zip(item.xs, item.samples, strict=True)
            for sample in samples
        }
        drawing.dots(sorted(points), css=f"dots s{colour}")
        for x, samples in zip(item.xs, item.samples, strict=True):
            median = percentile(samples, 50)
            title = f"{item.name}: {x:.4g} {x_label}, {ms(median)} ms, the line {ms(max(item.line.at(x), 0.0))} ms"
            drawing.circle(x_scale(x), y_scale(median), 4.5, css=f"hollow s{colour}", title=title)
    return drawing


def memory_plots(record: ScalingRecord) -> list[Plot]:
    """Return resident memory over the frames, a plot for each kind of run."""
    titles = {
        "pipeline": ("Memory, every frame by itself", "The demo photo's views in turn, all of them detected anew."),
        "tracker": ("Memory, a video with FaceTracker", "Each view for a second, faces followed between detections."),
    }
    plots = []
    for kind, (title, reading) in titles.items():
        runs = [
            (number, case, run, figures)
            for number, case in enumerate(record.cases)
            for run, figures in zip(case.memory, case.figures.memory, strict=True)
            if run.kind == kind
        ]
        if not runs:
            continue
        texts = [f"{case.name}: {figures.growth_mb:+.2f} MB in {run.frames} frames" for _, case, run, figures in runs]
        plots.append(
            Plot(
                key=f"memory-{kind}",
                title=title,
                reading=f"{reading} Resident memory against that at the end of the first tenth of the frames; the band "
                f"is the {LEAK_BOUND_MB:g} MB that it may grow by.",
                description="; ".join(texts),
                legend=tuple(
                    LegendEntry(css=f"f{number % N_COLOURS}", sign=str(number + 1), text=text)
                    for (number, *_), text in zip(runs, texts, strict=True)
                ),
                draw=_memory_drawer([(number, run) for number, _, run, _ in runs]),
            )
        )
    return plots


def _memory_drawer(runs: Sequence[tuple[int, MemoryRun]]) -> Callable[[float], Drawing]:
    return lambda width: _draw_memory(runs, width)


def _draw_memory(runs: Sequence[tuple[int, MemoryRun]], width: float) -> Drawing:
    height = 240.0
    drawing = Drawing(width, height)
    bottom, right = height - AXIS_PX, width - RIGHT_PX
    grown = {number: _growth_mb(run) for number, run in runs}
    values = [value for curve in grown.values() for value in curve]
    low, high = min(*values, 0.0), max(*values, LEAK_BOUND_MB)
    frames = max(run.frames for _, run in runs)
    x_scale = Scale(low=0.0, high=float(frames), start_px=LEFT_PX, end_px=right)
    y_scale = Scale(low=low - 0.3, high=high + 0.3, start_px=bottom, end_px=TOP_PX)
    band_top, band_bottom = y_scale(LEAK_BOUND_MB), y_scale(0.0)
    drawing.rect(LEFT_PX, band_top, right - LEFT_PX, band_bottom - band_top, css="band")
    drawing.x_axis(x_scale, TOP_PX, bottom, "frames")
    drawing.y_axis(y_scale, LEFT_PX, right, "MB more than after the warm-up")
    for number, run in runs:
        points = [(x_scale(frame), y_scale(value)) for frame, value in zip(run.at_frame, grown[number], strict=True)]
        drawing.line(points, css=f"curve s{number % N_COLOURS}")
    return drawing


def _growth_mb(run: MemoryRun) -> list[float]:
    """Return each reading less the first one after the warm-up, in MB."""
    base = run.resident_bytes[run.first_after_warm_up]
    return [(value - base) / 1e6 for value in run.resident_bytes]
