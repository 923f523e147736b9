"""What a classifier does on labelled faces: figures, tables, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError
from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.metrics import (
    Accuracy,
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
    per_class_recall,
)

__all__ = ["Evaluation", "check_labels", "evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """A classifier's figures on one data set.

    Attributes:
        labels: the classes.
        accuracy: top-1 with its interval.
        confusion: int64 (classes, classes), rows labelled, columns predicted.
        calibration_error: expected calibration error over 15 bins, 0 to 1.
    """

    labels: tuple[str, ...]
    accuracy: Accuracy
    confusion: npt.NDArray[np.int64]
    calibration_error: float

    @property
    def recall(self) -> dict[str, float]:
        """Share of each labelled class that was found; NaN for a class without samples."""
        return dict(zip(self.labels, per_class_recall(self.confusion).tolist(), strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return JSON types; shares are 0 to 1, rounded to six digits."""
        return {
            "top1": round(self.accuracy.top1, 6),
            "n": self.accuracy.n,
            "interval95": [round(self.accuracy.low, 6), round(self.accuracy.high, 6)],
            "macro_f1": round(macro_f1(self.confusion), 6),
            "recall": {name: None if np.isnan(value) else round(value, 6) for name, value in self.recall.items()},
            "expected_calibration_error": round(self.calibration_error, 6),
            "confusion": self.confusion.tolist(),
        }

    def to_text(self) -> str:
        """Return a table for a terminal: accuracy, then the confusion matrix in % of each labelled class."""
        width = max(max(len(name) for name in self.labels), 8)
        lines = [
            f"top-1    {self.accuracy}",
            f"macro F1 {macro_f1(self.confusion):.4f}, expected calibration error {self.calibration_error:.4f}",
            "",
            "% of each labelled class (rows) predicted as (columns); the diagonal is the recall",
            " " * width + "".join(f" {name:>{width}}" for name in self.labels) + f" {'n':>6}",
        ]
        for name, row in zip(self.labels, self.confusion, strict=True):
            total = int(row.sum())
            shares = [f"{100 * count / total:.1f}" if total else "-" for count in row]
            lines.append(f"{name:>{width}}" + "".join(f" {share:>{width}}" for share in shares) + f" {total:>6}")
        return "\n".join(lines)


def check_labels(labels: tuple[str, ...], faces: FaceSet, model: str) -> None:
    """Compare a model's classes, in the order of its outputs, with those of the faces.

    Raises:
        InputError: they differ; the message begins with `model`.
    """
    if labels != faces.labels:
        raise InputError(
            f"{model}: expected the labels of the data ({', '.join(faces.labels)}), in that order, "
            f"found {', '.join(labels)}; choose a model of these classes"
        )


def evaluate(probs: npt.NDArray[np.float32], faces: FaceSet) -> Evaluation:
    """Compare probabilities (n, classes) with the labels of the faces they were made from."""
    predicted = probs.argmax(axis=1).astype(np.int64)
    return Evaluation(
        labels=faces.labels,
        accuracy=accuracy(predicted, faces.label_indices),
        confusion=confusion_matrix(predicted, faces.label_indices, len(faces.labels)),
        calibration_error=expected_calibration_error(probs, faces.label_indices),
    )
