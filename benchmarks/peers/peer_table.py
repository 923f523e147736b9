"""A record as text: what was compared, one table for each mode, photo by photo, and what did not run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from peer_figures import Ratio, baseline, median_ms, peak_memory_bytes, portrait_indices, ratio_to, smallest_face
from peer_record import CaseResult, PeersRecord

from fer_edge_bench.table import format_columns
from fer_edge_train.metrics import wilson_interval

__all__ = ["format_record"]

_TITLES = {"detect": "Faces", "expressions": "Faces and their expressions"}


def format_record(record: PeersRecord, *, markdown: bool = False) -> str:
    """Return the record's tables as columns, or in Markdown."""
    parts = [_circumstances(record)]
    for mode, title in _TITLES.items():
        cases = [case for case in record.cases if case.mode == mode and case.rounds]
        if cases:
            parts += [
                _titled(title, *_main_table(record, mode, cases), markdown),
                _titled(f"{title}: ms by photo", *_photo_table(record, mode, cases), markdown),
            ]
    failed = [case for case in record.cases if case.reason is not None]
    if failed:
        rows = [[case.name, smallest_face(case), case.reason or ""] for case in failed]
        parts.append(_titled("What did not run", ["package", "smallest face", "reason"], rows, markdown))
    parts.append(_titled("Versions", ["package", "versions"], _version_rows(record), markdown))
    return "\n\n".join(parts) + "\n"


def _titled(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool) -> str:
    return f"{'### ' if markdown else ''}{title}\n\n{format_columns(headings, rows, markdown=markdown)}"


def _circumstances(record: PeersRecord) -> str:
    machine, settings = record.machine, record.settings
    photos = ", ".join(f"{photo.name} {photo.size_wh[0]} x {photo.size_wh[1]}" for photo in record.photos)
    return (
        f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('architecture')}, {machine.get('system')}; "
        f"{record.created_utc}. {settings.rounds} rounds of fresh processes, {settings.passes} timed calls a photo in "
        f"each, packages in turns; threads: {settings.threads}. Photos: {photos}."
    )


def _main_table(record: PeersRecord, mode: str, cases: Sequence[CaseResult]) -> tuple[list[str], list[list[str]]]:
    reference, portraits = baseline(record, mode), portrait_indices(record)
    headings = ["package", "smallest face", "one face, 640 x 480 / ms", "times fer-edge (95 %)", "first result / s"]
    headings += ["peak memory / MB", "installed / MB", "cores busy", "WIDER faces found", "false positives"]
    if mode == "expressions":
        headings.append("FER-2013 PublicTest top-1 / % (95 %)")
    rows = []
    for case in cases:
        found = case.detection
        rows.append(
            [
                case.name,
                smallest_face(case),
                _three_digits(median_ms(case, portraits)),
                "" if reference is None else _ratio(ratio_to(case, reference, portraits)),
                f"{statistics.median(samples.cold_start_ms for samples in case.rounds) / 1000:.2f}",
                f"{peak_memory_bytes(case) / 1e6:.0f}",
                "" if case.install_bytes is None else f"{case.install_bytes / 1e6:.0f}",
                f"{max(samples.busy_cores for samples in case.rounds):.2f}",
                "" if found is None else f"{found.found} of {found.n_faces}",
                "" if found is None else f"{found.false_positives}",
                *([_accuracy(case)] if mode == "expressions" else []),
            ]
        )
    return headings, rows


def _photo_table(record: PeersRecord, mode: str, cases: Sequence[CaseResult]) -> tuple[list[str], list[list[str]]]:
    reference = baseline(record, mode)
    rows = []
    for case in cases:
        cells = []
        for i in range(len(record.photos)):
            text = f"{_three_digits(median_ms(case, [i]))}; {case.rounds[0].n_faces[i]}"
            if reference is not None and case is not reference:
                text += f"; {_ratio(ratio_to(case, reference, [i]))}"
            cells.append(text)
        rows.append([case.name, smallest_face(case), *cells])
    return ["median; faces; times fer-edge", "smallest face", *(photo.name for photo in record.photos)], rows


def _version_rows(record: PeersRecord) -> list[list[str]]:
    named = {case.name: case for case in record.cases if case.versions}
    rows = []
    for name, case in named.items():
        versions = ", ".join(f"{package} {number}" for package, number in case.versions.items())
        rows.append([name, versions + (f" ({case.note})" if case.note else "")])
    return rows


def _accuracy(case: CaseResult) -> str:
    figures = case.expression
    if figures is None:
        return ""
    low, high = wilson_interval(figures.n_right, figures.n)
    return f"{100 * figures.n_right / figures.n:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _ratio(ratio: Ratio) -> str:
    return f"{_three_digits(ratio.value)} ({_three_digits(ratio.low)} to {_three_digits(ratio.high)})"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 1 else f"{value:.2f}"
