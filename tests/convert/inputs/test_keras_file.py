"""What Keras saved is loaded without its softmax, and what cannot be used is refused in one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from convert.support import run_litert, run_onnx

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.inputs.keras_file import read_keras

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("converters")]

IMAGES = np.random.default_rng(0).random((5, 8, 8, 3)).astype(np.float32)


def network(*after, image=None, activation=None):
    """A dense layer on an image, and layers or operations after it."""
    import keras

    image = keras.Input((8, 8, 3)) if image is None else image
    x = keras.layers.Dense(4, activation=activation, name="scores")(keras.layers.Flatten()(image))
    for step in after:
        x = step(x)
    return keras.Model(image, x)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def softmax_last(name):
    import keras
    from keras import layers

    return {
        "layer": lambda: network(layers.Softmax()),
        "activation layer": lambda: network(layers.Activation("softmax")),
        "activation": lambda: network(activation="softmax"),
        "layer as activation": lambda: network(activation=layers.Softmax()),
        "operation": lambda: network(keras.ops.softmax),
        "in a network": lambda: keras.Sequential(
            [keras.Input((8, 8, 3)), layers.Rescaling(2.0), softmax_last("layer")]
        ),
        "in a sequence": lambda: keras.Sequential(
            [keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(4, activation="softmax")]
        ),
        "named output": lambda: keras.Model((made := network(activation="softmax")).input, {"probs": made.output}),
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "layer",
        "activation layer",
        "activation",
        "layer as activation",
        "operation",
        "in a network",
        "in a sequence",
        "named output",
    ],
)
def test_a_softmax_at_the_end_is_taken_off(tmp_path, name):
    model = softmax_last(name)
    model.save(tmp_path / "m.keras")
    expected = model.predict(IMAGES, verbose=0)
    found = read_keras(tmp_path / "m.keras", trust=False)
    (logits,) = found.model.predict(IMAGES)
    np.testing.assert_allclose(softmax(logits), expected["probs"] if name == "named output" else expected, atol=1e-5)
    assert not np.allclose(logits.sum(axis=1), 1)
    np.testing.assert_allclose(run_litert(found.model.litert, IMAGES), logits, atol=1e-4)
    onnx = found.model.onnx
    np.testing.assert_allclose(run_onnx(onnx, **{input_name(onnx): IMAGES})[0], logits, atol=1e-4)


def input_name(model: bytes) -> str:
    import onnx

    return onnx.load_model_from_string(model).graph.input[0].name


@pytest.mark.parametrize("function", ["log_softmax", None])
def test_other_ends(tmp_path, function):
    """A log-softmax is the logits but for a constant; logits stay as they are."""
    import keras

    model = network(*([keras.layers.Activation(function)] if function else []))
    model.save(tmp_path / "m.keras")
    expected = model.predict(IMAGES, verbose=0)
    (logits,) = read_keras(tmp_path / "m.keras", trust=False).model.predict(IMAGES)
    np.testing.assert_allclose(np.log(softmax(logits)) if function else logits, expected, atol=1e-5)


def test_a_file_states_what_wrote_it(tmp_path):
    import keras

    network().save(tmp_path / "m.keras")
    found = read_keras(tmp_path / "m.keras", trust=False)
    assert (found.written_by, found.files) == (f"Keras {keras.version()}", (tmp_path / "m.keras",))
    with zipfile.ZipFile(tmp_path / "m.keras") as source, zipfile.ZipFile(tmp_path / "n.keras", "w") as target:
        for name in ("config.json", "model.weights.h5"):
            target.writestr(name, source.read(name))
    assert read_keras(tmp_path / "n.keras", trust=False).written_by is None


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5"])
def test_h5_is_read_where_it_is_trusted(tmp_path, name):
    model = network(activation="softmax")
    model.save(tmp_path / "m.h5")
    (tmp_path / "m.h5").rename(tmp_path / name)
    with pytest.raises(UsageError, match="add --trust"):
        read_keras(tmp_path / name, trust=False)
    (logits,) = read_keras(tmp_path / name, trust=True).model.predict(IMAGES)
    np.testing.assert_allclose(softmax(logits), model.predict(IMAGES, verbose=0), atol=1e-5)


def test_a_lambda_runs_only_where_it_is_trusted(tmp_path):
    import keras

    marker = str(tmp_path / "ran")
    image = keras.Input((8, 8, 3))
    x = keras.layers.Lambda(lambda t: (open(marker, "w").close(), 2 * t)[1], name="evil")(image)  # noqa: PTH123
    model = keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(x)))
    model.save(tmp_path / "m.keras")
    expected = model.predict(IMAGES, verbose=0)
    Path(marker).unlink()
    with pytest.raises(UsageError) as caught:
        read_keras(tmp_path / "m.keras", trust=False)
    assert not Path(marker).exists()
    assert str(caught.value) == (
        f"{tmp_path / 'm.keras'}: the layer 'evil' has keras.layers.Lambda, which can run code or read files when it "
        "is loaded; replace it by a layer of Keras, or add --trust if you trust who made it"
    )
    (logits,) = read_keras(tmp_path / "m.keras", trust=True).model.predict(IMAGES)
    assert Path(marker).exists()
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def two_inputs():
    import keras

    one, other = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    return keras.Model([one, other], network()(keras.layers.Add()([one, other])))


def two_outputs():
    import keras

    made = network()
    return keras.Model(made.input, [made.output, 2 * made.output])


def bytes_as_input():
    import keras

    return network(image=keras.Input((8, 8, 3), dtype="uint8"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(two_inputs, "expected one input and one output, found 2 and 1", id="two inputs"),
        pytest.param(two_outputs, "expected one input and one output, found 1 and 2", id="two outputs"),
        pytest.param(bytes_as_input, "expected a float32 input, found uint8; save it with one", id="bytes"),
    ],
)
def test_a_network_that_cannot_be_used(tmp_path, make, message):
    make().save(tmp_path / "m.keras")
    with pytest.raises(InputError) as caught:
        read_keras(tmp_path / "m.keras", trust=False)
    assert str(caught.value) == f"{tmp_path / 'm.keras'}: {message}"


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_damaged_file(tmp_path, name):
    path = tmp_path / name
    network().save(path)
    data = path.read_bytes()
    place = data.find(b"\x89HDF") + 600 if name == "m.keras" else 600
    path.write_bytes(data[:place] + b"\xff" * 100 + data[place + 100 :] if name == "m.keras" else data[:place])
    with pytest.raises(InputError) as caught:
        read_keras(path, trust=True)
    text = str(caught.value)
    assert text.startswith(f"{path}: Keras cannot load it (")
    assert text.endswith("); save it again with Keras 3")
    assert "\n" not in text


def test_an_op_that_an_engine_does_not_have_is_named(tmp_path, monkeypatch):
    import keras

    image = keras.Input((8, 8, 3))
    errors = keras.ops.erfinv(image)
    path = tmp_path / "m.keras"
    keras.Model(image, keras.layers.Dense(4)(keras.layers.Flatten()(errors))).save(path)
    found = read_keras(path, trust=False)
    monkeypatch.chdir(tmp_path)  # ONNX Runtime leaves what it cannot infer the shapes of where one stands
    for target, convert in (("LiteRT", lambda: found.model.litert), ("ONNX", lambda: found.model.onnx)):
        with pytest.raises(InputError) as caught:
            convert()
        text = str(caught.value)
        assert text.startswith(f"{path}: {target} has nothing for the op Erfinv at functional")
        assert text.endswith(f"/Erfinv; build the network without it, or leave {target} out")
    assert list(tmp_path.iterdir()) == [path]
