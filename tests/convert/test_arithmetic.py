"""Multiply-adds and weights of .onnx files against Keras' layers and by hand."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.helper
import pytest

from fer_edge_convert.arithmetic import Arithmetic, count_arithmetic

pytestmark = pytest.mark.host


def graph(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[int | str]) -> bytes:
    made = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)])
    return model.SerializeToString()


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("nodes", "constants", "shape", "expected"),
    [
        # 8 filters of 3 x 3 x 2 over 4 x 5 positions; 8 biases more.
        pytest.param(
            [onnx.helper.make_node("Conv", ["x", "w", "b"], ["y"])],
            {"w": floats(8, 2, 3, 3), "b": floats(8)},
            ["n", 2, 6, 7],
            Arithmetic(weights=8 * 18 + 8, multiply_adds=8 * 18 * 20),
            id="convolution",
        ),
        # Each of 6 channels has a kernel of its own.
        pytest.param(
            [onnx.helper.make_node("Conv", ["x", "w"], ["y"], group=6, pads=[1, 1, 1, 1], strides=[2, 2])],
            {"w": floats(6, 1, 3, 3)},
            ["n", 6, 10, 10],
            Arithmetic(weights=54, multiply_adds=54 * 25),
            id="depthwise, strided",
        ),
        pytest.param(
            [onnx.helper.make_node("MatMul", ["x", "w"], ["h"]), onnx.helper.make_node("Gemm", ["h", "v", "c"], ["y"])],
            {"w": floats(10, 4), "v": floats(4, 3), "c": floats(3)},
            ["n", 10],
            Arithmetic(weights=40 + 12 + 3, multiply_adds=52),
            id="dense layers",
        ),
        pytest.param(
            [onnx.helper.make_node("Conv", ["x", "w"], ["y"])],
            {"w": floats(8, 2, 3, 3)},
            ["n", 2, "height", "width"],
            Arithmetic(weights=144, multiply_adds=None),
            id="pictures of any size",
        ),
        pytest.param(
            [onnx.helper.make_node("MatMul", ["x", "x"], ["y"])],
            {},
            ["n", 4, 4],
            Arithmetic(weights=0, multiply_adds=None),
            id="a product of two answers cannot be counted",
        ),
        # Each of 5 x 5 positions meets all 3 x 2 x 2 x 2 weights.
        pytest.param(
            [onnx.helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])],
            {"w": floats(3, 2, 2, 2)},
            ["n", 3, 5, 5],
            Arithmetic(weights=24, multiply_adds=24 * 25),
            id="transposed convolution",
        ),
        pytest.param(
            [onnx.helper.make_node("MatMul", ["x", "w"], ["h"]), onnx.helper.make_node("Add", ["h", "b"], ["y"])],
            {"w": floats(8, 4), "b": floats(4)},
            ["n", 8],
            Arithmetic(weights=36, multiply_adds=32),
            id="a bias of its own",
        ),
        pytest.param(
            [
                onnx.helper.make_node("Constant", [], ["k"], value=onnx.numpy_helper.from_array(floats(4, 2, 1, 1))),
                onnx.helper.make_node("Conv", ["x", "k"], ["y"]),
            ],
            {},
            ["n", 2, 3, 3],
            Arithmetic(weights=8, multiply_adds=72),
            id="a kernel that is a node",
        ),
    ],
)
def test_by_hand(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[int | str], expected: Arithmetic
) -> None:
    assert count_arithmetic(graph(nodes, constants, shape)) == expected


@pytest.mark.parametrize("architecture", ["sepnet_tiny", "mini_xception", "resnet_tiny"])
def test_as_keras_counts(architecture: str) -> None:
    from fer_edge_convert.onnx import to_onnx_float32
    from fer_edge_train import zoo
    from fer_edge_train.multiply_adds import multiply_adds

    model = zoo.build(architecture, zoo.default_input_shape(architecture), 7)
    found = count_arithmetic(to_onnx_float32(model))
    assert found.multiply_adds == multiply_adds(model)
    # Folding takes the normalizations' four numbers a channel away and gives each convolution a bias.
    assert 0.9 * model.count_params() < found.weights < model.count_params()
