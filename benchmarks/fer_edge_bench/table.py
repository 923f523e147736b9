"""A record as text for people: aligned columns, or Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fer_edge_bench.record import BenchRecord, Case
from fer_edge_bench.statistics import SeriesSummary

__all__ = ["format_columns", "format_record"]

_DETECTOR_STAGES = ("pnet", "rnet", "onet")


def format_columns(headings: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool = False) -> str:
    """Return rows under headings; a column whose entries are all numbers is aligned on the right."""
    shown = [[_printable(cell, markdown=markdown) for cell in row] for row in (headings, *rows)]
    widths = [max(len(row[i]) for row in shown) for i in range(len(headings))]
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(headings))]
    aligned = [
        [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        for row in shown
    ]
    if not markdown:
        return "\n".join("  ".join(row).rstrip() for row in aligned)
    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (aligned[0], rule, *aligned[1:]))


def format_record(record: BenchRecord, *, markdown: bool = False) -> str:
    """Return what was measured with, three tables (a frame, a face, start and memory), and remarks where due."""

    def block(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        heading = f"### {title}\n" if markdown else title
        return f"{heading}\n{format_columns(headings, rows, markdown=markdown)}"

    prefix = "- " if markdown else ""
    parts = [
        "\n".join(prefix + _printable(line, markdown=False) for line in _circumstances(record)),
        block("A frame, pixels to faces (ms; detect and classify are medians)", *_frame_table(record)),
        block("A face, the classifier alone (ms)", *_face_table(record)),
        block("Start, memory and files (MB = 10^6 bytes)", *_cost_table(record)),
    ]
    remarks = [prefix + remark for remark in _remarks(record)]
    return "\n\n".join([*parts, *(["\n".join(remarks)] if remarks else [])]) + "\n"


def _circumstances(record: BenchRecord) -> list[str]:
    machine, settings = record.machine, record.settings
    photos = ", ".join(
        f"{photo.name} {samples.size_wh[0]} x {samples.size_wh[1]}"
        for photo, samples in zip(record.photos, record.cases[0].rounds[0].photos, strict=True)
    )
    return [
        f"machine: {machine.get('cpu')}, {machine.get('cores')} cores, {_mb(record.machine_memory_bytes)} MB, "
        f"{machine.get('architecture')}, {machine.get('system')}, Python {machine.get('python')}",
        f"bundle: {record.bundle.name} {record.bundle.version}, manifest {record.bundle.manifest_sha256[:16]}",
        f"photo: {photos}; smallest face {settings.min_face_px:g} px",
        f"samples: {settings.rounds} fresh processes x {settings.runs} runs; threads: {settings.threads}",
    ]


def _frame_table(record: BenchRecord) -> tuple[list[str], list[list[str]]]:
    several = len(record.photos) > 1
    headings = ["engine", "precision", *(["photo"] if several else []), "faces", "decode", "detect", "classify"]
    headings += ["min", "p50", "p90", "p99", "frames/s", "CPU %", "unstable"]
    rows = []
    for case in record.cases:
        for photo, samples, figures in zip(record.photos, case.rounds[0].photos, case.summary.photos, strict=True):
            rows.append(
                [
                    *_names(case),
                    *([photo.name] if several else []),
                    str(samples.n_faces),
                    *(_ms(series.p50_ms) for series in (figures.decode, figures.detect, figures.classify)),
                    *_spread(figures.frame),
                    f"{figures.frames_per_s:.1f}",
                    f"{figures.cpu_percent:.0f}",
                    _stability(figures.frame),
                ]
            )
    return headings, rows


def _face_table(record: BenchRecord) -> tuple[list[str], list[list[str]]]:
    headings = ["engine", "precision", "min", "p50", "p90", "p99", "faces/s", "unstable"]
    rows = [
        [
            *_names(case),
            *_spread(case.summary.face),
            f"{case.summary.faces_per_s:.1f}",
            _stability(case.summary.face),
        ]
        for case in record.cases
    ]
    return headings, rows


def _cost_table(record: BenchRecord) -> tuple[list[str], list[list[str]]]:
    headings = ["engine", "precision", "cold start ms", "peak MB", "% of memory", "% of 16 GB"]
    headings += ["detector kB", "classifier kB", "library"]
    rows = [
        [
            *_names(case),
            f"{case.summary.cold_start_p50_ms:.0f}",
            _mb(case.summary.peak_memory_bytes),
            f"{case.summary.memory_percent:.2f}",
            f"{case.summary.memory_percent_of_16_gb:.2f}",
            _kb(case.stages[name].bytes for name in _DETECTOR_STAGES),
            _kb([case.stages["classifier"].bytes]),
            case.engine_version,
        ]
        for case in record.cases
    ]
    return headings, rows


def _remarks(record: BenchRecord) -> list[str]:
    unsettled = [
        f"{case.engine} {case.precision}"
        for case in record.cases
        if not all(figures.settled for figures in case.summary.photos)
        or not all(measured.face.settled for measured in case.rounds)
    ]
    if not unsettled:
        return []
    return [f"warm-up did not settle: {', '.join(dict.fromkeys(unsettled))}; the machine may be busy, measure again"]


def _names(case: Case) -> list[str]:
    return [case.engine, case.precision]


def _spread(series: SeriesSummary) -> list[str]:
    return [_ms(value) for value in (series.min_ms, series.p50_ms, series.p90_ms, series.p99_ms)]


def _stability(series: SeriesSummary) -> str:
    return "unstable" if series.unstable else ""


def _ms(value_ms: float) -> str:
    """Return three significant digits below 100 ms, whole ms above."""
    digits = 3 if value_ms < 1 else 2 if value_ms < 10 else 1 if value_ms < 100 else 0
    return f"{value_ms:.{digits}f}"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"


def _kb(sizes_bytes: Iterable[int]) -> str:
    return f"{sum(sizes_bytes) / 1e3:.1f}"


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _printable(text: str, *, markdown: bool) -> str:
    """Names come from files of others: nothing in them may steer a terminal or end a Markdown cell."""
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return plain.replace("|", "\\|") if markdown else plain
