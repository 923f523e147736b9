"""Intervals of figures by resampling the processes first and their samples then.

Two processes differ by more than two runs of one process do (where memory lands, what else runs at the time), so an
interval from all samples alike would be too narrow. (Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time",
2013.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["percentile_interval", "ratio_interval"]

_SEED = 2013
_N_RESAMPLES = 1000
_CONFIDENCE = 0.95
# Values drawn at once: bounds the memory on a small board to a few megabytes.
_CHUNK_VALUES = 400_000

Floats = npt.NDArray[np.float64]


def percentile_interval(processes: Sequence[Sequence[float]], percent: float) -> tuple[float, float]:
    """Return the 95 % interval of a percentile.

    Args:
        processes: the samples of each fresh process, all of one length, at least one.
        percent: 0 to 100.

    Raises:
        ValueError: there are no samples, or the processes have different numbers of them.
    """
    return _bounds(_resampled(_table(processes), percent, np.random.RandomState(_SEED)))


def ratio_interval(
    processes: Sequence[Sequence[float]], references: Sequence[Sequence[float]], percent: float
) -> tuple[float, float]:
    """Return the 95 % interval of a percentile of `processes` over that of `references`.

    Raises:
        ValueError: as `percentile_interval`, or a reference's percentile is 0.
    """
    # One stream of numbers for both: they are drawn independently of each other.
    random = np.random.RandomState(_SEED)
    above = _resampled(_table(processes), percent, random)
    below = _resampled(_table(references), percent, random)
    if below.min() <= 0:
        raise ValueError("ratio_interval: expected references above 0 ms, found 0")
    return _bounds(above / below)


def _table(processes: Sequence[Sequence[float]]) -> Floats:
    lengths = {len(samples) for samples in processes}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"expected processes with the same number of samples, at least 1; found {sorted(lengths)}")
    return np.asarray(processes, dtype=np.float64)


def _resampled(table: Floats, percent: float, random: np.random.RandomState) -> Floats:
    """Return a percentile of each resample of a table (processes, samples): float64 (_N_RESAMPLES,).

    RandomState's stream of numbers is fixed for all versions of numpy, so a record's intervals can be computed again.
    """
    n_processes, n_samples = table.shape
    chunk = max(_CHUNK_VALUES // table.size, 1)
    figures = []
    for start in range(0, _N_RESAMPLES, chunk):
        n = min(chunk, _N_RESAMPLES - start)
        chosen = (random.random_sample((n, n_processes)) * n_processes).astype(np.intp)
        positions = (random.random_sample((n, n_processes, n_samples)) * n_samples).astype(np.intp)
        drawn = table[chosen[:, :, np.newaxis], positions].reshape(n, -1)
        figures.append(np.percentile(drawn, percent, axis=1))
    return np.concatenate(figures)


def _bounds(figures: Floats) -> tuple[float, float]:
    tail = 100 * (1 - _CONFIDENCE) / 2
    low, high = np.percentile(figures, [tail, 100 - tail])
    return float(low), float(high)
