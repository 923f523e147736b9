from __future__ import annotations

import math

import numpy as np
import pytest

from fer_edge_convert.onnx import onnx_layers
from fer_edge_convert.quantizers import quantizer_for
from fer_edge_convert.recipe import VariantRecipe
from fer_edge_convert.tensor_errors import tensor_errors

IMAGES = np.zeros((2, 4, 4, 1), np.float32)


def test_ratio_of_known_errors():
    expected = {
        "exact": np.array([1.0, 2.0], np.float32),
        "tenth": np.array([1.0, -1.0], np.float32),
        "nothing": np.zeros(2, np.float32),
        "other shape": np.zeros(2, np.float32),
        "hidden": np.ones(2, np.float32),
    }
    found = {
        "tenth": np.array([1.1, -0.9], np.float32),
        "exact": expected["exact"],
        "nothing": np.array([0.5, 0.0], np.float32),
        "other shape": np.zeros(3, np.float32),
        "new": np.ones(2, np.float32),
    }
    errors = tensor_errors(lambda _: expected, lambda _: found, IMAGES)
    assert [item.name for item in errors] == ["exact", "tenth", "nothing"]
    assert errors[0].sqnr_db == math.inf
    assert errors[1].sqnr_db == pytest.approx(20.0, abs=1e-4)
    assert errors[2].sqnr_db == -math.inf


@pytest.mark.host
@pytest.mark.parametrize("engine", ["litert", "onnx", "openvino"])
def test_activations_of_the_real_network(calibrated, engine):
    """Every activation is compared; noise lies where 256 steps put it, and a coarser range puts in more."""
    quantizer = quantizer_for(engine, calibrated)
    images = calibrated.calibration[:20]
    fine = quantizer.int8_errors(VariantRecipe(method="mse"), images)
    assert len(fine) >= 7
    # Pixels are what they are, but for OpenVINO, whose range about zero has other steps.
    assert fine[0].sqnr_db == math.inf if engine != "openvino" else fine[0].sqnr_db > 40
    assert all(15 < item.sqnr_db < 55 for item in fine[1:])

    first = quantizer.layers[0]
    kept = quantizer.int8_errors(VariantRecipe(method="mse", float_layers=(first.label,)), images)
    after = {item.name: item.sqnr_db for item in kept}
    name = first.output if engine == "litert" else fine[1].name
    assert after.get(name, math.inf) > next(item.sqnr_db for item in fine if item.name == name)


@pytest.mark.host
def test_openvino_has_the_layers_of_the_onnx_file(calibrated):
    assert onnx_layers(calibrated.model.onnx) == quantizer_for("openvino", calibrated).layers
