from __future__ import annotations

import numpy as np
import pytest
from convert.support import run_onnx

from fer_edge_convert.prelu import fuse_prelu

pytestmark = pytest.mark.host

# Slopes of every kind that MTCNN has: above one, below minus one, both signs, zero.
SLOPES = np.array([0.25, -0.4, 1.3, -1.278, 0.0], np.float32)


@pytest.fixture(scope="module")
def prelu_model(converters):
    """A convolution, a PReLU with a slope for each channel, a dense layer, a PReLU with a slope for each value."""
    import keras
    from keras import layers

    rng = np.random.default_rng(3)
    pixels = keras.Input((6, 6, 3), name="pixels")
    x = layers.Conv2D(5, 3, name="conv")(pixels)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(x)
    x = layers.Dense(4, name="dense")(layers.Flatten()(x))
    x = layers.PReLU(name="last_prelu")(x)
    model = keras.Model(pixels, {"logit": layers.Dense(1, name="logit")(x)})
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([rng.normal(0, 0.5, weight.shape) for weight in layer.weights])
    model.get_layer("prelu").set_weights([SLOPES.reshape(1, 1, 5)])
    return model


@pytest.fixture(scope="module")
def float32(prelu_model):
    from fer_edge_convert.onnx import to_onnx_float32

    return to_onnx_float32(prelu_model)


def op_types(model: bytes) -> list[str]:
    import onnx

    return [node.op_type for node in onnx.load_model_from_string(model).graph.node]


def graph_of(nodes, initializers=()) -> bytes:
    """A graph of float32 (2, 3): x -> y."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    edges = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, (2, 3))] for name in ("x", "y")]
    constants = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in initializers]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], name=output) for kind, inputs, output in nodes],
        "graph",
        *edges,
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_each_prelu_becomes_one_node(float32):
    assert op_types(float32).count("Neg") == 2  # else this test shows nothing
    fused = op_types(fuse_prelu(float32))
    assert fused.count("PRelu") == 2
    assert not {"Relu", "Neg", "Mul"} & set(fused)


def test_answers_are_those_of_the_formula(float32, prelu_model):
    pixels = np.random.default_rng(0).normal(0, 1, (7, 6, 6, 3)).astype(np.float32)
    kernel, bias, slopes, dense, dense_bias, last_slopes, head, head_bias = (
        weight.astype(np.float64) for weight in prelu_model.get_weights()
    )

    def prelu(x, slope):
        return np.where(x > 0, x, slope * x)

    windows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3), axis=(1, 2))
    x = prelu(np.einsum("nyxchw,hwco->nyxo", windows, kernel) + bias, slopes)
    x = prelu(x.reshape(7, -1) @ dense + dense_bias, last_slopes)
    (found,) = run_onnx(fuse_prelu(float32), pixels=pixels)
    np.testing.assert_allclose(found, x @ head + head_bias, rtol=1e-5, atol=1e-5)


def test_the_node_has_the_name_of_the_addition_and_the_slopes_of_the_layer(float32):
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model_from_string(fuse_prelu(float32)).graph
    additions = [node.name for node in onnx.load_model_from_string(float32).graph.node if node.op_type == "Add"]
    fused = [node for node in graph.node if node.op_type == "PRelu"]
    assert {node.name for node in fused} <= set(additions)
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    np.testing.assert_array_equal(constants[fused[0].input[1]].reshape(-1), SLOPES)
    # What only the five nodes read is gone.
    assert set(constants) == {name for node in graph.node for name in node.input} & set(constants)


FIVE = [
    ("Relu", ["x"], "positive"),
    ("Neg", ["x"], "minus"),
    ("Relu", ["minus"], "negative"),
    ("Mul", ["negative", "slope"], "scaled"),
    ("Add", ["positive", "scaled"], "y"),
]
SLOPE = ("slope", [-0.5, -0.5, 0.25])


@pytest.mark.parametrize("swapped", [(), (3,), (4,), (3, 4)])
def test_the_order_of_operands_does_not_matter(converters, swapped):
    nodes = [(kind, inputs[::-1] if i in swapped else inputs, output) for i, (kind, inputs, output) in enumerate(FIVE)]
    fused = fuse_prelu(graph_of(nodes, [SLOPE]))
    assert op_types(fused) == ["PRelu"]
    x = np.array([[-2, 2, -4], [0, -1, 3]], np.float32)
    np.testing.assert_array_equal(run_onnx(fused, x=x)[0], [[-1, 2, 1], [0, -0.5, 3]])


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([*FIVE[:1], ("Neg", ["positive"], "minus"), *FIVE[2:]], id="negated from elsewhere"),
        pytest.param(
            [*FIVE[:4], ("Add", ["positive", "scaled"], "sum"), ("Sub", ["sum", "negative"], "y")],
            id="negative part read twice",
        ),
        pytest.param([*FIVE[:3], ("Add", ["positive", "negative"], "y")], id="not scaled"),
        pytest.param([*FIVE[:3], ("Mul", ["negative", "x"], "scaled"), FIVE[4]], id="scaled by no constant"),
        pytest.param([("Abs", ["x"], "positive"), *FIVE[1:]], id="not the positive part"),
    ],
)
def test_other_sums_stay_as_they_are(converters, nodes):
    model = graph_of(nodes, [SLOPE])
    fused = fuse_prelu(model)
    assert op_types(fused) == [kind for kind, _, _ in nodes]
    x = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_array_equal(run_onnx(fused, x=x)[0], run_onnx(model, x=x)[0])


@pytest.mark.parametrize("name", ["pnet", "rnet", "onet"])
def test_mtcnn_gives_the_same_answers(converters, name):
    from pathlib import Path

    import keras

    from fer_edge_convert.detector_recipe import DetectorNetwork

    folder = Path(__file__).resolve().parents[2] / "models" / "mtcnn"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; fer-edge import-mtcnn makes it")
    model = keras.saving.load_model(folder / f"{name}.keras", compile=False)
    side = {"pnet": 30, "rnet": 24, "onet": 48}[name]
    pixels = np.random.default_rng(2).integers(0, 256, (2, side, side, 3)).astype(np.float32)
    network = DetectorNetwork(model, prelu="one node")
    assert not {"Relu", "Neg"} & set(op_types(network.onnx))
    for found, expected in zip(
        run_onnx(network.onnx, pixels=pixels),
        run_onnx(DetectorNetwork(model, prelu="five nodes").onnx, pixels=pixels),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-4)
