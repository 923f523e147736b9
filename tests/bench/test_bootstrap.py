"""Intervals against a closed form, a hand-made case, and their own coverage."""

import numpy as np
import pytest

from fer_edge_bench.bootstrap import percentile_interval, ratio_interval


def test_one_process_is_the_plain_bootstrap() -> None:
    """The median's interval of n samples lies between order statistics: of 101 about the 41st to the 61st."""
    low, high = percentile_interval([list(range(101))], 50)
    assert low == pytest.approx(40, abs=3)
    assert high == pytest.approx(60, abs=3)


def test_processes_that_differ_widen_it() -> None:
    """Each process repeats one value, so all that is uncertain is which processes were drawn."""
    low, high = percentile_interval([[10.0] * 20, [10.0] * 20, [12.0] * 20, [14.0] * 20], 50)
    assert (low, high) == (10.0, 14.0)
    pooled = percentile_interval([[10.0] * 40 + [12.0] * 20 + [14.0] * 20], 50)
    assert pooled[1] - pooled[0] < high - low


def test_the_interval_of_a_ratio() -> None:
    assert ratio_interval([[3.0], [3.0]], [[2.0], [2.0]], 50) == (1.5, 1.5)
    low, high = ratio_interval([[3.0], [6.0]], [[2.0], [2.0]], 50)
    assert (low, high) == (1.5, 3.0)


def test_each_picture_is_drawn_as_often_as_it_was_measured() -> None:
    """Two pictures of 10 and 100 ms: the median lies half way between them, and which was drawn is no chance."""
    processes, inputs = [[10.0, 100.0] * 20] * 4, [[0, 1] * 20] * 4
    assert percentile_interval(processes, 50, inputs) == (55.0, 55.0)
    low, high = percentile_interval(processes, 50)
    assert (low, high) == (10.0, 100.0)


def test_runs_of_a_picture_are_drawn_from_its_own() -> None:
    """In any order, not the same in each process: the lower half is the first picture's, the upper the second's."""
    cheap, dear = [10.0, 10.5, 11.0, 11.5], [100.0, 101.0, 102.0, 103.0]
    processes = [cheap + dear, [value for pair in zip(dear, cheap, strict=True) for value in pair]]
    inputs = [[5] * 4 + [2] * 4, [2, 5] * 4]
    low, high = percentile_interval(processes, 25, inputs)
    assert 10.0 <= low < high <= 11.5
    low, high = percentile_interval(processes, 75, inputs)
    assert 100.0 <= low < high <= 103.0


def test_one_picture_is_no_picture() -> None:
    processes = np.random.RandomState(3).standard_normal((4, 30)).tolist()
    assert percentile_interval(processes, 50, [[7] * 30] * 4) == percentile_interval(processes, 50)


def test_coverage() -> None:
    """Of 200 intervals of medians of 8 processes around 100, about 95 % hold 100; the pooled bootstrap a third."""
    random = np.random.RandomState(7)
    held = 0
    for _ in range(200):
        centres = 100 + 5 * random.standard_normal(8)
        low, high = percentile_interval([list(c + random.standard_normal(15)) for c in centres], 50)
        held += low <= 100 <= high
    assert 0.86 <= held / 200 <= 1.0


def test_a_large_table_is_drawn_in_parts_that_give_an_interval_too() -> None:
    samples = list(np.random.RandomState(1).standard_normal(5_000))
    low, high = percentile_interval([samples, samples], 50)
    assert low < float(np.median(samples)) < high
    assert high - low < 0.1


@pytest.mark.parametrize(
    ("processes", "message"),
    [
        pytest.param([], "expected processes", id="none"),
        pytest.param([[]], "expected processes", id="no samples"),
        pytest.param([[1.0], [1.0, 2.0]], r"found \[1, 2\]", id="lengths"),
    ],
)
def test_what_has_no_interval(processes: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        percentile_interval(processes, 50)


@pytest.mark.parametrize(
    "inputs",
    [pytest.param([[0, 0]], id="a process"), pytest.param([[0, 0], [0]], id="a sample")],
)
def test_an_input_is_missing(inputs: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="expected an input for each sample"):
        percentile_interval([[1.0, 2.0], [1.0, 2.0]], 50, inputs)


def test_a_ratio_over_nothing() -> None:
    with pytest.raises(ValueError, match="above 0 ms, found 0"):
        ratio_interval([[1.0]], [[0.0]], 50)
