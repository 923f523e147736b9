"""Makes fer_edge/models/peak: large convolutions, whose speed `fer-edge bench scaling` takes for an engine's peak.

python benchmarks/studies/peak_models.py [FOLDER]

Without a folder the files in fer_edge/models/peak are made again. The same releases give the same bytes.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_edge.files import sha256_hex, write_bytes, write_text
from fer_edge_convert.quiet import require_converters

SCHEMA = "fer-edge/peak-models/1"
FOLDER = Path(__file__).resolve().parents[2] / "fer_edge" / "models" / "peak"
# Eight values over and over pack to nothing, and none is 0: a zero could be left out of the sum. Their mean is 0 and
# their sizes are such that the numbers neither grow nor vanish from one convolution to the next.
PATTERN = np.array([-4, -3, -2, -1, 1, 2, 3, 4], dtype=np.int8)
WEIGHT_SCALE = 1 / 64
# Of the quantized activations: -8 to just below 8 in 256 steps.
STEP, OFFSET = 1 / 16, 128
ENGINES_PACKAGES = ("tensorflow", "onnx", "openvino", "numpy")


@dataclass(frozen=True)
class Shape:
    """So many equal convolutions in a row, as many channels out as in, zeros around the picture."""

    name: str
    kernel: int
    channels: int
    side: int
    layers: int

    @property
    def multiply_adds(self) -> int:
        """Of one run."""
        return self.layers * (self.kernel * self.channels * self.side) ** 2

    def weights(self) -> np.ndarray:
        """int8 (kernel, kernel, in, out)."""
        y, x, inputs, outputs = np.ogrid[: self.kernel, : self.kernel, : self.channels, : self.channels]
        return PATTERN[(inputs + 3 * outputs + 5 * y + 7 * x) % len(PATTERN)]


# Of ten shapes tried on an x86-64 processor with AVX2 no other was the fastest of an engine by more than a twentieth:
# these activations stay in a core's second cache, and there is enough work for each number read.
SHAPES = (
    Shape(name="conv3x3", kernel=3, channels=256, side=28, layers=2),
    Shape(name="conv1x1", kernel=1, channels=256, side=28, layers=8),
)


def litert(shape: Shape, int8: bool) -> list[bytes]:
    import tensorflow as tf

    weights = shape.weights().astype(np.float32) * np.float32(WEIGHT_SCALE)
    size = (1, shape.side, shape.side, shape.channels)

    @tf.function(input_signature=[tf.TensorSpec(size, tf.float32)])
    def network(values: tf.Tensor) -> tf.Tensor:
        for _ in range(shape.layers):
            values = tf.nn.conv2d(values, weights, 1, "SAME")
        return values

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # As loud as what the worker runs: ranges follow from it.
        example = (np.random.RandomState(0).random_sample(size) * 2 - 1).astype(np.float32)
        converter.representative_dataset = lambda: iter([[example]])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return [converter.convert()]


def onnx(shape: Shape, int8: bool) -> list[bytes]:
    from onnx import TensorProto, checker, helper, numpy_helper

    weights = np.ascontiguousarray(shape.weights().transpose(3, 2, 0, 1))
    size, pads = (1, shape.channels, shape.side, shape.side), [shape.kernel // 2] * 4
    nodes, name = [], "values"
    if int8:
        constants = {
            "weights": weights,
            "weights_scale": np.full(shape.channels, WEIGHT_SCALE, np.float32),
            "weights_zero": np.zeros(shape.channels, np.int8),
            "step": np.float32(STEP),
            "offset": np.uint8(OFFSET),
        }
        for layer in range(shape.layers):
            nodes += [
                helper.make_node("DequantizeLinear", [name, "step", "offset"], [f"real{layer}"]),
                helper.make_node(
                    "DequantizeLinear", ["weights", "weights_scale", "weights_zero"], [f"kernel{layer}"], axis=0
                ),
                helper.make_node("Conv", [f"real{layer}", f"kernel{layer}"], [f"sum{layer}"], pads=pads),
                helper.make_node("QuantizeLinear", [f"sum{layer}", "step", "offset"], [f"values{layer}"]),
            ]
            name = f"values{layer}"
    else:
        constants = {"weights": weights.astype(np.float32) * np.float32(WEIGHT_SCALE)}
        for layer in range(shape.layers):
            nodes.append(helper.make_node("Conv", [name, "weights"], [f"values{layer}"], pads=pads))
            name = f"values{layer}"
    kind = TensorProto.UINT8 if int8 else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        shape.name,
        [helper.make_tensor_value_info("values", kind, size)],
        [helper.make_tensor_value_info(name, kind, size)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model)
    return [model.SerializeToString(deterministic=True)]


def openvino(shape: Shape, int8: bool) -> list[bytes]:
    import openvino as ov
    from openvino import opset8 as ops

    from fer_edge_convert.openvino_xml import compact_xml

    weights = np.ascontiguousarray(shape.weights().transpose(3, 2, 0, 1))
    pads = [shape.kernel // 2] * 2
    values = source = ops.parameter([1, shape.channels, shape.side, shape.side], np.float32, name="values")
    bounds = [ops.constant(np.float32(value)) for value in (-OFFSET * STEP, (255 - OFFSET) * STEP)]
    for _ in range(shape.layers):
        if int8:
            values = ops.fake_quantize(values, *bounds, *bounds, 256)
            scales = np.full((shape.channels, 1, 1, 1), WEIGHT_SCALE, np.float32)
            kernel = ops.multiply(ops.convert(ops.constant(weights), "f32"), ops.constant(scales))
        else:
            kernel = ops.constant(weights.astype(np.float32) * np.float32(WEIGHT_SCALE))
        values = ops.convolution(values, kernel, [1, 1], pads, pads, [1, 1])
    model = ov.Model([ops.result(values)], [source], shape.name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        ov.save_model(model, path, compress_to_fp16=False)
        return [compact_xml(path.read_bytes()), path.with_suffix(".bin").read_bytes()]


MAKERS: dict[str, tuple[Callable[[Shape, bool], list[bytes]], tuple[str, ...]]] = {
    "litert": (litert, ("tflite",)),
    "onnx": (onnx, ("onnx",)),
    "openvino": (openvino, ("xml", "bin")),
}


def main() -> None:
    require_converters()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    models = []
    for engine, (make, endings) in MAKERS.items():
        for shape in SHAPES:
            for precision in ("float32", "int8"):
                files = []
                for ending, content in zip(endings, make(shape, precision == "int8"), strict=True):
                    name, packed = f"{shape.name}_{precision}.{ending}.gz", gzip.compress(content, mtime=0)
                    write_bytes(folder / name, packed)
                    files.append({"file": name, "bytes": len(packed), "sha256": sha256_hex(packed)})
                models.append(
                    {
                        "engine": engine,
                        "precision": precision,
                        "name": shape.name,
                        "kernel": shape.kernel,
                        "channels": shape.channels,
                        "side": shape.side,
                        "layers": shape.layers,
                        "multiply_adds": shape.multiply_adds,
                        "files": files,
                    }
                )
    record = {
        "schema": SCHEMA,
        "command": "python benchmarks/studies/peak_models.py",
        "versions": {name: importlib.metadata.version(name) for name in ENGINES_PACKAGES},
        "models": models,
    }
    write_text(folder / "record.json", json.dumps(record, indent=1) + "\n")
    print(
        f"{len(models)} models, {sum(file['bytes'] for model in models for file in model['files'])} bytes in {folder}"
    )


if __name__ == "__main__":
    main()
