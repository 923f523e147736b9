from __future__ import annotations

import numpy as np
import pytest

from fer_edge_train.metrics import (
    Share,
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
    per_class_precision,
    per_class_recall,
    reliability,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
        pytest.param(81, 263, 0.2553, 0.3662, id="Newcombe 81/263"),
        pytest.param(15, 148, 0.0624, 0.1605, id="Newcombe 15/148"),
        pytest.param(0, 20, 0.0, 0.1611, id="Newcombe 0/20"),
        pytest.param(1, 29, 0.0061, 0.1718, id="Newcombe 1/29"),
        pytest.param(5, 10, 0.2366, 0.7634, id="5/10"),
        pytest.param(20, 20, 0.8389, 1.0, id="all right"),
    ],
)
def test_wilson_interval_against_published_values(right, n, low, high):
    actual = np.zeros(n, np.int64)
    predicted = (np.arange(n) >= right).astype(np.int64)
    found = accuracy(predicted, actual)
    assert found.n == n
    assert found.top1 == pytest.approx(right / n)
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)
    assert 0.0 <= found.low <= found.top1 <= found.high <= 1.0


@pytest.mark.parametrize(("count", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_an_interval_of_what_is_no_share_is_refused(count, n):
    with pytest.raises(ValueError, match=f"found {count} of {n}$"):
        wilson_interval(count, n)


def test_a_share_in_its_forms():
    found = Share(count=81, n=263)  # Newcombe's example
    assert found.to_json() == {
        "share": round(81 / 263, 6),
        "count": 81,
        "n": 263,
        "interval95": [pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5)],
    }
    assert str(found) == "30.80 % (95 % interval 25.53 to 36.62, 81 of 263)"
    assert found.short() == "30.8 (25.5-36.6)"


def test_a_share_of_nothing_is_none():
    found = Share(count=0, n=0)
    assert np.isnan(found.share)
    assert found.to_json() == {"share": None, "count": 0, "n": 0, "interval95": None}
    assert (str(found), found.short()) == ("- (0 of 0)", "-")


def test_accuracy_reads_as_a_sentence():
    found = accuracy(np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]), np.zeros(10, np.int64))
    assert str(found) == "50.00 % (95 % interval 23.66 to 76.34, n = 10)"


@pytest.mark.parametrize(("n_predicted", "n_actual"), [(0, 0), (2, 3)])
def test_accuracy_of_nothing_or_unequal_arrays_is_refused(n_predicted, n_actual):
    with pytest.raises(ValueError, match="expected two equally long, non-empty arrays"):
        accuracy(np.zeros(n_predicted, np.int64), np.zeros(n_actual, np.int64))


def test_rows_are_true_classes_and_columns_predicted_ones():
    actual, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 1, 1, 1, 0])
    found = confusion_matrix(predicted, actual, 4)
    assert found.tolist() == [[1, 2, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(per_class_recall(found), [1 / 3, 1.0, 0.0, np.nan])
    np.testing.assert_allclose(per_class_precision(found), [1 / 2, 1 / 3, np.nan, np.nan])


def test_macro_f1_by_hand():
    # F1 = 2 TP / (2 TP + FP + FN): 2/5, 2/4, 0; the fourth class occurs nowhere.
    found = macro_f1(np.array([[1, 2, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]))
    assert found == pytest.approx((2 / 5 + 2 / 4 + 0) / 3)


@pytest.mark.parametrize("seed", range(3))
def test_against_scikit_learn(seed):
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, 7, 200)
    predicted = np.where(rng.random(200) < 0.6, actual, rng.integers(0, 7, 200))
    found = confusion_matrix(predicted, actual, 7)
    np.testing.assert_array_equal(found, reference.confusion_matrix(actual, predicted))
    assert macro_f1(found) == pytest.approx(reference.f1_score(actual, predicted, average="macro"))
    np.testing.assert_allclose(per_class_recall(found), reference.recall_score(actual, predicted, average=None))
    np.testing.assert_allclose(per_class_precision(found), reference.precision_score(actual, predicted, average=None))


@pytest.mark.parametrize(
    ("confidences", "right", "n_bins", "expected"),
    [
        # Bin 0.5-0.75: two answers, mean confidence 0.65, half right; bin 0.75-1: two, mean 0.9, all right.
        pytest.param([0.6, 0.7, 0.85, 0.95], [1, 0, 1, 1], 4, 0.5 * 0.15 + 0.5 * 0.1, id="two bins"),
        pytest.param([1.0, 1.0], [1, 0], 10, 0.5, id="certain answers fall into the last bin"),
        pytest.param([1.0, 1.0], [1, 1], 15, 0.0, id="perfect"),
        pytest.param([0.6, 0.9], [0, 1], 1, abs(0.5 - 0.75), id="one bin"),
    ],
)
def test_calibration_error_by_hand(confidences, right, n_bins, expected):
    top = np.array(confidences)
    probs = np.stack([top, 1 - top], axis=1)
    actual = np.where(np.array(right, bool), 0, 1)
    assert expected_calibration_error(probs, actual, n_bins) == pytest.approx(expected)


def test_reliability_by_hand():
    top = np.array([0.6, 0.7, 0.85, 0.95, 1.0])
    probs = np.stack([top, 1 - top], axis=1)
    found = reliability(probs, np.array([0, 1, 0, 0, 1]), 4)
    assert found.counts.dtype == np.int64
    assert found.counts.tolist() == [0, 0, 2, 3]
    np.testing.assert_allclose(found.confidence, [np.nan, np.nan, 0.65, 2.8 / 3])
    np.testing.assert_allclose(found.accuracy, [np.nan, np.nan, 0.5, 2 / 3])
    np.testing.assert_allclose(found.edges, [0, 0.25, 0.5, 0.75, 1])
    assert found.expected_error == pytest.approx((2 * 0.15 + 3 * (2.8 / 3 - 2 / 3)) / 5)
    assert found.to_json() == [
        {"from": 0.0, "to": 0.25, "n": 0, "confidence": None, "accuracy": None},
        {"from": 0.25, "to": 0.5, "n": 0, "confidence": None, "accuracy": None},
        {"from": 0.5, "to": 0.75, "n": 2, "confidence": 0.65, "accuracy": 0.5},
        {"from": 0.75, "to": 1.0, "n": 3, "confidence": 0.933333, "accuracy": 0.666667},
    ]
