from __future__ import annotations

import pytest

from fer_edge_convert.precisions import ENGINE_PRECISIONS, recipe_name


@pytest.mark.parametrize(
    ("engine", "precision", "mixed", "name"),
    [
        ("litert", "int8", False, "static_wi8_ai8"),
        ("onnx", "int8", True, "static_wi8_ai8_mixed"),
        ("litert", "dynamic-int8", False, "dynamic_wi8_afp32"),
        ("openvino", "float16", False, "weight_only_wfp16_afp32"),
        ("onnx", "float16", False, "wfp16_afp16"),
        ("onnx", "float32", False, None),
    ],
)
def test_names_say_what_is_computed_in_what(engine, precision, mixed, name):
    assert recipe_name(engine, precision, mixed=mixed) == name


def test_every_engine_has_float32_last():
    assert {precisions[-1] for precisions in ENGINE_PRECISIONS.values()} == {"float32"}
