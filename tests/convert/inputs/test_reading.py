"""Each format gives the network that was saved; what cannot be used is refused in one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from convert.support import calibration_images, coded, run_litert, run_onnx, save_model_folder, small_model

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.inputs import SourceOptions, read_source
from fer_edge_train.datasets import FER2013_LABELS

pytestmark = pytest.mark.host

IMAGES = coded(calibration_images(6, seed=3))
STATED = {"labels": FER2013_LABELS, "pixel_mean": 128.0, "pixel_std": 128.0}


@pytest.fixture(scope="module")
def files(tmp_path_factory, converters, model):
    """The small network in every format, each with a softmax at its end."""
    import keras
    import onnx
    from onnx import helper

    from fer_edge_convert.onnx import to_onnx_float32

    folder = tmp_path_factory.mktemp("inputs")
    for name, last in (
        ("layer", keras.layers.Softmax()),
        ("activation", keras.layers.Activation("softmax")),
        ("plain", None),
    ):
        whole = keras.Model(model.input, last(model.output)) if last else model
        whole.save(folder / f"{name}.keras")
    keras.Model(model.input, keras.layers.Softmax()(model.output)).export(folder / "saved", verbose=False)
    keras.Model(model.input, keras.layers.Softmax()(model.output)).save(folder / "old.h5")

    graph = onnx.load_model_from_string(to_onnx_float32(model))
    onnx.save(graph, folder / "last.onnx")
    for op in ("Softmax", "LogSoftmax"):
        ending = onnx.load_model_from_string(graph.SerializeToString())
        ending.graph.node.append(helper.make_node(op, ["logits"], ["probs"], axis=1))
        ending.graph.output[0].name = "probs"
        onnx.save(ending, folder / f"{op}.onnx")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "plain.keras",
        "layer.keras",
        "activation.keras",
        "old.h5",
        "saved",
        "last.onnx",
        "Softmax.onnx",
        "LogSoftmax.onnx",
    ],
)
def test_every_format_gives_the_logits_of_the_network(files, model, name):
    expected = model.predict(IMAGES, verbose=0)
    found = read_source(files / name, SourceOptions(**STATED, trust=name.endswith(".h5")))
    (answers,) = found.model.predict(IMAGES)
    np.testing.assert_allclose(answers, expected, atol=1e-4)
    assert (found.labels, found.input_shape_hwc, found.pixel_mean) == (FER2013_LABELS, (48, 48, 1), 128.0)
    assert found.name == name.split(".")[0]
    assert found.provenance["model"]["sha256"] == found.sha256
    if (files / name).is_file():
        assert found.sha256 == hashlib.sha256((files / name).read_bytes()).hexdigest()

    source = found.model.onnx
    (answers,) = run_onnx(source, **{_input_name(source): IMAGES})
    np.testing.assert_allclose(answers, expected, atol=1e-4)
    if name.endswith(".onnx"):
        with pytest.raises(InputError, match=r"LiteRT files are made from Keras or TensorFlow; give a \.keras file"):
            _ = found.model.litert
    else:
        np.testing.assert_allclose(run_litert(found.model.litert, IMAGES), expected, atol=1e-4)


def _input_name(model: bytes) -> str:
    import onnx

    return onnx.load_model_from_string(model).graph.input[0].name


def test_a_softmax_as_the_last_layers_activation(tmp_path, converters):
    import keras

    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")]
    network = keras.Sequential(layers)
    network.save(tmp_path / "m.keras")
    found = read_source(tmp_path / "m.keras", SourceOptions(labels=tuple("abcd"), pixel_mean=0.0, pixel_std=255.0))
    images = np.random.default_rng(0).random((5, 8, 8, 3)).astype(np.float32)
    (logits,) = found.model.predict(images)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probs, network.predict(images, verbose=0), atol=1e-5)
    assert not np.allclose(logits.sum(axis=1), 1)


def channels_first(path, shape=(1, 3, 10, 12), classes=4, **changes):
    """A convolution, a mean over the image, a dense layer, as PyTorch exports them."""
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(5, shape[1], 3, 3)).astype(np.float32)
    dense = rng.normal(size=(5, classes)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "dense"], ["scores"], domain=changes.get("domain", "")),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", changes.get("dtype", onnx.TensorProto.FLOAT), shape)],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [shape[0], classes])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(dense, "dense")],
    )
    opsets = [helper.make_opsetid("", changes.get("opset", 17)), helper.make_opsetid("odd", 1)]
    model = helper.make_model(graph, opset_imports=opsets[: 2 if "domain" in changes else 1], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path, kernel, dense


def test_a_channels_first_network_becomes_channels_last(tmp_path, converters):
    path, kernel, dense = channels_first(tmp_path / "m.onnx")
    found = read_source(path, SourceOptions(labels=tuple("abcd"), pixel_mean=0.0, pixel_std=1.0))
    assert found.input_shape_hwc == (10, 12, 3)
    assert found.model.input_shape == (None, 10, 12, 3)
    images = np.random.default_rng(2).normal(size=(3, 10, 12, 3)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))  # n, y, x, channel, dy, dx
    hidden = np.maximum(np.einsum("nyxcij,ocij->nyxo", windows, kernel), 0).mean(axis=(1, 2))
    (answers,) = found.model.predict(images)
    np.testing.assert_allclose(answers, hidden @ dense, atol=1e-4)


def test_an_old_opset_is_raised(tmp_path, converters):
    import onnx

    path, _, _ = channels_first(tmp_path / "m.onnx", opset=11)
    found = read_source(path, SourceOptions(labels=tuple("abcd"), pixel_mean=0.0, pixel_std=1.0))
    opsets = onnx.load_model_from_string(found.model.onnx).opset_import
    assert [item.version for item in opsets if item.domain == ""] == [17]


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        pytest.param(
            {"shape": (1, 3, 10, 3)},
            {},
            UsageError,
            r"the input \[3, 10, 3\] can be read both ways; say --layout",
            id="both",
        ),
        pytest.param(
            {"shape": (1, 2, 10, 12)},
            {},
            InputError,
            r"expected an input with 1 or 3 channels, found \[2, 10, 12\]",
            id="two",
        ),
        pytest.param(
            {}, {"layout": "NHWC"}, InputError, r"1 or 3 channels, NHWC, found \[3, 10, 12\]", id="not that layout"
        ),
        pytest.param(
            {"shape": ("n", 3, "h", 12)},
            {},
            InputError,
            "expected a fixed height and width, found free ones",
            id="free",
        ),
        pytest.param(
            {"domain": "odd"},
            {},
            InputError,
            "expected operators of ONNX, found odd.MatMul",
            id="custom operator",
        ),
        pytest.param(
            {"dtype": 10}, {}, InputError, "expected a float32 input of four axes, found FLOAT16 of 4", id="half"
        ),
        pytest.param(
            {"classes": 3}, {}, InputError, r"expected as many outputs as --labels names \(4\), found 3", id="classes"
        ),
    ],
)
def test_an_onnx_network_that_cannot_be_used(tmp_path, converters, changes, options, error, message):
    path, _, _ = channels_first(tmp_path / "m.onnx", **changes)
    with pytest.raises(error, match=message):
        read_source(path, SourceOptions(labels=tuple("abcd"), pixel_mean=0.0, pixel_std=1.0, **options))


def test_a_file_that_is_no_onnx(tmp_path, converters):
    (tmp_path / "m.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="expected an ONNX network, found something else"):
        read_source(tmp_path / "m.onnx", SourceOptions(**STATED))


def test_probabilities_that_cannot_be_undone_are_refused(tmp_path, converters):
    import keras

    image = keras.Input((8, 8, 1))
    probs = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(image))
    keras.Model(image, keras.layers.Reshape((3,))(probs)).save(tmp_path / "m.keras")
    with pytest.raises(InputError, match=r"expected logits, found probabilities \(never negative, their sum 1\)"):
        read_source(tmp_path / "m.keras", SourceOptions(labels=tuple("abc"), pixel_mean=0.0, pixel_std=1.0))


def test_a_lambda_runs_only_where_it_is_trusted(tmp_path, converters):
    import keras

    marker = str(tmp_path / "ran")
    image = keras.Input((8, 8, 1))
    x = keras.layers.Lambda(lambda t: (open(marker, "w").close(), t)[1], name="evil")(image)  # noqa: PTH123
    keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x))).save(tmp_path / "m.keras")
    Path(marker).unlink()
    stated = {"labels": tuple("abc"), "pixel_mean": 0.0, "pixel_std": 1.0}
    with pytest.raises(UsageError, match="the layer 'evil' holds Python code"):
        read_source(tmp_path / "m.keras", SourceOptions(**stated))
    assert not Path(marker).exists()
    read_source(tmp_path / "m.keras", SourceOptions(**stated, trust=True))
    assert Path(marker).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {},
            r"m\.keras does not say how it is used; add --labels \(the classes in the order of its outputs\) and "
            r"--pixel-mean and --pixel-std \(it takes",
            id="nothing stated",
        ),
        pytest.param({"labels": ("a",), "pixel_mean": 0.0}, "add --pixel-std$", id="half of the coding"),
    ],
)
def test_what_a_file_does_not_say_must_be_given(tmp_path, options, message):
    (tmp_path / "m.keras").write_bytes(b"")
    with pytest.raises(UsageError, match=message):
        read_source(tmp_path / "m.keras", SourceOptions(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"layout": "HWC"}, "--layout: expected NHWC or NCHW, found 'HWC'", id="layout"),
        pytest.param({"pixel_std": 0.0}, "--pixel-std: expected a positive number, found 0", id="std"),
        pytest.param({"labels": ("a", "b", "a")}, "--labels: expected each class once, found a, b, a", id="labels"),
    ],
)
def test_options_are_checked_when_they_are_made(options, message):
    with pytest.raises(UsageError, match=message):
        SourceOptions(**options)


def test_a_model_folder_says_all_itself(tmp_path, converters):
    folder = save_model_folder(tmp_path / "small", small_model())
    found = read_source(folder, SourceOptions())
    assert (found.name, found.labels, found.pixel_std) == ("small", FER2013_LABELS, 128.0)
    assert found.provenance["recipe"] == {"seed": 5}
    read_source(folder, SourceOptions(**STATED))
    with pytest.raises(
        UsageError, match=r"--pixel-mean: the record of .*small states 128\.0, found 127\.5; leave it out"
    ):
        read_source(folder, SourceOptions(pixel_mean=127.5))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        pytest.param(lambda p: None, InputError, "no such file or folder; expected a model", id="absent"),
        pytest.param(lambda p: p.mkdir(), InputError, "or saved_model.pb, found neither", id="empty folder"),
        pytest.param(lambda p: p.write_bytes(b""), InputError, r"\.keras, \.onnx, .* found no ending", id="no ending"),
    ],
)
def test_what_is_no_model(tmp_path, make, error, message):
    make(tmp_path / "m")
    with pytest.raises(error, match=message):
        read_source(tmp_path / "m", SourceOptions(**STATED))
