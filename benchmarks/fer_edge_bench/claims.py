"""Papers' claims against what was measured: met or not, with which network, or why that cannot be told here."""

from __future__ import annotations

import collections
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fer_edge_bench.claims_data import Claim, ClaimSet, Network, Paper
from fer_edge_bench.claims_evaluations import Evaluation
from fer_edge_bench.claims_figures import BENCH_FIGURES, NETWORK_FIGURES, TRAINING_FIGURES
from fer_edge_bench.claims_networks import NetworkFigures
from fer_edge_bench.record import BenchRecord
from fer_edge_bench.table import format_columns

__all__ = ["VERDICTS", "ClaimResult", "check_claims", "format_claims"]

MET, NOT_MET, COMPARED, NOT_CHECKABLE = VERDICTS = ("met", "not met", "compared", "not checkable here")

# Binary fractions of what was printed in decimals: 67.0 is met by 0.67.
_ROUNDING = 1e-9
_LINE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """A claim and what was found.

    Attributes:
        claim: what a paper states.
        paper: that states it.
        measured: in the claim's unit; None where it is not checkable.
        verdict: of VERDICTS; "compared" where the figure is another network's.
        remark: whose figure it is and which of several, or why there is none.
    """

    claim: Claim
    paper: Paper
    measured: float | None
    verdict: str
    remark: str

    @property
    def ratio(self) -> float | None:
        """Return measured over claimed; None without a measurement, or where 0 is claimed."""
        return None if self.measured is None or self.claim.value == 0 else self.measured / self.claim.value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A figure in a claim's unit: of which network (None where it is not known), and of what, for people."""

    value: float
    network: str | None
    parameters: int | None
    input_px: int | None
    subject: str


def check_claims(
    claims: ClaimSet,
    bench: BenchRecord | None,
    evaluations: Sequence[Evaluation] = (),
    networks: Sequence[NetworkFigures] = (),
) -> list[ClaimResult]:
    """Check every claim.

    Of several figures of one network that which fares worst counts. A figure of another network is "compared", never
    "met"; it is shown for claims that say so.

    Args:
        claims: of papers.
        bench: its cases and its steps of training; None for none.
        evaluations: of any data.
        networks: of the zoo, as they were built.

    Returns:
        One result or more for each claim, in the order of the claims: its own network's first, or why there is none;
        then one for each other network.
    """
    results: list[ClaimResult] = []
    for claim in claims.claims:
        for measured, verdict, remark in _check(claim, claims, bench, evaluations, networks):
            results.append(
                ClaimResult(
                    claim=claim, paper=claims.papers[claim.paper], measured=measured, verdict=verdict, remark=remark
                )
            )
    return results


def format_claims(results: Sequence[ClaimResult], *, markdown: bool = False) -> str:
    """Return for each paper a table of what was measured and a list of what was not; then how many came to what."""
    headings = ["claim", "of what", "claimed", "measured", "ratio", "verdict", "measured with; remark"]
    parts: list[str] = []
    for key, paper in {result.claim.paper: result.paper for result in results}.items():
        of_paper = [result for result in results if result.claim.paper == key]
        year = "" if paper.year is None else f" ({paper.year})"
        title = f"{'### ' if markdown else ''}{key}. {paper.title}{year}"
        rows = [_row(result) for result in of_paper if result.measured is not None]
        if rows:
            table = format_columns(headings, rows, markdown=markdown)
            parts.append("\n".join((title, "", table) if markdown else (title, table)))
        else:
            parts.append(title)
        parts += _unchecked(of_paper)
    parts.append(_counts(results))
    return "\n\n".join(parts) + "\n"


def _unchecked(results: Sequence[ClaimResult]) -> list[str]:
    """Return the claims without a measurement as one block, an item for each reason; nothing where there are none."""
    by_reason: dict[str, list[str]] = {}
    for result in results:
        if result.measured is None:
            claim = result.claim
            note = "" if claim.note is None else f"; {claim.note}"
            by_reason.setdefault(result.remark, []).append(f"{claim.id} ({_claimed(claim)}{note})")
    items = [
        textwrap.fill(
            f"- {reason}: {', '.join(names)}",
            width=_LINE,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for reason, names in by_reason.items()
    ]
    return ["\n".join((f"{NOT_CHECKABLE.capitalize()}:", "", *items))] if items else []


def _counts(results: Sequence[ClaimResult]) -> str:
    """Return how many claims came to which verdict; one with its own network's figure counts by that alone."""
    first: dict[str, str] = {}
    for result in results:
        first.setdefault(result.claim.id, result.verdict)
    counted = collections.Counter(first.values())
    return f"Of {len(first)} claims: " + ", ".join(f"{counted[verdict]} {verdict}" for verdict in VERDICTS) + "."


def _check(
    claim: Claim,
    claims: ClaimSet,
    bench: BenchRecord | None,
    evaluations: Sequence[Evaluation],
    networks: Sequence[NetworkFigures],
) -> Iterator[tuple[float | None, str, str]]:
    """Yield measured figure, verdict and remark: of the claim's own network, or why there is none; then of others."""
    if claim.network is None:
        yield None, NOT_CHECKABLE, claim.reason or ""
        return
    network = claims.networks[claim.network]
    found, missing = _FINDERS[claim.kind](claim, bench, evaluations, networks)
    own = [figure for figure in found if _is_of(figure, claim, network)]
    others = [figure for figure in found if figure not in own] if claim.compare else []
    if own:
        worst = _worst(claim, own)
        yield worst.value, MET if _is_met(claim, worst.value) else NOT_MET, _remark(worst, own, of_another=False)
    elif not others:
        done = _DONE.get(claim.kind, "measured")
        yield (
            None,
            NOT_CHECKABLE,
            f"figure of another network: {network.title} was not {done}" if found else missing,
        )
    by_network: dict[tuple[str | None, int | None], list[_Measured]] = {}
    for figure in others:
        by_network.setdefault((figure.network, figure.input_px), []).append(figure)
    for figures in by_network.values():
        worst = _worst(claim, figures)
        yield worst.value, COMPARED, _remark(worst, figures, of_another=True)


def _bench(claim: Claim, bench: BenchRecord | None, *_: Any) -> tuple[list[_Measured], str]:
    if bench is None or not bench.cases:
        return [], "no record of a pipeline was given"
    read = BENCH_FIGURES[claim.field or ""]
    values = [(case, read(case)) for case in bench.cases]
    found = [
        _Measured(
            value=value / claim.divisor,
            network=bench.bundle.classifier,
            parameters=case.stages["classifier"].parameters,
            input_px=None,
            subject=case.name,
        )
        for case, value in values
        if value is not None
    ]
    return found, "the system of the record does not tell it"


def _training(claim: Claim, bench: BenchRecord | None, *_: Any) -> tuple[list[_Measured], str]:
    read = TRAINING_FIGURES[claim.field or ""]
    found = [
        _Measured(
            value=value / claim.divisor,
            network=case.architecture,
            parameters=None,
            input_px=None,
            subject=f"{case.backend} on {case.accelerator or 'the processor'}",
        )
        for case in (bench.training if bench is not None else ())
        if (value := read(case)) is not None
    ]
    return found, f"no step of training was measured: fer-edge bench --training {claim.network}"


def _network(
    claim: Claim, bench: BenchRecord | None, evaluations: Sequence[Evaluation], networks: Sequence[NetworkFigures]
) -> tuple[list[_Measured], str]:
    read = NETWORK_FIGURES[claim.field or ""]
    counted: list[tuple[str, float | None, int | None, str]] = [
        (figures.architecture, read(figures), figures.parameters, "as the zoo builds it")
        for figures in networks
        # All of them beside each other's claims would say nothing of what is at hand.
        if figures.architecture == claim.network
    ]
    if claim.field in ("parameters", "trainable_parameters"):
        for evaluation in evaluations:
            count = getattr(evaluation, claim.field)
            counted.append((evaluation.network or "", count, evaluation.parameters, evaluation.subject))
    if claim.field == "parameters" and bench is not None:
        for case in bench.cases:
            count = case.stages["classifier"].parameters
            counted.append((bench.bundle.classifier or "", count, count, f"{bench.bundle.name} {case.name}"))
    found = [
        _Measured(value=count / claim.divisor, network=name, parameters=parameters, input_px=None, subject=subject)
        for name, count, parameters, subject in counted
        if name and count is not None
    ]
    return found, f"{claim.network} was not built"


def _accuracy(
    claim: Claim, bench: BenchRecord | None, evaluations: Sequence[Evaluation], *_: Any
) -> tuple[list[_Measured], str]:
    del bench
    fitting = [
        evaluation
        for evaluation in evaluations
        # Titles name a form of the set behind a comma, e.g. "CK+, crops of 48 x 48".
        if evaluation.data.partition(",")[0] == claim.data and evaluation.part == claim.part
    ]
    if not fitting:
        return [], f"no evaluation on {claim.data}, {claim.part}, was given"
    shares = [(each, each.top1 if claim.label is None else each.recall.get(claim.label)) for each in fitting]
    found = [
        _Measured(
            value=100 * share / claim.divisor,
            network=each.network,
            parameters=each.parameters,
            input_px=each.input_px,
            subject=each.subject + (_interval(each) if claim.label is None else ""),
        )
        for each, share in shares
        if share is not None
    ]
    return found, f"the evaluations have no faces of the class {claim.label}"


_DONE = {"training": "trained here", "network": "built"}
_FINDERS: dict[str, Callable[..., tuple[list[_Measured], str]]] = {
    "bench": _bench,
    "training": _training,
    "network": _network,
    "accuracy": _accuracy,
}


def _interval(evaluation: Evaluation) -> str:
    low, high = (100 * share for share in evaluation.interval95)
    return f", 95 % interval {low:.1f} to {high:.1f}"


def _is_of(figure: _Measured, claim: Claim, network: Network) -> bool:
    """Tell whether a figure is of the claim's network, input and number of parameters; unknown numbers do not tell."""
    return (
        figure.network == claim.network
        and (claim.input_px is None or figure.input_px == claim.input_px)
        and (network.parameters is None or figure.parameters in (None, network.parameters))
    )


def _is_met(claim: Claim, value: float) -> bool:
    slack = claim.tolerance + _ROUNDING * abs(claim.value)
    return {
        "at most": value <= claim.value + slack,
        "at least": value >= claim.value - slack,
        "about": abs(value - claim.value) <= slack,
        "above": value > claim.value,
    }[claim.direction]


def _worst(claim: Claim, figures: Iterable[_Measured]) -> _Measured:
    def badness(figure: _Measured) -> float:
        if claim.direction == "about":
            return abs(figure.value - claim.value)
        return figure.value if claim.direction == "at most" else -figure.value

    return max(figures, key=badness)


def _remark(worst: _Measured, figures: Sequence[_Measured], *, of_another: bool) -> str:
    name = worst.network or "a network whose name is not told"
    if of_another and worst.input_px is not None:
        name += f" at {worst.input_px} px"
    several = ""
    if len(figures) > 1:
        alike = all(figure.value == worst.value for figure in figures)
        several = f", all {len(figures)} alike" if alike else f", the worst of {len(figures)}"
    return f"{'measured with ' if of_another else ''}{name}: {worst.subject}{several}"


def _row(result: ClaimResult) -> list[str]:
    claim = result.claim
    return [
        claim.id,
        f"{claim.what} ({claim.where})",
        _claimed(claim),
        "" if result.measured is None else f"{_figure(result.measured)} {claim.unit}".rstrip(),
        "" if result.ratio is None else f"{result.ratio:.3g}",
        result.verdict,
        result.remark if claim.note is None else f"{result.remark}; {claim.note}",
    ]


def _claimed(claim: Claim) -> str:
    return f"{claim.direction} {_figure(claim.value)} {claim.unit}".rstrip()


def _figure(value: float) -> str:
    """Return whole numbers as they are, others with four significant digits."""
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"
