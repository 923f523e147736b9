"""The tables of a record, in no form yet."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fer_edge_bench.arithmetic import mtcnn_multiply_adds
from fer_edge_bench.record import BenchRecord, Case
from fer_edge_bench.report.figures import UNKNOWN, amount, interval, kb, mb, ms, range_of
from fer_edge_bench.samples import STAGE_SERIES
from fer_edge_bench.statistics import SeriesSummary
from fer_edge_bench.summary import CpuShare

__all__ = ["Table", "is_numeric", "tables"]

_DETECTOR_STAGES = ("pnet", "rnet", "onet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a record.

    Attributes:
        key: a name for programs.
        title: with the unit where it is one for all columns.
        note: what a reader must know to read it right; empty where there is nothing.
        headings, rows: as text; the first column names what a row is of.
    """

    key: str
    title: str
    note: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(record: BenchRecord) -> list[Table]:
    """Return the tables that have rows, in the order to read them."""
    cases = record.cases
    made = [
        _frame_table(cases),
        _stage_table(cases),
        _face_table(cases),
        _cost_table(cases),
        _model_table(cases),
        _processor_table(record),
        _energy_table(cases),
        _offline_table(cases),
        _streams_table(record),
        _sustained_table(cases),
        _training_table(record),
    ]
    return [table for table in made if table.rows]


def is_numeric(cells: Sequence[str]) -> bool:
    """Return whether all cells are numbers, or unknown where there is a number beside."""
    known = [cell for cell in cells if cell != UNKNOWN]
    return (bool(known) or not cells) and all(cell.replace(",", "").replace(".", "", 1).isdecimal() for cell in known)


def _frame_table(cases: Sequence[Case]) -> Table:
    return Table(
        key="frame",
        title="A frame, pixels to faces (ms)",
        note="The interval is that of the median, 95 %. Frames a second follow from the mean.",
        headings=("case", "min", "p50", "interval", "p90", "p99", "frames/s", "stable"),
        rows=tuple(
            (case.name, *_spread(case.summary.frame["frame"]), amount(case.summary.frames_per_s), _stability(case))
            for case in cases
        ),
    )


def _stage_table(cases: Sequence[Case]) -> Table:
    return Table(
        key="stages",
        title="A frame by stage (ms, medians)",
        note="Decoding comes before the frame. R- and O-Net include their crops and choices. Medians need not add up. "
        "Engine: the share of the frame spent inside it, of means.",
        headings=("case", "decode", *STAGE_SERIES, "frame", "engine %"),
        rows=tuple(
            (
                case.name,
                *(ms(case.summary.frame[name].p50_ms) for name in ("decode", *STAGE_SERIES, "frame")),
                _share_text(case.summary.frame["engine"], case.summary.frame["frame"]),
            )
            for case in cases
        ),
    )


def _face_table(cases: Sequence[Case]) -> Table:
    return Table(
        key="face",
        title="The classifier alone, a crop to probabilities (ms)",
        note="One face of 48 x 48 pixels at a time.",
        headings=("case", "min", "p50", "interval", "p90", "p99", "faces/s", "engine %"),
        rows=tuple(
            (
                case.name,
                *_spread(case.summary.face["face"]),
                amount(case.summary.faces_per_s),
                _share_text(case.summary.face["engine"], case.summary.face["face"]),
            )
            for case in cases
        ),
    )


def _cost_table(cases: Sequence[Case]) -> Table:
    return Table(
        key="start",
        title="Start and memory",
        note="From a process's start to the first picture's faces; resident memory of the whole process at its peak, "
        "and its share of what is in the machine and of 16 GB. MB = 10^6 bytes.",
        headings=("case", "cold start, ms", "fastest to slowest", "peak MB", "PSS MB", "% of memory", "% of 16 GB"),
        rows=tuple(
            (
                case.name,
                amount(case.summary.cold_start_p50_ms, 0),
                range_of(case.summary.cold_start_min_ms, case.summary.cold_start_max_ms),
                mb(case.summary.peak_memory_bytes),
                mb(case.summary.proportional_memory_bytes),
                amount(case.summary.memory_percent, 2),
                amount(case.summary.memory_percent_of_16_gb, 2),
            )
            for case in cases
        ),
    )


def _model_table(cases: Sequence[Case]) -> Table:
    return Table(
        key="models",
        title="Files, parameters and arithmetic",
        note="Multiply-adds of convolutions and dense layers, in millions: the detector's for a frame, mean of all "
        "pictures, the classifier's for a face. kB = 10^3 bytes.",
        headings=(
            "case",
            "detector kB",
            "classifier kB",
            "detector parameters",
            "classifier parameters",
            "detector M multiply-adds",
            "classifier M multiply-adds",
            "library",
        ),
        rows=tuple(
            (
                case.name,
                kb(sum(case.stages[name].bytes for name in _detector_stages(case))),
                kb(sum(case.stages[name].bytes for name in case.stages if name not in _DETECTOR_STAGES)),
                _parameters(case, _detector_stages(case)),
                _parameters(case, [name for name in case.stages if name not in _DETECTOR_STAGES]),
                amount(_mean_multiply_adds(case) / 1e6),
                _classifier_multiply_adds(case),
                case.engine_version,
            )
            for case in cases
        ),
    )


def _processor_table(record: BenchRecord) -> Table:
    rows: list[tuple[str, ...]] = []
    for case in record.cases:
        for of, divisor in (("one core", 1), ("the machine", record.machine.cores)):
            shares = (case.summary.process_cpu, case.summary.machine_cpu)
            rows.append((case.name, of, *(text for share in shares for text in _user_system(share, divisor))))
    return Table(
        key="processor",
        title="Processor while pictures are decoded and analysed (%)",
        note="Of one core's time, and of all cores' time together. Everything: the machine with all its programs.",
        headings=("case", "% of", "process user", "process system", "everything user", "everything system"),
        rows=tuple(rows),
    )


def _energy_table(cases: Sequence[Case]) -> Table:
    def offline_mj(case: Case) -> float | None:
        return None if case.summary.bulk is None else case.summary.bulk.energy_mj

    known = any(case.summary.energy_mj_per_frame is not None or offline_mj(case) is not None for case in cases)
    return Table(
        key="energy",
        title="Energy (mJ)",
        note="Of all that the power sensor covers, decoding included; nothing is taken off for the board at rest.",
        headings=("case", "a frame", "a photo, offline"),
        rows=tuple(
            (case.name, amount(case.summary.energy_mj_per_frame), amount(offline_mj(case)))
            for case in (cases if known else ())
        ),
    )


def _offline_table(cases: Sequence[Case]) -> Table:
    return Table(
        key="offline",
        title="Offline: all pictures as fast as they go, decoding included (photos/s)",
        note="",
        headings=("case", "photos/s", "slowest round", "fastest round"),
        rows=tuple(
            (case.name, amount(bulk.photos_per_s), amount(bulk.slowest_per_s), amount(bulk.fastest_per_s))
            for case in cases
            if (bulk := case.summary.bulk) is not None
        ),
    )


def _streams_table(record: BenchRecord) -> Table:
    return Table(
        key="streams",
        title=f"Multi-stream: cameras of {record.settings.frame_rate:g} frames/s at once",
        note="The most that lost no frame and did not fall behind, tried twice; with so many, from a frame's coming to "
        "its faces, and memory of all processes; frames lost with the smallest number that failed; what the limit is.",
        headings=("case", "cameras", "p90 ms", "MB", "lost with more, %", "limit"),
        rows=tuple(
            (
                case.name,
                str(streams.most_streams),
                UNKNOWN if streams.p90_ms is None else ms(streams.p90_ms),
                mb(streams.memory_bytes),
                amount(streams.next_dropped_percent),
                streams.limited_by or UNKNOWN,
            )
            for case in record.cases
            if (streams := case.summary.streams) is not None
        ),
    )


def _sustained_table(cases: Sequence[Case]) -> Table:
    return Table(
        key="sustained",
        title="Sustained: one process without a pause",
        note="Median of a frame in the first and in the last minute (half, of less than two minutes).",
        headings=("case", "minutes", "frames", "first p50 ms", "last p50 ms", "last / first", "p99 ms"),
        rows=tuple(
            (
                case.name,
                amount(run.duration_s / 60),
                str(run.frames),
                ms(run.first_p50_ms),
                ms(run.last_p50_ms),
                amount(run.slowdown, 2),
                ms(run.p99_ms),
            )
            for case in cases
            if (run := case.summary.sustained) is not None
        ),
    )


def _training_table(record: BenchRecord) -> Table:
    return Table(
        key="training",
        title="Training, forward and back (ms an image)",
        note="Median of the steps after the warm-up, divided by the batch.",
        headings=("network", "on", "library", "threads", "batch", "steps", "p50 ms", "peak MB", "% of one core"),
        rows=tuple(
            (
                item.architecture,
                item.accelerator or "processor",
                item.backend,
                "all" if item.threads is None else str(item.threads),
                str(item.batch_size),
                str(len(item.ms_per_image)),
                ms(statistics.median(item.ms_per_image)),
                mb(item.peak_memory_bytes),
                amount(item.process_cpu.percent, 0),
            )
            for item in record.training
        ),
    )


def _spread(series: SeriesSummary) -> tuple[str, ...]:
    return (ms(series.min_ms), ms(series.p50_ms), interval(series), ms(series.p90_ms), ms(series.p99_ms))


def _stability(case: Case) -> str:
    return "yes" if case.summary.unstable_because is None else "no"


def _share_text(part: SeriesSummary, whole: SeriesSummary) -> str:
    # Means, which add up; medians do not.
    return amount(100 * part.mean_ms / whole.mean_ms, 0) if whole.mean_ms > 0 else UNKNOWN


def _detector_stages(case: Case) -> list[str]:
    return [name for name in case.stages if name in _DETECTOR_STAGES]


def _parameters(case: Case, names: Iterable[str]) -> str:
    counts = [case.stages[name].parameters for name in names]
    known = [count for count in counts if count is not None]
    return f"{sum(known):,}" if known and len(known) == len(counts) else UNKNOWN


def _mean_multiply_adds(case: Case) -> float:
    return statistics.fmean(mtcnn_multiply_adds(work) for measured in case.rounds for work in measured.work)


def _classifier_multiply_adds(case: Case) -> str:
    count = case.stages["classifier"].multiply_adds
    return UNKNOWN if count is None else amount(count / 1e6)


def _user_system(share: CpuShare | None, divisor: int) -> tuple[str, str]:
    if share is None:
        return UNKNOWN, UNKNOWN
    return amount(share.user_percent / divisor), amount(share.system_percent / divisor)
