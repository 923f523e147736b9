from __future__ import annotations

import numpy as np
import pytest
from convert.support import calibration_images, coded, run_litert

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
    np.testing.assert_allclose(run_litert(litert.float32, coded(IMAGES)), expected, atol=1e-4)


def test_int8_takes_pixels_less_128_and_gives_int8(litert):
    (source,), (sink,) = (
        interpreter_of(litert.int8).get_input_details(),
        interpreter_of(litert.int8).get_output_details(),
    )
    assert source["dtype"] == sink["dtype"] == np.int8
    assert source["shape_signature"].tolist() == [-1, 48, 48, 1]
    # Pixels from 0 to 255 are (p - 128) / 128: 256 steps of 1/128, exactly.
    assert source["quantization"] == (1 / 128, 0)
    assert sink["quantization"][0] > 0


def test_int8_holds_no_floating_point_tensor(litert):
    details = interpreter_of(litert.int8).get_tensor_details()
    assert {np.dtype(detail["dtype"]).name for detail in details} == {"int8", "int32"}


def test_int8_weights_have_a_scale_for_each_channel(litert):
    details = interpreter_of(litert.int8).get_tensor_details()
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
    scale, zero_point = interpreter_of(litert.int8).get_output_details()[0]["quantization"]
    stored = run_litert(litert.int8, (IMAGES.astype(np.int16) - 128).astype(np.int8))
    answers = (stored.astype(np.float64) - zero_point) * scale
    error = np.abs(answers - expected)
    assert error.mean() < 0.02 * np.ptp(expected)
    assert error.max() < 0.1 * np.ptp(expected)
    assert (answers.argmax(1) == expected.argmax(1)).mean() >= 0.9


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_names_go_and_answers_stay(litert, precision):
    named, numbered = litert.named[precision], getattr(litert, precision)
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


@pytest.mark.slow
def test_mini_xception_in_int8_is_below_100_kilobytes(converters, calibration):
    from fer_edge_convert.litert import to_litert_int8
    from fer_edge_train import zoo

    network = zoo.build("mini_xception", (48, 48, 1), 7)
    made = to_litert_int8(network, calibration)
    assert 58_423 < len(made) < 100_000
    details = interpreter_of(made).get_tensor_details()
    assert {np.dtype(detail["dtype"]).name for detail in details} == {"int8", "int32"}
