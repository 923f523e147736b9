"""The figures of a case, which follow from its raw samples and the machine's memory alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fer_edge_bench.samples import Round, Steady
from fer_edge_bench.statistics import SeriesSummary, percentile, summarize

__all__ = ["CaseSummary", "PhotoSummary", "summarize_case"]

# The machine of the paper whose "3.1 % of 16 GB" is compared with. 10^9 bytes a GB: the stricter reading.
_COMPARED_MEMORY_BYTES = 16 * 10**9
_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoSummary:
    """One photo's figures over all rounds.

    Attributes:
        decode, detect, classify, frame: durations; frame is detect, classify and what lies between, without decode.
        frames_per_s: 1 / mean of frame.
        cpu_percent: processor time while frames were analysed, of one core's; above 100 where several worked.
        settled: the warm-up of every round ended because the time no longer changed.
    """

    decode: SeriesSummary
    detect: SeriesSummary
    classify: SeriesSummary
    frame: SeriesSummary
    frames_per_s: float
    cpu_percent: float
    settled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSummary:
    """A case's figures over all rounds.

    Attributes:
        cold_start_p50_ms: median over the rounds, from a process's start to the first photo's faces.
        peak_memory_bytes: the largest of the rounds (VmHWM).
        memory_percent: that as a share of the machine's memory.
        memory_percent_of_16_gb: that as a share of 16 * 10^9 bytes.
        face: the classifier alone on one face.
        faces_per_s: 1 / mean of face.
        photos: in the record's order.
    """

    cold_start_p50_ms: float
    peak_memory_bytes: int
    memory_percent: float
    memory_percent_of_16_gb: float
    face: SeriesSummary
    faces_per_s: float
    photos: tuple[PhotoSummary, ...]


def summarize_case(rounds: tuple[Round, ...], machine_memory_bytes: int) -> CaseSummary:
    """Return the figures of a case's rounds, their samples taken together.

    Raises:
        ValueError: there is no round, or the rounds have not the same photos and series.
    """
    if not rounds or len({len(measured.photos) for measured in rounds}) != 1:
        raise ValueError("rounds: expected at least one, and the same photos in each")
    peak_bytes = max(measured.peak_memory_bytes for measured in rounds)
    face = _merge((measured.face for measured in rounds), "face")
    return CaseSummary(
        cold_start_p50_ms=round(percentile([measured.cold_start_ms for measured in rounds], 50), _DIGITS),
        peak_memory_bytes=peak_bytes,
        memory_percent=round(100 * peak_bytes / machine_memory_bytes, _DIGITS),
        memory_percent_of_16_gb=round(100 * peak_bytes / _COMPARED_MEMORY_BYTES, _DIGITS),
        face=face,
        faces_per_s=_per_second(face),
        photos=tuple(_summarize_photo(rounds, index) for index in range(len(rounds[0].photos))),
    )


def _summarize_photo(rounds: tuple[Round, ...], index: int) -> PhotoSummary:
    steady = [measured.photos[index].frame for measured in rounds]
    frame = _merge(steady, "frame")
    wall_s = math.fsum(part.wall_s for part in steady)
    cpu_s = math.fsum(part.cpu_user_s + part.cpu_system_s for part in steady)
    return PhotoSummary(
        decode=_merge((measured.photos[index].decode for measured in rounds), "decode"),
        detect=_merge(steady, "detect"),
        classify=_merge(steady, "classify"),
        frame=frame,
        frames_per_s=_per_second(frame),
        cpu_percent=round(100 * cpu_s / wall_s, _DIGITS) if wall_s > 0 else 0.0,
        settled=all(part.settled for part in steady),
    )


def _merge(parts: Iterable[Steady], series: str) -> SeriesSummary:
    return summarize([duration_ms for part in parts for duration_ms in part.samples_ms[series]])


def _per_second(series: SeriesSummary) -> float:
    # A clock too coarse for the work gives 0; a rate cannot be told from that.
    return round(1000 / series.mean_ms, _DIGITS) if series.mean_ms > 0 else 0.0
