from __future__ import annotations

import numpy as np
import pytest

from fer_edge_convert.ranges import Range

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def module(converters):
    from fer_edge_convert.fine_tuning import fake_quantization

    return fake_quantization


# Worked out by hand: a step of 1 or 0.5, halves to the even step, ends cut.
@pytest.mark.parametrize(
    ("found", "scale", "zero_point", "table"),
    [
        pytest.param(
            (0.0, 255.0),
            1.0,
            0,
            {-3.0: 0.0, 0.4: 0.0, 0.5: 0.0, 0.6: 1.0, 1.5: 2.0, 2.5: 2.0, 254.6: 255.0, 300.0: 255.0},
            id="rectified",
        ),
        pytest.param(
            (-0.5, 127.0),
            0.5,
            1,
            {-2.0: -0.5, -0.3: -0.5, -0.2: 0.0, 0.3: 0.5, 0.75: 1.0, 126.9: 127.0, 128.0: 127.0},
            id="both signs",
        ),
        pytest.param((-0.3, 254.7), 1.0, 0, {-0.3: 0.0, 254.7: 255.0, 0.2: 0.0}, id="moved so that zero is a step"),
        pytest.param((-255.0, 0.0), 1.0, 255, {-255.4: -255.0, -0.6: -1.0, 7.0: 0.0}, id="never positive"),
    ],
)
def test_values_by_hand(module, found, scale, zero_point, table):
    steps = module.Steps.of(found)
    assert steps.scale == pytest.approx(scale, rel=1e-12)
    assert steps.zero_point == zero_point
    values = np.array(list(table), np.float32)
    np.testing.assert_allclose(module.fake_quantize(values, steps), list(table.values()), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("found", [(0.5, 1.0), (-1.0, -0.5), (0.0, 0.0), (1.0, 0.0), (float("nan"), 1.0)])
def test_a_range_without_zero_is_refused(module, found: Range):
    with pytest.raises(ValueError, match="expected a range that contains zero"):
        module.Steps.of(found)


@pytest.mark.parametrize("found", [(-1.37, 2.9), (0.0, 6.0), (-0.01, 900.0)])
def test_activations_are_those_of_tensorflow(module, found):
    import tensorflow as tf

    values = np.random.default_rng(0).normal(0, found[1], (50, 40)).astype(np.float32)
    expected = tf.quantization.fake_quant_with_min_max_vars(values, *found)
    np.testing.assert_allclose(
        module.fake_quantize(values, module.Steps.of(found)), expected, atol=2e-6 * (found[1] - found[0])
    )


def test_eight_bit_weights_are_those_of_tensorflow(module):
    import tensorflow as tf

    weights = (np.random.default_rng(1).normal(size=(3, 3, 4, 6)) * 10.0 ** np.arange(-3, 3)).astype(np.float32)
    largest = np.abs(weights).max(axis=(0, 1, 2))
    expected = tf.quantization.fake_quant_with_min_max_vars_per_channel(weights, -largest, largest, narrow_range=True)
    found = np.asarray(module.fake_quantize_weights(weights, (0, 1, 2), 127))
    np.testing.assert_allclose(found / largest, np.asarray(expected) / largest, atol=1e-6)


def test_seven_bit_weights_by_hand(module):
    weights = np.array([[64.0, 0.5], [-0.6, -0.003], [0.4, 0.0]], np.float32)
    found = module.fake_quantize_weights(weights, (0,), 64)
    np.testing.assert_allclose(found, [[64.0, 0.5], [-1.0, 0.0], [0.0, 0.0]], atol=1e-6)


def test_weights_that_are_all_zero_stay_zero(module):
    np.testing.assert_array_equal(module.fake_quantize_weights(np.zeros((3, 2), np.float32), (0,), 127), 0.0)


def test_gradients_pass_straight_through_inside_the_range_alone(module):
    import tensorflow as tf

    values = tf.constant([-1.5, -1.001, -0.99, -0.004, 0.0, 0.3, 1.98, 2.001, 9.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(module.fake_quantize(values, module.Steps.of((-1.0, 2.0))))
    np.testing.assert_array_equal(tape.gradient(total, values), [0, 0, 1, 1, 1, 1, 1, 0, 0])


def test_gradients_pass_straight_through_to_every_weight(module):
    import tensorflow as tf

    weights = tf.constant(np.random.default_rng(2).normal(size=(3, 3, 2, 4)).astype(np.float32))
    factors = np.random.default_rng(3).normal(size=weights.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        total = tf.reduce_sum(factors * module.fake_quantize_weights(weights, (0, 1, 2), 127))
    np.testing.assert_allclose(tape.gradient(total, weights), factors, rtol=1e-6)
