from __future__ import annotations

import numpy as np
import pytest

from fer_edge_convert.detector_recipe import DETECTOR_RECIPES, PRELU_FORMS, DetectorNetwork
from fer_edge_convert.mtcnn_source import NETWORKS
from fer_edge_convert.precisions import ENGINE_PRECISIONS
from fer_edge_convert.quantizers import CalibratedModel, quantizer_for
from fer_edge_convert.recipe import VariantRecipe


def test_every_engine_has_a_precision_of_its_own_for_every_network():
    assert set(DETECTOR_RECIPES) == {(engine, name) for engine in ENGINE_PRECISIONS for name in NETWORKS}
    assert set(PRELU_FORMS) == set(ENGINE_PRECISIONS)
    for (engine, _), recipe in DETECTOR_RECIPES.items():
        assert recipe.precision in ENGINE_PRECISIONS[engine]


@pytest.fixture(scope="module")
def free_model(converters):
    """P-Net's kind of network: any height and width, 5 px field, two outputs."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    pixels = keras.Input((None, None, 3), name="pixels")
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal")(layers.Conv2D(4, 3)(pixels))
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal")(layers.Conv2D(6, 3)(x))
    return keras.Model(pixels, {"logit": layers.Conv2D(1, 1)(x), "offsets": layers.Conv2D(4, 1)(x)})


@pytest.mark.host
def test_a_network_of_free_size_can_be_quantized_and_runs_at_any_size(free_model):
    from fer_edge.engines import EngineOptions

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 16, 16, 3)).astype(np.float32)
    network = DetectorNetwork(free_model, prelu="one node")
    made = quantizer_for("litert", CalibratedModel(network, images, (0.0, 255.0))).convert(
        "int8", VariantRecipe(method="min-max")
    )
    from fer_edge.engines import load_engine

    pixels = rng.integers(0, 256, (1, 30, 22, 3))
    session = load_engine("litert").load(made.contents[0], EngineOptions(input_shapes=(pixels.shape,)))
    # Every pixel value is a step of its own.
    assert (session.inputs[0].dtype, session.inputs[0].scale, session.inputs[0].zero_point) == ("int8", 1.0, -128)
    found = {
        spec.shape[-1]: (stored.astype(np.float64) - spec.zero_point) * spec.scale
        for spec, stored in zip(session.outputs, session.run((pixels - 128).astype(np.int8)), strict=True)
    }
    expected = free_model.predict(pixels.astype(np.float32), verbose=0)
    for name, length in (("logit", 1), ("offsets", 4)):
        assert found[length].shape == expected[name].shape == (1, 26, 18, length)
        error = np.sqrt(np.mean((found[length] - expected[name]) ** 2))
        assert error < 0.05 * np.sqrt(np.mean(expected[name] ** 2))


@pytest.mark.host
def test_the_size_that_the_file_names_changes_no_answer(free_model):
    from convert.support import run_onnx

    from fer_edge.engines import EngineOptions, load_engine

    pixels = np.random.default_rng(1).integers(0, 256, (1, 14, 18, 3)).astype(np.float32)
    network = DetectorNetwork(free_model, prelu="five nodes")
    session = load_engine("litert").load(network.litert, EngineOptions(input_shapes=(pixels.shape,)))
    found = {array.shape[-1]: array for array in session.run(pixels)}
    for expected in run_onnx(network.onnx, pixels=pixels):
        np.testing.assert_allclose(found[expected.shape[-1]], expected, rtol=1e-4, atol=1e-3)


def test_an_unknown_form_of_prelu_is_refused():
    with pytest.raises(ValueError, match="prelu: expected one of one node, five nodes, found 'two nodes'"):
        DetectorNetwork(None, prelu="two nodes")  # type: ignore[arg-type]
