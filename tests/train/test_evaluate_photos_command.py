"""`fer-edge evaluate --photos`, with the installed bundle and its detector on the photo that is installed too."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil

import cv2
import numpy as np
import pytest
from runtime_support import installed_engine

from fer_edge import EmotionPipeline
from fer_edge.assets import demo_photo_path
from fer_edge.detector import DetectorOptions
from fer_edge.errors import InputError, MissingExtraError, UsageError
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square
from fer_edge_train import photo_run
from fer_edge_train.commands import evaluate as evaluate_command
from fer_edge_train.commands.evaluate import COMMAND
from fer_edge_train.labelled_photos import PHOTO_LABELS

FACE = "177 65 272 188"  # the face in the photo as a person would mark it: left top right bottom


def run(*words) -> int:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    return COMMAND.run(parser.parse_args([str(word) for word in words]))


def write_folder(folder, names=("a.png", "d.png"), label=3):
    """Copies of the photo, each with its face labelled, and with one where there is none."""
    (folder / "Images").mkdir(parents=True)
    left, top, right, bottom = FACE.split()
    rows = []
    for name in names:
        shutil.copy(demo_photo_path(), folder / "Images" / name)
        rows.append(f"{name} 0 {top} {left} {right} {bottom} 9.5 {label}")
    rows.append(f"{names[0]} 1 10 400 500 110 9.5 0")
    (folder / "label.lst").write_text("\n".join([*rows, ""]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def engine():
    for name in ("onnx", "litert"):
        try:
            EmotionPipeline(engine=name)
        except MissingExtraError:
            continue
        return name
    pytest.skip("neither onnxruntime nor ai-edge-litert is installed")


@pytest.fixture
def photos(tmp_path):
    return write_folder(tmp_path / "web")


def test_the_record_is_what_the_pipeline_does(engine, default_bundle, photos, capsys):
    assert run(default_bundle.path, "--photos", photos, "--engine", engine, "--json") == 0
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    record = json.loads(text)
    pipeline = EmotionPipeline(default_bundle.path, engine=engine)
    faces = pipeline(read_image(demo_photo_path()))
    assert record["schema"] == "fer-edge/photo-evaluation-record/1"
    assert record["labels"] == list(PHOTO_LABELS)
    measured = record["measured"]
    assert (measured["recall"]["count"], measured["recall"]["n"]) == (2, 3)
    assert measured["extra_faces"] == 2 * (len(faces) - 1)
    right = 2 * (faces[0].emotion == "happy")
    assert (measured["right_of_found"]["count"], measured["end_to_end"]["count"]) == (right, right)
    assert measured["classes"]["happy"]["recall"]["count"] == 2
    assert measured["classes"]["angry"]["recall"] | {"interval95": None} == {
        "share": 0.0,
        "count": 0,
        "n": 1,
        "interval95": None,
    }
    assert measured["found_faces"]["expected_calibration_error"] == pytest.approx(
        abs(float(faces[0].probs.max()) - (right > 0)), abs=2e-6
    )
    assert record["engine"]["name"] == record["detector"]["engine"]["name"] == engine
    assert record["detector"]["bundle"]["name"] == default_bundle.manifest.name
    assert len(record["detector"]["bundle"]["files"]) >= 3
    assert record["detector"]["options"]["min_face_px"] == 40.0
    assert record["crop_margin"] == pipeline.classifier.crop_margin
    digest = hashlib.sha256(demo_photo_path().read_bytes()).hexdigest()
    assert record["data"] == {
        "name": "web",
        "part": "all",
        "photos": 2,
        "labelled_faces": 3,
        "label_lst_sha256": hashlib.sha256((photos / "label.lst").read_bytes()).hexdigest(),
        "photos_sha256": hashlib.sha256(f"{digest}  a.png\n{digest}  d.png\n".encode()).hexdigest(),
    }
    assert record["skipped"] == []
    assert str(photos.parent) not in text


def test_options_reach_detector_and_crop(engine, default_bundle, photos, capsys):
    words = (default_bundle.path, "--photos", photos, "--engine", engine, "--precision", "float32")
    options = ("--min-face-px", "60", "--thresholds", "0.65", "0.75", "0.8", "--crop-margin", "-0.2")
    assert run(*words, *options, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["engine"]["precision"] == "float32"
    assert record["crop_margin"] == -0.2
    found = record["detector"]["options"]
    assert [found[f"{net}_threshold"] for net in ("pnet", "rnet", "onet")] == [0.65, 0.75, 0.8]
    assert found["min_face_px"] == 60.0
    chosen = DetectorOptions(min_face_px=60, pnet_threshold=0.65, rnet_threshold=0.75, onet_threshold=0.8)
    pipeline = EmotionPipeline(default_bundle.path, engine=engine, precision="float32", detector_options=chosen)
    frame = read_image(demo_photo_path())
    probs = pipeline.classifier(crop_square(frame, pipeline.detector(frame)[0].box_xyxy, -0.2))
    right = probs.argmax() == PHOTO_LABELS.index("happy")
    assert record["measured"]["found_faces"]["expected_calibration_error"] == pytest.approx(
        abs(float(probs.max()) - right), abs=2e-6
    )
    run(*words, *options)
    title, where, *_ = capsys.readouterr().out.split("\n")
    assert title.endswith("; MTCNN of default 1, faces of 60 px and more, crop margin -0.2")
    assert where == "web, part all: 2 photos, 3 labelled faces"


def test_a_part_of_the_photos(engine, default_bundle, photos, capsys):
    # By its digest d.png is in "fit", a.png is not.
    for part, n in (("fit", 1), ("held-out", 2)):
        run(default_bundle.path, "--photos", photos, "--engine", engine, "--part", part, "--json")
        record = json.loads(capsys.readouterr().out)
        assert (record["data"]["part"], record["data"]["labelled_faces"]) == (part, n)


def test_a_part_without_photos(default_bundle, tmp_path):
    folder = write_folder(tmp_path / "web", names=("a.png",))
    with pytest.raises(InputError, match=r"expected photos of the part fit, found none; choose --part all$"):
        run(default_bundle.path, "--photos", folder, "--part", "fit")


def test_the_report(engine, default_bundle, photos, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    out = tmp_path / "report"
    # Labelled so that the answer is a mistake, which the contact sheet shows.
    listing = photos / "label.lst"
    listing.write_text(listing.read_text().replace(" 9.5 3", " 9.5 1"))
    words = (default_bundle.path, "--photos", photos, "--engine", engine, "--report", out)
    assert run(*words, "--confusion-png", tmp_path / "c.png", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert json.loads((out / "record.json").read_text()) == record
    pictures = {"classes.png", "confusion.png", "mistakes.png", "pipeline.png", "reliability.png"}
    assert {p.name for p in out.iterdir()} == pictures | {"record.json", "report.html", "report.md"}
    markdown = (out / "report.md").read_text()
    assert markdown.startswith("# default on the photos of web, part all\n")
    assert "| labelled faces found | 66.67 | 20.77 to 93.85 | 2 of 3 |" in markdown  # Wilson's interval of 2 of 3
    assert "| right among the found | 0.00 | 0.00 to 65.76 | 0 of 2 |" in markdown
    assert str(tmp_path) not in markdown + (out / "report.html").read_text()
    # The first tile is the crop that the classifier saw.
    sheet = cv2.imdecode(np.fromfile(out / "mistakes.png", np.uint8), cv2.IMREAD_COLOR)
    frame = read_image(demo_photo_path())
    pipeline = EmotionPipeline(default_bundle.path, engine=engine)
    crop = crop_square(frame, pipeline.detector(frame)[0].box_xyxy, pipeline.classifier.crop_margin)
    tile = cv2.resize(sheet[10:213, 10:213], (32, 32), interpolation=cv2.INTER_AREA).astype(float)
    expected = cv2.resize(crop, (32, 32), interpolation=cv2.INTER_AREA).astype(float)
    assert abs(tile - expected).mean() < 8
    assert (tmp_path / "c.png").is_file()


def test_two_pipelines_on_the_same_photos(engine, default_bundle, photos, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    out = tmp_path / "report"
    words = (default_bundle.path, "--photos", photos, "--engine", engine, "--precision", "int8")
    assert run(*words, "--against", default_bundle.path, "--against-precision", "float32", "--report", out) == 0
    text = capsys.readouterr().out
    record = json.loads((out / "record.json").read_text())
    assert record["engine"]["precision"] == "int8"
    assert record["against"]["engine"]["precision"] == "float32"
    assert record["comparison"]["n"] == 3
    assert "\nend to end " in text
    assert "Right: found and named as labelled." in (out / "report.md").read_text()


def test_a_bad_photo_is_an_error_or_is_listed(engine, default_bundle, photos, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    bad = photos / "Images" / "d.png"
    bad.write_bytes(bad.read_bytes()[:1000])
    words = (default_bundle.path, "--photos", photos, "--engine", engine)
    out = tmp_path / "report"
    with pytest.raises(InputError, match=r"d\.png: .*; or leave such photos out with --skip-bad$"):
        run(*words, "--report", out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["web"]
    assert run(*words, "--skip-bad", "--report", out) == 0
    text = capsys.readouterr().out
    assert "\nphotos left out, as they cannot be read: 1, their labelled faces: 1\n  d.png: " in text
    record = json.loads((out / "record.json").read_text())
    (skipped,) = record["skipped"]
    assert (skipped["photo"], skipped["labelled_faces"]) == ("d.png", 1)
    assert str(tmp_path) not in json.dumps(record)
    assert record["data"]["photos"] == 1
    assert "| d.png | 1 |" in (out / "report.md").read_text()


def test_no_face_is_found(engine, default_bundle, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    folder = tmp_path / "web"
    (folder / "Images").mkdir(parents=True)
    cv2.imwrite(str(folder / "Images" / "gray.png"), np.full((90, 120, 3), 128, np.uint8))
    (folder / "label.lst").write_text("gray.png 0 10 10 60 60 1 2\n")
    words = (default_bundle.path, "--photos", folder, "--engine", engine)
    assert run(*words, "--report", tmp_path / "report") == 0
    assert "found           0.00 % (95 % interval 0.00 to 79.35, 0 of 1)" in capsys.readouterr().out
    assert "No labelled face was found, so none was classified." in (tmp_path / "report" / "report.md").read_text()
    with pytest.raises(InputError, match=r"no labelled face was found, so there is no confusion to draw$"):
        run(*words, "--confusion-png", tmp_path / "c.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--min-face-px", "5"], "min_face_px: expected 12 or more"),
        (["--thresholds", "0.6", "1", "0.7"], "rnet_threshold: expected between 0 and 1, found 1"),
        (["--crop-margin", "-1"], "--crop-margin: expected more than -1 and at most 2, found -1"),
        (["--crop-margin", "nan"], "--crop-margin: expected more than -1 and at most 2, found nan"),
        (["--threads", "0"], "threads: expected a whole number from 1 to 256, found 0"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_options_out_of_bounds(engine, default_bundle, photos, words, message):
    with pytest.raises(UsageError, match=message):
        run(default_bundle.path, "--photos", photos, "--engine", engine, *words)


def test_other_labels_are_refused(engine, default_bundle, photos, monkeypatch):
    monkeypatch.setattr(photo_run, "PHOTO_LABELS", PHOTO_LABELS[::-1])
    with pytest.raises(InputError, match=f"^{default_bundle.path}: expected the labels of the data"):
        run(default_bundle.path, "--photos", photos, "--engine", engine)


def test_neither_bundle_nor_model(engine, photos, tmp_path):
    with pytest.raises(InputError, match=r"found neither$"):
        run(tmp_path / "nothing", "--photos", photos)


@pytest.mark.host
def test_a_trained_model_behind_a_bundles_detector(keras, default_bundle, photos, tmp_path, capsys):
    installed_engine("onnx")
    pixels = keras.Input((48, 48, 1), name="pixels")
    dense = keras.layers.Dense(7, name="logits")
    model = keras.Model(pixels, dense(keras.layers.Flatten()(pixels)))
    dense.set_weights([np.zeros((48 * 48, 7)), np.eye(7)[3]])  # all is happy
    folder = tmp_path / "model"
    folder.mkdir()
    model.save(folder / "model.keras")
    record = {
        "schema": "fer-edge/training-record/1",
        "model": {
            "name": "all_happy",
            "file": "model.keras",
            "sha256": hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest(),
            "labels": PHOTO_LABELS,
            "input_shape_hwc": [48, 48, 1],
            "pixel_mean": 128.0,
            "pixel_std": 128.0,
        },
    }
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    words = (folder, "--photos", photos, "--detector", default_bundle.path, "--engine", "onnx")
    assert run(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"]["kind"] == "model folder"
    assert found["engine"]["name"] == "keras"
    assert found["detector"]["engine"]["name"] == "onnx"
    assert found["crop_margin"] == default_bundle.manifest.stages["classifier"].crop_margin
    assert (found["measured"]["recall"]["count"], found["measured"]["end_to_end"]["count"]) == (2, 2)
    with pytest.raises(UsageError, match="which Keras runs"):
        run(*words, "--precision", "int8")
    # Beside a bundle the precision is meant for that.
    assert run(*words, "--precision", "int8", "--against", default_bundle.path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["against"]["engine"]["precision"] == "int8"


def test_photos_are_counted_on_one_line_that_vanishes(capsys):
    for done in (1, 2):
        evaluate_command._count_photos(done, 2)
    assert capsys.readouterr().err == "photo 1 of 2\r" + " " * len("photo 2 of 2") + "\r"
