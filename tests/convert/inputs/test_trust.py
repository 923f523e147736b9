"""Files that hold code are refused before anything loads them."""

from __future__ import annotations

import json
import zipfile

import pytest
from convert.support import small_model

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.inputs.trust import check_h5, check_keras_archive, check_saved_model, refuse_pickles

pytestmark = pytest.mark.host


def archive(path, config, **files):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        for name, data in files.items():
            made.writestr(name, data)
    return path


def layer(class_name: str, module: str = "keras.layers", **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


@pytest.mark.parametrize("name", ["m.pkl", "m.pt", "m.PTH", "m.joblib"])
def test_pickles_are_refused_always(tmp_path, name):
    with pytest.raises(UsageError, match=r"found a pickle .* which runs code when it is loaded; export .* to ONNX"):
        refuse_pickles(tmp_path / name)
    refuse_pickles(tmp_path / "m.onnx")


def test_h5_needs_trust(tmp_path):
    check_h5(tmp_path / "m.h5", trust=True)
    with pytest.raises(
        UsageError, match=r"can hold Python code that runs when they are loaded; save it as \.keras, or add"
    ):
        check_h5(tmp_path / "m.h5", trust=False)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        pytest.param(layer("Lambda", name="evil"), "Lambda", id="lambda layer"),
        pytest.param(
            layer("Activation", name="evil", activation={"class_name": "__lambda__", "config": {"value": "x"}}),
            "__lambda__",
            id="lambda as activation",
        ),
        pytest.param(layer("Norm", "my_package.layers", name="evil"), "my_package.layers.Norm", id="foreign layer"),
        pytest.param(layer("Norm", "kerasx.layers", name="evil"), "kerasx.layers.Norm", id="almost keras"),
    ],
)
def test_code_in_a_keras_file_is_found_at_any_depth(tmp_path, found, kind):
    inner = layer("Functional", "keras", name="inner", layers=[layer("Dense", name="d"), found])
    path = archive(tmp_path / "m.keras", layer("Sequential", "keras", name="outer", layers=[inner]))
    check_keras_archive(path, trust=True)
    with pytest.raises(UsageError) as caught:
        check_keras_archive(path, trust=False)
    assert f"the layer 'evil' holds Python code ({kind}) that runs when it is loaded" in str(caught.value)


def test_what_keras_itself_saves_is_let_through(tmp_path):
    small_model().save(tmp_path / "m.keras")
    check_keras_archive(tmp_path / "m.keras", trust=False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(None, "No such file or directory; expected a .keras file", id="absent"),
        pytest.param(b"", "expected a .keras file, found something else", id="empty"),
        pytest.param(b"PK\3\4 cut", "expected a .keras file, found something else", id="truncated"),
    ],
)
def test_what_is_no_archive(tmp_path, data, message):
    if data is not None:
        (tmp_path / "m.keras").write_bytes(data)
    with pytest.raises(InputError, match=message):
        check_keras_archive(tmp_path / "m.keras", trust=False)


def test_archives_without_or_with_a_broken_configuration(tmp_path):
    with zipfile.ZipFile(tmp_path / "none.keras", "w") as made:
        made.writestr("weights", "x")
    for path in (
        tmp_path / "none.keras",
        archive(tmp_path / "bad.keras", "{"),
        archive(tmp_path / "deep.keras", "[" * 10**5),
    ):
        with pytest.raises(InputError, match=r"expected a \.keras file, found something else"):
            check_keras_archive(path, trust=True)


def test_a_decompression_bomb_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("config.json", b" " * (17 << 20))
    with pytest.raises(
        InputError, match="expected at most 1024 MiB unpacked and 16 MiB of configuration, found 17 and 17"
    ):
        check_keras_archive(tmp_path / "m.keras", trust=True)


def saved_model(folder, function):
    import tensorflow as tf

    module = tf.Module()
    module.run = tf.function(function, input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return folder


def test_a_saved_model_that_runs_python_or_reads_files(tmp_path, converters):
    import tensorflow as tf

    clean = saved_model(tmp_path / "clean", lambda x: tf.nn.relu(x))
    check_saved_model(clean, trust=False)

    def python(x):
        return tf.ensure_shape(tf.numpy_function(lambda value: value, [x], tf.float32), (None, 4))

    def reads(x):
        return x + tf.strings.to_number(tf.io.read_file("/etc/hostname")) * 0

    for name, function, op in (("python", python, "PyFunc"), ("reads", reads, "ReadFile")):
        folder = saved_model(tmp_path / name, function)
        check_saved_model(folder, trust=True)
        with pytest.raises(UsageError, match=rf"the op {op} \(.*\) runs code or touches files while the network runs"):
            check_saved_model(folder, trust=False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(None, "No such file or directory; expected a SavedModel", id="absent"),
        pytest.param(b"\xff\xff\xff", "expected a SavedModel, found something else", id="damaged"),
    ],
)
def test_what_is_no_saved_model(tmp_path, converters, data, message):
    if data is not None:
        (tmp_path / "saved_model.pb").write_bytes(data)
    with pytest.raises(InputError, match=message):
        check_saved_model(tmp_path, trust=True)
