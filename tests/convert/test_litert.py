from __future__ import annotations

import numpy as np
import pytest
from convert.support import calibration_images, coded, run_litert

from fer_edge_convert.float_model import KerasFloatModel
from fer_edge_convert.litert import litert_layers, litert_observer, quantize_litert
from fer_edge_convert.quantizers import CalibratedModel, quantizer_for
from fer_edge_convert.recipe import VariantRecipe

pytestmark = pytest.mark.host

IMAGES = calibration_images(40, seed=1)


def interpreter_of(model: bytes):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # With the default delegate, the graph's own tensors are hidden behind it.
    made = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    made.allocate_tensors()
    return made


def test_float32_answers_as_keras(litert, model):
    expected = model.predict(coded(IMAGES), verbose=0)
    np.testing.assert_allclose(run_litert(litert.files["float32"], coded(IMAGES)), expected, atol=1e-4)


def test_int8_takes_pixels_less_128_and_gives_int8(litert):
    (source,), (sink,) = (
        interpreter_of(litert.files["int8"]).get_input_details(),
        interpreter_of(litert.files["int8"]).get_output_details(),
    )
    assert source["dtype"] == sink["dtype"] == np.int8
    assert source["shape_signature"].tolist() == [-1, 48, 48, 1]
    # Pixels from 0 to 255 are (p - 128) / 128: 256 steps of 1/128, exactly.
    assert source["quantization"] == (1 / 128, 0)
    assert sink["quantization"][0] > 0


def test_int8_holds_no_floating_point_tensor(litert):
    details = interpreter_of(litert.files["int8"]).get_tensor_details()
    assert {np.dtype(detail["dtype"]).name for detail in details} == {"int8", "int32"}


def test_int8_weights_have_a_scale_for_each_channel(litert):
    details = interpreter_of(litert.files["int8"]).get_tensor_details()
    scales = [
        (tuple(detail["shape"]), len(detail["quantization_parameters"]["scales"]))
        for detail in details
        if len(detail["quantization_parameters"]["scales"]) > 1 and detail["dtype"] == np.int8
    ]
    # Stem, shortcut, the two parts of the separable convolution, class maps.
    assert sorted(scales) == sorted(
        [((8, 3, 3, 1), 8), ((16, 1, 1, 8), 16), ((1, 3, 3, 8), 8), ((16, 1, 1, 8), 16), ((7, 3, 3, 16), 7)]
    )


def test_int8_answers_almost_as_float(litert, model):
    expected = model.predict(coded(IMAGES), verbose=0)
    scale, zero_point = interpreter_of(litert.files["int8"]).get_output_details()[0]["quantization"]
    stored = run_litert(litert.files["int8"], (IMAGES.astype(np.int16) - 128).astype(np.int8))
    answers = (stored.astype(np.float64) - zero_point) * scale
    error = np.abs(answers - expected)
    assert error.mean() < 0.02 * np.ptp(expected)
    assert error.max() < 0.1 * np.ptp(expected)
    assert (answers.argmax(1) == expected.argmax(1)).mean() >= 0.9


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_names_go_and_answers_stay(litert, precision):
    named, numbered = litert.named[precision], litert.files[precision]
    images = coded(IMAGES[:5]) if precision == "float32" else (IMAGES[:5].astype(np.int16) - 128).astype(np.int8)
    assert run_litert(numbered, images).tobytes() == run_litert(named, images).tobytes()
    assert len(numbered) < len(named) - 500
    before, after = interpreter_of(named), interpreter_of(numbered)
    for one, other in (
        (before.get_input_details(), after.get_input_details()),
        (before.get_output_details(), after.get_output_details()),
    ):
        assert one[0]["name"] == other[0]["name"]
    assert before.get_signature_list() == after.get_signature_list()
    edges = {after.get_input_details()[0]["index"], after.get_output_details()[0]["index"]}
    inner = [detail for detail in after.get_tensor_details() if detail["index"] not in edges and detail["name"]]
    assert all(detail["name"] == str(detail["index"]) for detail in inner)
    assert len(inner) >= 8


def dtypes_of(model: bytes) -> set[str]:
    return {np.dtype(detail["dtype"]).name for detail in interpreter_of(model).get_tensor_details()}


@pytest.mark.parametrize(
    ("precision", "dtypes", "share"),
    [
        pytest.param("float16", {"float16", "float32"}, 0.75, id="float16"),
        pytest.param("dynamic-int8", {"int8", "float32"}, 0.75, id="dynamic"),
        pytest.param("int16", {"int16", "int8", "int64"}, 0.8, id="int16"),
    ],
)
def test_other_precisions_are_smaller_and_answer_as_the_network(litert, model, precision, dtypes, share):
    made = litert.files[precision]
    assert dtypes_of(made) - {"int32"} == dtypes  # shapes are int32
    assert len(made) < share * len(litert.files["float32"])
    (source,), (sink,) = interpreter_of(made).get_input_details(), interpreter_of(made).get_output_details()
    pixels = coded(IMAGES)
    if precision == "int16":
        scale, zero_point = source["quantization"]
        assert zero_point == 0
        pixels = np.rint(pixels / scale).astype(np.int16)
    answers = run_litert(made, pixels).astype(np.float64)
    if precision == "int16":
        answers *= sink["quantization"][0]
    expected = model.predict(coded(IMAGES), verbose=0)
    bound = {"float16": 0.002, "dynamic-int8": 0.02, "int16": 0.01}[precision]
    assert 0 < np.abs(answers - expected).mean() < bound * np.ptp(expected)


def test_layers_are_named_alike_in_every_run(calibrated):
    layers = litert_layers(calibrated.model.litert)
    assert [layer.label for layer in layers] == [
        "00 conv 8x3x3x1",
        "01 depthwise 1x3x3x8",
        "02 conv 16x1x1x8",
        "03 conv 16x1x1x8",
        "04 conv 7x3x3x16",
    ]


def test_a_layer_in_float_is_float_alone(calibrated, litert):
    source = calibrated.model.litert
    layers = litert_layers(source)
    made = quantize_litert(
        source, "int8", activation_ranges=calibrated.litert_ranges("min-max"), float_layers=layers[3:4]
    )
    tensors = {detail["name"]: detail for detail in interpreter_of(made).get_tensor_details()}
    assert tensors[layers[3].output]["dtype"] == np.float32
    assert {tensors[layer.output]["dtype"] for layer in layers if layer.index != 3} == {np.int8}
    assert len(made) > len(litert.named["int8"])


def test_a_range_is_what_the_file_holds(calibrated):
    source = calibrated.model.litert
    ranges = {**calibrated.litert_ranges("min-max")}
    first = litert_layers(source)[0].output
    ranges[first] = (0.0, 5.1)
    made = quantize_litert(source, "int8", activation_ranges=ranges)
    tensors = {detail["name"]: detail for detail in interpreter_of(made).get_tensor_details()}
    scale, zero_point = tensors[first]["quantization"]
    assert scale == pytest.approx(5.1 / 255, rel=1e-6)
    assert zero_point == -128


def test_observed_tensors_are_those_of_the_network(calibrated, model):
    found = litert_observer(calibrated.model.litert)(calibrated.calibration[:3])
    np.testing.assert_array_equal(next(iter(found.values())), calibrated.calibration[:3])
    expected = model.predict(calibrated.calibration[:3], verbose=0)
    np.testing.assert_allclose(list(found.values())[-1], expected, atol=1e-4)


@pytest.mark.slow
def test_mini_xception_in_int8_is_below_100_kilobytes(converters, calibration):
    from fer_edge_train import zoo

    network = KerasFloatModel(zoo.build("mini_xception", (48, 48, 1), 7))
    calibrated = CalibratedModel(network, calibration, (-1.0, 127 / 128))
    (made,) = quantizer_for("litert", calibrated).convert("int8", VariantRecipe()).contents
    assert 58_423 < len(made) < 100_000
    assert dtypes_of(made) == {"int8", "int32"}


def test_equal_lists_of_numbers_are_stored_once(litert):
    """The zero points of a channel's weights are zeros, as many as channels, for each tensor that has channels."""
    zeros = np.zeros(16, "<i8").tobytes()
    assert litert.named["int8"].count(zeros) > 2
    assert litert.files["int8"].count(zeros) <= 1
    assert len(litert.files["int8"]) < 0.8 * len(litert.named["int8"])


def test_large_weights_end_up_inside_the_file(converters):
    """LiteRT's quantizer puts them behind the flatbuffer, where what writes the compact file does not look."""
    import keras

    keras.utils.set_random_seed(3)
    image = keras.Input((48, 48, 1), name="pixels")
    x = keras.layers.Dense(300, activation="relu")(keras.layers.Flatten()(image))
    network = keras.Model(image, keras.layers.Dense(7)(x))
    calibrated = CalibratedModel(KerasFloatModel(network), coded(IMAGES[:10]), (-1.0, 127 / 128))
    (made,) = quantizer_for("litert", calibrated).convert("int8", VariantRecipe()).contents
    assert 2304 * 300 < len(made) < 1.02 * 2304 * 300 + 3000
    scale, zero_point = interpreter_of(made).get_output_details()[0]["quantization"]
    answers = (run_litert(made, (IMAGES.astype(np.int16) - 128).astype(np.int8)).astype(float) - zero_point) * scale
    expected = network.predict(coded(IMAGES), verbose=0)
    assert np.abs(answers - expected).mean() < 0.03 * np.ptp(expected)


def test_an_activation_that_is_always_zero_does_not_stop_int8(converters):
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    image = keras.Input((48, 48, 1), name="pixels")
    x = layers.Conv2D(8, 3, strides=4, padding="same")(image)
    dead = layers.Conv2D(8, 1, bias_initializer=keras.initializers.Constant(-1000.0), activation="relu")(x)
    network = keras.Model(image, layers.Dense(7)(layers.GlobalAveragePooling2D()(layers.Add()([x, dead]))))
    calibrated = CalibratedModel(KerasFloatModel(network), coded(IMAGES[:10]), (-1.0, 127 / 128))
    (made,) = quantizer_for("litert", calibrated).convert("int8", VariantRecipe()).contents
    stored = run_litert(made, (IMAGES.astype(np.int16) - 128).astype(np.int8))
    expected = network.predict(coded(IMAGES), verbose=0)
    assert (stored.argmax(1) == expected.argmax(1)).mean() >= 0.9
