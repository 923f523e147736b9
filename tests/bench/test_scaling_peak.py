"""The large convolutions are what their record says, and every engine computes the same with them."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.scaling_samples import work
from runtime_support import installed_engine

from fer_edge.bundle import default_bundle_path
from fer_edge.engines import EngineOptions
from fer_edge.errors import InputError, IntegrityError
from fer_edge_bench.scaling.figures import stage_multiply_adds
from fer_edge_bench.scaling.peak import (
    PeakModel,
    peak_models_folder,
    peak_precision,
    read_contents,
    read_peak_models,
)

MODELS = {(model.engine, model.precision, model.name): model for model in read_peak_models().models}
REPOSITORY = Path(__file__).resolve().parents[2]


def run(engine: str, precision: str, name: str, values_nhwc: np.ndarray) -> np.ndarray:
    """Real values in and out, channels last, whatever the engine's layout and the model's type."""
    content, *weights = read_contents(MODELS[engine, precision, name])
    session = installed_engine(engine).load(content, EngineOptions(), weights=weights[0] if weights else None)
    (spec,) = session.inputs
    values = values_nhwc if engine == "litert" else values_nhwc.transpose(0, 3, 1, 2)
    # ONNX has its scale inside the graph, LiteRT in the tensor.
    scale, zero = (1 / 16, 128) if spec.dtype == "uint8" else (spec.scale, spec.zero_point)
    if spec.dtype != "float32":
        limits = np.iinfo(spec.dtype)
        values = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
    (out,) = session.run(np.ascontiguousarray(values.astype(spec.dtype)))
    if out.dtype == np.uint8:
        out = (out.astype(np.float32) - 128) / 16
    elif out.dtype == np.int8:
        out = session.outputs[0].dequantize(out)
    return out if engine == "litert" else out.transpose(0, 2, 3, 1)


@functools.cache
def by_hand(name: str) -> np.ndarray:
    """What becomes of `pixels` in numpy, with the weights that the README names."""
    model = MODELS["onnx", "float32", name]
    pattern = np.array([-4, -3, -2, -1, 1, 2, 3, 4], np.float32) / 64
    y, x, inputs, outputs = np.ogrid[: model.kernel, : model.kernel, : model.channels, : model.channels]
    weights = pattern[(inputs + 3 * outputs + 5 * y + 7 * x) % 8]
    margin, side, channels = model.kernel // 2, model.side, model.channels
    values = pixels(name)[0]
    for _ in range(model.layers):
        padded = np.pad(values, ((margin, margin), (margin, margin), (0, 0)))
        values = sum(
            padded[dy : dy + side, dx : dx + side].reshape(-1, channels) @ weights[dy, dx]
            for dy in range(model.kernel)
            for dx in range(model.kernel)
        ).reshape(side, side, channels)
    return values[np.newaxis]


def pixels(name: str) -> np.ndarray:
    model = MODELS["onnx", "float32", name]
    random = np.random.RandomState(5)
    return (random.random_sample((1, model.side, model.side, model.channels)) * 2 - 1).astype(np.float32)


def test_every_engine_has_every_model() -> None:
    assert len(MODELS) == 12
    assert {model.engine for model in MODELS.values()} == {"litert", "onnx", "openvino"}
    named = {entry.file for model in MODELS.values() for entry in model.files}
    assert named | {"record.json", "README.md"} == {path.name for path in peak_models_folder().iterdir()}
    assert sum(entry.bytes for model in MODELS.values() for entry in model.files) < 100_000
    for model in MODELS.values():
        for entry in model.files:
            packed = (peak_models_folder() / entry.file).read_bytes()
            assert (len(packed), hashlib.sha256(packed).hexdigest()) == (entry.bytes, entry.sha256)


@pytest.mark.parametrize("engine", ["litert", "onnx", "openvino"])
@pytest.mark.parametrize("name", ["conv1x1", "conv3x3"])
def test_it_is_what_it_says(engine: str, name: str) -> None:
    expected = by_hand(name)
    assert np.abs(run(engine, "float32", name, pixels(name)) - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("engine", ["litert", "onnx", "openvino"])
@pytest.mark.parametrize("name", ["conv1x1", "conv3x3"])
def test_int8_is_near_it(engine: str, name: str) -> None:
    found, expected = run(engine, "int8", name, pixels(name)), by_hand(name)
    assert found.shape == expected.shape
    # Eight layers of 8 bits each: no more than that they are the same network.
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > (0.9 if name == "conv3x3" else 0.3)


def counted_from_onnx(data: bytes, shape: tuple[int, ...] | None = None) -> int:
    """Multiply-adds from the shapes that onnx infers: for each output as many as a kernel has weights."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(data)
    if shape is not None:
        for axis, length in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
            axis.dim_value = length
        for value in [*model.graph.value_info, *model.graph.output]:
            value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in [*inferred.value_info, *inferred.output]
    }
    weights = {item.name: list(item.dims) for item in inferred.initializer}
    shapes |= weights
    total = 0
    for node in inferred.node:
        if node.op_type == "Conv":
            out = shapes[node.output[0]]
            assert all(out), node
            total += math.prod(out) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("MatMul", "Gemm"):
            out, kernel = shapes[node.output[0]], shapes[node.input[1]]
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            total += math.prod(n or 1 for n in out) * kernel[1 if transposed else 0]
    return total


@pytest.mark.host
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", ["conv1x1", "conv3x3"])
def test_multiply_adds_are_what_the_shapes_say(name: str, precision: str) -> None:
    model = MODELS["onnx", precision, name]
    assert counted_from_onnx(read_contents(model)[0]) == model.multiply_adds


@pytest.mark.host
@pytest.mark.parametrize(
    ("stage", "shape"),
    [
        ("pnet", (1, 196, 330, 3)),
        ("pnet", (1, 31, 47, 3)),
        ("rnet", (1, 24, 24, 3)),
        ("onet", (1, 48, 48, 3)),
        ("classifier", None),
    ],
    ids=["canvas", "odd canvas", "rnet", "onet", "classifier"],
)
def test_multiply_adds_of_the_stages_are_what_the_shapes_say(stage: str, shape: tuple[int, ...] | None) -> None:
    folder = default_bundle_path()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    if shape is None:
        (fixed,) = {
            tuple(variant["inputs"][0]["shape"][1:])
            for variant in manifest["stages"]["classifier"]["variants"]
            if variant["engine"] == "onnx"
        }
        shape = (1, *fixed)
    given: dict[str, Any] = {"pnet_size_wh": (shape[2], shape[1]), "pnet_runs": int(stage == "pnet")}
    crops = {"rnet": int(stage == "rnet"), "onet": int(stage == "onet")}
    counts = stage_multiply_adds(work(**given, **crops), manifest["provenance"]["arithmetic"]["multiply_adds"])
    assert counted_from_onnx((folder / f"{stage}_float32.onnx").read_bytes(), shape) == counts[stage]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("float32", "float32"), ("float16", "float32"), ("int8", "int8"), ("dynamic-int8", "int8"), ("int16", "float32")],
)
def test_what_a_precision_is_held_against(precision: str, expected: str) -> None:
    assert peak_precision(precision) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": "x"}', "the key 'command' is missing"),
        ('{"schema": "x", "command": "", "versions": {}, "models": []}', "schema: expected fer-edge/peak-models/1"),
        ("{", "expected JSON"),
    ],
    ids=["keys", "schema", "text"],
)
def test_another_record_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "record.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_peak_models(tmp_path)
    assert message in str(caught.value)


def test_what_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="install fer-edge again"):
        read_peak_models(tmp_path)
    model = MODELS["onnx", "int8", "conv1x1"]
    with pytest.raises(IntegrityError, match="cannot read"):
        read_contents(model, tmp_path)
    (tmp_path / model.files[0].file).write_bytes(b"other")
    with pytest.raises(IntegrityError, match="expected the digest"):
        read_contents(model, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multiply_adds": 5}, "multiply_adds: expected 411041792, found 5"),
        ({"files": ()}, "files: expected one or two"),
    ],
)
def test_a_model_is_checked(changes: dict[str, Any], message: str) -> None:
    model = MODELS["onnx", "int8", "conv1x1"]
    fields = {name: getattr(model, name) for name in PeakModel.__dataclass_fields__}
    with pytest.raises(ValueError, match=message):
        PeakModel(**(fields | changes))


@pytest.mark.host
@pytest.mark.slow
def test_the_script_makes_the_same_files(tmp_path: Path) -> None:
    for name, version in read_peak_models().versions.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed")
        if installed != version:
            pytest.skip(f"the files were made with {name} {version}, {installed} is installed")
    script = REPOSITORY / "benchmarks" / "studies" / "peak_models.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    shipped = {path.name: path.read_bytes() for path in peak_models_folder().iterdir() if path.name != "README.md"}
    assert made == shipped
