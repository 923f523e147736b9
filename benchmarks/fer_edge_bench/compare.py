"""Two records, case by case: how much slower or larger the second is, and whether that can be told from chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from fer_edge.errors import InputError
from fer_edge_bench.circumstances import doubts
from fer_edge_bench.record import BenchRecord, Case
from fer_edge_bench.report.figures import UNKNOWN
from fer_edge_bench.statistics import (
    ProcessRatio,
    geometric_mean,
    percentile,
    process_ratio,
    relative_to_inputs,
    typical_ms,
)
from fer_edge_bench.table import format_columns

__all__ = ["Comparison", "compare_records", "differences", "format_comparison", "verdict_of"]

# With three processes a side Welch's t may be left with 2 degrees of freedom: for a verdict among 30 comparisons the
# difference would have to be 24 times its standard error. With four it is 11 times at most.
_LEAST_PROCESSES = 4
# How often a whole comparison of two equal devices may find a difference.
_SIGNIFICANCE = 0.05
# What is less makes no difference to anybody, however sure it is: a page of memory, an interrupt more.
_SMALLEST_EFFECT = 1.01

Verdict = Literal["better", "worse", "cannot tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figure:
    """A figure that is compared.

    Attributes:
        name, unit: as shown.
        scale: from what `of_processes` gives to the unit.
        of_processes: one value for each fresh process.
        is_duration: a slow machine makes it worse.
        needs_same_frames: it depends on the pictures and on the smallest face looked for.
    """

    name: str
    unit: str
    scale: float
    of_processes: Callable[[Case], list[float]]
    is_duration: bool
    needs_same_frames: bool


def _frame_p50(case: Case) -> list[float]:
    frames = [measured.frame for measured in case.rounds]
    return [typical_ms(part.samples_ms["frame"], part.inputs) for part in frames]


def _frame_p90(case: Case) -> list[float]:
    """Return what MLPerf Inference's single stream counts, the 90th percentile, for a typical picture.

    How much longer than its picture's median the slowest tenth takes is found from all runs of a process together,
    since a picture alone has too few.
    """
    frames = [measured.frame for measured in case.rounds]
    tails = [percentile(relative_to_inputs(part.samples_ms["frame"], part.inputs), 90) for part in frames]
    return [typical * tail for typical, tail in zip(_frame_p50(case), tails, strict=True)]


_FIGURES = (
    _Figure(
        name="frame",
        unit="ms",
        scale=1.0,
        of_processes=_frame_p50,
        is_duration=True,
        needs_same_frames=True,
    ),
    _Figure(
        name="frame, p90",
        unit="ms",
        scale=1.0,
        of_processes=_frame_p90,
        is_duration=True,
        needs_same_frames=True,
    ),
    _Figure(
        name="face",
        unit="ms",
        scale=1.0,
        of_processes=lambda case: [percentile(measured.face.samples_ms["face"], 50) for measured in case.rounds],
        is_duration=True,
        needs_same_frames=False,
    ),
    _Figure(
        name="cold start",
        unit="ms",
        scale=1.0,
        of_processes=lambda case: [measured.cold_start_ms for measured in case.rounds],
        is_duration=True,
        needs_same_frames=True,
    ),
    _Figure(
        name="peak memory",
        unit="MB",
        scale=1e-6,
        of_processes=lambda case: [float(measured.peak_memory_bytes) for measured in case.rounds],
        is_duration=False,
        needs_same_frames=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A figure of one case in two records.

    Attributes:
        case: its name.
        figure: of each process "frame", the geometric mean over the pictures of each one's median; "frame, p90", that
            times the 90th percentile of the runs, each divided by its picture's median; "face", the median; "cold
            start"; "peak memory".
        unit: of `first` and `second`.
        first, second: geometric means over the processes.
        ratio: second over first.
        interval95: of the ratio, by itself; None where a record has a single process.
        verdict: of the second: "better" where it takes less, "worse" where it takes more.
        why: why nothing can be told, although the interval may not hold 1; None where that is not so.
    """

    case: str
    figure: str
    unit: str
    first: float
    second: float
    ratio: float
    interval95: tuple[float, float] | None
    verdict: Verdict
    why: str | None


def compare_records(first: BenchRecord, second: BenchRecord) -> list[Comparison]:
    """Compare the cases that both records have: same engine, precision and number of threads.

    Durations of a case that is unstable, throttled or ran on a busy machine tell nothing, and neither does anything but
    the classifier alone on other pictures or with another smallest face, nor fewer than four processes.

    Raises:
        InputError: they have no case in common, or a figure is 0.
    """
    pairs = _common_cases(first, second)
    if not pairs:
        raise InputError(
            f"nothing to compare: the first record has {', '.join(case.name for case in first.cases)}, "
            f"the second {', '.join(case.name for case in second.cases)}; measure the same engines and precisions"
        )
    other_frames = None
    if first.load != second.load:
        other_frames = "the pictures are not the same"
    elif first.settings.min_face_px != second.settings.min_face_px:
        other_frames = "the smallest face is not the same"
    n_comparisons = len(pairs) * len(_FIGURES)
    made = []
    for one, other in pairs:
        few = min(len(one.rounds), len(other.rounds)) < _LEAST_PROCESSES
        doubted = [
            *(f"first: {why}" for why in doubts(first, one)),
            *(f"second: {why}" for why in doubts(second, other)),
        ]
        for figure in _FIGURES:
            why = None
            if figure.needs_same_frames and other_frames is not None:
                why = other_frames
            elif few:
                why = f"fewer than {_LEAST_PROCESSES} processes, --rounds {_LEAST_PROCESSES} is needed"
            elif figure.is_duration and doubted:
                why = doubted[0]
            made.append(_compare(figure, one, other, why, n_comparisons))
    return made


def verdict_of(found: ProcessRatio, n_comparisons: int) -> tuple[Verdict, str | None]:
    """Tell whether a ratio is more than chance, and large enough to matter.

    Args:
        found: of second over first.
        n_comparisons: that are made together. The more there are, the more of them chance alone makes look like a
            difference, so each has to be as much surer (Bonferroni).

    Returns:
        The verdict on the second, and why there is none although the 95 % interval does not hold 1.
    """
    if found.p_value >= _SIGNIFICANCE:
        return "cannot tell", None
    if max(found.ratio, 1 / found.ratio) < _SMALLEST_EFFECT:
        return "cannot tell", f"less than {100 * (_SMALLEST_EFFECT - 1):.0f} %"
    if found.p_value >= _SIGNIFICANCE / n_comparisons:
        return "cannot tell", f"of {n_comparisons} comparisons one may well look like this by chance"
    return ("worse" if found.ratio > 1 else "better"), None


def differences(first: BenchRecord, second: BenchRecord) -> list[str]:
    """Return what differs between the circumstances of two records, each in a line; the ratio has all of it in it."""
    pairs = [
        ("board", first.machine.model, second.machine.model),
        ("processor", first.machine.cpu, second.machine.cpu),
        ("system", first.machine.system, second.machine.system),
        ("Python", first.machine.python, second.machine.python),
        ("bundle", _bundle(first), _bundle(second)),
        ("pictures", _pictures(first), _pictures(second)),
        ("smallest face", f"{first.settings.min_face_px:g} px", f"{second.settings.min_face_px:g} px"),
        ("governor", _governor(first), _governor(second)),
        ("highest clock", _clock(first), _clock(second)),
        ("taken by other programs before", _busy(first), _busy(second)),
    ]
    pairs += [(f"cores of {one.name}", _cores(one), _cores(other)) for one, other in _common_cases(first, second)]
    names = sorted(first.versions.keys() | second.versions.keys())
    pairs += [(name, first.versions.get(name, "none"), second.versions.get(name, "none")) for name in names]
    return [f"{name}: {one} against {other}" for name, one, other in pairs if one != other]


def format_comparison(comparisons: Sequence[Comparison], differing: Sequence[str], *, markdown: bool = False) -> str:
    """Return the comparisons as a table under what differs."""
    rows = [
        [
            item.case,
            item.figure,
            f"{item.first:.4g} {item.unit}",
            f"{item.second:.4g} {item.unit}",
            f"{item.ratio:.3f}",
            UNKNOWN if item.interval95 is None else f"{item.interval95[0]:.3f} to {item.interval95[1]:.3f}",
            item.verdict + (f" ({item.why})" if item.why else ""),
        ]
        for item in comparisons
    ]
    headings = ["case", "figure", "first", "second", "ratio", "95 % interval", "the second is"]
    prefix = "- " if markdown else ""
    lines = [f"{prefix}differs: {line}" for line in differing]
    table = format_columns(headings, rows, markdown=markdown)
    return "\n".join([*lines, "", table] if lines else [table]) + "\n"


def _compare(figure: _Figure, first: Case, second: Case, why: str | None, n_comparisons: int) -> Comparison:
    of_first, of_second = figure.of_processes(first), figure.of_processes(second)
    if min(*of_first, *of_second) <= 0:
        raise InputError(f"{first.name}, {figure.name}: expected more than 0 {figure.unit}, found 0; measure again")
    one, other = geometric_mean(of_first), geometric_mean(of_second)
    interval95: tuple[float, float] | None = None
    verdict: Verdict = "cannot tell"
    if min(len(of_first), len(of_second)) > 1:
        found = process_ratio(of_second, of_first)
        interval95 = found.interval95
        if why is None:
            verdict, why = verdict_of(found, n_comparisons)
    return Comparison(
        case=first.name,
        figure=figure.name,
        unit=figure.unit,
        first=figure.scale * one,
        second=figure.scale * other,
        ratio=other / one,
        interval95=interval95,
        verdict=verdict,
        why=why,
    )


def _common_cases(first: BenchRecord, second: BenchRecord) -> list[tuple[Case, Case]]:
    others = {_key(case): case for case in second.cases}
    return [(case, others[_key(case)]) for case in first.cases if _key(case) in others]


def _key(case: Case) -> tuple[str, str, int]:
    return (case.engine, case.precision, case.threads)


def _bundle(record: BenchRecord) -> str:
    return f"{record.bundle.name} {record.bundle.version} ({record.bundle.manifest_sha256[:8]})"


def _pictures(record: BenchRecord) -> str:
    names = [picture.name for picture in record.load]
    digests = {picture.sha256 for picture in record.load}
    return f"{len(names)} from {names[0]} on ({min(digests)[:8]})"


def _governor(record: BenchRecord) -> str:
    return ", ".join(sorted(set(record.circumstances.before.governors.values()))) or "unknown"


def _clock(record: BenchRecord) -> str:
    clock_mhz = record.circumstances.before.max_clock_mhz
    return "unknown" if clock_mhz is None else f"{clock_mhz:.0f} MHz"


def _busy(record: BenchRecord) -> str:
    busy_percent = record.circumstances.busy_percent
    return "unknown" if busy_percent is None else f"{busy_percent:.0f} %"


def _cores(case: Case) -> str:
    return f"bound to {len(case.cores)}" if case.cores else "not bound"
