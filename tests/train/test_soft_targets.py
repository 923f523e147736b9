from __future__ import annotations

import numpy as np
import pytest

from fer_edge_train.soft_targets import label_distribution_given_votes, one_hot, smooth


def test_one_hot():
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("amount", "expected"), [(0.0, [1.0, 0.0, 0.0, 0.0]), (0.2, [0.85, 0.05, 0.05, 0.05]), (1.0, [0.25] * 4)]
)
def test_smoothing_by_hand(amount, expected):
    np.testing.assert_allclose(smooth(np.array([[1.0, 0.0, 0.0, 0.0]]), amount), [expected])


def noisy_votes(n: int, n_answers: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, n_classes, n)
    votes = np.stack([rng.multinomial(10, np.where(np.arange(n_answers) == t, 6, 1) / (n_answers + 5)) for t in truth])
    label_indices = np.where(rng.random(n) < 0.7, truth, rng.integers(0, n_classes, n))
    return votes.astype(np.int64), label_indices.astype(np.int64)


@pytest.mark.parametrize("ridge", [0.1, 1.0, 25.0])
def test_equals_scikit_learns_logistic_regression(ridge):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    votes, label_indices = noisy_votes(400, 5, 3)
    features = np.hstack([votes / votes.sum(axis=1, keepdims=True), np.ones((len(votes), 1))])
    # Ours penalises the intercept too, so it stands among the features.
    reference = linear_model.LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-10, max_iter=10_000)
    expected = reference.fit(features, label_indices).predict_proba(features)
    found = label_distribution_given_votes(votes, label_indices, 3, ridge=ridge)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_without_a_penalty_to_speak_of_it_is_the_share_of_labels_among_equal_votes():
    # Two kinds of voting: of the first, 3 of 4 carry label 0; of the second, 1 of 5.
    votes = np.array([[10, 0]] * 4 + [[0, 10]] * 5)
    label_indices = np.array([0, 0, 0, 1, 0, 1, 1, 1, 1])
    found = label_distribution_given_votes(votes, label_indices, 2, ridge=1e-6)
    np.testing.assert_allclose(found, [[3 / 4, 1 / 4]] * 4 + [[1 / 5, 4 / 5]] * 5, atol=1e-4)


@pytest.mark.parametrize(
    "votes",
    [
        pytest.param(np.zeros((30, 4), np.int64), id="nobody voted"),
        pytest.param(np.eye(3, 4, dtype=np.int64)[np.arange(30) % 3] * 10, id="votes that decide the label"),
        pytest.param(np.full((30, 4), 2, np.int64), id="votes that say nothing"),
    ],
)
def test_rows_are_distributions_in_degenerate_cases(votes):
    label_indices = np.arange(30) % 3
    found = label_distribution_given_votes(votes, label_indices, 7)
    assert found.shape == (30, 7)
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    if votes.any() and len(np.unique(votes, axis=0)) == 1:
        assert np.ptp(found, axis=0).max() == 0.0
