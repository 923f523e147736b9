"""Convolutions in low rank, against a singular value decomposition of their outputs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from fer_edge_train.low_rank import LayerCost, choose_ranks, factor, output_moments

N_CHANNELS = 6


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (90, 8, 8, 1), dtype=np.uint8)


def network(keras, rank):
    """Three convolutions, the last two of a rank where one is given, and logits."""
    from fer_edge_train.zoo.residual import convolution

    pixels = keras.Input((8, 8, 1), name="pixels")
    x = keras.layers.ReLU(name="relu0")(convolution(pixels, 5, name="first"))
    x = keras.layers.ReLU(name="relu1")(convolution(x, N_CHANNELS, name="second", strides=2, rank=rank))
    x = keras.layers.ReLU(name="relu2")(convolution(x, N_CHANNELS, name="third", rank=rank))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(pixels, keras.layers.Dense(3, name="logits")(x))


@pytest.fixture(scope="module")
def wide(keras):
    """With moments of a normalization that has seen images, and a channel that is turned off."""
    keras.utils.set_random_seed(3)
    model = network(keras, None)
    rng = np.random.default_rng(4)
    for name, n in (("first_bn", 5), ("second_bn", N_CHANNELS), ("third_bn", N_CHANNELS)):
        gamma, beta, mean, variance = rng.uniform(0.5, 2.0, (4, n))
        gamma[0] = 0.0
        model.get_layer(name).set_weights([gamma, beta, mean - 1.0, variance])
    return model


def outputs(keras, model, images, layer="second_bn"):
    """Rows of a layer's outputs: float64 (images x places, channels)."""
    tap = keras.Model(model.inputs[0], model.get_layer(layer).output)
    values = np.asarray(tap.predict_on_batch((images.astype(np.float32) - 128.0) / 128.0))
    return values.reshape(-1, values.shape[-1]).astype(np.float64)


def nearest_of_rank(rows, rank):
    """Rows around their mean in so many dimensions, by a singular value decomposition."""
    mean = rows.mean(axis=0)
    left, values, right = np.linalg.svd(rows - mean, full_matrices=False)
    return (left[:, :rank] * values[:rank]) @ right[:rank] + mean


def test_moments_are_those_of_all_outputs(keras, wide, images):
    found = output_moments(wide, ["first", "second"], images)
    assert list(found) == ["first", "second"]
    for name, moments in found.items():
        rows = outputs(keras, wide, images, f"{name}_bn")
        np.testing.assert_allclose(moments.mean, rows.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(moments.covariance, np.cov(rows.T, bias=True), atol=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_outputs_are_the_nearest_of_their_rank(keras, wide, images, rank):
    narrow = network(keras, rank)
    factor(wide, narrow, images)
    rows = outputs(keras, wide, images)
    nearest = nearest_of_rank(rows, rank)
    assert np.abs(nearest - rows).max() > 0.05
    np.testing.assert_allclose(outputs(keras, narrow, images), nearest, atol=1e-4)
    np.testing.assert_array_equal(outputs(keras, narrow, images, "first_bn"), outputs(keras, wide, images, "first_bn"))
    for ours, theirs in zip(
        narrow.get_layer("logits").get_weights(), wide.get_layer("logits").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_every_layer_is_fitted_to_the_whole_networks_outputs(keras, wide, images):
    """The second factored layer, on the inputs that the whole network gives it."""
    narrow = network(keras, 2)
    factor(wide, narrow, images)
    pixels = keras.Input((4, 4, N_CHANNELS))
    x = pixels
    for name in ("third_conv", "third_expand", "third_bn"):
        x = narrow.get_layer(name)(x)
    inputs = outputs(keras, wide, images, "relu1").reshape(len(images), 4, 4, N_CHANNELS)
    found = np.asarray(keras.Model(pixels, x).predict_on_batch(inputs.astype(np.float32))).reshape(-1, N_CHANNELS)
    rows = outputs(keras, wide, images, "third_bn")
    nearest = nearest_of_rank(rows, 2)
    assert np.abs(nearest - rows).max() > 0.05
    np.testing.assert_allclose(found, nearest, atol=1e-4)


def test_outputs_that_never_vary_stay_the_constant_that_they_are(keras, wide, images):
    dead = keras.models.clone_model(wide)
    dead.set_weights(wide.get_weights())
    normalization = dead.get_layer("second_bn")
    _, beta, mean, variance = normalization.get_weights()
    normalization.set_weights([np.zeros(N_CHANNELS), beta, mean, variance])
    narrow = network(keras, 2)
    with np.errstate(all="raise"):
        factor(dead, narrow, images)
    np.testing.assert_allclose(outputs(keras, narrow, images), np.broadcast_to(beta, (1440, N_CHANNELS)), atol=1e-4)


def test_the_normalization_has_the_moments_of_what_it_sees(keras, wide, images):
    narrow = network(keras, 3)
    factor(wide, narrow, images)
    seen = outputs(keras, narrow, images, "second_expand")
    _, _, mean, variance = narrow.get_layer("second_bn").get_weights()
    np.testing.assert_allclose(mean, seen.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(variance, seen.var(axis=0), atol=1e-4)


def test_one_step_of_int8_fits_the_outputs_between_the_factors(keras, wide, images):
    narrow = network(keras, 4)
    factor(wide, narrow, images)
    assert np.linalg.svd(np.cov(outputs(keras, wide, images).T))[1][3] < 0.1  # they would differ much
    np.testing.assert_allclose(outputs(keras, narrow, images, "second_conv").var(axis=0), 1.0, atol=1e-3)


def test_full_rank_changes_no_answer(keras, wide, images):
    narrow = network(keras, N_CHANNELS)
    factor(wide, narrow, images)
    np.testing.assert_allclose(
        outputs(keras, narrow, images, "logits"), outputs(keras, wide, images, "logits"), atol=1e-4
    )


def test_another_network_is_no_whole_one(keras, images):
    other = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match=r"expected the layers of both networks, found in one alone: .*second_bn"):
        factor(other, network(keras, 2), images)


def test_no_images_are_refused(keras, wide, images):
    with pytest.raises(ValueError, match="found none"):
        factor(wide, network(keras, 2), images[:0])


def test_a_rank_belongs_to_a_convolution_that_can_have_one(keras):
    from fer_edge_train.zoo.residual import convolution, residual_network

    options = {"stem": (), "stages": ((8, 1, False),), "dropout": 0.0, "name": "net"}
    with pytest.raises(ValueError, match="net: no block has a convolution for stage0_blok0_0_expand"):
        residual_network((8, 8, 1), 3, ranks={"stage0_blok0_0": 4}, **options)
    with pytest.raises(ValueError, match="x: a separable convolution has no low rank"):
        convolution(keras.Input((8, 8, 4)), 8, name="x", separable=True, rank=2)


VARIANCES = {"early": np.array([6.0, 3.0, 1.0]), "late": np.array([4.0, 4.0, 2.0])}


def test_the_rank_that_holds_least_goes_first():
    costs = {name: LayerCost(whole=3, per_rank=1) for name in VARIANCES}
    # Shares of what is kept that the last ranks hold: 1/10 and 2/10, then 3/9 and 2/10.
    assert choose_ranks(VARIANCES, costs, 5, step=1) == {"early": 2}
    assert choose_ranks(VARIANCES, costs, 4, step=1) == {"early": 2, "late": 2}


def test_a_rank_that_costs_more_goes_sooner():
    costs = {"early": LayerCost(whole=3, per_rank=1), "late": LayerCost(whole=9, per_rank=3)}
    assert choose_ranks(VARIANCES, costs, 9, step=1) == {"late": 2}


def test_a_layer_that_low_rank_does_not_make_smaller_stays_whole():
    costs = {"early": LayerCost(whole=3, per_rank=2), "late": LayerCost(whole=9, per_rank=3)}
    # "early" is at rank 2 by then, which would take 4 parameters instead of 3.
    assert choose_ranks(VARIANCES, costs, 9, step=1) == {"late": 2}


def test_no_choice_of_ranks_keeps_much_more():
    rng = np.random.default_rng(8)
    variances = {name: np.sort(rng.exponential(size=5))[::-1] for name in "abc"}
    costs = {name: LayerCost(whole=45, per_rank=9 + index) for index, name in enumerate("abc")}
    most = 90

    def kept(ranks):
        return math.prod(variances[name][:rank].sum() / variances[name].sum() for name, rank in ranks.items())

    def size(ranks):
        return sum(min(costs[name].whole, rank * costs[name].per_rank) for name, rank in ranks.items())

    every = [dict(zip("abc", ranks, strict=True)) for ranks in itertools.product(range(1, 6), repeat=3)]
    best = max(kept(ranks) for ranks in every if size(ranks) <= most)
    chosen = dict.fromkeys("abc", 5) | choose_ranks(variances, costs, most, step=1)
    assert size(chosen) <= most
    assert kept(chosen) > 0.9 * best


@pytest.mark.parametrize("n_channels", [6, 12, 16])
def test_ranks_are_multiples_of_the_step_or_the_layer_stays_whole(n_channels):
    variances = {"only": np.arange(n_channels, 0, -1.0)}
    costs = {"only": LayerCost(whole=9 * n_channels, per_rank=10)}
    assert choose_ranks(variances, costs, 10**9) == {}
    if n_channels > 8:
        assert choose_ranks(variances, costs, 9 * n_channels - 1) == {"only": 8}
        with pytest.raises(ValueError, match="expected at least 80 parameters for these layers, found 79"):
            choose_ranks(variances, costs, 79)


def test_too_few_parameters_are_refused():
    costs = {name: LayerCost(whole=3, per_rank=1) for name in VARIANCES}
    with pytest.raises(ValueError, match="expected at least 2 parameters for these layers, found 1"):
        choose_ranks(VARIANCES, costs, 1, step=1)
