"""Files that hold code are refused before anything loads them."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from convert.support import small_model

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.inputs.trust import check_h5, check_keras_archive, check_onnx, check_saved_model, refuse_pickles

pytestmark = pytest.mark.host

TRUST = "or add --trust if you trust who made it"
MODELS = Path(__file__).parents[3] / "models"


def archive(path, config, **files):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        for name, data in files.items():
            made.writestr(name, data)
    return path


def layer(class_name: str, module: str | None = "keras.layers", registered_name: str | None = None, **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered_name}


def function(name: str, module: str = "builtins"):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def torch_archive(path):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("archive/data.pkl", b"")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        *((name, lambda path: None) for name in ("m.pkl", "m.pt", "m.PTH", "m.joblib")),
        pytest.param("m.h5", lambda path: path.write_bytes(pickle.dumps({})), id="pickle by another name"),
        pytest.param("m.keras", torch_archive, id="PyTorch's archive by another name"),
    ],
)
def test_pickles_are_refused_always(tmp_path, name, make):
    make(tmp_path / name)
    with pytest.raises(UsageError) as caught:
        refuse_pickles(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name}: expected .keras, .onnx, .h5, a SavedModel or a model folder, found a pickle, which runs "
        "code when it is loaded; export the network to ONNX instead"
    )


@pytest.mark.parametrize("data", [b"", b"\x08\x08", b"PK\3\4 cut", b"\x80\x00"])
def test_what_is_no_pickle_is_left_to_its_reader(tmp_path, data):
    (tmp_path / "m.onnx").write_bytes(data)
    refuse_pickles(tmp_path / "m.onnx")


def test_h5_needs_trust(tmp_path):
    check_h5(tmp_path / "m.h5", trust=True)
    with pytest.raises(UsageError) as caught:
        check_h5(tmp_path / "m.h5", trust=False)
    assert str(caught.value) == (
        f"{tmp_path / 'm.h5'}: HDF5 files can hold Python code that runs when they are loaded; save it as .keras, "
        f"{TRUST}"
    )


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        pytest.param(layer("Lambda", name="evil"), "keras.layers.Lambda", id="lambda layer"),
        pytest.param(layer("Lambda", None, name="evil"), "Lambda", id="lambda layer of old files"),
        pytest.param(
            layer("Activation", name="evil", activation={"class_name": "__lambda__", "config": {"value": "x"}}),
            "__lambda__",
            id="lambda as activation",
        ),
        pytest.param(layer("Norm", "my_package.layers", name="evil"), "my_package.layers.Norm", id="foreign layer"),
        pytest.param(layer("Norm", "kerasx.layers", name="evil"), "kerasx.layers.Norm", id="almost keras"),
        pytest.param(layer("Norm", None, "mine>Norm", name="evil"), "Norm", id="registered"),
        pytest.param(layer("TorchModuleWrapper", name="evil"), "keras.layers.TorchModuleWrapper", id="pickle"),
        pytest.param(layer("TFSMLayer", name="evil"), "keras.layers.TFSMLayer", id="another file's graph"),
        pytest.param(layer("StringLookup", name="evil"), "keras.layers.StringLookup", id="vocabulary file"),
        pytest.param(
            layer("Activation", name="evil", activation=function("get_file", "keras.utils")),
            "keras.utils.function",
            id="download",
        ),
        pytest.param(
            layer("Activation", name="evil", activation=function("load_model", "keras.models")),
            "keras.models.function",
            id="function of a module of layers",
        ),
        pytest.param(
            layer("Activation", name="evil", activation=function("utils.get_file", "keras.ops")),
            "keras.ops.function",
            id="dotted function",
        ),
        pytest.param(layer("utils.get_file", "keras", name="evil"), "keras.utils.get_file", id="dotted class"),
    ],
)
def test_code_in_a_keras_file_is_found_at_any_depth(tmp_path, found, kind):
    inner = layer("Functional", "keras", name="inner", layers=[layer("Dense", name="d"), found])
    path = archive(tmp_path / "m.keras", layer("Sequential", "keras", name="outer", layers=[inner]))
    check_keras_archive(path, trust=True)
    with pytest.raises(UsageError) as caught:
        check_keras_archive(path, trust=False)
    assert str(caught.value) == (
        f"{path}: the layer 'evil' has {kind}, which can run code or read files when it is loaded; replace it by a "
        f"layer of Keras, {TRUST}"
    )


def test_what_keras_itself_saves_is_let_through(tmp_path, converters):
    import keras

    path = tmp_path / "m.keras"
    small_model().save(path)
    check_keras_archive(path, trust=False)

    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation=keras.activations.gelu, kernel_regularizer="l2")(image)
    x = keras.ops.relu(x)[:, ::2] + 1.0
    x = keras.layers.Activation(keras.ops.tanh)(keras.layers.RandomFlip()(x))
    x = keras.layers.TimeDistributed(keras.layers.Dense(3, activation=keras.layers.LeakyReLU()))(x)
    model = keras.Model(image, keras.ops.softmax(keras.layers.GlobalMaxPooling2D()(x)))
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10)), "categorical_crossentropy")
    model.save(path)
    check_keras_archive(path, trust=False)


@pytest.mark.parametrize("path", sorted(MODELS.glob("*/*.keras")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_models_of_this_project_are_let_through(path):
    check_keras_archive(path, trust=False)


def test_how_a_network_was_trained_is_not_looked_at(tmp_path):
    config = {**layer("Sequential", "keras"), "compile_config": {"loss": layer("MyLoss", "my_package")}}
    check_keras_archive(archive(tmp_path / "m.keras", config), trust=False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(None, "cannot read {path}: No such file or directory; expected a .keras file", id="absent"),
        pytest.param(
            b"",
            "{path}: expected a .keras file, found something else (File is not a zip file); save it again",
            id="empty",
        ),
        pytest.param(
            b"PK\3\4 cut",
            "{path}: expected a .keras file, found something else (File is not a zip file); save it again",
            id="truncated",
        ),
    ],
)
def test_what_is_no_archive(tmp_path, data, message):
    path = tmp_path / "m.keras"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        check_keras_archive(path, trust=False)
    assert str(caught.value) == message.format(path=path)


def test_archives_without_or_with_a_broken_configuration(tmp_path):
    with zipfile.ZipFile(tmp_path / "none.keras", "w") as made:
        made.writestr("weights", "x")
    damaged = archive(tmp_path / "damaged.keras", {"text": "a" * 1000})
    damaged.write_bytes(damaged.read_bytes().replace(b"aaaa", b"aaab", 1))
    for path in (
        tmp_path / "none.keras",
        damaged,
        archive(tmp_path / "bad.keras", "{"),
        archive(tmp_path / "deep.keras", "[" * 10**5),
    ):
        with pytest.raises(InputError, match=r"expected a \.keras file, found something else \(.+\); save it again"):
            check_keras_archive(path, trust=True)


def test_a_decompression_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("config.json", b" " * (17 << 20))
    with pytest.raises(InputError) as caught:
        check_keras_archive(path, trust=True)
    assert str(caught.value) == (
        f"{path}: expected at most 1024 MiB unpacked and 16 MiB of configuration, found 17 and 17"
    )


def saved_model(folder, function):
    import tensorflow as tf

    module = tf.Module()
    module.run = tf.function(function, input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return folder


def python(x):
    import tensorflow as tf

    return tf.ensure_shape(tf.numpy_function(lambda value: value, [x], tf.float32), (None, 4))


def reads(x):
    import tensorflow as tf

    return x + tf.strings.to_number(tf.io.read_file("/etc/hostname")) * 0


def writes(x):
    import tensorflow as tf

    tf.print(x, output_stream="file:///nowhere")
    return x


def in_a_branch(x):
    import tensorflow as tf

    return tf.cond(tf.reduce_sum(x) > 0, lambda: reads(x), lambda: x)


@pytest.mark.parametrize(
    ("function", "op"),
    [
        pytest.param(python, "PyFunc", id="python"),
        pytest.param(reads, "ReadFile", id="reads"),
        pytest.param(writes, "PrintV2", id="writes"),
        pytest.param(in_a_branch, "ReadFile", id="in a branch"),
    ],
)
def test_a_saved_model_that_runs_python_or_touches_files(tmp_path, converters, function, op):
    folder = saved_model(tmp_path / "m", function)
    check_saved_model(folder, trust=True)
    with pytest.raises(UsageError) as caught:
        check_saved_model(folder, trust=False)
    found = str(caught.value)
    assert found.startswith(f"{folder}: the op {op} ('")
    assert found.endswith(f"') runs code or touches files; export it without, {TRUST}")


def change(folder, edit):
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel()
    content.ParseFromString((folder / "saved_model.pb").read_bytes())
    edit(content)
    (folder / "saved_model.pb").write_bytes(content.SerializeToString())


def test_a_saved_model_with_variables_is_let_through_and_one_that_calls_its_saver_is_not(tmp_path, converters):
    """The saver's own functions write files; no function of the network may be one of them, or call them."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    model.export(tmp_path / "m", verbose=False)
    assert check_saved_model(tmp_path / "m", trust=False).startswith("2.")

    def call_saver(content):
        graph = content.meta_graphs[0]
        library = graph.graph_def.library.function
        saver = next(item.signature.name for item in library if "traced_save" in item.signature.name)
        network = next(item for item in library if "signature_wrapper" in item.signature.name)
        network.node_def.add(name="call", op="PartitionedCall").attr["f"].func.name = saver

    change(tmp_path / "m", call_saver)
    with pytest.raises(UsageError, match=r"the op (SaveV2|MergeV2Checkpoints) \("):
        check_saved_model(tmp_path / "m", trust=False)


def rename_op(content):
    for function in content.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            node.op = "Odd" if node.op == "Relu" else node.op


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        pytest.param(
            rename_op, r"the op Odd \('Relu'\) runs code or touches files; export it without, or add", id="custom op"
        ),
        pytest.param(
            lambda content: content.meta_graphs[0].ClearField("object_graph_def"),
            "a SavedModel of TensorFlow 1 runs its graph while it is loaded; export it with TensorFlow 2, or add",
            id="TensorFlow 1",
        ),
    ],
)
def test_a_saved_model_of_another_make(tmp_path, converters, edit, message):
    import tensorflow as tf

    folder = saved_model(tmp_path / "m", lambda x: tf.nn.relu(x))
    check_saved_model(folder, trust=False)
    change(folder, edit)
    with pytest.raises(UsageError, match=message):
        check_saved_model(folder, trust=False)
    check_saved_model(folder, trust=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(None, "No such file or directory; expected a SavedModel", id="absent"),
        pytest.param(b"\xff\xff\xff", "expected a SavedModel, found something else", id="damaged"),
        pytest.param(b"", "expected a SavedModel, found one without a graph; export it again", id="empty"),
    ],
)
def test_what_is_no_saved_model(tmp_path, converters, data, message):
    if data is not None:
        (tmp_path / "saved_model.pb").write_bytes(data)
    with pytest.raises(InputError, match=message):
        check_saved_model(tmp_path, trust=True)


def external(name, place):
    from onnx import TensorProto, numpy_helper

    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    return tensor


def onnx_model(nodes, tensors=()):
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (4,))
    return helper.make_model(helper.make_graph(nodes, "g", [value], [value], list(tensors)))


def test_onnx_weights_beside_the_file_are_let_through(tmp_path, converters):
    (tmp_path / "sub").mkdir()
    for name in ("a", "sub/b"):
        (tmp_path / name).write_bytes(bytes(16))
    model = onnx_model([], [external("v", "a"), external("w", "a"), external("z", "sub/b")])
    assert check_onnx(model, tmp_path / "m.onnx") == (tmp_path / "a", tmp_path / "sub/b")


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "link", "sub/../../secret", ""])
@pytest.mark.parametrize("where", ["weights", "sparse weights", "constant", "constant in a branch"])
def test_onnx_weights_from_elsewhere_are_refused(tmp_path, converters, place, where):
    from onnx import helper

    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(16))
    (folder / "link").symlink_to(tmp_path / "secret")
    tensor = external("w", place)
    constant = helper.make_node("Constant", [], ["y"], value=tensor)
    branch = helper.make_graph([constant], "b", [], [])
    nodes = {
        "weights": [],
        "sparse weights": [],
        "constant": [constant],
        "constant in a branch": [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
    }[where]
    model = onnx_model(nodes, [tensor] if where == "weights" else [])
    if where == "sparse weights":
        model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    with pytest.raises(InputError) as caught:
        check_onnx(model, folder / "m.onnx")
    assert str(caught.value) == (
        f"{folder / 'm.onnx'}: expected the weights 'w' inside the file or its folder, found them at {place!r}; save "
        "it as one file"
    )


def test_onnx_weights_that_are_missing(tmp_path, converters):
    with pytest.raises(InputError, match=r"the file 'gone' with the weights 'w' is not there; save it as one file"):
        check_onnx(onnx_model([], [external("w", "gone")]), tmp_path / "m.onnx")


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_operators_that_are_not_of_onnx(tmp_path, converters, depth):
    from onnx import helper

    nodes = [helper.make_node("Odd", ["x"], ["y"], domain="my.ops", name="here")]
    for _ in range(depth):
        branch = helper.make_graph(nodes, "b", [], [])
        nodes = [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    with pytest.raises(InputError) as caught:
        check_onnx(onnx_model(nodes), tmp_path / "m.onnx")
    assert str(caught.value) == (
        f"{tmp_path / 'm.onnx'}: expected operators of ONNX, found my.ops.Odd (here); export it without"
    )
