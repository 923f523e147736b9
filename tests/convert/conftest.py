"""Fixtures of the conversion tests: the packages, and one small network converted once."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
from convert.support import calibration_images, coded, small_model

_PACKAGES = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "openvino", "nncf", "ai_edge_litert")


@pytest.fixture(scope="session")
def converters() -> None:
    """The conversion packages, made quiet; the test is skipped where one is missing."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'fer-edge[convert]'")
    from fer_edge_convert.quiet import require_converters

    require_converters()


@pytest.fixture(scope="session")
def model(converters):
    """A small network with what the zoo's networks have: folded and lone batch normalizations, residual, pooling."""
    return small_model()


@pytest.fixture(scope="session")
def calibration():
    """Coded calibration images, float32 (70, 48, 48, 1), from -1 to 127/128."""
    return coded(calibration_images())


@pytest.fixture(scope="session")
def litert(model, calibration):
    """The network's .tflite files, and as they were before their inner names were taken out."""
    from fer_edge_convert import litert as module

    named = []
    original = module._without_inner_names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_without_inner_names", lambda data: named.append(bytes(data)) or original(data))
        float32, int8 = module.to_litert_float32(model), module.to_litert_int8(model, calibration)
    return SimpleNamespace(float32=float32, int8=int8, named={"float32": named[0], "int8": named[1]})


@pytest.fixture(scope="session")
def onnx_float32(model) -> bytes:
    from fer_edge_convert.onnx import to_onnx_float32

    return to_onnx_float32(model)


@pytest.fixture(scope="session")
def onnx_int8(onnx_float32, calibration):
    """The network quantized for ONNX Runtime, and the QDQ graph as the quantizer made it."""
    from fer_edge_convert import onnx as module

    unedited = []
    original = module.take_out_edge_quantizers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module,
            "take_out_edge_quantizers",
            lambda graph: unedited.append(graph.SerializeToString()) or original(graph),
        )
        made = module.to_onnx_int8(onnx_float32, calibration)
    return SimpleNamespace(model=made.model, input=made.input, outputs=made.outputs, unedited=unedited[0])


@pytest.fixture(scope="session")
def openvino_files(onnx_float32, calibration):
    """The network's .xml and .bin, and each .xml as OpenVINO wrote it."""
    from fer_edge_convert import openvino as module

    written = []
    original = module.compact_xml
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "compact_xml", lambda xml: written.append(xml) or original(xml))
        float32, int8 = module.to_openvino_float32(onnx_float32), module.to_openvino_int8(onnx_float32, calibration)
    return SimpleNamespace(float32=float32, int8=int8, written={"float32": written[0], "int8": written[1]})
