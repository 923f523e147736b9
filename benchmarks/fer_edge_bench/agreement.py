"""How far apart the answers to the same faces are that two machines give, or two files, or two kinds of kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Difference", "difference", "equal_groups", "same_top1_share"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs between two arrays of the same shape and type.

    Attributes:
        n: elements compared.
        n_differ: of these, how many are not equal.
        n_rows_differ: entries along the first axis with such an element.
        largest: the largest difference, in the elements' own unit; steps where they are integers.
    """

    n: int
    n_differ: int
    n_rows_differ: int
    largest: float


def difference(first: Array, second: Array) -> Difference:
    """Compare two arrays element by element.

    Raises:
        ValueError: shape or type differ, there is nothing to compare, or a value is not finite.
    """
    if first.shape != second.shape or first.dtype != second.dtype:
        raise ValueError(f"expected {first.dtype} {first.shape}, found {second.dtype} {second.shape}")
    if first.size == 0:
        raise ValueError(f"expected elements to compare, found the shape {first.shape}")
    # int8 differences do not fit int8, and float64 holds those of every type here exactly or to its last digit.
    apart = np.abs(first.astype(np.float64) - second.astype(np.float64))
    if not np.isfinite(apart).all():
        raise ValueError("expected finite values, found others")
    differ = apart > 0
    return Difference(
        n=first.size,
        n_differ=int(differ.sum()),
        n_rows_differ=int(differ.reshape(len(first), -1).any(axis=1).sum()),
        largest=float(apart.max()),
    )


def same_top1_share(first: Array, second: Array) -> float:
    """Return the share, 0 to 1, of rows whose largest entry stands in the same place; of equal ones the first counts.

    Args:
        first: (n, classes), n at least 1.
        second: of the same shape.

    Raises:
        ValueError: the shapes differ or hold nothing.
    """
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        raise ValueError(f"expected two arrays (n, classes), found {first.shape} and {second.shape}")
    return float((first.argmax(axis=1) == second.argmax(axis=1)).mean())


def equal_groups(arrays: Mapping[str, Array]) -> tuple[tuple[str, ...], ...]:
    """Return the names in groups whose arrays are equal in shape, type and every byte, in order of first appearance."""
    groups: dict[tuple[str, tuple[int, ...], bytes], list[str]] = {}
    for name, array in arrays.items():
        groups.setdefault((array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes()), []).append(name)
    return tuple(tuple(group) for group in groups.values())
