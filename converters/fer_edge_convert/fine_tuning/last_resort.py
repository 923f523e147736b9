"""Fine-tunes a classifier for the engines whose int8 file loses too much, and says what was done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, UsageError
from fer_edge.preprocess import PixelCoding
from fer_edge_convert.float_model import KerasFloatModel
from fer_edge_convert.inputs import SourceClassifier
from fer_edge_convert.inputs.keras_file import KerasFileModel
from fer_edge_convert.openvino_weights import N_WEIGHT_STEPS
from fer_edge_convert.ranges import Method, observe, ranges
from fer_edge_train.datasets import FaceSet

__all__ = ["FineTuned", "check_can_be_fine_tuned", "fine_tuned"]

Floats = npt.NDArray[np.float32]

# From zero to a channel's largest weight: eight bits, and the seven that keep 16-bit sums of ONNX Runtime and OpenVINO
# from overflowing.
_WEIGHT_STEPS = {"litert": 127, "onnx": 64, "openvino": N_WEIGHT_STEPS}
_OBSERVED_AT_ONCE = 50  # images


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuned:
    """A network that was fine-tuned.

    Attributes:
        model: float32, to be converted as any other.
        record: how it was made, as JSON types.
    """

    model: KerasFloatModel
    record: dict[str, Any]


def check_can_be_fine_tuned(source: SourceClassifier) -> None:
    """Refuse what Keras did not save, before any work.

    Raises:
        UsageError: the network is of another format.
        InputError: it has a layer that cannot be simulated.
    """
    from fer_edge_convert.fine_tuning.batchnorm_folding import fold_batch_normalizations

    fold_batch_normalizations(_keras_model(source))


def fine_tuned(
    source: SourceClassifier,
    engine: str,
    *,
    epochs: int,
    seed: int,
    method: Method,
    calibration: Floats,
    faces: FaceSet,
    say: Callable[[str], None],
) -> FineTuned:
    """Return a network for one engine, trained to answer in int8 as the source does in float32.

    Args:
        source: made by Keras; it stays as it is.
        engine: whose rounding of weights is simulated.
        epochs: how often each face is seen.
        seed: of the faces' order.
        method: that sets the ranges of activations.
        calibration: float32 (n, h, w, c), coded; the ranges are observed on them.
        faces: training faces that decide nothing else.
        say: told of each epoch.

    Raises:
        UsageError: the network is of another format than Keras'.
        InputError: it has a layer that cannot be simulated, or there are no faces.
    """
    from fer_edge_convert.fine_tuning.batchnorm_folding import fold_batch_normalizations
    from fer_edge_convert.fine_tuning.simulation import tensor_observer
    from fer_edge_convert.fine_tuning.tuning import FineTuning, fine_tune

    if not len(faces):
        raise InputError("fine-tuning: expected training faces beside those that choose a recipe, found none")
    model = fold_batch_normalizations(_keras_model(source))
    settings = FineTuning(epochs=epochs, seed=seed, n_weight_steps=_WEIGHT_STEPS[engine])
    run = tensor_observer(model)

    def batches() -> Iterable[Floats]:
        return (calibration[i : i + _OBSERVED_AT_ONCE] for i in range(0, len(calibration), _OBSERVED_AT_ONCE))

    say(f"fine-tuning for {engine} on {len(faces)} training faces")
    coding = PixelCoding(mean=source.pixel_mean, std=source.pixel_std)
    fine_tune(model, lambda: ranges(observe(run, batches), method), faces, coding, settings, say=say)
    return FineTuned(
        model=KerasFileModel(model, f"{source.name}, fine-tuned"),
        record={
            "engines": [engine],
            **settings.to_json(),
            "method": method,
            "images": len(faces),
            "images_digest": faces.digest(),
            "weights_sha256": _digest(model.get_weights()),
        },
    )


def _keras_model(source: SourceClassifier) -> Any:
    if not isinstance(source.model, KerasFloatModel):
        raise UsageError(
            "--fine-tune: expected a network that Keras saved (.keras, .h5 or a model folder), found "
            f"{source.provenance['model'].get('format', 'another format')}; leave it out"
        )
    return source.model.keras_model


def _digest(weights: Sequence[Floats]) -> str:
    digest = hashlib.sha256()
    for values in weights:
        digest.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return digest.hexdigest()
