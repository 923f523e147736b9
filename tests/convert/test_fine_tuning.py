"""Fine-tuning with simulated rounding, on a small network that rounding hurts."""

from __future__ import annotations

import numpy as np
import pytest
from convert.support import calibration_images, coded, decisive, harden, run_litert, small_model

from fer_edge.errors import UsageError
from fer_edge.preprocess import PixelCoding
from fer_edge_train.datasets import FER2013_LABELS, FaceSet

pytestmark = pytest.mark.host

CODING = PixelCoding(mean=128.0, std=128.0)
SEEN, UNSEEN = calibration_images(512, seed=31), calibration_images(200, seed=32)


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum(axis=1).mean())


@pytest.fixture(scope="module")
def network(converters):
    return harden(decisive(small_model(), SEEN), 64.0)


@pytest.fixture(scope="module")
def faces(network) -> FaceSet:
    """What the network itself says they show."""
    labels = network.predict(coded(SEEN), verbose=0).argmax(axis=1)
    return FaceSet(images=SEEN, label_indices=labels, labels=FER2013_LABELS, rows=np.arange(len(SEEN)))


@pytest.fixture(scope="module")
def tuned(network, faces):
    """Return a function that fine-tunes a copy and gives it and what was said."""
    from fer_edge_convert.fine_tuning.batchnorm_folding import fold_batch_normalizations
    from fer_edge_convert.fine_tuning.simulation import tensor_observer
    from fer_edge_convert.fine_tuning.tuning import FineTuning, fine_tune
    from fer_edge_convert.ranges import observe, ranges

    def run(**changes):
        folded = fold_batch_normalizations(network)
        run_batch = tensor_observer(folded)
        said: list[str] = []
        seconds = iter(range(0, 1000, 10))
        values = {"epochs": 2, "seed": 5, "n_weight_steps": 127, "peak_rate": 1e-3, "batch_size": 32} | changes
        fine_tune(
            folded,
            lambda: ranges(observe(run_batch, lambda: [coded(SEEN[:128])]), "mse"),
            faces,
            CODING,
            FineTuning(**values),
            say=said.append,
            clock=lambda: next(seconds),
        )
        return folded, said

    return run


@pytest.mark.slow
def test_a_network_that_rounding_hurts_recovers_on_faces_it_never_saw(network, tuned):
    """Measured with LiteRT itself, on files that the ordinary conversion makes."""
    from ai_edge_litert.interpreter import Interpreter

    from fer_edge_convert.float_model import KerasFloatModel
    from fer_edge_convert.quantizers import CalibratedModel, quantizer_for
    from fer_edge_convert.recipe import VariantRecipe

    exact = softmax(network.predict(coded(UNSEEN), verbose=0).astype(np.float64))
    found = []
    for model in (network, tuned(epochs=8)[0]):
        calibrated = CalibratedModel(KerasFloatModel(model), coded(SEEN[:128]), (-1.0, 127 / 128))
        (file,) = quantizer_for("litert", calibrated).convert("int8", VariantRecipe()).contents
        (sink,) = Interpreter(model_content=file).get_output_details()
        scale, zero_point = sink["quantization"]
        stored = run_litert(file, (UNSEEN.astype(int) - 128).astype(np.int8)).astype(np.float64)
        found.append(divergence(exact, softmax((stored - zero_point) * scale)))
    assert found[0] > 0.05
    assert found[1] < found[0] / 3


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(tuned):
    first, again, other = (tuned(epochs=1, seed=seed)[0].get_weights() for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_each_epoch_is_told_with_the_time_left(tuned):
    _, said = tuned(epochs=3)
    assert [line.split(":")[0] for line in said] == [f"fine-tuning epoch {n}/3" for n in (1, 2, 3)]
    assert [line.split("nats, ")[1] for line in said] == ["10 s, 20 s left", "20 s, 10 s left", "30 s, 0 s left"]
    divergences = [float(line.split("divergence ")[1].split()[0]) for line in said]
    assert divergences[-1] < divergences[0]


def test_the_source_stays_as_it_is(network, tuned):
    before = [weights.copy() for weights in network.get_weights()]
    tuned(epochs=1)
    for kept, now in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(now, kept)


@pytest.mark.parametrize("form", ["ONNX", "SavedModel"])
def test_networks_that_keras_did_not_save_are_refused(form):
    from fer_edge_convert.fine_tuning import check_can_be_fine_tuned
    from fer_edge_convert.inputs import SourceClassifier

    source = SourceClassifier(
        model=object(),
        name="theirs",
        sha256="0",
        labels=("a", "b"),
        input_shape_hwc=(48, 48, 1),
        pixel_mean=0.0,
        pixel_std=255.0,
        provenance={"model": {"format": form}},
    )
    with pytest.raises(UsageError, match=rf"^--fine-tune: expected a network that Keras saved .* found {form}; leave"):
        check_can_be_fine_tuned(source)
