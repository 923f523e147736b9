from __future__ import annotations

import gzip

import numpy as np
import pytest
from convert.support import run_litert, run_onnx, run_openvino

from fer_edge_convert.bias_correction import correct_biases
from fer_edge_convert.float_model import KerasFloatModel
from fer_edge_convert.litert import litert_observer
from fer_edge_convert.litert_means import LitertMeans
from fer_edge_convert.onnx_means import OnnxMeans
from fer_edge_convert.openvino import _read as openvino_graph
from fer_edge_convert.openvino_means import correct_openvino, with_float_activations
from fer_edge_convert.quantizers import CalibratedModel, quantizer_for
from fer_edge_convert.recipe import VariantRecipe

PLAIN, CORRECTED = VariantRecipe(method="mse"), VariantRecipe(method="mse", bias_correction=True)


def test_a_case_computed_by_hand():
    """Two layers of one channel in a row: 2 x + 1, then 3 x + 5, on inputs of mean 10; rounded to 2.5 and 2.

    Means are 21 and 68. Rounded, the first layer gives 25 + 1 and takes 5 off its bias; the second then gets 21 again,
    gives 42 + 5 and puts 21 on. Were the first left uncorrected, it would get 26 and put 11 on.
    """
    found = correct_biases(
        {0: np.array([1.0]), 1: np.array([5.0])},
        {0: np.array([20.0]), 1: np.array([63.0])},
        lambda biases, layer: np.array([25.0]) if layer == 0 else 2 * (25.0 + biases[0]),
    )
    assert {layer: bias.tolist() for layer, bias in found.items()} == {0: [-4.0], 1: [26.0]}


def onnx_outputs(model, names: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """What an onnx.ModelProto computes under some names, in ONNX Runtime."""
    import onnx
    import onnxruntime

    shown = {item.name for item in model.graph.output}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in shown)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"pixels": images}), strict=True))


@pytest.mark.host
def test_onnx_layers_keep_their_means(calibrated):
    """With the weights that ONNX Runtime makes of the int8 file's, its convolutions have the float network's means."""
    import onnx
    from onnx import numpy_helper

    images = calibrated.calibration
    quantizer = quantizer_for("onnx", calibrated)
    (made,) = quantizer.convert("int8", CORRECTED).contents
    quantized = onnx.load_model_from_string(made)
    kernels = [node.input[1] for node in quantized.graph.node if node.op_type == "Conv"]
    rounded = onnx_outputs(quantized, kernels, np.zeros((1, 48, 48, 1), np.uint8))

    source = calibrated.model.onnx
    names = [node.output[0] for node in onnx.load_model_from_string(source).graph.node if node.op_type == "Conv"]
    wanted = onnx_outputs(onnx.load_model_from_string(source), names, images)
    errors = {}
    for key, data in (("plain", source), ("corrected", quantizer._corrected(CORRECTED))):
        graph = onnx.load_model_from_string(data)
        weights = dict(
            zip((node.input[1] for node in graph.graph.node if node.op_type == "Conv"), kernels, strict=True)
        )
        for item in graph.graph.initializer:
            if item.name in weights:
                item.CopyFrom(numpy_helper.from_array(rounded[weights[item.name]], item.name))
        found = onnx_outputs(graph, names, images)
        errors[key] = [np.abs((found[n] - wanted[n]).mean(axis=(0, 2, 3), dtype=np.float64)).max() for n in names]
    with_bias = sorted(OnnxMeans(source).biases)
    assert len(names) == 5
    assert len(with_bias) == 4  # the depthwise convolution has none
    assert min(errors["plain"][index] for index in with_bias) > 1e-4
    assert max(errors["corrected"][index] for index in with_bias) < 2e-6


@pytest.mark.host
def test_litert_answers_keep_their_means(calibrated):
    """int16 activations add next to nothing, so what int8 weights add shows."""
    images = calibrated.calibration
    wanted = run_litert(calibrated.model.litert, images)
    errors = {}
    for recipe in (PLAIN, CORRECTED):
        (made,) = quantizer_for("litert", calibrated).convert("int16", recipe).contents
        *_, found = litert_observer(made)(images).values()
        errors[recipe.bias_correction] = np.abs((found - wanted).mean(axis=0)).max()
    assert errors[True] < 0.1 * errors[False]


@pytest.mark.host
def test_openvino_answers_keep_their_means(calibrated):
    """On a graph whose weights are rounded by hand, to 15 steps on either side of zero."""
    import openvino
    from openvino import opset13

    images = calibrated.calibration
    (wanted,) = run_onnx(calibrated.model.onnx, pixels=images)
    graph, rounded = (openvino_graph(calibrated.model.onnx) for _ in range(2))
    for node in rounded.get_ops():
        if "Convolution" in node.get_type_name():
            weights = node.input(1).get_source_output().get_node().get_data()
            step = np.abs(weights).max() / 15
            constant = opset13.constant((np.rint(weights / step) * step).astype(np.float32))
            node.input(1).replace_source_output(constant.output(0))

    def error() -> float:
        found = openvino.Core().compile_model(rounded, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(images)[0]
        return float(np.abs((found - wanted).mean(axis=0)).max())

    before = error()
    correct_openvino(graph, rounded, images)
    assert before > 1e-2
    assert error() < 1e-5


@pytest.mark.host
def test_openvino_biases_do_not_make_up_for_cut_activations(calibrated):
    """All weights exact and all activations cut hard: nothing is to be corrected."""
    from openvino import opset13

    images = calibrated.calibration
    graph, cut = (openvino_graph(calibrated.model.onnx) for _ in range(2))
    for node in [node for node in cut.get_ordered_ops() if node.get_type_name() == "Relu"]:
        readers = list(node.output(0).get_target_inputs())
        ends = [opset13.constant(np.float32(end)) for end in (0.0, 0.1, 0.0, 0.1)]
        quantized = opset13.fake_quantize(node.output(0), *ends, levels=256)
        for reader in readers:
            reader.replace_source_output(quantized.output(0))
    kinds = [node.get_type_name() for node in cut.get_ops()]
    assert kinds.count("FakeQuantize") > 0
    assert "FakeQuantize" not in [node.get_type_name() for node in with_float_activations(cut).get_ops()]
    before = constants(cut)
    correct_openvino(graph, cut, images)
    for first, second in zip(before, constants(cut), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert [node.get_type_name() for node in cut.get_ops()].count("FakeQuantize") == kinds.count("FakeQuantize")


def constants(graph) -> list[np.ndarray]:
    """A graph's vectors and kernels in the order of computation."""
    return [node.get_data() for node in graph.get_ordered_ops() if node.get_type_name() == "Constant"]


@pytest.mark.host
def test_openvino_int8_keeps_its_answers_means(calibrated):
    """On the file that is shipped: weights of seven bits, and activations rounded, which is not counted."""
    images = calibrated.calibration
    (wanted,) = run_onnx(calibrated.model.onnx, pixels=images)
    errors = {}
    for recipe in (PLAIN, CORRECTED):
        (found,) = run_openvino(*quantizer_for("openvino", calibrated).convert("int8", recipe).contents, images)
        errors[recipe.bias_correction] = np.abs((found - wanted).mean(axis=0)).max()
    assert errors[True] < 0.3 * errors[False]


@pytest.mark.host
@pytest.mark.parametrize("engine", ["litert", "onnx", "openvino"])
def test_a_layer_in_float_is_corrected_too(calibrated, model, engine):
    """It gets what the layers before it have left over of their errors."""
    quantizer = quantizer_for(engine, calibrated)
    biases = {}
    for corrected in (False, True):
        recipe = VariantRecipe(float_layers=(quantizer.layers[-1].label,), bias_correction=corrected)
        (biases[corrected],) = float_vectors(engine, quantizer.convert("int8", recipe).contents, 7)
    np.testing.assert_array_equal(biases[False], model.get_layer("class_maps").get_weights()[1])
    assert np.abs(biases[True] - biases[False]).max() > 1e-5


def float_vectors(engine: str, contents: tuple[bytes, ...], length: int) -> list[np.ndarray]:
    """The float32 constants of a file that have a length in all."""
    data = contents[0]
    if engine == "openvino":
        import openvino

        graph = openvino.Core().read_model(model=gzip.decompress(data), weights=contents[1])
        arrays = [node.get_data() for node in graph.get_ops() if node.get_type_name() == "Constant"]
        return [array.ravel() for array in arrays if array.size == length and array.dtype == np.float32]
    if engine == "onnx":
        import onnx
        from onnx import numpy_helper

        graph = onnx.load_model_from_string(data).graph
        arrays = [numpy_helper.to_array(item) for item in graph.initializer]
        return [array for array in arrays if array.shape == (length,) and array.dtype == np.float32]
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    found = [item for item in interpreter.get_tensor_details() if tuple(item["shape"]) == (length,)]
    return [interpreter.get_tensor(item["index"]) for item in found if item["dtype"] == np.float32]


@pytest.mark.host
@pytest.mark.parametrize("engine", ["onnx", "openvino"])  # a .tflite has zeros, which are corrected
def test_a_network_without_biases_stays_as_it_is(converters, calibration, engine):
    import keras
    from keras import layers

    keras.utils.set_random_seed(2)
    pixels = keras.Input((48, 48, 1), name="pixels")
    x = layers.ReLU()(layers.Conv2D(4, 3, strides=4, use_bias=False)(pixels))
    model = keras.Model(pixels, layers.Dense(7, use_bias=False)(layers.GlobalAveragePooling2D()(x)))
    quantizer = quantizer_for(engine, CalibratedModel(KerasFloatModel(model), calibration[:20], (-1.0, 127 / 128)))
    assert quantizer.convert("int8", CORRECTED).contents == quantizer.convert("int8", PLAIN).contents


@pytest.mark.host
def test_a_convolution_along_a_line_keeps_its_bias(converters):
    """Means are told of pictures alone."""
    model = onnx_model(
        [("Conv", ["pixels", "w", "b"], ["y"])],
        {"w": np.ones((2, 3, 5), np.float32), "b": np.ones(2, np.float32)},
    )
    assert OnnxMeans(model).biases == {}


@pytest.mark.host
def test_what_the_bodies_of_nodes_read_stays(converters):
    """Both branches of an If read a layer's answer and a constant of the graph around them."""
    from onnx import TensorProto, helper

    def branch(operator: str):
        outputs = [helper.make_tensor_value_info(operator, TensorProto.FLOAT, None)]
        return helper.make_graph([helper.make_node(operator, ["hidden", "two"], [operator])], operator, [], outputs)

    rng = np.random.default_rng(3)
    kernels = [rng.normal(size=(2, 2, 3, 3)).astype(np.float32) for _ in range(2)]
    model = onnx_model(
        [
            ("Conv", ["pixels", "w0", "b0"], ["hidden"]),
            ("If", ["yes"], ["chosen"], {"then_branch": branch("Mul"), "else_branch": branch("Add")}),
            ("Conv", ["chosen", "w1", "b1"], ["y"]),
        ],
        {
            "w0": kernels[0],
            "w1": kernels[1],
            "b0": np.ones(2, np.float32),
            "b1": np.zeros(2, np.float32),
            "two": np.array(2, np.float32),
            "yes": np.array(True),
        },
    )
    images = rng.normal(size=(3, 2, 8, 8)).astype(np.float32)
    network = OnnxMeans(model)
    (expected,) = run_onnx(model, pixels=images)
    (answers,) = run_onnx(network.with_biases(network.biases), pixels=images)
    np.testing.assert_array_equal(answers, expected)
    found = network.mean_answers(images, (1,), network.biases)[1]
    np.testing.assert_allclose(found, expected.mean(axis=(0, 2, 3)), rtol=1e-4)


def onnx_model(nodes: list, constants: dict[str, np.ndarray]) -> bytes:
    """An .onnx from the tensor "pixels" to "y", of nodes (operator, inputs, outputs, attributes or nothing)."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "network",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return made


@pytest.mark.parametrize(("n", "used"), [(100, 100), (350, 350), (699, 350), (5000, 350)])
def test_biases_are_corrected_on_as_many_images_whatever_there_are(n, used):
    model = CalibratedModel(None, np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1), (0.0, 1.0))
    found = model.correction_images.ravel()
    assert len(set(found.tolist())) == len(found) == used
    assert (found[0], found[-1]) == (0, n - 1)  # of all classes: they come one after the other


@pytest.mark.host
@pytest.mark.parametrize("engine", ["litert", "onnx"])
def test_each_layer_gets_its_own_biases(converters, engine):
    """The two depthwise convolutions share one tensor of zeros in the .tflite."""
    import keras
    from keras import layers

    pixels = keras.Input((12, 12, 4), name="pixels")
    x = layers.SeparableConv2D(4, 3, bias_initializer="random_normal")(pixels)
    x = layers.SeparableConv2D(4, 3, bias_initializer="random_normal")(layers.ReLU()(x))
    model = KerasFloatModel(
        keras.Model(pixels, layers.Dense(3, bias_initializer="random_normal")(layers.GlobalAveragePooling2D()(x)))
    )
    source, read = (model.litert, LitertMeans) if engine == "litert" else (model.onnx, OnnxMeans)

    def answers(data: bytes) -> np.ndarray:
        images = np.random.default_rng(2).normal(size=(3, 12, 12, 4)).astype(np.float32)
        return run_litert(data, images) if engine == "litert" else run_onnx(data, pixels=images)[0]

    first = read(source).biases
    assert len(first) >= 3
    np.testing.assert_allclose(answers(read(source).with_biases(first)), answers(source), atol=1e-6)
    other = {index: bias + 1 + index + np.arange(len(bias)) for index, bias in first.items()}
    changed = read(source).with_biases(other)
    found = read(changed).biases
    assert list(found) == list(other)
    for index, bias in other.items():
        np.testing.assert_allclose(found[index], bias, rtol=1e-6)
    assert np.abs(answers(changed) - answers(source)).max() > 1
    assert len(changed) < len(source) + 1000
