"""The plot of accuracy against time and size: which case to choose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fer_edge_bench.record import BenchRecord, Case
from fer_edge_bench.report.figures import kb, ms
from fer_edge_bench.report.plot import (
    AXIS_PX,
    LEFT_PX,
    N_COLOURS,
    RIGHT_PX,
    TOP_PX,
    LegendEntry,
    Plot,
    time_label,
    time_scale,
)
from fer_edge_bench.report.svg import Drawing, Scale, padded

__all__ = ["Accuracies", "trade_off_plot"]

# Top-1 in 0..1 by engine and precision of the classifier.
Accuracies = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trade:
    """A case where accuracy, time and size meet; on the front no other is at least as good in all three."""

    number: int
    case: Case
    top1_percent: float
    face_ms: float
    bytes: int
    on_front: bool


def trade_off_plot(record: BenchRecord, accuracies: Accuracies) -> Plot | None:
    """Return the cases whose accuracy is known; None where there are none."""
    trades = _trades(record, accuracies)
    if not trades:
        return None

    def told(trade: _Trade) -> str:
        front = ", on the front" if trade.on_front else ""
        return f"{trade.case.name}: {trade.top1_percent:.2f} %, {ms(trade.face_ms)} ms, {kb(trade.bytes)} kB{front}"

    return Plot(
        key="trade-off",
        title="Accuracy, time and size of the classifier",
        reading="Better is further up and further left; the area is the file's length, the line the 95 % interval of "
        "the median. Ringed: on the front, where no other is as accurate, as fast and as small.",
        description="; ".join(told(trade) for trade in trades),
        legend=tuple(
            LegendEntry(css=f"f{trade.number % N_COLOURS}", sign=str(trade.number + 1), text=told(trade))
            for trade in trades
        ),
        draw=lambda width: _draw_trades(trades, width),
    )


def _trades(record: BenchRecord, accuracies: Accuracies) -> list[_Trade]:
    found = []
    for number, case in enumerate(record.cases):
        top1 = accuracies.get((case.engine, case.precision))
        if top1 is not None:
            face_ms = case.summary.face["face"].p50_ms
            found.append((number, case, 100 * top1, face_ms, case.stages["classifier"].bytes))

    def costs(item: tuple[int, Case, float, float, int]) -> tuple[float, float, float]:
        return (-item[2], item[3], item[4])

    def is_beaten(item: tuple[int, Case, float, float, int]) -> bool:
        return any(
            costs(other) != costs(item) and all(a <= b for a, b in zip(costs(other), costs(item), strict=True))
            for other in found
        )

    return [
        _Trade(
            number=item[0],
            case=item[1],
            top1_percent=item[2],
            face_ms=item[3],
            bytes=item[4],
            on_front=not is_beaten(item),
        )
        for item in found
    ]


def _draw_trades(trades: Sequence[_Trade], width: float) -> Drawing:
    height, largest_px = 300.0, 15.0
    drawing = Drawing(width, height)
    bottom, right = height - AXIS_PX, width - RIGHT_PX
    x_scale = time_scale([trade.face_ms for trade in trades], LEFT_PX, right - 2 * largest_px)
    low, high = padded([trade.top1_percent for trade in trades], 0.35)
    y_scale = Scale(low=low, high=high, start_px=bottom - largest_px, end_px=TOP_PX + largest_px)
    drawing.x_axis(x_scale, TOP_PX, bottom, time_label("ms a face, the classifier alone, p50", x_scale))
    drawing.y_axis(y_scale, LEFT_PX, right, "top-1, %")
    most_bytes = max(trade.bytes for trade in trades) or 1
    # The largest first, so that a small one is not hidden.
    for trade in sorted(trades, key=lambda item: -item.bytes):
        x, y = x_scale(trade.face_ms), y_scale(trade.top1_percent)
        radius = max(largest_px * math.sqrt(trade.bytes / most_bytes), 3.0)
        low_ms, high_ms = trade.case.summary.face["face"].p50_interval95_ms
        colour = trade.number % N_COLOURS
        drawing.line([(x_scale(low_ms), y), (x_scale(high_ms), y)], css=f"whisker s{colour}")
        title = f"{trade.case.name}: {trade.top1_percent:.2f} %, {ms(trade.face_ms)} ms"
        drawing.circle(x, y, radius, css=f"area f{colour}", title=title)
        if trade.on_front:
            drawing.circle(x, y, radius + 3, css="front")
    # Numbers last, above and below in turn, so that neighbours do not hide each other's.
    for order, trade in enumerate(sorted(trades, key=lambda item: item.face_ms)):
        y = y_scale(trade.top1_percent) + (24 + largest_px / 2 if order % 2 else -largest_px - 7)
        drawing.text(x_scale(trade.face_ms), y, str(trade.number + 1), anchor="middle", css="name halo")
    return drawing
