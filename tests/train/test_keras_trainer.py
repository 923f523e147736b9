from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.host


@pytest.mark.parametrize("n", [1, 256, 300])
def test_logits_do_not_depend_on_how_images_are_grouped(tiny_network, keras, n):
    from fer_edge_train import zoo
    from fer_edge_train.keras_trainer import predict_logits

    keras.utils.set_random_seed(2)
    model = zoo.build(tiny_network, (48, 48, 1), 7)
    images = np.random.default_rng(0).integers(0, 256, (n, 48, 48, 1), dtype=np.uint8)
    found = predict_logits(model, images)
    assert found.shape == (n, 7)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[-1:], predict_logits(model, images[-1:]), atol=1e-5)


def one_layer(keras, **changes):
    """A trainer of logits = x w + b, with known weights."""
    from fer_edge_train.keras_trainer import KerasTrainer
    from fer_edge_train.recipe import Recipe
    from fer_edge_train.trainer import TrainerSetup

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.set_weights([np.array([[0.5, -0.5], [1.0, 0.25]], np.float32), np.array([0.1, -0.1], np.float32)])
    recipe = Recipe(architecture="mini_xception", **{"average_decay": 0.0, "weight_decay": 0.0, **changes})
    return KerasTrainer(TrainerSetup(model=model, recipe=recipe))


def test_one_step_by_hand(keras):
    """Gradient of -w sum(t log p): w (p - t), times x; then decay of the kernel alone."""
    from fer_edge_train.batches import Batch

    trainer = one_layer(keras, momentum=0.0, weight_decay=0.1)
    kernel, bias = trainer.kept_weights()
    x, t = np.array([1.0, 2.0]), np.array([0.25, 0.75])
    logits = x @ kernel + bias
    p = np.exp(logits) / np.exp(logits).sum()
    slope = 1.5 * (p - t)
    batch = Batch(
        x[None].astype(np.float32), t[None].astype(np.float32), np.full(1, 1.5, np.float32), np.zeros(1, np.int64)
    )
    trainer.step(batch, 0.5, 0)
    found_kernel, found_bias = trainer.kept_weights()
    np.testing.assert_allclose(found_kernel, kernel * (1 - 0.5 * 0.1) - 0.5 * np.outer(x, slope), atol=1e-6)
    np.testing.assert_allclose(found_bias, bias - 0.5 * slope, atol=1e-6)
    figures = trainer.figures()
    assert figures.loss == pytest.approx(float(-1.5 * (t * np.log(p)).sum()), rel=1e-5)
    assert figures.top1 == float(p.argmax() == 1)


def test_bfloat16_computes_with_fewer_bits_and_keeps_float32_weights(keras):
    from fer_edge_train.batches import Batch

    batch = Batch(
        np.array([[0.3, 0.7]], np.float32),
        np.array([[1.0, 0.0]], np.float32),
        np.ones(1, np.float32),
        np.zeros(1, np.int64),
    )
    exact, rounded = one_layer(keras), one_layer(keras, compute_dtype="bfloat16")
    for trainer in (exact, rounded):
        trainer.step(batch, 0.1, 0)
    for a, b in zip(exact.kept_weights(), rounded.kept_weights(), strict=True):
        assert b.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=2e-3)
    assert exact.figures().loss != rounded.figures().loss
