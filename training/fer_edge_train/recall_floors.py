"""Recall asked of single classes, reached by shifting the decision between classes.

A network trained for accuracy seldom names a class that is often taken for others (fear) or that is rare (disgust): an
offset added to the class's logit moves the decision (Menon et al., "Long-tail learning via logit adjustment", 2021, add
the log of class frequencies). Here the offsets are those that just reach the asked recalls on held-out images, each in
the middle of the range in which it does. The lower end of that range leaves one image on the boundary, where the
smallest change of a logit (of int8, say) loses it, and where k of n were asked it finds k / (n + 1) of others on
average (the k-th order statistic). The offsets become part of the last layer's bias, so that nothing changes for
whoever runs the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.classifier import softmax
from fer_edge.errors import UsageError
from fer_edge_train.datasets import FaceSet
from fer_edge_train.evaluation import Evaluation, evaluate

__all__ = ["ShiftedDecision", "check_recall_floors", "logit_offsets", "reach_recall_floors"]

_MOST_ROUNDS = 10_000
_BEYOND_TIE = 1e-4  # added to an offset that makes two logits equal; float32 logits of about 10 tell it


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftedDecision:
    """What shifting the decision did.

    Attributes:
        offsets: added to the logit of each class that was asked for.
        recall_before, recall_after: of every class that has held-out images, on them.
        top1_before, top1_after: on the held-out images.
    """

    offsets: dict[str, float]
    recall_before: dict[str, float]
    recall_after: dict[str, float]
    top1_before: float
    top1_after: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


def check_recall_floors(floors: Mapping[str, float], held_out: FaceSet) -> None:
    """Check that recalls can be measured on the held-out images.

    Raises:
        UsageError: a class does not exist or has no held-out image.
    """
    for label in floors:
        if label not in held_out.labels:
            raise UsageError(f"--recall {label}: expected one of {', '.join(held_out.labels)}")
        if not (held_out.label_indices == held_out.labels.index(label)).any():
            raise UsageError(f"--recall {label}: no held-out image is {label}; raise --validation-fraction")


def logit_offsets(
    logits: npt.NDArray[np.float32], label_indices: npt.NDArray[np.int64], floors: Mapping[int, float]
) -> npt.NDArray[np.float64]:
    """Return offsets, none below 0, with which each class of `floors` just reaches its recall.

    A class that reaches it by itself keeps 0, or what takes it 1e-4 beyond a tie, which is no answer. The offset of
    another lies in the middle between what the last of its images that has to be named needs, and what the next one of
    the class would need. It is what the last one needs, and 1e-4, where no next one is left, where the two need the
    same, and for all classes where the middles push each other up without end.

    Args:
        logits: (n, classes).
        label_indices: (n,), the right classes.
        floors: recall in (0, 1) by position of the class.

    Returns:
        float64 (classes,).

    Raises:
        UsageError: no offsets reach all of them.
    """
    wide = logits.astype(np.float64)
    least = _raised(wide, label_indices, floors, to_middle=False)
    if least is None:
        raise UsageError("no shift of the decision reaches all the recalls asked for together; ask for less")
    centred = _raised(wide, label_indices, floors, to_middle=True)
    return least if centred is None else centred


def _raised(
    logits: npt.NDArray[np.float64],
    label_indices: npt.NDArray[np.int64],
    floors: Mapping[int, float],
    *,
    to_middle: bool,
) -> npt.NDArray[np.float64] | None:
    """Return the smallest offsets, none below 0, that give each class what it needs; None where there are none.

    What a class needs grows with the others' offsets, so raising each in turn to it, from 0 on, ends at the smallest
    solution.
    """
    offsets = np.zeros(logits.shape[1])
    limit = 2.0 * float(np.ptp(logits)) + 1.0  # beyond it one class would be the answer to everything
    for _ in range(_MOST_ROUNDS):
        before = offsets.copy()
        for position, floor in floors.items():
            own = logits[label_indices == position]
            others = np.delete(own + offsets, position, axis=1).max(axis=1)
            needed = np.sort(others - own[:, position])
            n_right = max(int(np.ceil(floor * len(own) - 1e-9)), 1)
            lack = needed[n_right - 1]
            enough = lack + _BEYOND_TIE
            if to_middle and lack >= 0.0 and n_right < len(own):
                enough = max(enough, (lack + needed[n_right]) / 2)
            offsets[position] = max(offsets[position], enough)
        if (offsets == before).all():
            return offsets
        if offsets.max() > limit:
            break
    return None


def reach_recall_floors(model: Any, held_out: FaceSet, floors: Mapping[str, float]) -> ShiftedDecision:
    """Change the last layer's bias so that a model reaches recalls on held-out images.

    Args:
        model: keras.Model to logits; changed in place.
        held_out: images it was not trained on.
        floors: recall in (0, 1) by class.

    Raises:
        UsageError: the recalls cannot be reached, or the last layer with weights has no bias for each class.
    """
    from fer_edge_train.keras_trainer import predict_logits  # imports Keras, which checking alone does not need

    before = predict_logits(model, held_out.images)
    positions = {held_out.labels.index(label): floor for label, floor in floors.items()}
    offsets = logit_offsets(before, held_out.label_indices, positions)
    _add_to_logits(model, offsets)
    after = predict_logits(model, held_out.images)
    if not np.allclose(after, before + offsets, atol=1e-3):
        raise UsageError(f"{model.name}: expected a last layer whose bias is added to the logits; leave --recall away")
    old, new = (evaluate(softmax(logits), held_out) for logits in (before, after))
    return ShiftedDecision(
        offsets={held_out.labels[position]: round(float(offsets[position]), 6) for position in positions},
        recall_before=_recalls(old),
        recall_after=_recalls(new),
        top1_before=old.accuracy.top1,
        top1_after=new.accuracy.top1,
    )


def _recalls(found: Evaluation) -> dict[str, float]:
    """Return the recall of each class that has images."""
    return {label: round(recall, 6) for label, recall in found.recall.items() if not math.isnan(recall)}


def _add_to_logits(model: Any, offsets: npt.NDArray[np.float64]) -> None:
    layer = next((each for each in reversed(model.layers) if each.get_weights()), None)
    bias = getattr(layer, "bias", None)
    if layer is None or bias is None or tuple(bias.shape) != offsets.shape:
        raise UsageError(f"{model.name}: expected a last layer with a bias for each class; leave --recall away")
    *kernels, values = layer.get_weights()
    layer.set_weights([*kernels, values + offsets.astype(values.dtype)])
