"""Two records, case by case: how much slower or larger the second is, and whether that can be told from chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from fer_edge.errors import InputError
from fer_edge_bench.bootstrap import ratio_interval
from fer_edge_bench.circumstances import doubts
from fer_edge_bench.record import BenchRecord, Case
from fer_edge_bench.statistics import percentile
from fer_edge_bench.table import format_columns

__all__ = ["Comparison", "compare_records", "differences", "format_comparison"]

# Of four processes on each side, all of one are below all of the other by chance in one of 35 cases, of three in one of
# ten: too often for an interval that is called 95 %.
_LEAST_PROCESSES = 4

Verdict = Literal["better", "worse", "cannot tell"]

Samples = list[tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figure:
    """A figure that is compared: its samples, one tuple for each fresh process, and whether it is a duration."""

    name: str
    unit: str
    scale: float
    samples: Callable[[Case], Samples]
    is_duration: bool


_FIGURES = (
    _Figure(
        name="frame",
        unit="ms",
        scale=1.0,
        samples=lambda case: [measured.frame.samples_ms["frame"] for measured in case.rounds],
        is_duration=True,
    ),
    _Figure(
        name="face",
        unit="ms",
        scale=1.0,
        samples=lambda case: [measured.face.samples_ms["face"] for measured in case.rounds],
        is_duration=True,
    ),
    _Figure(
        name="cold start",
        unit="ms",
        scale=1.0,
        samples=lambda case: [(measured.cold_start_ms,) for measured in case.rounds],
        is_duration=True,
    ),
    _Figure(
        name="peak memory",
        unit="MB",
        scale=1e-6,
        samples=lambda case: [(float(measured.peak_memory_bytes),) for measured in case.rounds],
        is_duration=False,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A figure of one case in two records.

    Attributes:
        case: its name.
        figure: "frame", "face" (medians of steady state), "cold start" or "peak memory" (medians of the processes).
        unit: of the two medians.
        first, second: the medians.
        ratio: second over first.
        interval95: of the ratio.
        verdict: of the second: "better" where the whole interval is below 1, "worse" where it is above.
        why: why nothing can be told although the interval might; None where that is not so.
    """

    case: str
    figure: str
    unit: str
    first: float
    second: float
    ratio: float
    interval95: tuple[float, float]
    verdict: Verdict
    why: str | None


def compare_records(first: BenchRecord, second: BenchRecord) -> list[Comparison]:
    """Compare the cases that both records have: same engine, precision and number of threads.

    Durations of a case that is unstable, throttled or ran on a busy machine tell nothing, and neither do frames of
    other pictures, nor fewer than four processes.

    Raises:
        InputError: they have no case in common, or a figure of the first is 0.
    """
    others = {_key(case): case for case in second.cases}
    pairs = [(case, others[_key(case)]) for case in first.cases if _key(case) in others]
    if not pairs:
        raise InputError(
            f"nothing to compare: the first record has {', '.join(case.name for case in first.cases)}, "
            f"the second {', '.join(case.name for case in second.cases)}; measure the same engines and precisions"
        )
    same_pictures = first.load == second.load
    made = []
    for one, other in pairs:
        few = min(len(one.rounds), len(other.rounds)) < _LEAST_PROCESSES
        doubted = [
            *(f"first: {why}" for why in doubts(first, one)),
            *(f"second: {why}" for why in doubts(second, other)),
        ]
        for figure in _FIGURES:
            why = f"fewer than {_LEAST_PROCESSES} processes, --rounds {_LEAST_PROCESSES} is needed" if few else None
            if figure.is_duration and doubted:
                why = doubted[0]
            if figure.name == "frame" and not same_pictures:
                why = "the pictures are not the same"
            made.append(_compare(figure, one, other, why))
    return made


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
    ]
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
            f"{item.interval95[0]:.3f} to {item.interval95[1]:.3f}",
            item.verdict + (f" ({item.why})" if item.why else ""),
        ]
        for item in comparisons
    ]
    headings = ["case", "figure", "first", "second", "ratio", "95 % interval", "the second is"]
    prefix = "- " if markdown else ""
    lines = [f"{prefix}differs: {line}" for line in differing]
    table = format_columns(headings, rows, markdown=markdown)
    return "\n".join([*lines, "", table] if lines else [table]) + "\n"


def _compare(figure: _Figure, first: Case, second: Case, why: str | None) -> Comparison:
    one, other = figure.samples(first), figure.samples(second)
    medians = [figure.scale * percentile([value for part in parts for value in part], 50) for parts in (one, other)]
    try:
        low, high = ratio_interval(other, one, 50)
    except ValueError as error:
        raise InputError(f"{first.name}, {figure.name}: {error}; measure again") from error
    verdict: Verdict = "cannot tell"
    if why is None and high < 1:
        verdict = "better"
    elif why is None and low > 1:
        verdict = "worse"
    return Comparison(
        case=first.name,
        figure=figure.name,
        unit=figure.unit,
        first=medians[0],
        second=medians[1],
        ratio=medians[1] / medians[0],
        interval95=(low, high),
        verdict=verdict,
        why=why,
    )


def _key(case: Case) -> tuple[str, str, int]:
    return (case.engine, case.precision, case.threads)


def _bundle(record: BenchRecord) -> str:
    return f"{record.bundle.name} {record.bundle.version} ({record.bundle.manifest_sha256[:8]})"


def _pictures(record: BenchRecord) -> str:
    names = [picture.name for picture in record.load]
    digests = {picture.sha256 for picture in record.load}
    return f"{len(names)} from {names[0]} on ({min(digests)[:8]})"
