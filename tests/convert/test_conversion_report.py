"""The report on figures that are known, and what the command writes."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from convert.test_detector_accuracy import figures as detector_figures
from convert.test_gates import figures

from fer_edge_convert.conversion_pictures import cheapest_for_accuracy
from fer_edge_convert.conversion_report import conversion_record, conversion_sections, conversion_warnings
from fer_edge_convert.layers import Layer
from fer_edge_convert.recipe import QuantizationRecipe, VariantRecipe
from fer_edge_convert.search import Point, SearchOutcome
from fer_edge_convert.tensor_errors import TensorError
from fer_edge_convert.trials import LayerSensitivity, Trial
from fer_edge_train.datasets import FaceSet
from fer_edge_train.reports.document import Picture, Table, to_html, to_markdown

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

INT8, FLOAT32 = figures(lost=5), replace(figures(), precision="float32")


def searched() -> SearchOutcome:
    layer = Layer(index=0, kind="conv", weights_shape=(8, 3, 3, 1), name="n", output="o")
    trial = Trial(divergence=0.01, agreement=0.97, drop_points=0.3, n_bytes=1000)
    mixed = replace(trial, divergence=0.005, n_bytes=1200)
    points = (
        Point(recipe=VariantRecipe(method="mse"), trial=trial),
        Point(recipe=VariantRecipe(method="mse", float_layers=(layer.label,)), trial=mixed),
    )
    return SearchOutcome(
        engine="onnx",
        precision="int8",
        points=points,
        sensitivities=(LayerSensitivity(layer=layer, trial=mixed, gain=0.005),),
        chosen=points[1],
    )


def made(**changes) -> SimpleNamespace:
    faces = FaceSet(
        images=np.zeros((3, 4, 4, 1), np.uint8),
        label_indices=np.zeros(3, np.int64),
        labels=tuple("abcdefg"),
        rows=np.arange(3),
    )
    data = SimpleNamespace(
        held_out=SimpleNamespace(name="test", title="Set test", faces=faces), n_shared=0, to_json=dict
    )
    manifest = SimpleNamespace(
        name="b",
        version="1",
        calibration={"data": "Set train", "images": 70, "images_per_class": 10, "seed": 3, "digest": "ab" * 32},
        provenance={
            "classifier": {"model": {"name": "small"}},
            "quantization": QuantizationRecipe().to_json(),
            "versions": {"onnx": "1"},
        },
    )
    values = {
        "manifest": manifest,
        "figures": (INT8, FLOAT32),
        "latencies_ms": (0.2, 0.3),
        "float_model": FLOAT32.evaluation,
        "data": data,
        "searches": (searched(),),
        "detector_figures": (),
        "tensor_errors": {"onnx": (TensorError(name="x", sqnr_db=float("inf")), TensorError(name="y", sqnr_db=21.04))},
        "max_drop_points": 1.0,
    }
    return SimpleNamespace(**(values | changes))


def test_nothing_to_warn_of():
    assert conversion_warnings(made()) == []


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        pytest.param(
            {"latencies_ms": (0.4, 0.3)},
            "onnx int8 is slower than float32 here: 0.400 ms against 0.300 ms",
            id="int8 slower",
        ),
        pytest.param(
            {"max_drop_points": 0.3},
            "onnx int8 may lose more than 0.3 points: the 95 % interval of its drop ends at +0.52",
            id="a drop that could be larger",
        ),
    ],
)
def test_warnings(changes, warning):
    assert conversion_warnings(made(**changes)) == [warning]


def test_faces_in_both_parts_are_warned_of():
    conversion = made()
    conversion.data.n_shared = 12
    assert conversion_warnings(conversion) == [
        "12 training images are in the held-out part too; they calibrated nothing, but the network may have been "
        "trained on them"
    ]


def test_the_record_is_plain_and_finite_json():
    record = conversion_record(made(), "fer-edge convert small")
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text) == record
    assert record["schema"] == "fer-edge/conversion-record/1"
    assert record["tensor_errors"] == {
        "onnx": [{"tensor": "x", "sqnr_db": None}, {"tensor": "y", "sqnr_db": 21.04}],
    }
    assert [row["latency_ms_p50"] for row in record["files"]] == [0.2, 0.3]
    assert record["files"][0]["measured"]["drop_points"] == 0.25
    assert record["searches"][0]["chosen"]["float_layers"] == ["00 conv 8x3x3x1"]


def test_the_report_shows_every_file_and_every_picture(tmp_path):
    conversion = made()
    record = conversion_record(conversion, "fer-edge convert small")
    blocks = conversion_sections(tmp_path, conversion, record)
    files = next(block for block in blocks if isinstance(block, Table))
    assert files.rows[0][:4] == ("onnx int8", "1,000", "79.75", "+0.25 (-0.01 to +0.52)")
    pictures = {block.file for block in blocks if isinstance(block, Picture)}
    assert pictures == {path.name for path in tmp_path.iterdir()}
    assert pictures == {
        "drops.png",
        "pareto.png",
        "sqnr.png",
        "confusion_network.png",
        "confusion_onnx_int8.png",
        "search_onnx.png",
        "sensitivity_onnx.png",
    }
    page = to_html("Conversion of small", blocks, tmp_path)
    assert page.count("data:image/png;base64,") == 7
    assert "mse, 1 layers in float32 (chosen)" in page
    assert "fer-edge convert small" in to_markdown("Conversion of small", blocks)


def test_the_detector_has_a_table_of_its_own(tmp_path):
    conversion = made(detector_figures=(detector_figures(),))
    record = conversion_record(conversion, "fer-edge convert small")
    assert record["detector"]["onnx"]["average_precision"]["30"] == 0.7
    text = to_markdown("t", conversion_sections(tmp_path, conversion, record))
    assert "| onnx | 1,000 | 80.00 | 70.00 | 50.00 | +1.00 | +0.00 | -1.00 |" in text
    assert conversion_record(made(), "c")["detector"] == {}


def test_a_network_at_chance_is_warned_of():
    poor = replace(FLOAT32.evaluation, accuracy=replace(FLOAT32.evaluation.accuracy, top1=0.15, low=0.13))
    (warning,) = conversion_warnings(made(float_model=poor))
    assert warning.startswith("the network itself is right on 15.0 % of the faces, and who always says the ")
    assert "commonest class on 14.3 %" in warning
    assert "a drop against such a network means nothing" in warning


def test_the_front_is_what_nothing_beats_in_both():
    # Position 1 is dearer and no better than 0; 3 costs as much as 2 and is worse.
    assert cheapest_for_accuracy([1.0, 2.0, 3.0, 3.0, 9.0], [60.0, 60.0, 64.0, 63.0, 65.0]) == [0, 2, 4]
