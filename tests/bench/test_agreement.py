"""Arithmetic of the comparison of answers, against sums done by hand and by plain loops."""

import numpy as np
import pytest

from fer_edge_bench.agreement import difference, equal_groups, same_top1_share


def test_int8_differences_do_not_wrap_around():
    first, second = np.array([[-128, 127], [5, 5]], np.int8), np.array([[127, 127], [5, 4]], np.int8)
    found = difference(first, second)
    assert (found.n, found.n_differ, found.n_rows_differ, found.largest) == (4, 2, 2, 255.0)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32])
def test_differences_are_those_of_a_plain_loop(dtype):
    rng = np.random.default_rng(5)
    first = rng.integers(0, 100, (20, 3, 4)).astype(dtype)
    second = first + (rng.random(first.shape) < 0.1).astype(dtype) * rng.integers(1, 9, first.shape).astype(dtype)
    pairs = list(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))
    rows = [a.tolist() != b.tolist() for a, b in zip(first, second, strict=True)]
    found = difference(first, second)
    assert found.n == len(pairs) == 240
    assert found.n_differ == sum(a != b for a, b in pairs) > 0
    assert found.n_rows_differ == sum(rows) < 20
    assert found.largest == max(abs(a - b) for a, b in pairs)


def test_equal_arrays_do_not_differ():
    array = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    found = difference(array, array.copy())
    assert (found.n_differ, found.n_rows_differ, found.largest) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.zeros((2, 3), np.int8), np.zeros((2, 4), np.int8), r"expected int8 \(2, 3\), found int8 \(2, 4\)"),
        (np.zeros((2, 3), np.int8), np.zeros((2, 3), np.uint8), r"expected int8 \(2, 3\), found uint8 \(2, 3\)"),
        (np.zeros((0, 3), np.int8), np.zeros((0, 3), np.int8), r"expected elements to compare"),
        (np.zeros((1, 2), np.float32), np.array([[0, np.nan]], np.float32), "expected finite values"),
    ],
    ids=["shape", "type", "nothing", "not a number"],
)
def test_what_cannot_be_compared_is_refused(first, second, message):
    with pytest.raises(ValueError, match=message):
        difference(first, second)


def test_share_of_equal_labels_takes_the_first_of_equal_entries():
    first = np.array([[3, 1, 0], [0, 2, 2], [1, 1, 1], [0, 0, 9]])
    second = np.array([[9, 1, 0], [0, 1, 5], [4, 0, 0], [0, 9, 0]])
    assert same_top1_share(first, second) == 0.5


@pytest.mark.parametrize(
    ("first", "second"),
    [(np.zeros((0, 7)), np.zeros((0, 7))), (np.zeros((2, 7)), np.zeros((1, 7))), (np.zeros(7), np.zeros(7))],
    ids=["no rows", "other length", "one row without an axis"],
)
def test_share_needs_rows_of_one_shape(first, second):
    with pytest.raises(ValueError, match=r"expected two arrays \(n, classes\)"):
        same_top1_share(first, second)


def test_groups_are_of_equal_bytes_type_and_shape():
    base = np.arange(6, dtype=np.int8).reshape(2, 3)
    arrays = {
        "here": base,
        "other value": base + np.int8(1),
        "copy": np.asfortranarray(base),
        "other type": base.astype(np.uint8),
        "other shape": base.reshape(3, 2),
        "other value again": base + np.int8(1),
    }
    assert equal_groups(arrays) == (
        ("here", "copy"),
        ("other value", "other value again"),
        ("other type",),
        ("other shape",),
    )
