"""The real detector, quantized for one engine on the demo photo, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_edge.assets import demo_photo_path
from fer_edge.bundle import Bundle, Manifest
from fer_edge.bundle.store import MANIFEST_NAME
from fer_edge.detector import FaceDetector
from fer_edge.engines import load_engine
from fer_edge.images import read_image
from fer_edge.stage import Stage
from fer_edge_convert.detector_accuracy import DETECTOR_OPTIONS
from fer_edge_convert.detector_conversion import DetectorConversion
from fer_edge_convert.detector_data import DetectorData
from fer_edge_convert.detector_recipe import DETECTOR_RECIPES
from fer_edge_convert.mtcnn_source import NETWORKS
from fer_edge_convert.source_models import read_detector

pytestmark = [pytest.mark.host, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def conversion(folder: Path, *, photos: bool) -> DetectorConversion:
    data = DetectorData(
        calibration=(demo_photo_path(),), calibration_folder=Path("demo"), annotations=Path("none"), measured=()
    )
    (folder / "float").mkdir()
    return DetectorConversion(
        read_detector(ROOT / "models" / "mtcnn"),
        folder / "float",
        data if photos else None,
        seed=1,
        say=lambda _: None,
    )


@pytest.fixture(scope="module")
def made(converters, tmp_path_factory):
    """Stages for LiteRT and ONNX Runtime in the recipes' precisions and in float32, and the float cascade."""
    folder = tmp_path_factory.mktemp("detector")
    (folder / "bundle").mkdir()
    detector = conversion(folder, photos=True)
    stages = detector.convert(("litert", "onnx"), with_float32=True, folder=folder / "bundle")
    manifest = Manifest(
        name="made", version="1", licence="MIT", labels=("face",), stages=stages, provenance={}, calibration={},
        attribution=(),
    )  # fmt: skip
    (folder / "bundle" / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return detector, Bundle.open(folder / "bundle")


def test_the_recipes_precisions_come_first(made):
    _, bundle = made
    for name, stage in bundle.manifest.stages.items():
        assert [(variant.engine, variant.precision) for variant in stage.variants] == [
            ("litert", DETECTOR_RECIPES["litert", name].precision),
            ("litert", "float32"),
            ("onnx", DETECTOR_RECIPES["onnx", name].precision),
            ("onnx", "float32"),
        ]
        assert (stage.colour, stage.pixel_mean, stage.pixel_std) == ("bgr", 0.0, 1.0)
    assert bundle.verify() == 12


def test_only_what_was_calibrated_is_told_of(made):
    detector, _ = made
    recipes = detector.recipes_json(["litert", "onnx"])
    assert recipes["litert"]["rnet"] == {"precision": "dynamic-int8"}
    assert recipes["onnx"]["pnet"] == {"precision": "float16"}
    assert recipes["onnx"]["onet"] == {
        "precision": "int8",
        **DETECTOR_RECIPES["onnx", "onet"].quantization.to_json(),
    }
    assert detector.calibration_json(["litert"]) == {}
    calibration = detector.calibration_json(["litert", "onnx"])
    assert calibration["photos"] == 1
    assert calibration["rnet"]["images"] == len(detector.calibration.rnet)
    assert "pnet" not in calibration


@pytest.mark.parametrize("engine_name", ["litert", "onnx"])
def test_the_face_is_found_where_the_float_cascade_finds_it(made, engine_name):
    detector, bundle = made
    photo = read_image(demo_photo_path())

    def faces(opened, engine_name):
        engine = load_engine(engine_name)
        stages = {name: Stage(opened, name, engine, batch_sizes=(1,)) for name in NETWORKS}
        return FaceDetector(**stages, options=DETECTOR_OPTIONS)(photo)

    best, expected = faces(bundle, engine_name)[0], faces(detector.float_bundle, "litert")[0]
    np.testing.assert_allclose(best.box_xyxy, expected.box_xyxy, atol=5)
    np.testing.assert_allclose(best.landmarks_xy, expected.landmarks_xy, atol=3)
    assert best.detection_score == pytest.approx(expected.detection_score, abs=0.01)


def test_quantized_files_are_a_third_at_most(made):
    _, bundle = made
    for engine in ("litert", "onnx"):
        sizes = {"first": 0, "float32": 0}
        for stage in bundle.manifest.stages.values():
            first, float32 = (variant for variant in stage.variants if variant.engine == engine)
            sizes["first"] += first.model.bytes
            sizes["float32"] += float32.model.bytes
        assert sizes["first"] < sizes["float32"] / 3


def test_without_photos_it_stays_float32(converters, tmp_path):
    (tmp_path / "bundle").mkdir()
    stages = conversion(tmp_path, photos=False).convert(("onnx",), with_float32=False, folder=tmp_path / "bundle")
    assert {variant.precision for stage in stages.values() for variant in stage.variants} == {"float32"}
    assert list((tmp_path / "float").iterdir()) == []
