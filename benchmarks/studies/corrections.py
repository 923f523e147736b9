"""What corrections before quantization win: of biases, and of channels' scales (cross-layer equalization).

    python benchmarks/studies/corrections.py [--models PATH …] [--ways …] [--engines …] [--precision int16] [--sets N]
    python benchmarks/studies/corrections.py --models --mobilenet-body FILE

Quantizes to int8 with three calibration sets (or the first N) of 700 of FER-2013's Training images
(`fer2013/fer2013.csv.gz` below $FER_EDGE_DATA), and compares on a thousand other Training images; PublicTest chooses
nothing. Prints a Markdown table.
The ways:

- none: as trained.
- biases: `bias_correction` of a recipe.
- biases-activations: the same with the errors that rounded and cut activations make (LiteRT, OpenVINO).
- nncf-weights: `biases` with the weights as NNCF rounds them (OpenVINO).
- nncf: NNCF's own correction of biases, before its ranges are replaced by ours (OpenVINO).
- depthwise: each channel in front of a depthwise convolution scaled to the same range, which per-channel weights do for
  nothing on either side (ONNX Runtime).
- equalized: every channel between two convolutions scaled so that the ranges of the weights on both sides are equal, as
  Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), propose (ONNX Runtime).

`--mobilenet-body` adds MobileNetV2: Keras' no-top .h5 file of ImageNet weights, under a head that is fitted here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from fer_edge.preprocess import PixelCoding
from fer_edge_convert import openvino, openvino_means
from fer_edge_convert.bias_correction import OfLayers, correct_model
from fer_edge_convert.calibration import draw_calibration, draw_selection
from fer_edge_convert.conversion_data import read_conversion_data
from fer_edge_convert.float_model import FloatModel, KerasFloatModel
from fer_edge_convert.inputs import SourceOptions, read_source
from fer_edge_convert.litert import litert_observer, quantize_litert
from fer_edge_convert.litert_means import LitertMeans
from fer_edge_convert.onnx import onnx_observer
from fer_edge_convert.quantizers import CalibratedModel
from fer_edge_convert.quiet import require_converters
from fer_edge_convert.recipe import VariantRecipe
from fer_edge_convert.trials import Trial, Trials
from fer_edge_train.datasets import FaceSet

SEEDS = (2013, 2014, 2015)
PER_CLASS = 100
WAYS = {
    "none": ("litert", "onnx", "openvino"),
    "biases": ("litert", "onnx", "openvino"),
    "biases-activations": ("litert", "openvino"),
    "nncf-weights": ("openvino",),
    "nncf": ("openvino",),
    "depthwise": ("onnx",),
    "equalized": ("onnx",),
}
_MODELS = ("mini_xception", "resnet_small")
_HEAD_FACES = 2500
_CORRECTED_ON = 350  # images, as `CalibratedModel.correction_images`
Floats = npt.NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="*", default=[Path("models") / name for name in _MODELS])
    parser.add_argument("--mobilenet-body", type=Path, metavar="FILE")
    parser.add_argument("--engines", nargs="+", default=["litert", "onnx", "openvino"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--sets", type=int, choices=range(1, len(SEEDS) + 1), default=len(SEEDS), metavar="N")
    arguments = parser.parse_args()
    require_converters()
    sources = [(path.name, read_source(path, SourceOptions())) for path in arguments.models]
    if arguments.mobilenet_body:
        sources.append(("mobilenet_v2", None))

    print("| network | engine | way | divergence / 0.001 nat (of each set) | same label / % |")
    print("| --- | --- | --- | --- | ---: |")
    for name, source in sources:
        shape = source.input_shape_hwc if source else (96, 96, 1)
        coding = PixelCoding(mean=source.pixel_mean, std=source.pixel_std) if source else PixelCoding(mean=128, std=128)
        csv_path = Path(os.environ["FER_EDGE_DATA"]) / "fer2013" / "fer2013.csv.gz"
        pool = read_conversion_data(str(csv_path), None, shape).pool
        drawn = [draw_calibration(pool, per_class=PER_CLASS, seed=seed) for seed in SEEDS]
        rest = pool
        for item in drawn:
            rest = rest.without_images_of(item.faces)
        faces = draw_selection(rest, None, seed=SEEDS[0])
        model = (
            source.model if source else mobilenet_v2(arguments.mobilenet_body, rest.without_images_of(faces), coding)
        )
        found: dict[tuple[str, str], list[Trial]] = {}
        for seed, item in list(zip(SEEDS, drawn, strict=True))[: arguments.sets]:
            images = coding.encode(item.faces.images)
            for way in arguments.ways:
                for engine in (engine for engine in WAYS[way] if engine in arguments.engines):
                    trial = tried(way, engine, arguments.precision, model, images, coding, faces)
                    found.setdefault((engine, way), []).append(trial)
                    sys.stderr.write(f"{name}, {engine}, seed {seed}, {way}: {1e3 * trial.divergence:.3f}\n")
        for (engine, way), trials in sorted(found.items()):
            each = ", ".join(f"{1e3 * trial.divergence:.3g}" for trial in trials)
            mean = 1e3 * statistics.mean(trial.divergence for trial in trials)
            agreement = 100 * statistics.mean(trial.agreement for trial in trials)
            print(f"| {name} | {engine} | {way} | {mean:.3g} ({each}) | {agreement:.1f} |", flush=True)


def tried(
    way: str, engine: str, precision: str, model: FloatModel, images: Floats, coding: PixelCoding, faces: FaceSet
) -> Trial:
    """Quantize in one way and measure."""
    table = coding.table()
    pixels = (float(table[0]), float(table[-1]))
    files = SimpleNamespace(
        input_shape=model.input_shape, output_shapes=model.output_shapes, predict=model.predict, onnx=model.onnx
    )
    if engine == "litert":
        files.litert = model.litert
    if way in ("depthwise", "equalized"):
        files.onnx = scaled(model.onnx, images, everywhere=way == "equalized")
    calibrated = CalibratedModel(files, images, pixels)
    if way == "biases-activations" and engine == "litert":
        quantize = partial(quantize_litert, precision="int8", activation_ranges=calibrated.litert_ranges("mse"))
        part = images[:: len(images) // _CORRECTED_ON]
        files = SimpleNamespace(**vars(files))
        files.litert = correct_model(
            lambda data: WithActivations(data, quantize), model.litert, quantize(model.litert), part
        )
        # The ranges stay those of the network as it was.
        ranges = calibrated.litert_ranges
        calibrated = CalibratedModel(files, images, pixels)
        calibrated.litert_ranges = ranges  # type: ignore[method-assign]
    trials = Trials(calibrated, coding, faces)
    corrected = way == "biases" or (engine == "openvino" and way in ("biases-activations", "nncf-weights"))
    with changed_openvino(way):
        return trials.run(engine, precision, VariantRecipe(bias_correction=corrected))


class WithActivations(LitertMeans):
    """Tells means in the quantized network, as it runs, once its weights are rounded."""

    def __init__(self, data: bytes, quantize: Any) -> None:
        super().__init__(data)
        self._quantize = quantize
        self._is_rounded = False

    def round_weights(self, quantized: bytes) -> None:
        """See MeanNetwork."""
        super().round_weights(quantized)
        self._is_rounded = True

    def _mean_values(
        self, images: Floats, tensors: list[int], n_operators: int, biases: OfLayers
    ) -> dict[int, npt.NDArray[np.float64]]:
        if not self._is_rounded:
            return super()._mean_values(images, tensors, n_operators, biases)
        run = litert_observer(self._quantize(self.with_biases(biases)))
        sums: dict[int, Any] = dict.fromkeys(tensors, 0.0)
        for start in range(0, len(images), 50):
            values = run(images[start : start + 50])
            for index in tensors:
                name = self._graph.tensors[index].name.decode()
                sums[index] = sums[index] + values[name].sum(axis=0, dtype=np.float64)
        return {index: total / len(images) for index, total in sums.items()}


@contextmanager
def changed_openvino(way: str) -> Iterator[None]:
    """Let `to_openvino_int8` do as a way says: NNCF's correction or weights, or means with activations rounded."""
    import nncf

    parameters = nncf.AdvancedQuantizationParameters
    weights_stay = (openvino, "round_weights", lambda *_: None)
    changes: dict[str, list[tuple[Any, str, Any]]] = {
        "nncf": [
            weights_stay,
            (
                nncf,
                "AdvancedQuantizationParameters",
                lambda **given: parameters(**given | {"disable_bias_correction": False}),
            ),
        ],
        "nncf-weights": [weights_stay],
        "biases-activations": [(openvino_means, "with_float_activations", lambda quantized: quantized.clone())],
    }
    with ExitStack() as stack:
        for module, name, replacement in changes.get(way, []):
            stack.enter_context(patch.object(module, name, replacement))
        yield


def scaled(model_onnx: bytes, images: Floats, *, everywhere: bool) -> bytes:
    """Return a network that computes the same with its channels on other scales.

    Channels can be scaled where one convolution alone reads another's output, at most a ReLU in between.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(model_onnx)
    weights = {item.name: numpy_helper.to_array(item).astype(np.float64) for item in model.graph.initializer}
    largest: dict[str, Any] = {}
    run = onnx_observer(model_onnx)
    for start in range(0, len(images), 50):
        for name, values in run(images[start : start + 50]).items():
            if values.ndim == 4:
                largest[name] = np.maximum(largest.get(name, 0.0), np.abs(values).max(axis=(0, 2, 3)))
    for first, second, tensor in pairs(model):
        depthwise = any(attribute.name == "group" and attribute.i > 1 for attribute in second.attribute)
        before, after = weights[first.input[1]], weights[second.input[1]]
        if depthwise:
            factors = largest[tensor]
        elif everywhere:
            # The paper's equation 11, up to a factor that all channels share.
            factors = np.sqrt(np.abs(before).max(axis=(1, 2, 3)) / np.maximum(np.abs(after).max(axis=(0, 2, 3)), 1e-12))
        else:
            continue
        factors = np.maximum(factors / factors.max(), 1e-3)
        weights[first.input[1]] = before / factors[:, None, None, None]
        if len(first.input) > 2:
            weights[first.input[2]] = weights[first.input[2]] / factors
        weights[second.input[1]] = after * (factors[:, None, None, None] if depthwise else factors[:, None, None])
    for item in model.graph.initializer:
        if item.data_type == onnx.TensorProto.FLOAT:
            item.CopyFrom(numpy_helper.from_array(weights[item.name].astype(np.float32), item.name))
    changed: bytes = model.SerializeToString()
    return changed


def pairs(model: Any) -> Iterator[tuple[Any, Any, str]]:
    """Yield each two convolutions in a row, and the tensor that the second reads."""
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        tensor = node.output[0]
        following = readers.get(tensor, [])
        if len(following) == 1 and following[0].op_type == "Relu":
            tensor = following[0].output[0]
            following = readers.get(tensor, [])
        if len(following) == 1 and following[0].op_type == "Conv" and following[0].input[0] == tensor:
            yield node, following[0], tensor


def mobilenet_v2(body_path: Path, faces: FaceSet, coding: PixelCoding) -> FloatModel:
    """Build the zoo's MobileNetV2 with ImageNet weights, and fit its head on some faces."""
    import keras

    from fer_edge_train.zoo.mobilenet_v2 import ARCHITECTURE
    from fer_edge_train.zoo.pretrained import load_body

    keras.utils.set_random_seed(SEEDS[0])
    model = ARCHITECTURE.builder((96, 96, 1), len(faces.labels))
    load_body("mobilenet_v2", keras.applications.MobileNetV2, model, body_path)
    chosen = faces.take(np.random.default_rng(SEEDS[0]).choice(len(faces), _HEAD_FACES, replace=False))
    features = keras.Model(model.inputs, model.get_layer("pool").output).predict(
        coding.encode(chosen.images), batch_size=50, verbose=0
    )
    values = source = keras.Input(features.shape[1:])
    for name in ("hidden", "dropout", "logits"):
        values = model.get_layer(name)(values)
    head = keras.Model(source, values)
    head.compile(keras.optimizers.Adam(2e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    head.fit(features, chosen.label_indices, epochs=25, batch_size=64, verbose=0)
    return KerasFloatModel(model)


if __name__ == "__main__":
    main()
