from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_edge.assets import demo_photo_path
from fer_edge.errors import GateError
from fer_edge.images import read_image
from fer_edge_bench.wider import WiderFace, WiderPhoto
from fer_edge_convert.detector_accuracy import DetectorFigures, check_detector, measure_detector
from fer_edge_convert.detector_data import DetectorData

pytestmark = pytest.mark.host

# The face in the demo photo, as the public MTCNN of tests/fer_edge/reference sees it, in whole pixels.
FACE_XYWH = (178, 62, 88, 110)


def figures(**changes) -> DetectorFigures:
    values = {
        "engine": "onnx",
        "n_bytes": 1000,
        "average_precision": {50: 0.80, 30: 0.70, 10: 0.50},
        "float_average_precision": {50: 0.81, 30: 0.70, 10: 0.49},
        "n_photos": 3,
    }
    return DetectorFigures(**(values | changes))


def test_points_are_lost_against_the_float_cascade():
    assert figures().lost_points() == pytest.approx({50: 1.0, 30: 0.0, 10: -1.0})
    assert figures().to_text().endswith("lost in points: +1.00 from 50 px, +0.00 from 30 px, -1.00 from 10 px")
    assert figures().to_json()["average_precision"] == {"50": 0.8, "30": 0.7, "10": 0.5}


def test_the_gate_names_engine_and_size():
    check_detector((figures(),), 1.001)
    with pytest.raises(GateError) as caught:
        check_detector((figures(engine="litert"), figures(average_precision={50: 0.79, 30: 0.6, 10: 0.5})), 1.5)
    assert caught.value.exit_code == 5
    assert (
        "onnx: 2.00 points of average precision lost on faces from 50 px; "
        "onnx: 10.00 points of average precision lost on faces from 30 px)" in str(caught.value)
    )
    assert "litert" not in str(caught.value)


class Photos(DetectorData):
    """The demo photo, and a picture without faces."""

    def read(self, photo):
        return read_image(demo_photo_path()) if photo.name == "face.jpg" else np.zeros((60, 80, 3), np.uint8)


def test_a_cascade_that_is_the_float_one_loses_nothing(default_bundle):
    measured = (
        WiderPhoto(name="face.jpg", faces=(WiderFace(box_xywh=FACE_XYWH),)),
        WiderPhoto(name="empty.jpg", faces=()),
    )
    data = Photos(calibration=(), calibration_folder=Path(), annotations=Path(), measured=measured)
    said = []
    (found,) = measure_detector(default_bundle, default_bundle, ("litert",), data, said.append)
    assert dict(found.average_precision) == {50: 1.0, 30: 1.0, 10: 1.0}
    assert found.lost_points() == {50: 0.0, 30: 0.0, 10: 0.0}
    assert found.n_photos == 2
    first = {name: default_bundle.manifest.stages[name].variants[0] for name in ("pnet", "rnet", "onet")}
    assert found.n_bytes == sum(entry.bytes for variant in first.values() for entry in variant.files())
    assert said == ["detector: measured on 2 of 2 photos"]
