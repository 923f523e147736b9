"""ONNX files of any layout and opset are brought to one form; what cannot be is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
from convert.support import run_onnx

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.inputs.onnx_file import read_onnx

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("converters")]

RNG = np.random.default_rng(1)
IMAGES = RNG.normal(size=(3, 10, 12, 3)).astype(np.float32)
KERNEL = RNG.normal(size=(5, 3, 3, 3)).astype(np.float32)
DENSE = RNG.normal(size=(5, 4)).astype(np.float32)


def expected_logits():
    windows = np.lib.stride_tricks.sliding_window_view(IMAGES, (3, 3), axis=(1, 2))  # n, y, x, channel, dy, dx
    return np.maximum(np.einsum("nyxcij,ocij->nyxo", windows, KERNEL), 0).mean(axis=(1, 2)) @ DENSE


def node(op, inputs, output, **attributes):
    from onnx import helper

    return helper.make_node(op, inputs, [output], **attributes)


def channels_first(*, ending=(), output="scores"):
    """A convolution, a mean over the image and a dense layer, as PyTorch exports them."""
    return [
        node("Conv", ["image", "kernel"], "a", name="first/Conv"),
        node("Relu", ["a"], "b"),
        node("GlobalAveragePool", ["b"], "c"),
        node("Flatten", ["c"], "d", name="twice"),
        node("MatMul", ["d", "dense"], output, name="twice"),
        *ending,
    ]


def save(path, nodes, *, shape=(1, 3, 10, 12), scores=(1, 4), opset=17, dtype=1, inputs=1):
    import onnx
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, dtype, shape) for name in ("image", "other")[:inputs]],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, scores)],
        [numpy_helper.from_array(KERNEL, "kernel"), numpy_helper.from_array(DENSE, "dense")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="hand")
    # Older than the opset asks for is what files are not.
    model.ir_version = 8 if opset <= 17 else 10
    path.write_bytes(model.SerializeToString())
    return path


def check_both(found, expected, images=IMAGES):
    """Compare the network as it was saved, and its canonical file."""
    import onnx

    np.testing.assert_allclose(found.model.predict(images)[0], expected, atol=1e-4)
    model = onnx.load_model_from_string(found.model.onnx)
    assert [item.version for item in model.opset_import if item.domain == ""] == [17]
    (source,) = model.graph.input
    shape = [axis.dim_value or None for axis in source.type.tensor_type.shape.dim]
    assert shape == [None, *images.shape[1:]] == list(found.model.input_shape)
    np.testing.assert_allclose(run_onnx(found.model.onnx, **{source.name: images})[0], expected, atol=1e-4)


@pytest.mark.parametrize("batch", [1, "n"])
@pytest.mark.parametrize("opset", [11, 13, 17, 18, 20])
def test_a_channels_first_network_becomes_channels_last(tmp_path, opset, batch):
    path = save(tmp_path / "m.onnx", channels_first(), shape=(batch, 3, 10, 12), scores=(batch, 4), opset=opset)
    found = read_onnx(path, None)
    assert found.model.output_shapes == ((None, 4),)
    assert (found.written_by, found.files) == ("hand", (path,))
    check_both(found, expected_logits())


def test_a_channels_last_network_stays_as_it_is(tmp_path):
    transposed = [node("Transpose", ["picture"], "image", perm=[0, 3, 1, 2]), *channels_first()]
    path = save(tmp_path / "m.onnx", transposed, shape=("n", 10, 12, 3))
    import onnx

    model = onnx.load(path)
    model.graph.input[0].name = "picture"
    onnx.save(model, path)
    check_both(read_onnx(path, None), expected_logits())
    check_both(read_onnx(path, "NHWC"), expected_logits())


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param([("Softmax", "l", "scores")], id="softmax"),
        pytest.param([("LogSoftmax", "l", "scores")], id="log-softmax"),
        pytest.param(
            [("Softmax", "l", "p"), ("Identity", "p", "q"), ("Identity", "q", "scores")], id="then identities"
        ),
        pytest.param([("Identity", "l", "scores")], id="identity alone"),
    ],
)
@pytest.mark.parametrize("opset", [12, 17])
def test_a_softmax_at_the_end_is_taken_off(tmp_path, ending, opset):
    nodes = channels_first(output="l", ending=[node(op, [before], after) for op, before, after in ending])
    check_both(read_onnx(save(tmp_path / "m.onnx", nodes, opset=opset), None), expected_logits())


def test_weights_among_the_inputs_are_none(tmp_path):
    """As exporters did before IR version 4; whoever takes the first input must not get a weight."""
    import onnx

    path = save(tmp_path / "m.onnx", channels_first())
    model = onnx.load(path)
    weights = [
        onnx.helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in model.graph.initializer
    ]
    pixels = model.graph.input[0]
    del model.graph.input[:]
    model.graph.input.extend([*weights, pixels])
    onnx.save(model, path)
    found = read_onnx(path, None)
    check_both(found, expected_logits())
    assert len(onnx.load_model_from_string(found.model.onnx).graph.input) == 1


def test_layers_keep_their_names(tmp_path):
    import onnx

    found = read_onnx(save(tmp_path / "m.onnx", channels_first()), None)
    names = [item.name for item in onnx.load_model_from_string(found.model.onnx).graph.node]
    assert "first/Conv" in names
    assert all(names)
    assert len(set(names)) == len(names)


def test_graphs_inside_nodes_see_the_same_image(tmp_path):
    from onnx import TensorProto, helper

    branch = helper.make_graph(
        [node("Identity", ["image"], "same")], "b", [], [helper.make_tensor_value_info("same", TensorProto.FLOAT, None)]
    )
    nodes = [
        node("ReduceSum", ["image"], "sum", keepdims=0),
        node("IsNaN", ["sum"], "is_nan"),
        node("If", ["is_nan"], "seen", then_branch=branch, else_branch=branch),
        node("Conv", ["seen", "kernel"], "a"),
        *channels_first()[1:],
    ]
    check_both(read_onnx(save(tmp_path / "m.onnx", nodes), None), expected_logits())


def test_weights_in_a_file_of_their_own(tmp_path):
    import onnx

    path = save(tmp_path / "m.onnx", channels_first())
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.data", size_threshold=0)
    found = read_onnx(path, None)
    assert found.files == (path, tmp_path / "m.data")
    check_both(found, expected_logits())


# The exporter that needs no further package is the old one.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("options", [{"dynamic_axes": {"image": {0: "n"}}}, {}], ids=["free batch", "batch of 1"])
def test_what_pytorch_exports(tmp_path, options):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, stride=2),
        torch.nn.BatchNorm2d(6),
        torch.nn.Hardswish(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 4),
    )
    whole = torch.nn.Sequential(network, torch.nn.Softmax(dim=1)).eval()
    torch.onnx.export(
        whole, (torch.zeros(1, 3, 10, 12),), tmp_path / "m.onnx", input_names=["image"], dynamo=False, **options
    )
    with torch.no_grad():
        expected = network(torch.from_numpy(IMAGES.transpose(0, 3, 1, 2))).numpy()
    found = read_onnx(tmp_path / "m.onnx", None)
    assert found.written_by == f"pytorch {torch.__version__.split('+')[0]}"
    check_both(found, expected)


def test_litert_is_not_made_from_it(tmp_path):
    path = save(tmp_path / "m.onnx", channels_first())
    with pytest.raises(InputError) as caught:
        _ = read_onnx(path, None).model.litert
    assert str(caught.value) == (
        f"{path}: LiteRT files are made from Keras or TensorFlow; give a .keras file or a SavedModel, or leave "
        "litert out of --to"
    )


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_layout_that_cannot_be_told_is_asked_for(tmp_path, layout):
    weights = np.random.default_rng(2).normal(size=(3, 10, 3)).astype(np.float32)
    from onnx import helper, numpy_helper

    kernel = numpy_helper.from_array(weights.reshape(90, 1), "flat")
    nodes = [
        helper.make_node("Constant", [], ["flat"], value=kernel),
        node("Flatten", ["image"], "d"),
        node("MatMul", ["d", "flat"], "scores"),
    ]
    path = save(tmp_path / "m.onnx", nodes, shape=("n", 3, 10, 3), scores=("n", 1))
    with pytest.raises(UsageError) as caught:
        read_onnx(path, None)
    assert str(caught.value) == (
        f"{path}: the input [3, 10, 3] can be read both ways; say --layout NCHW or --layout NHWC"
    )
    axes = {"NCHW": "nyxc,cyx->n", "NHWC": "nyxc,yxc->n"}[layout]
    images = np.random.default_rng(3).normal(size=(2, *((10, 3, 3) if layout == "NCHW" else (3, 10, 3))))
    expected = np.einsum(axes, images, weights)[:, None]
    check_both(read_onnx(path, layout), expected, images.astype(np.float32))


def squeezed():
    """What was exported for one image at a time: three images are one row of three times the length."""
    from onnx import helper, numpy_helper

    ends = [np.int64([value]) for value in (0, 4, 1)]
    constants = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
        for name, value in zip(("from", "to", "axis", "one"), (*ends, np.int64([1, -1])), strict=True)
    ]
    return [*constants, node("Reshape", ["image", "one"], "d"), node("Slice", ["d", "from", "to", "axis"], "scores")]


def reshaped():
    from onnx import helper, numpy_helper

    constant = helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.int64([1, 5])))
    return [*channels_first()[:3], constant, node("Reshape", ["c", "one"], "d"), channels_first()[4]]


@pytest.mark.parametrize(
    ("nodes", "changes", "message"),
    [
        pytest.param(
            channels_first,
            {"shape": (1, 2, 10, 12)},
            "expected an input with 1 or 3 channels, found [2, 10, 12]",
            id="two channels",
        ),
        pytest.param(
            channels_first,
            {"layout": "NHWC"},
            "expected an input with 1 or 3 channels, NHWC, found [3, 10, 12]",
            id="not that layout",
        ),
        pytest.param(
            channels_first,
            {"shape": ("n", 3, "h", 12)},
            "expected a fixed height and width, found free ones; export it with the size it is used at",
            id="free height",
        ),
        pytest.param(
            channels_first,
            {"dtype": 10},
            "expected a float32 input of four axes, found FLOAT16 of 4",
            id="half",
        ),
        pytest.param(
            channels_first,
            {"shape": (1, 3, 10)},
            "expected a float32 input of four axes, found FLOAT of 3",
            id="three axes",
        ),
        pytest.param(
            channels_first, {"inputs": 2}, "expected one input and one output, found 2 and 1", id="two inputs"
        ),
        pytest.param(squeezed, {}, "expected an answer for each of 2 images, found 1", id="one answer for all images"),
        pytest.param(
            lambda: [node("Gelu", ["image"], "e"), node("Conv", ["e", "kernel"], "a"), *channels_first()[1:]],
            {"opset": 20},
            "expected opset 17, found 20, which cannot be converted (No Previous Version of Gelu exists); export it "
            "with opset 17",
            id="newer than the opset",
        ),
    ],
)
def test_a_network_that_cannot_be_used(tmp_path, nodes, changes, message):
    layout = changes.pop("layout", None)
    path = save(tmp_path / "m.onnx", nodes(), **changes)
    with pytest.raises(InputError) as caught:
        read_onnx(path, layout)
    assert str(caught.value) == f"{path}: {message}"


def test_a_network_for_one_image_at_a_time(tmp_path):
    path = save(tmp_path / "m.onnx", reshaped())
    with pytest.raises(InputError) as caught:
        read_onnx(path, None)
    text = str(caught.value)
    assert text.startswith(f"{path}: ONNX Runtime cannot run it on two images at once (")
    assert text.endswith("); export it with a free batch, in PyTorch with dynamic_axes or dynamic_shapes")


@pytest.mark.parametrize("data", [b"", b"nothing of the kind"], ids=["empty", "text"])
def test_a_file_that_is_no_onnx(tmp_path, data):
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(InputError, match=r"expected an ONNX network, found something else \(.+\); export it again"):
        read_onnx(tmp_path / "m.onnx", None)


def test_a_file_that_is_cut(tmp_path):
    path = save(tmp_path / "m.onnx", channels_first())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="expected an ONNX network, found something else"):
        read_onnx(path, None)
