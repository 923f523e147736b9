"""Numbers and names as people read them."""

from __future__ import annotations

from fer_edge_bench.statistics import SeriesSummary

__all__ = ["UNKNOWN", "amount", "interval", "kb", "mb", "ms", "printable", "range_of"]

# Stands where a figure is not known.
UNKNOWN = "-"


def ms(value_ms: float) -> str:
    """Return three significant digits below 100 ms, whole ms above."""
    digits = 3 if value_ms < 1 else 2 if value_ms < 10 else 1 if value_ms < 100 else 0
    return f"{value_ms:.{digits}f}"


def mb(size_bytes: int | None) -> str:
    """Return bytes in MB of 10^6."""
    return UNKNOWN if size_bytes is None else f"{size_bytes / 1e6:.1f}"


def kb(size_bytes: int) -> str:
    """Return bytes in kB of 10^3."""
    return f"{size_bytes / 1e3:.1f}"


def amount(value: float | None, digits: int = 1) -> str:
    """Return a number with so many digits behind the point."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def range_of(low_ms: float, high_ms: float) -> str:
    """Return both ends, of which the larger one decides on the digits."""
    digits = len(ms(high_ms).partition(".")[2])
    return f"{low_ms:.{digits}f} to {high_ms:.{digits}f}"


def interval(series: SeriesSummary) -> str:
    """Return the 95 % interval of the median in ms."""
    return range_of(*series.p50_interval95_ms)


def printable(text: str) -> str:
    """Return text without anything that steers a terminal or turns the direction of writing.

    Names in a record come from files of others.
    """
    return "".join(character if character.isprintable() else "?" for character in text)
