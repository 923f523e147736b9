"""Label distributions instead of single labels.

FER-2013's labels are noisy: one person's choice where ten FER+ voters often disagree. Fitting E[label | votes] on the
training rows and training towards it keeps the mean that a network should learn and removes most of the noise around
it. The fit is a multinomial logistic regression on the vote shares.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["label_distribution_given_votes", "one_hot", "smooth"]

Floats = npt.NDArray[np.float64]


def one_hot(label_indices: npt.NDArray[np.int64], n_classes: int) -> Floats:
    """Return float64 (n, n_classes) with a single 1 in each row."""
    return np.asarray(np.eye(n_classes)[label_indices], dtype=np.float64)


def smooth(targets: Floats, amount: float) -> Floats:
    """Mix targets (n, classes) with the uniform distribution: label smoothing (Szegedy et al. 2016, section 7)."""
    mixed: Floats = (1.0 - amount) * targets + amount / targets.shape[1]
    return mixed


def label_distribution_given_votes(
    votes: npt.NDArray[np.int64],
    label_indices: npt.NDArray[np.int64],
    n_classes: int,
    *,
    n_steps: int = 30,
    ridge: float = 1.0,
) -> Floats:
    """Fit P(label | votes) by multinomial logistic regression and return it for each row.

    Newton's method on the ridge-penalised log-likelihood; a few steps reach the optimum of this convex problem.

    Args:
        votes: int64 (n, k), how many voters chose each of k answers.
        label_indices: int64 (n,), the data set's own labels.
        n_classes: number of labels.
        n_steps: at most this many Newton steps.
        ridge: penalty on the squared weights, in units of one sample's log-likelihood.

    Returns:
        float64 (n, n_classes), rows sum to 1.
    """
    shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    features = np.hstack([shares, np.ones((len(votes), 1))])
    n_features = features.shape[1]
    targets = one_hot(label_indices, n_classes)
    weights = np.zeros((n_features, n_classes))
    for _ in range(n_steps):
        probs = _softmax(features @ weights)
        gradient = features.T @ (probs - targets) + ridge * weights
        hessian = np.zeros((n_classes, n_features, n_classes, n_features))
        for a in range(n_classes):
            for b in range(a, n_classes):
                factor = probs[:, a] * ((a == b) - probs[:, b])
                block = (features * factor[:, np.newaxis]).T @ features
                hessian[a, :, b, :] = hessian[b, :, a, :] = block
        size = n_classes * n_features
        matrix = hessian.reshape(size, size) + ridge * np.eye(size)
        step = np.linalg.solve(matrix, gradient.T.reshape(size)).reshape(n_classes, n_features).T
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return _softmax(features @ weights)


def _softmax(logits: Floats) -> Floats:
    powers: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probs
