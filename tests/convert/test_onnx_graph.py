from __future__ import annotations

import numpy as np
import pytest
from convert.support import run_onnx

from fer_edge.engines import TensorSpec

pytestmark = pytest.mark.host

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from fer_edge_convert.onnx_graph import (  # noqa: E402
    align_addition_scales,
    name_constants,
    take_out_edge_quantizers,
    without_names,
)

helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def constant(name: str, values, dtype) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.array(values, dtype), name)


def make_model(nodes, inputs, outputs, constants, value_info=()) -> onnx.ModelProto:
    def infos(shapes):
        return [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in shapes.items()]

    graph = helper.make_graph(nodes, "a long graph name", infos(inputs), infos(outputs), constants, doc_string="doc")
    graph.value_info.extend(infos(dict(value_info)))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, doc_string="doc")
    made.producer_name, made.producer_version = "tests", "1"
    return made


def named_model(input_name: str = "pixels", output_name: str = "logits") -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    prefix = "StatefulPartitionedCall/network/"
    nodes = [
        helper.make_node("Conv", [input_name, prefix + "kernel"], [prefix + "a"], name=prefix + "conv", doc_string="d"),
        helper.make_node("Clip", [prefix + "a", "", prefix + "six"], [prefix + "b"], name=prefix + "clip"),
        helper.make_node("Flatten", [prefix + "b"], [prefix + "c"]),
        helper.make_node("MatMul", [prefix + "c", prefix + "dense"], [prefix + "d"]),
        helper.make_node("Add", [prefix + "d", prefix + "d"], [output_name]),
    ]
    constants = [
        constant(prefix + "kernel", rng.normal(size=(4, 1, 3, 3)), np.float32),
        constant(prefix + "six", 1.5, np.float32),
        constant(prefix + "dense", rng.normal(size=(64, 3)), np.float32),
    ]
    constants[0].doc_string = "weights"
    shape = {prefix + "a": [None, 4, 4, 4]}
    return make_model(nodes, {input_name: [None, 1, 6, 6]}, {output_name: [None, 3]}, constants, shape.items())


@pytest.mark.parametrize(
    ("input_name", "output_name"),
    [
        pytest.param("pixels", "logits", id="usual names"),
        # Names that look like the short ones must not be given to another tensor.
        pytest.param("t0", "t2", id="short names"),
    ],
)
def test_names_are_shortened_and_answers_stay(input_name, output_name):
    source = named_model(input_name, output_name)
    long_form = source.SerializeToString()
    found = without_names(source)
    assert found is source
    onnx.checker.check_model(found, full_check=True)
    short_form = found.SerializeToString()
    assert b"StatefulPartitionedCall" not in short_form
    assert len(short_form) < len(long_form) - 300

    graph = found.graph
    assert [item.name for item in (*graph.input, *graph.output)] == [input_name, output_name]
    inner = {name for node in graph.node for name in (*node.input, *node.output)} - {input_name, output_name, ""}
    assert len(inner) == 7
    assert max(map(len, inner)) == 2
    assert not any(node.name or node.doc_string for node in graph.node)
    assert not any(item.doc_string for item in graph.initializer)
    assert not graph.value_info
    assert (found.producer_name, found.producer_version, found.doc_string, graph.doc_string) == ("", "", "", "")
    assert graph.node[1].input[1] == ""  # an input left out stays left out

    images = np.random.default_rng(1).normal(size=(5, 1, 6, 6)).astype(np.float32)
    (expected,), (answer,) = run_onnx(long_form, **{input_name: images}), run_onnx(short_form, **{input_name: images})
    assert answer.tobytes() == expected.tobytes()


def test_the_real_quantized_network_answers_the_same(onnx_int8):
    """Without names, the file of the pipeline equals byte for byte what the same graph with names gives."""
    with_names = onnx.load_model_from_string(onnx_int8.unedited)
    take_out_edge_quantizers(with_names)
    del with_names.graph.value_info[:]
    pixels = np.random.default_rng(2).integers(0, 256, (9, 48, 48, 1), np.uint8)
    (expected,), (answer,) = (run_onnx(m, pixels=pixels) for m in (with_names.SerializeToString(), onnx_int8.model))
    assert answer.tobytes() == expected.tobytes()
    assert len(onnx_int8.model) < 0.85 * len(with_names.SerializeToString())


def quantized_model(*, transpose_first: bool, outputs: int) -> onnx.ModelProto:
    """QuantizeLinear, DequantizeLinear, MatMul, and a pair of them for each output."""
    rng = np.random.default_rng(0)
    nodes, constants, names, current = [], [constant("w", rng.normal(size=(6, 4)), np.float32)], {}, "x"

    def pair(source: str, scale: float, zero_point: int, target: str) -> None:
        tag = f"{target}_q"
        constants.append(constant(tag + "_s", scale, np.float32))
        constants.append(constant(tag + "_z", zero_point, np.uint8))
        edge = [tag + "_s", tag + "_z"]
        nodes.append(helper.make_node("QuantizeLinear", [source, *edge], [tag]))
        nodes.append(helper.make_node("DequantizeLinear", [tag, *edge], [target]))

    if transpose_first:
        nodes.append(helper.make_node("Transpose", ["x"], ["xt"], perm=[0, 2, 1]))
        nodes.append(helper.make_node("Transpose", ["xt"], ["xtt"], perm=[0, 2, 1]))
        current = "xtt"
    pair(current, 1 / 128, 128, "x_float")
    nodes.append(helper.make_node("MatMul", ["x_float", "w"], ["y"]))
    for index in range(outputs):
        source = "y"
        if index:
            nodes.append(helper.make_node("Neg", ["y"], [f"y{index}"]))
            source = f"y{index}"
        pair(source, 0.05, 100 + index, f"out{index}")
        names[f"out{index}"] = [None, 2, 4]
    return make_model(nodes, {"x": [None, 2, 6]}, names, constants)


@pytest.mark.parametrize("transpose_first", [False, True], ids=["quantized at once", "reshaped before"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_without_edge_quantizers_the_answers_are_the_stored_ones(transpose_first, outputs):
    edited = quantized_model(transpose_first=transpose_first, outputs=outputs)
    unedited = edited.SerializeToString()
    found = take_out_edge_quantizers(edited)
    assert found.input == TensorSpec(name="x", shape=(None, 2, 6), dtype="uint8", scale=1 / 128, zero_point=128)
    scale = float(np.float32(0.05))
    assert found.outputs == tuple(
        TensorSpec(name=f"out{i}", shape=(None, 2, 4), dtype="uint8", scale=scale, zero_point=100 + i)
        for i in range(outputs)
    )
    onnx.checker.check_model(edited, full_check=True)

    stored = np.random.default_rng(1).integers(0, 256, (7, 2, 6), np.uint8)
    real = (stored.astype(np.float32) - 128) / 128
    expected = run_onnx(unedited, x=real)
    answers = run_onnx(edited.SerializeToString(), x=stored)
    assert len(answers) == outputs
    for spec, answer, wanted in zip(found.outputs, answers, expected, strict=True):
        assert answer.dtype == np.uint8
        assert len(np.unique(answer)) > 10
        np.testing.assert_array_equal(spec.dequantize(answer), wanted)


def test_the_real_network_without_edge_quantizers(onnx_int8):
    pixels = np.random.default_rng(3).integers(0, 256, (11, 48, 48, 1), np.uint8)
    (expected,) = run_onnx(onnx_int8.unedited, pixels=(pixels.astype(np.float32) - 128) / 128)
    (answer,) = run_onnx(onnx_int8.model, pixels=pixels)
    assert answer.dtype == np.uint8
    np.testing.assert_array_equal(onnx_int8.outputs[0].dequantize(answer), expected)


def float_model(*, quantize_input: bool, reads: int = 1) -> onnx.ModelProto:
    made = quantized_model(transpose_first=False, outputs=1)
    graph = made.graph
    if quantize_input:
        for _ in range(reads - 1):
            graph.node.append(helper.make_node("Relu", ["x"], ["unused"]))
        last = next(node for node in graph.node if "out0" in node.output)
        last.op_type = "Identity"
    else:
        graph.node[0].op_type = "Relu"
    return made


@pytest.mark.parametrize(
    ("made", "dtypes"),
    [
        pytest.param(float_model(quantize_input=False), ("float32", "uint8"), id="float input"),
        pytest.param(float_model(quantize_input=True), ("uint8", "float32"), id="float output"),
        pytest.param(float_model(quantize_input=True, reads=2), ("float32", "float32"), id="read twice"),
    ],
)
def test_a_float_edge_stays_float(made, dtypes):
    found = take_out_edge_quantizers(made)
    assert (found.input.dtype, found.outputs[0].dtype) == dtypes
    edges = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.UINT8: "uint8"}
    assert tuple(edges[item.type.tensor_type.elem_type] for item in (*made.graph.input, *made.graph.output)) == dtypes
    assert [spec.scale is None for spec in (found.input, found.outputs[0])] == [name == "float32" for name in dtypes]


@pytest.mark.parametrize("other", ["float", "constant"])
def test_additions_of_float_or_constant_tensors_are_left_alone(other):
    made = quantized_model(transpose_first=False, outputs=1)
    nodes = [helper.make_node("Abs", ["x"], ["z"])] if other == "float" else []
    nodes.append(helper.make_node("Add", ["x_float", "z" if other == "float" else "w"], ["sum"]))
    made.graph.node.extend(nodes)
    before = made.SerializeToString()
    align_addition_scales(made)
    assert made.SerializeToString() == before


# Constants are named by their readers.


def test_constants_are_named_and_ordered_by_their_first_reader():
    model = named_model()
    model.graph.node[2].name, model.graph.node[3].name = "flatten", "dense"
    expected = run_onnx(model.SerializeToString(), pixels=np.ones((1, 1, 6, 6), np.float32))
    reordered = list(model.graph.initializer)[::-1]
    del model.graph.initializer[:]
    model.graph.initializer.extend(reordered)
    name_constants(model)
    prefix = "StatefulPartitionedCall/network/"
    assert [item.name for item in model.graph.initializer] == [
        prefix + "conv/constant1",
        prefix + "clip/constant2",
        "dense/constant1",
    ]
    answers = run_onnx(model.SerializeToString(), pixels=np.ones((1, 1, 6, 6), np.float32))
    np.testing.assert_array_equal(answers[0], expected[0])


def test_a_name_that_is_taken_is_not_given_again():
    nodes = [
        helper.make_node("Add", ["pixels", "one"], ["second/constant1"], name="first"),
        helper.make_node("Add", ["second/constant1", "two"], ["logits"], name="second"),
    ]
    model = make_model(
        nodes, {"pixels": [1]}, {"logits": [1]}, [constant("two", [2], "f4"), constant("one", [1], "f4")]
    )
    name_constants(model)
    assert [item.name for item in model.graph.initializer] == ["first/constant1", "two"]
    assert run_onnx(model.SerializeToString(), pixels=np.zeros(1, np.float32))[0] == [3.0]


@pytest.mark.parametrize("rename", [name_constants, without_names])
def test_what_bodies_of_nodes_read_keeps_its_name(rename):
    body = helper.make_graph(
        [helper.make_node("Mul", ["pixels", "factor"], ["product"])],
        "then",
        [],
        [helper.make_tensor_value_info("product", FLOAT, [1])],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["sum"], ["copy"])],
        "else",
        [],
        [helper.make_tensor_value_info("copy", FLOAT, [1])],
    )
    nodes = [
        helper.make_node("Add", ["pixels", "factor"], ["sum"], name="add"),
        helper.make_node("If", ["yes"], ["logits"], name="if", then_branch=body, else_branch=other),
    ]
    constants = [constant("factor", [3], np.float32), constant("yes", True, bool)]
    model = make_model(nodes, {"pixels": [1]}, {"logits": [1]}, constants)
    rename(model)
    onnx.checker.check_model(model)
    assert run_onnx(model.SerializeToString(), pixels=np.full(1, 2, np.float32))[0] == [6.0]
