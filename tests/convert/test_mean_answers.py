from __future__ import annotations

import numpy as np
import pytest

from fer_edge_convert.mean_answers import Geometry, mean_answer


def test_a_case_computed_by_hand():
    """Kernel (1, 10) along a row, padded by one zero before: outputs 10 * 1, 1 + 20, 2 + 30."""
    weights, image = np.array([[[[1.0, 10.0]]]]), np.array([[[1.0, 2.0, 3.0]]])
    found = mean_answer(weights, image, Geometry(padding=(0, 1, 0, 0)))
    np.testing.assert_allclose(found, [(10 + 21 + 32) / 3])


def test_a_dense_layer():
    found = mean_answer(np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]]), np.array([10.0, 1.0]))
    np.testing.assert_allclose(found, [12.0, 34.0, 1.0])


CASES = [
    pytest.param(Geometry(), {}, (5, 3, 3, 3), id="plain"),
    pytest.param(
        Geometry(strides=(2, 1), padding=(1, 0, 2, 3)),
        {"strides": [2, 1], "pads": [1, 0, 2, 3]},
        (5, 3, 3, 2),
        id="strides and uneven padding",
    ),
    pytest.param(Geometry(dilations=(2, 3)), {"dilations": [2, 3]}, (5, 3, 3, 2), id="dilations"),
    pytest.param(Geometry(groups=3, padding=(1, 1, 1, 1)), {"group": 3, "pads": [1] * 4}, (6, 1, 3, 3), id="depthwise"),
    pytest.param(
        Geometry(strides=(2, 2), padding="same-upper"),
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        (5, 3, 4, 3),
        id="same, odd zero last",
    ),
    pytest.param(
        Geometry(strides=(3, 2), dilations=(1, 1), padding="same-lower"),
        {"strides": [3, 2], "auto_pad": "SAME_LOWER"},
        (5, 3, 4, 4),
        id="same, odd zero first",
    ),
]


@pytest.mark.host
@pytest.mark.parametrize(("geometry", "attributes", "shape"), CASES)
def test_it_is_the_mean_of_what_a_runtime_answers(converters, geometry, attributes, shape):
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime import InferenceSession

    rng = np.random.default_rng(3)
    weights, images = rng.normal(size=shape), rng.normal(size=(4, 3, 10, 9))
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in ("x", "y")]
    node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    kernel = numpy_helper.from_array(weights.astype(np.float32), "w")
    graph = helper.make_graph([node], "g", tensors[:1], tensors[1:], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (answers,) = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"x": images.astype(np.float32)}
    )
    np.testing.assert_allclose(
        mean_answer(weights, images.mean(axis=0), geometry), answers.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-5
    )
