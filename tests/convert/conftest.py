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
def calibrated(model, calibration):
    """The network with its calibration images."""
    from fer_edge_convert.float_model import KerasFloatModel
    from fer_edge_convert.quantizers import CalibratedModel

    return CalibratedModel(KerasFloatModel(model), calibration, (-1.0, 127 / 128))


@pytest.fixture(scope="session")
def litert(calibrated):
    """The network's .tflite files, with inner names and without."""
    from fer_edge_convert.litert import compact_litert, quantize_litert

    source = calibrated.model.litert
    ranges = calibrated.litert_ranges("min-max")
    named = {
        "float32": source,
        **{
            precision: quantize_litert(source, precision, activation_ranges=ranges)
            for precision in ("float16", "dynamic-int8", "int16", "int8")
        },
    }
    return SimpleNamespace(named=named, files={key: compact_litert(data) for key, data in named.items()})


@pytest.fixture(scope="session")
def onnx_float32(calibrated) -> bytes:
    return calibrated.model.onnx


@pytest.fixture(scope="session")
def onnx_int8(calibrated):
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
        made = module.to_onnx_int8(calibrated.model.onnx, calibrated.onnx_ranges("min-max"))
    return SimpleNamespace(model=made.model, input=made.input, outputs=made.outputs, unedited=unedited[0])


@pytest.fixture(scope="session")
def openvino_files(calibrated):
    """The network's .xml and .bin, and each .xml as OpenVINO wrote it."""
    from fer_edge_convert.openvino import to_openvino_float32, to_openvino_int8
    from fer_edge_convert.openvino_xml import compact_xml

    source = calibrated.model.onnx
    written = {
        "float32": to_openvino_float32(source),
        "int8": to_openvino_int8(source, calibrated.calibration, calibrated.onnx_ranges("min-max")),
    }
    compact = {precision: (compact_xml(xml), weights) for precision, (xml, weights) in written.items()}
    return SimpleNamespace(**compact, written={precision: xml for precision, (xml, _) in written.items()})
