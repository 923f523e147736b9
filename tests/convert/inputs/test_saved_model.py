"""A SavedModel's serving signature is frozen up to its logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from convert.support import run_litert, run_onnx

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.inputs.saved_model import read_saved_model

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("converters")]

RNG = np.random.default_rng(1)
IMAGES = RNG.random((5, 6, 7, 1)).astype(np.float32)
WEIGHTS = RNG.normal(size=(42, 4)).astype(np.float32)
LOGITS = IMAGES.reshape(5, 42) @ WEIGHTS


def saved(folder, function, shape=(None, 6, 7, 1), dtype="float32", name="serving_default"):
    """Save `function` of an image and a variable with the weights."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(WEIGHTS)
    module.run = tf.function(
        lambda image: function(image, module.weights), input_signature=[tf.TensorSpec(shape, dtype)]
    )
    tf.saved_model.save(module, str(folder), signatures={name: module.run} if name else {})
    return folder


def logits(image, weights):
    import tensorflow as tf

    return tf.reshape(image, (-1, 42)) @ weights


def probs(image, weights):
    import tensorflow as tf

    return tf.nn.softmax(logits(image, weights))


def log_probs(image, weights):
    import tensorflow as tf

    return tf.identity(tf.nn.log_softmax(logits(image, weights)))


def several_identities(image, weights):
    import tensorflow as tf

    return tf.identity_n([image, probs(image, weights)])[1]


@pytest.mark.parametrize("function", [logits, probs, log_probs, several_identities])
@pytest.mark.parametrize("name", ["serving_default", "serve", "mine"])
def test_what_comes_out_is_what_goes_into_the_softmax(tmp_path, function, name):
    import tensorflow as tf

    found = read_saved_model(saved(tmp_path / "m", function, name=name), trust=False)
    assert (found.model.input_shape, found.model.output_shapes) == ((None, 6, 7, 1), ((None, 4),))
    assert found.written_by == f"TensorFlow {tf.__version__}"
    assert {file.name for file in found.files} >= {"saved_model.pb", "variables.index"}
    np.testing.assert_allclose(found.model.predict(IMAGES)[0], LOGITS, atol=1e-4)


def test_its_two_files_give_the_same_logits(tmp_path):
    model = read_saved_model(saved(tmp_path / "m", probs), trust=False).model
    (answers,) = model.predict(np.concatenate([IMAGES] * 20))
    np.testing.assert_allclose(answers, np.concatenate([LOGITS] * 20), atol=1e-4)
    np.testing.assert_allclose(run_litert(model.litert, IMAGES), LOGITS, atol=1e-4)
    import onnx

    made = onnx.load_model_from_string(model.onnx)
    assert [item.version for item in made.opset_import if item.domain == ""] == [17]
    (answers,) = run_onnx(model.onnx, **{made.graph.input[0].name: IMAGES})
    np.testing.assert_allclose(answers, LOGITS, atol=1e-4)


def test_what_it_would_write_is_never_written(tmp_path):
    """Trusted or not, only what the logits depend on is run."""
    import tensorflow as tf

    target = tmp_path / "written"

    def printing(image, weights):
        tf.print("here", output_stream=f"file://{target}")
        return logits(image, weights)

    folder = saved(tmp_path / "m", printing)
    with pytest.raises(UsageError, match=r"the op PrintV2 \('PrintV2'\) runs code or touches files"):
        read_saved_model(folder, trust=False)
    model = read_saved_model(folder, trust=True).model
    np.testing.assert_allclose(model.predict(IMAGES)[0], LOGITS, atol=1e-4)
    assert not target.exists()


def two_outputs(image, weights):
    return {"a": logits(image, weights), "b": image}


@pytest.mark.parametrize(
    ("function", "changes", "message"),
    [
        pytest.param(two_outputs, {}, "expected one input and one output, found 1 and 2", id="two outputs"),
        pytest.param(
            lambda image, weights: logits(image / 255, weights),
            {"dtype": "float64"},
            "expected a float32 input, found float64; export it with one",
            id="doubles",
        ),
        pytest.param(
            logits, {"name": None}, "expected a signature serving_default or serve, found none; ", id="no signature"
        ),
    ],
)
def test_a_network_that_cannot_be_used(tmp_path, function, changes, message):
    import tensorflow as tf

    def cast(image, weights):
        return function(image if changes.get("dtype") is None else tf.cast(image, tf.float32), weights)

    folder = saved(tmp_path / "m", cast, **changes)
    with pytest.raises(InputError) as caught:
        read_saved_model(folder, trust=False)
    assert str(caught.value).startswith(f"{folder}: {message}")


def test_variables_that_are_missing(tmp_path):
    folder = saved(tmp_path / "m", logits)
    for file in (folder / "variables").iterdir():
        Path(file).unlink()
    with pytest.raises(InputError) as caught:
        read_saved_model(folder, trust=False)
    text = str(caught.value)
    assert text.startswith(f"{folder}: TensorFlow cannot load it (")
    assert text.endswith("); export it again")
    assert "\n" not in text


def test_an_op_that_an_engine_does_not_have_is_named(tmp_path, monkeypatch):
    import tensorflow as tf

    folder = saved(tmp_path / "m", lambda image, weights: logits(tf.math.erfinv(image), weights))
    model = read_saved_model(folder, trust=False).model
    monkeypatch.chdir(tmp_path)
    for target, convert in (("LiteRT", lambda: model.litert), ("ONNX", lambda: model.onnx)):
        with pytest.raises(InputError) as caught:
            convert()
        text = str(caught.value)
        assert text.startswith(f"{folder}: {target} has nothing for the op Erfinv")
        assert text.endswith(f"; build the network without it, or leave {target} out")
    assert list(tmp_path.iterdir()) == [folder]
