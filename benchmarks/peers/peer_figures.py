"""Figures that follow from a record's samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from peer_cases import BASELINE
from peer_record import CaseResult, PeersRecord

from fer_edge_bench.bootstrap import ratio_interval

__all__ = ["Ratio", "baseline", "median_ms", "peak_memory_bytes", "portrait_indices", "ratio_to", "smallest_face"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times longer than the baseline, by medians, and the 95 % interval of that."""

    value: float
    low: float
    high: float


def portrait_indices(record: PeersRecord) -> list[int]:
    """Return the positions of the photos of one face in 640 x 480."""
    return [i for i, photo in enumerate(record.photos) if photo.is_portrait]


def baseline(record: PeersRecord, mode: str) -> CaseResult | None:
    """Return fer-edge's own case of a mode; None where the record has none that ran."""
    for case in record.cases:
        if case.mode == mode and case.name == BASELINE and case.rounds:
            return case
    return None


def median_ms(case: CaseResult, photos: Sequence[int]) -> float:
    """Return the median of all samples on some photos."""
    return float(np.median(_by_round(case, photos)))


def ratio_to(case: CaseResult, reference: CaseResult, photos: Sequence[int]) -> Ratio:
    """Return the ratio of the medians on some photos; the interval resamples rounds first, then their samples."""
    low, high = ratio_interval(_by_round(case, photos), _by_round(reference, photos), 50)
    return Ratio(value=median_ms(case, photos) / median_ms(reference, photos), low=low, high=high)


def peak_memory_bytes(case: CaseResult) -> int:
    """Return the largest resident memory of any round."""
    return max(samples.peak_memory_bytes for samples in case.rounds)


def smallest_face(case: CaseResult) -> str:
    """Return the smallest face that was asked for, as text."""
    return "default" if case.min_face_px is None else f"{case.min_face_px:g} px"


def _by_round(case: CaseResult, photos: Sequence[int]) -> list[list[float]]:
    return [[value for i in photos for value in samples.samples_ms[i]] for samples in case.rounds]
