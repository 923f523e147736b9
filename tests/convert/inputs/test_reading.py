"""Each format gives the network that was saved; what cannot be used is refused in one line."""

from __future__ import annotations

import hashlib
import zipfile

import numpy as np
import pytest
from convert.support import calibration_images, coded, run_litert, run_onnx, save_model_folder, small_model

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.inputs import SourceOptions, read_source
from fer_edge_train.datasets import FER2013_LABELS

pytestmark = [pytest.mark.host, pytest.mark.usefixtures("converters")]

IMAGES = coded(calibration_images(6, seed=3))
STATED = {"labels": FER2013_LABELS, "pixel_mean": 128.0, "pixel_std": 128.0}
ABC = {"labels": tuple("abc"), "pixel_mean": 0.0, "pixel_std": 1.0}


@pytest.fixture(scope="module")
def files(tmp_path_factory, model):
    """The small network in every format, with a softmax at its end and without."""
    import keras
    import onnx
    from onnx import helper

    from fer_edge_convert.onnx import to_onnx_float32

    folder = tmp_path_factory.mktemp("inputs")
    model.save(folder / "plain.keras")
    whole = keras.Model(model.input, keras.layers.Softmax()(model.output))
    whole.save(folder / "softmax.keras")
    whole.save(folder / "old.h5")
    whole.export(folder / "saved", verbose=False)

    graph = onnx.load_model_from_string(to_onnx_float32(model))
    onnx.save(graph, folder / "plain.onnx")
    onnx.save(graph, folder / "parts.onnx", save_as_external_data=True, location="parts.data", size_threshold=0)
    graph = onnx.load(folder / "plain.onnx")
    graph.graph.node.append(helper.make_node("Softmax", ["logits"], ["probs"]))
    graph.graph.output[0].name = "probs"
    onnx.save(graph, folder / "softmax.onnx")
    return folder


def input_name(model: bytes) -> str:
    import onnx

    return onnx.load_model_from_string(model).graph.input[0].name


@pytest.mark.parametrize(
    "name", ["plain.keras", "softmax.keras", "old.h5", "saved", "plain.onnx", "softmax.onnx", "parts.onnx"]
)
def test_every_format_gives_the_logits_of_the_network(files, model, name):
    expected = model.predict(IMAGES, verbose=0)
    found = read_source(files / name, SourceOptions(**STATED, trust=name.endswith(".h5")))
    assert (found.labels, found.input_shape_hwc, found.pixel_mean, found.pixel_std) == (
        FER2013_LABELS, (48, 48, 1), 128.0, 128.0,
    )  # fmt: skip
    np.testing.assert_allclose(found.model.predict(IMAGES)[0], expected, atol=1e-4)
    source = found.model.onnx
    np.testing.assert_allclose(run_onnx(source, **{input_name(source): IMAGES})[0], expected, atol=1e-4)
    if not name.endswith(".onnx"):
        np.testing.assert_allclose(run_litert(found.model.litert, IMAGES), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "kind", "parts", "written_by"),
    [
        ("plain.keras", "Keras", ["plain.keras"], "Keras 3."),
        ("old.h5", "Keras", ["old.h5"], None),
        ("plain.onnx", "ONNX", ["plain.onnx"], "tf2onnx 1."),
        ("parts.onnx", "ONNX", ["parts.data", "parts.onnx"], "tf2onnx 1."),
        ("saved", "SavedModel", None, "TensorFlow 2."),
    ],
)
def test_what_is_known_of_a_foreign_file(files, name, kind, parts, written_by):
    found = read_source(files / name, SourceOptions(**STATED, trust=name.endswith(".h5")))
    folder = files / name if kind == "SavedModel" else files
    if parts is None:
        parts = sorted(item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file())
    digests = [hashlib.sha256((folder / part).read_bytes()).hexdigest() for part in parts]
    lines = "".join(f"{part}\n{digest}\n" for part, digest in zip(parts, digests, strict=True))
    assert found.sha256 == (digests[0] if len(parts) == 1 else hashlib.sha256(lines.encode()).hexdigest())
    stated = found.provenance["model"]
    states = stated.pop("written_by")
    assert states is None if written_by is None else states.startswith(written_by)
    assert stated == {"name": name.split(".")[0], "format": kind, "file": name, "sha256": found.sha256}
    assert found.name == stated["name"]


def network(*after, image=None):
    """A layer of three on an image, and layers after it."""
    import keras

    image = keras.Input((8, 8, 1)) if image is None else image
    x = keras.layers.Dense(3)(keras.layers.Flatten()(image))
    for layer in after:
        x = layer(x)
    return keras.Model(image, x)


def not_undone():
    from keras import layers

    return network(layers.Softmax(), layers.Reshape((3,)))


def with_image(**shape):
    import keras

    return network(image=keras.Input(**shape))


def free_size():
    import keras

    image = keras.Input((None, None, 1))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3)(image)))


def maps():
    import keras

    image = keras.Input((8, 8, 1))
    return keras.Model(image, keras.layers.Conv2D(3, 3)(image))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            not_undone,
            "expected logits, found probabilities (never negative, their sum 1); the runtime applies softmax itself: "
            "save the network without it",
            id="probabilities",
        ),
        pytest.param(
            lambda: network(_dense(4)),
            "expected as many outputs as --labels names (3), found 4",
            id="more outputs than labels",
        ),
        pytest.param(
            free_size,
            "expected an input of fixed height, width and channels, found [None, None, None, 1]",
            id="free size",
        ),
        pytest.param(
            lambda: with_image(shape=(8,)),
            "expected an input of fixed height, width and channels, found [None, 8]",
            id="two axes",
        ),
        pytest.param(
            lambda: with_image(batch_shape=(1, 8, 8, 1)),
            "expected an input of any batch, found [1, 8, 8, 1]; save it with a free one",
            id="batch of 1",
        ),
        pytest.param(
            lambda: with_image(shape=(1, 8, 8)),
            "expected 1 or 3 channels on the last axis, found [None, 1, 8, 8]",
            id="channels first",
        ),
        pytest.param(
            maps, "expected an output [8, classes] for as many images, found [8, 6, 6, 3]", id="four axes come out"
        ),
    ],
)
def test_a_network_that_cannot_be_used(tmp_path, make, message):
    make().save(tmp_path / "m.keras")
    with pytest.raises(InputError) as caught:
        read_source(tmp_path / "m.keras", SourceOptions(**ABC))
    assert str(caught.value) == f"{tmp_path / 'm.keras'}: {message}"


def _dense(n):
    import keras

    return keras.layers.Dense(n)


def test_a_saved_model_for_one_image_at_a_time(tmp_path):
    """Its answers are of one row whatever it is given, which only running it shows."""
    import tensorflow as tf

    module = tf.Module()
    module.run = tf.function(
        lambda image: tf.reshape(image, (1, -1))[:, :3], input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32)]
    )
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.run)
    with pytest.raises(InputError, match=r"m: expected an output \[8, classes\] for as many images, found \[1, 3\]$"):
        read_source(tmp_path / "m", SourceOptions(**ABC))


MEAN_AND_STD = "it takes (pixel - mean) / std, mostly with 0 and 255 or 127.5 and 127.5"
LABELS = "--labels are the classes in the order of its outputs"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({}, f"--labels, --pixel-mean, --pixel-std ({LABELS}; {MEAN_AND_STD})", id="nothing stated"),
        pytest.param({"labels": ("a",), "pixel_mean": 0.0}, f"--pixel-std ({MEAN_AND_STD})", id="half of the coding"),
        pytest.param({"pixel_mean": 0.0, "pixel_std": 1.0}, f"--labels ({LABELS})", id="no labels"),
    ],
)
@pytest.mark.parametrize("name", ["m.keras", "m.onnx", "m.h5", "m"])
def test_what_a_file_does_not_say_must_be_given(tmp_path, options, message, name):
    path = tmp_path / name
    if name == "m":
        path.mkdir()
    (path / "saved_model.pb" if name == "m" else path).write_bytes(b"")
    with pytest.raises(UsageError) as caught:
        read_source(path, SourceOptions(**options))
    assert str(caught.value) == f"{path} does not say how it is used; add {message}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"layout": "HWC"}, "--layout: expected NHWC or NCHW, found 'HWC'", id="layout"),
        pytest.param({"pixel_std": 0.0}, "--pixel-std: expected 0.001 to 1000000, found 0", id="std"),
        pytest.param({"pixel_std": float("inf")}, "--pixel-std: expected 0.001 to 1000000, found inf", id="infinite"),
        pytest.param(
            {"pixel_mean": float("nan")}, "--pixel-mean: expected -1000000 to 1000000, found nan", id="no number"
        ),
        pytest.param({"labels": ("a", "b", "a")}, "--labels: expected each class once, found a, b, a", id="labels"),
        pytest.param({"labels": ("a", " ")}, "--labels: expected names that can be read, found ' '", id="empty label"),
        pytest.param(
            {"labels": ("a\n",)}, "--labels: expected names that can be read, found 'a\\n'", id="control character"
        ),
    ],
)
def test_options_are_checked_when_they_are_made(options, message):
    with pytest.raises(UsageError) as caught:
        SourceOptions(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["plain.keras", "saved"])
def test_a_layout_is_of_onnx_alone(files, name):
    with pytest.raises(UsageError) as caught:
        read_source(files / name, SourceOptions(**STATED, layout="NHWC"))
    assert str(caught.value) == f"--layout: expected an .onnx file, found {files / name}; leave it out"


def test_a_model_folder_says_all_itself(tmp_path):
    folder = save_model_folder(tmp_path / "small", small_model())
    found = read_source(folder, SourceOptions())
    assert (found.name, found.labels, found.pixel_std) == ("small", FER2013_LABELS, 128.0)
    assert found.input_shape_hwc == (48, 48, 1)
    assert found.provenance["recipe"] == {"seed": 5}
    read_source(folder, SourceOptions(**STATED))
    with pytest.raises(UsageError) as caught:
        read_source(folder, SourceOptions(pixel_mean=127.5))
    assert str(caught.value) == f"--pixel-mean: the record of {folder} states 128.0, found 127.5; leave it out"


def test_a_model_folder_of_strangers_is_looked_into_too(tmp_path):
    import keras

    image = keras.Input((48, 48, 1))
    x = keras.layers.Flatten()(keras.layers.Lambda(lambda t: 2 * t, name="evil")(image))
    folder = save_model_folder(tmp_path / "m", keras.Model(image, keras.layers.Dense(7)(x)))
    with pytest.raises(UsageError, match=r"model\.keras: the layer 'evil' has keras\.layers\.Lambda, which can run"):
        read_source(folder, SourceOptions())
    read_source(folder, SourceOptions(trust=True))


def test_a_record_whose_labels_are_not_the_outputs(tmp_path):
    folder = save_model_folder(tmp_path / "m", small_model(), FER2013_LABELS[:6])
    with pytest.raises(InputError) as caught:
        read_source(folder, SourceOptions())
    assert str(caught.value) == f"{folder}: expected as many outputs as its record names (6), found 7"


def torch_archive(path):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("m/data.pkl", b"")


@pytest.mark.parametrize(
    ("name", "make", "error", "message"),
    [
        pytest.param("m", lambda p: None, InputError, "{p}: no such file or folder; expected a model", id="absent"),
        pytest.param(
            "m",
            lambda p: p.mkdir(),
            InputError,
            "{p}: expected a folder with record.json (fer-edge train) or saved_model.pb, found neither",
            id="empty folder",
        ),
        pytest.param(
            "m",
            lambda p: p.write_bytes(b""),
            InputError,
            "{p}: expected .keras, .onnx, .h5, a SavedModel or a model folder, found no ending",
            id="no ending",
        ),
        pytest.param(
            "m.tflite",
            lambda p: p.write_bytes(b""),
            InputError,
            "{p}: expected .keras, .onnx, .h5, a SavedModel or a model folder, found .tflite",
            id="unknown ending",
        ),
        pytest.param(
            "m.bin",
            torch_archive,
            UsageError,
            "{p}: expected .keras, .onnx, .h5, a SavedModel or a model folder, found a pickle, which runs code when it "
            "is loaded; export the network to ONNX instead",
            id="PyTorch",
        ),
    ],
)
def test_what_is_no_model(tmp_path, name, make, error, message):
    """Said before the options are asked for: giving them would be in vain."""
    make(tmp_path / name)
    with pytest.raises(error) as caught:
        read_source(tmp_path / name, SourceOptions())
    assert str(caught.value) == message.format(p=tmp_path / name)


@pytest.mark.parametrize("bias", [np.nan, np.inf], ids=["NaN", "infinity"])
def test_networks_whose_answers_are_no_numbers_are_refused(tmp_path, converters, bias):
    import keras

    image = keras.Input((8, 8, 1))
    network = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)))
    kernel, _ = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel, np.full(3, bias, np.float32)])
    network.save(tmp_path / "m.keras")
    with pytest.raises(InputError, match="expected logits that are numbers, found NaN or infinity"):
        read_source(tmp_path / "m.keras", SourceOptions(labels=tuple("abc"), pixel_mean=0.0, pixel_std=1.0))
