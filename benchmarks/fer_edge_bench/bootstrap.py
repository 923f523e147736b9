"""Intervals of figures by resampling the processes first and their samples then.

Two processes differ by more than two runs of one process do (where memory lands, what else runs at the time), so an
interval from all samples alike would be too narrow. (Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time",
2013.) How often each input was measured is a choice and no chance, so each is drawn as often as it was measured.

Few processes show less than the spread there is, so these intervals are too narrow for them: of four they hold the true
figure in 85 % of cases. `fer_edge_bench.statistics.summarize` widens them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["percentile_interval", "ratio_interval"]

_SEED = 2013
_N_RESAMPLES = 1000
_CONFIDENCE = 0.95
# Values drawn at once: bounds the memory on a small board to some ten megabytes.
_CHUNK_VALUES = 400_000

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strata:
    """Samples with those of one input side by side.

    Attributes:
        table: float64 (processes, samples).
        first: for each sample the position of its input's first; intp, of the table's shape, or (processes, 1) where
            all samples of a process have the same.
        n: how many samples its input has, of the same shape.
    """

    table: Floats
    first: Integers
    n: Integers


def percentile_interval(
    processes: Sequence[Sequence[float]], percent: float, inputs: Sequence[Sequence[int]] | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of a percentile.

    Args:
        processes: the samples of each fresh process, all of one length, at least one.
        percent: 0 to 100.
        inputs: which input each sample belongs to; None where all had the same.

    Raises:
        ValueError: there are no samples, the processes have different numbers of them, or `inputs` has another length.
    """
    return _bounds(_resampled(_strata(processes, inputs), percent, np.random.RandomState(_SEED)))


def ratio_interval(
    processes: Sequence[Sequence[float]], references: Sequence[Sequence[float]], percent: float
) -> tuple[float, float]:
    """Return the 95 % interval of a percentile of `processes` over that of `references`.

    Raises:
        ValueError: as `percentile_interval`, or a reference's percentile is 0.
    """
    # One stream of numbers for both: they are drawn independently of each other.
    random = np.random.RandomState(_SEED)
    above = _resampled(_strata(processes, None), percent, random)
    below = _resampled(_strata(references, None), percent, random)
    if below.min() <= 0:
        raise ValueError("ratio_interval: expected references above 0 ms, found 0")
    return _bounds(above / below)


def _strata(processes: Sequence[Sequence[float]], inputs: Sequence[Sequence[int]] | None) -> _Strata:
    lengths = {len(samples) for samples in processes}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"expected processes with the same number of samples, at least 1; found {sorted(lengths)}")
    table = np.asarray(processes, dtype=np.float64)
    if inputs is None:
        n_processes, n_samples = table.shape
        one_column = (n_processes, 1)
        return _Strata(table=table, first=np.zeros(one_column, np.intp), n=np.full(one_column, n_samples, np.intp))
    if [len(keys) for keys in inputs] != [len(samples) for samples in processes]:
        raise ValueError(f"expected an input for each sample, found {sorted({len(keys) for keys in inputs})}")
    keys = np.asarray(inputs)
    order = np.argsort(keys, axis=1, kind="stable")
    first, n = np.empty(table.shape, np.intp), np.empty(table.shape, np.intp)
    for row, ordered in enumerate(np.take_along_axis(keys, order, axis=1)):
        _, starts, which, counts = np.unique(ordered, return_index=True, return_inverse=True, return_counts=True)
        first[row], n[row] = starts[which], counts[which]
    return _Strata(table=np.take_along_axis(table, order, axis=1), first=first, n=n)


def _resampled(strata: _Strata, percent: float, random: np.random.RandomState) -> Floats:
    """Return a percentile of each resample: float64 (_N_RESAMPLES,).

    RandomState's stream of numbers is fixed for all versions of numpy, so a record's intervals can be computed again.
    """
    n_processes, n_samples = strata.table.shape
    chunk = max(_CHUNK_VALUES // strata.table.size, 1)
    figures = []
    for start in range(0, _N_RESAMPLES, chunk):
        n = min(chunk, _N_RESAMPLES - start)
        chosen = (random.random_sample((n, n_processes)) * n_processes).astype(np.intp)
        positions = (random.random_sample((n, n_processes, n_samples)) * strata.n[chosen]).astype(np.intp)
        positions += strata.first[chosen]
        drawn = strata.table[chosen[:, :, np.newaxis], positions].reshape(n, -1)
        figures.append(np.percentile(drawn, percent, axis=1))
    return np.concatenate(figures)


def _bounds(figures: Floats) -> tuple[float, float]:
    tail = 100 * (1 - _CONFIDENCE) / 2
    low, high = np.percentile(figures, [tail, 100 - tail])
    return float(low), float(high)
