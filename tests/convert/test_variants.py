from __future__ import annotations

import hashlib

import numpy as np
import pytest
from convert.support import calibration_images, coded

from fer_edge.engines import EngineOptions, TensorSpec, load_engine
from fer_edge.errors import UsageError
from fer_edge_convert.float_model import KerasFloatModel
from fer_edge_convert.quantizers import CalibratedModel
from fer_edge_convert.recipe import QuantizationRecipe, VariantRecipe
from fer_edge_convert.variants import make_variants, wanted_variants

pytestmark = pytest.mark.host

SUFFIXES = {"litert": ["tflite"], "onnx": ["onnx"], "openvino": ["xml.gz", "bin"]}


@pytest.fixture(scope="module")
def made(calibrated):
    return make_variants(
        "classifier",
        calibrated,
        output_lengths=(7,),
        variants=wanted_variants(("onnx", "litert", "openvino"), ("int8", "float32")),
        recipe=QuantizationRecipe(default=VariantRecipe(method="min-max")),
    )


def test_one_for_each_engine_and_precision_in_the_order_asked_for(made):
    assert [(m.variant.engine, m.variant.precision) for m in made] == [
        ("onnx", "int8"),
        ("onnx", "float32"),
        ("litert", "int8"),
        ("litert", "float32"),
        ("openvino", "int8"),
        ("openvino", "float32"),
    ]
    assert [m.variant.recipe for m in made] == ["static_wi8_ai8", None] * 3


def test_files_are_named_and_known_by_their_digest(made):
    for item in made:
        name = f"classifier_{item.variant.precision}"
        assert [(f.file, f.bytes, f.sha256) for f in item.variant.files()] == [
            (f"{name}.{suffix}", len(data), hashlib.sha256(data).hexdigest())
            for suffix, data in zip(SUFFIXES[item.variant.engine], item.contents, strict=True)
        ]


def test_tensors_are_described_as_the_manifest_wants_them(made):
    for item in made:
        (source,), (sink,) = item.variant.inputs, item.variant.outputs
        assert source.shape == (None, 48, 48, 1)
        assert sink.shape == (None, 7)
        quantized = {"onnx": "uint8", "litert": "int8"}.get(item.variant.engine)
        if item.variant.precision == "int8" and quantized:
            assert (source.dtype, sink.dtype) == (quantized, quantized)
            assert (source.scale, source.zero_point) == (1 / 128, {"uint8": 128, "int8": 0}[quantized])
        else:
            assert (source.dtype, sink.dtype, source.scale, sink.scale) == ("float32", "float32", None, None)
        assert item.variant.tested_with == load_engine(item.variant.engine).version()


def test_every_file_answers_as_the_network(made, model):
    images = calibration_images(4, seed=4)
    expected = model.predict(coded(images), verbose=0)
    for item in made:
        (source,), (sink,) = item.variant.inputs, item.variant.outputs
        pixels = {
            "float32": coded(images),
            "uint8": images,
            "int8": (images.astype(np.int16) - 128).astype(np.int8),
        }[source.dtype]
        weights = item.contents[1] if len(item.contents) > 1 else None
        session = load_engine(item.variant.engine).load(
            item.contents[0], EngineOptions(input_shapes=(pixels.shape,)), weights=weights
        )
        assert session.inputs[0].name == source.name
        assert session.outputs[0].name == sink.name
        error = np.abs(sink.dequantize(session.run(pixels)[0]) - expected).max()
        assert error < (0.1 * np.ptp(expected) if item.variant.precision == "int8" else 1e-4), item.variant.engine


@pytest.fixture(scope="module")
def two_outputs(converters):
    """A network of free height and width with a map of 4 and a map of 1, in that order."""
    import keras

    pixels = keras.Input((None, None, 3), name="pixels")
    x = keras.layers.Conv2D(5, 3, name="conv")(pixels)
    heads = {
        "offsets": keras.layers.Conv2D(4, 1, name="offsets")(x),
        "logit": keras.layers.Conv2D(1, 1, name="logit")(x),
    }
    return keras.Model(pixels, heads, name="two")


@pytest.mark.parametrize("engine", ["litert", "onnx", "openvino"])
def test_outputs_are_put_in_order_by_their_last_length(two_outputs, engine):
    (item,) = make_variants(
        "pnet",
        CalibratedModel(KerasFloatModel(two_outputs), None, (0.0, 255.0)),
        output_lengths=(1, 4),
        variants=[(engine, "float32")],
        recipe=QuantizationRecipe(),
    )
    assert item.variant.inputs[0].shape == (None, None, None, 3)
    assert [spec.shape for spec in item.variant.outputs] == [(None, None, None, 1), (None, None, None, 4)]
    assert item.variant.files()[0].file == f"pnet_float32.{SUFFIXES[engine][0]}"

    pixels = np.random.default_rng(0).normal(size=(1, 20, 15, 3)).astype(np.float32)
    weights = item.contents[1] if len(item.contents) > 1 else None
    session = load_engine(engine).load(item.contents[0], EngineOptions(input_shapes=(pixels.shape,)), weights=weights)
    answers = dict(zip([spec.name for spec in session.outputs], session.run(pixels), strict=True))
    expected = two_outputs.predict(pixels, verbose=0)
    for spec, name in zip(item.variant.outputs, ("logit", "offsets"), strict=True):
        np.testing.assert_allclose(answers[spec.name], expected[name], atol=1e-5)


def test_each_engine_gets_what_it_has_in_the_order_asked_for():
    assert wanted_variants(("onnx", "litert"), ("int8", "int16", "float32")) == [
        ("onnx", "int8"),
        ("onnx", "float32"),
        ("litert", "int8"),
        ("litert", "int16"),
        ("litert", "float32"),
    ]


def test_int8_without_calibration_images_is_refused(model):
    network = CalibratedModel(KerasFloatModel(model), None, (-1.0, 1.0))
    with pytest.raises(UsageError, match="int8 needs calibration images; give --calibrate"):
        make_variants("x", network, output_lengths=(7,), variants=[("onnx", "int8")], recipe=QuantizationRecipe())


def test_specifications_hold_no_names_of_layers(made):
    for item in made:
        for spec in (*item.variant.inputs, *item.variant.outputs):
            assert isinstance(spec, TensorSpec)
            assert "shortcut" not in spec.name
