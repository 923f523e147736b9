"""What every plot of a record has: a title, words for those who cannot see it, a legend, and a way to draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fer_edge_bench.record import BenchRecord
from fer_edge_bench.report.svg import Drawing, Scale

__all__ = [
    "AXIS_PX",
    "LEFT_PX",
    "N_COLOURS",
    "RIGHT_PX",
    "ROOMY_PX",
    "TOP_PX",
    "LegendEntry",
    "Plot",
    "case_legend",
    "time_label",
    "time_scale",
]

# Of the page's palette, used again from the start where there are more cases.
N_COLOURS = 8
# Room beside a plot's axes: for values on the left, for letters above, for values and a label below.
LEFT_PX, RIGHT_PX, TOP_PX, AXIS_PX = 46.0, 12.0, 26.0, 36.0
# From this width on a name and its figures stand in one line.
ROOMY_PX = 500.0
# Samples spread wider than this are drawn on a logarithmic axis.
_WIDE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """A colour's class, the sign that stands for it in the plot, and what it means."""

    css: str
    sign: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot.

    Attributes:
        key: a name for programs.
        title: what it shows.
        reading: how to read it, in a sentence or two.
        description: what is to be seen in it, for those who cannot see it.
        legend: of colours and signs.
        draw: makes it for a width in pixels.
    """

    key: str
    title: str
    reading: str
    description: str
    legend: tuple[LegendEntry, ...]
    draw: Callable[[float], Drawing]


def case_legend(record: BenchRecord, numbers: Iterable[int]) -> tuple[LegendEntry, ...]:
    """Return the entries of cases, by their positions in the record."""
    return tuple(
        LegendEntry(css=f"f{number % N_COLOURS}", sign=str(number + 1), text=record.cases[number].name)
        for number in sorted(set(numbers))
    )


def time_scale(values_ms: Sequence[float], start_px: float, end_px: float) -> Scale:
    """Return a scale from 0, or a logarithmic one where the values are far apart."""
    low, high = min(values_ms), max(values_ms)
    if low > 0 and high / low > _WIDE:
        return Scale(low=0.9 * low, high=1.05 * high, start_px=start_px, end_px=end_px, logarithmic=True)
    return Scale(low=0.0, high=1.05 * high or 1.0, start_px=start_px, end_px=end_px)


def time_label(text: str, scale: Scale) -> str:
    """Return an axis' label, which says so where the axis is logarithmic."""
    return f"{text} (equal factors equally far apart)" if scale.logarithmic else text
