"""Small networks, pictures for them, and ways to run their files that do not use fer-edge."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from pathlib import Path

import numpy as np

from fer_edge_train.datasets import FER2013_LABELS


def calibration_images(n: int = 70, seed: int = 0) -> np.ndarray:
    """Face-like pictures, uint8 (n, 48, 48, 1): soft blobs on a gradient, each from 0 to 255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48] / 47
    images = np.empty((n, 48, 48, 1), np.uint8)
    for image in images:
        picture = rng.normal() * x + rng.normal() * y
        for _ in range(6):
            cx, cy, width = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.02, 0.2)
            picture = picture + rng.normal() * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / width**2)
        picture = picture + 0.05 * rng.normal(size=picture.shape)
        picture = (picture - picture.min()) / np.ptp(picture)
        image[..., 0] = np.rint(255 * picture)
    return images


def coded(images: np.ndarray) -> np.ndarray:
    """What a network takes for pixels: (p - 128) / 128, float32."""
    return ((images.astype(np.float64) - 128) / 128).astype(np.float32)


def small_model(name: str = "small"):
    """A random network of 3,000 weights, the same each time, with batch normalizations that do something."""
    import keras
    from keras import layers

    rng = np.random.default_rng(5)
    pixels = keras.Input((48, 48, 1), name="pixels")
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(pixels)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_bn")(x))
    shortcut = layers.BatchNormalization(name="shortcut_bn")(
        layers.Conv2D(16, 1, strides=2, padding="same", use_bias=False, name="shortcut")(x)
    )
    x = layers.SeparableConv2D(16, 3, padding="same", use_bias=False, name="separable")(x)
    x = layers.BatchNormalization(name="separable_bn")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool")(x)
    x = layers.ReLU()(layers.Add(name="add")([x, shortcut]))
    x = layers.Conv2D(len(FER2013_LABELS), 3, padding="same", name="class_maps")(x)
    model = keras.Model(pixels, layers.GlobalAveragePooling2D(name="logits")(x), name=name)
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            shape = weight.shape
            if weight.name in ("gamma", "moving_variance"):
                values.append(rng.uniform(0.5, 1.5, shape))
            elif weight.name in ("beta", "moving_mean", "bias"):
                values.append(rng.normal(0, 0.3, shape))
            else:
                values.append(rng.normal(0, np.sqrt(3 / np.prod(shape[:-1])), shape))
        layer.set_weights(values)
    return model


def decisive(model, images: np.ndarray):
    """Centre the logits of `small_model` over images and spread them to a standard deviation of three each."""
    maps = model.get_layer("class_maps")
    kernel, bias = maps.get_weights()
    logits = model.predict(coded(images), verbose=0)
    gains = 3 / logits.std(axis=0)
    maps.set_weights([kernel * gains, (bias - logits.mean(axis=0)) * gains])
    return model


def harden(model, factor: float):
    """Make a network hard to round: a channel in four of each depthwise convolution becomes `factor` times as large.

    The pointwise convolution behind it takes that back, so the answers stay. One range for all channels then leaves
    few steps to the other three, and one for a whole output few to the weights that were made small.
    """
    for layer in model.layers:
        if type(layer).__name__ == "SeparableConv2D":
            depthwise, pointwise, *bias = layer.get_weights()
            factors = np.where(np.arange(depthwise.shape[2]) % 4 == 1, factor, 1.0)
            layer.set_weights([depthwise * factors[:, None], pointwise / factors[:, None], *bias])
    return model


def save_model_folder(folder: Path, model, labels=FER2013_LABELS, **changes) -> Path:
    """Write a model folder as `fer-edge train` does; `changes` go into the record's "model"."""
    folder.mkdir()
    model.save(folder / "model.keras")
    record = {
        "schema": "fer-edge/training-record/1",
        "command": "fer-edge train small",
        "recipe": {"seed": 5},
        "data": {"name": "none"},
        "measured": {},
        "model": {
            "name": folder.name,
            "file": "model.keras",
            "sha256": hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest(),
            "labels": list(labels),
            "input_shape_hwc": [48, 48, 1],
            "pixel_mean": 128.0,
            "pixel_std": 128.0,
            **changes,
        },
    }
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def run_onnx(model: bytes, **inputs: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def run_litert(model: bytes, images: np.ndarray) -> np.ndarray:
    """Run images one by one."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in images:
        interpreter.set_tensor(source["index"], image[np.newaxis])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(sink["index"]))
    return np.concatenate(answers)


def compile_openvino(xml: bytes, weights: bytes):
    import openvino

    core = openvino.Core()
    if xml.startswith(b"\x1f\x8b"):
        xml = gzip.decompress(xml)
    graph = core.read_model(model=xml, weights=weights)
    return core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})


def run_openvino(xml: bytes, weights: bytes, images: np.ndarray) -> list[np.ndarray]:
    compiled = compile_openvino(xml, weights)
    results = compiled(images)
    return [results[port].copy() for port in compiled.outputs]


def read_openvino_onnx(model: bytes):
    import openvino

    return openvino.Core().read_model(io.BytesIO(model))
