"""What a classifier does on labelled faces: figures, tables, and which mistakes it is surest of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.metrics import (
    Accuracy,
    Reliability,
    Share,
    accuracy,
    confusion_matrix,
    macro_f1,
    per_class_precision,
    per_class_recall,
    reliability,
)

__all__ = [
    "Evaluation",
    "check_label_names",
    "check_labels",
    "evaluate",
    "evaluate_labels",
    "most_confident_mistakes",
]

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """A classifier's figures on one data set.

    Attributes:
        labels: the classes.
        accuracy: top-1 with its interval.
        confusion: int64 (classes, classes), rows labelled, columns predicted.
        reliability: how often answers of each confidence are right.
    """

    labels: tuple[str, ...]
    accuracy: Accuracy
    confusion: Indices
    reliability: Reliability

    @property
    def recall(self) -> dict[str, float]:
        """Share of each labelled class that was found; NaN for a class without samples."""
        return dict(zip(self.labels, per_class_recall(self.confusion).tolist(), strict=True))

    @property
    def precision(self) -> dict[str, float]:
        """Share of each predicted class that is right; NaN for a class never predicted."""
        return dict(zip(self.labels, per_class_precision(self.confusion).tolist(), strict=True))

    @property
    def macro_f1(self) -> float:
        """Mean over the classes of the harmonic mean of recall and precision, 0 to 1."""
        return macro_f1(self.confusion)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error over 15 bins, 0 to 1."""
        return self.reliability.expected_error

    def class_shares(self) -> list[tuple[str, Share, Share]]:
        """Return for each class its name, its recall and its precision, both with counts."""
        right = np.diag(self.confusion).tolist()
        labelled, predicted = (self.confusion.sum(axis=axis).tolist() for axis in (1, 0))
        return [
            (name, Share(count=right[i], n=labelled[i]), Share(count=right[i], n=predicted[i]))
            for i, name in enumerate(self.labels)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return JSON types; shares are 0 to 1, rounded to six digits."""
        return {
            "top1": round(self.accuracy.top1, 6),
            "n": self.accuracy.n,
            "interval95": [round(self.accuracy.low, 6), round(self.accuracy.high, 6)],
            "macro_f1": round(self.macro_f1, 6),
            "recall": _rounded(self.recall),
            "precision": _rounded(self.precision),
            "expected_calibration_error": round(self.calibration_error, 6),
            "confusion": self.confusion.tolist(),
        }

    def to_text(self) -> str:
        """Return a table for a terminal: accuracy, then the confusion matrix in % of each labelled class."""
        width = max(max(len(name) for name in self.labels), len("precision"))
        lines = [
            f"top-1    {self.accuracy}",
            f"macro F1 {self.macro_f1:.4f}, expected calibration error {self.calibration_error:.4f}",
            "",
            "% of each labelled class (rows) predicted as (columns); the diagonal is the recall",
            " " * width + "".join(f" {name:>{width}}" for name in self.labels) + f" {'n':>6}",
        ]
        for name, row in zip(self.labels, self.confusion, strict=True):
            total = int(row.sum())
            shares = [f"{100 * count / total:.1f}" if total else "-" for count in row]
            lines.append(f"{name:>{width}}" + "".join(f" {share:>{width}}" for share in shares) + f" {total:>6}")
        precision = ["-" if np.isnan(value) else f"{100 * value:.1f}" for value in self.precision.values()]
        lines.append(f"{'precision':>{width}}" + "".join(f" {share:>{width}}" for share in precision))
        return "\n".join(lines)


def check_labels(labels: tuple[str, ...], faces: FaceSet, model: str) -> None:
    """Compare a model's classes, in the order of its outputs, with those of the faces.

    Raises:
        InputError: they differ; the message begins with `model`.
    """
    check_label_names(labels, faces.labels, model)


def check_label_names(labels: tuple[str, ...], expected: tuple[str, ...], model: str) -> None:
    """Compare a model's classes, in the order of its outputs, with those of the data.

    Raises:
        InputError: they differ; the message begins with `model`.
    """
    if labels != expected:
        raise InputError(
            f"{model}: expected the labels of the data ({', '.join(expected)}), in that order, "
            f"found {', '.join(labels)}; choose a model of these classes"
        )


def evaluate(probs: Floats, faces: FaceSet) -> Evaluation:
    """Compare probabilities (n, classes) with the labels of the faces they were made from."""
    return evaluate_labels(probs, faces.label_indices, faces.labels)


def evaluate_labels(probs: Floats, label_indices: Indices, labels: tuple[str, ...]) -> Evaluation:
    """Compare probabilities (n, classes) with label indices (n,); n must be at least 1."""
    predicted = probs.argmax(axis=1).astype(np.int64)
    return Evaluation(
        labels=labels,
        accuracy=accuracy(predicted, label_indices),
        confusion=confusion_matrix(predicted, label_indices, len(labels)),
        reliability=reliability(probs, label_indices),
    )


def most_confident_mistakes(probs: Floats, label_indices: Indices, n: int) -> Indices:
    """Return the positions of at most `n` wrong answers, surest first; equal ones in their order."""
    wrong = np.flatnonzero(probs.argmax(axis=1) != label_indices)
    order = np.argsort(-probs.max(axis=1)[wrong], kind="stable")
    return wrong[order][:n].astype(np.int64)


def _rounded(shares: dict[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else round(value, 6) for name, value in shares.items()}
