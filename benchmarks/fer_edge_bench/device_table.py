"""The table of measured devices that a README shows, made of their records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from urllib.parse import quote

from fer_edge_bench.circumstances import doubts
from fer_edge_bench.record import BenchRecord, Case
from fer_edge_bench.report.contents import best_case, rounds_done
from fer_edge_bench.report.figures import amount, interval, mb, ms
from fer_edge_bench.table import align_columns, markdown_text

__all__ = ["device_table"]

_HEADINGS = (
    "board",
    "fastest case",
    "a frame, p50 ms",
    "95 % interval",
    "frames/s",
    "a face, p50 ms",
    "peak MB",
    "cold start, s",
    "record",
    "remarks",
)


def device_table(records: Sequence[tuple[str, BenchRecord]]) -> str:
    """Return a Markdown table with a row for each record: the fastest case of those without doubts.

    Where every case of a record is in doubt, its row has the fastest of all and says what the doubts are.

    Args:
        records: the path of each as the table's reader sees it, and the record, in the order of the rows.
    """
    rows = [_row(path, record) for path, record in records]
    return align_columns(_HEADINGS, rows, markdown=True) + "\n"


def _row(path: str, record: BenchRecord) -> list[str]:
    case = best_case(record) or min(record.cases, key=lambda item: item.summary.frame["frame"].p50_ms)
    summary = case.summary
    return [
        markdown_text(record.machine.model),
        markdown_text(case.name),
        ms(summary.frame["frame"].p50_ms),
        interval(summary.frame["frame"]),
        amount(summary.frames_per_s),
        ms(summary.face["face"].p50_ms),
        mb(summary.peak_memory_bytes),
        amount(summary.cold_start_p50_ms / 1000, 2),
        f"[{markdown_text(PurePosixPath(path).stem)}]({quote(path)})",
        markdown_text("; ".join(_remarks(record, case))),
    ]


def _remarks(record: BenchRecord, case: Case) -> Iterator[str]:
    reasons = doubts(record, case)
    if reasons:
        yield f"not to be trusted: {', '.join(reasons)}"
    if record.partial:
        yield f"interrupted: {rounds_done(record)}"
    if record.failures:
        names = (f"{failure.case}, {failure.step}" for failure in record.failures)
        yield f"failed: {', '.join(dict.fromkeys(names))}"
