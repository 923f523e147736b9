"""One predictor, for items of ours and for columns of others, compared with the pipeline's own parts."""

from __future__ import annotations

import os
import pickle

import cv2
import numpy as np
import pytest

from fer_edge.assets import demo_photo_path
from fer_edge.bulk import BulkPredictor
from fer_edge.bulk.inputs import Item
from fer_edge.errors import InputError, MissingExtraError, UsageError
from fer_edge.images import read_image

SIDE_PX = 48


@pytest.fixture(scope="module")
def faces():
    """Ten crops of the demo photo, gray."""
    gray = cv2.cvtColor(read_image(demo_photo_path()), cv2.COLOR_BGR2GRAY)
    return [cv2.resize(gray[50 + i : 180, 170 + i : 280], (SIDE_PX, SIDE_PX)) for i in range(10)]


@pytest.fixture(scope="module")
def of_faces(default_bundle):
    return BulkPredictor(faces=True, bundle=default_bundle.path, engine="onnx", batch_size=4)


@pytest.fixture(scope="module")
def of_photos(default_bundle):
    return BulkPredictor(bundle=default_bundle.path, engine="onnx")


def as_text(face):
    return " ".join(map(str, face.ravel().tolist()))


def assert_same(answer, probs, labels):
    assert answer["error"] is None
    assert tuple(answer["probs"]) == labels
    assert list(answer["probs"].values()) == pytest.approx(probs, abs=1e-6)
    assert answer["emotion"] == labels[int(np.argmax(probs))]


def test_faces_as_text_and_as_files(of_faces, faces, pipelines, tmp_path):
    classifier = pipelines("onnx").classifier
    expected = [classifier(face) for face in faces]
    items = [Item(source="csv", pixel_text=as_text(face).encode()) for face in faces]
    for answer, probs in zip(of_faces.analyse(items), expected, strict=True):
        assert_same(answer, probs, classifier.labels)
    paths = [tmp_path / f"{number}.png" for number in range(len(faces))]
    for path, face in zip(paths, faces, strict=True):
        cv2.imwrite(str(path), face)
    for answer, probs in zip(
        of_faces.analyse([Item(source=path.name, path=str(path)) for path in paths]), expected, strict=True
    ):
        assert_same(answer, probs, classifier.labels)


def test_bad_items_among_good_ones(of_faces, faces, tmp_path):
    good = Item(source="csv", pixel_text=as_text(faces[0]).encode())
    items = [
        Item(source="csv", problem="expected 3 columns, found 2"),
        good,
        Item(source="none.png", path=str(tmp_path / "none.png")),
        good,
        Item(source="csv", pixel_text=b"1 2 3"),
    ]
    answers = of_faces.analyse(items)
    assert [answer["error"] is None for answer in answers] == [False, True, False, True, False]
    assert answers[0] == {"emotion": None, "probs": None, "error": "expected 3 columns, found 2"}
    assert "no such file" in answers[2]["error"]
    assert answers[4]["error"].startswith("pixels: expected as many values as a square")
    assert answers[1] == answers[3]
    assert [answer["emotion"] for answer in of_faces.analyse(items[:1])] == [None]
    assert of_faces.analyse([]) == []


def test_a_photo_as_the_pipeline_sees_it(of_photos, pipelines):
    image = read_image(demo_photo_path())
    (face,) = pipelines("onnx")(image)
    path = str(demo_photo_path())
    good, bad = of_photos.analyse([Item(source=path, path=path), Item(source="x", path="/none.png")])
    assert good["size_wh"] == [512, 512]
    (found,) = good["faces"]
    assert found["box_xyxy"] == pytest.approx(face.box_xyxy.tolist(), abs=0.006)
    assert list(found["probs"].values()) == pytest.approx(face.probs.tolist(), abs=1e-6)
    assert (found["emotion"], found["track_id"]) == (face.emotion, None)
    assert (bad["size_wh"], bad["faces"]) == (None, None)
    assert "no such file" in bad["error"]


@pytest.mark.parametrize("column", ["image", "bytes", "path"])
def test_columns_of_photos(of_photos, column):
    image = read_image(demo_photo_path())
    values = {
        "image": np.stack([image[..., ::-1], np.zeros_like(image)]),
        "bytes": np.array([demo_photo_path().read_bytes(), b"x"], object),
        "path": np.array([str(demo_photo_path()), "/none.png"]),
    }
    given = {"id": np.array([5, 6]), column: values[column]}
    found = of_photos(given)
    kept = ["id", "path"] if column == "path" else ["id"]
    assert list(found) == [*kept, "size_wh", "faces", "error"]
    assert [len(values) for values in found.values()] == [2] * len(found)
    (expected,) = of_photos.analyse([Item(source="demo", path=str(demo_photo_path()))])
    assert found["faces"][0] == expected["faces"]
    if column == "image":
        assert (found["faces"][1], found["size_wh"][1], found["error"][1]) == ([], [512, 512], None)
    else:
        assert (found["faces"][1], found["size_wh"][1]) == (None, None)
        assert found["error"][1]


def test_a_gray_photo_is_as_good_as_a_colour_one(of_photos):
    gray = cv2.cvtColor(read_image(demo_photo_path()), cv2.COLOR_BGR2GRAY)
    three = np.repeat(gray[..., np.newaxis], 3, axis=2)
    found = of_photos({"image": [gray, gray[..., np.newaxis], three]})["faces"]
    assert len(found[0]) == 1
    assert found[0] == found[1] == found[2]


def test_columns_of_faces(of_faces, faces):
    texts = [as_text(faces[0]), "1 2 3", as_text(faces[1]).encode()]
    found = of_faces({"pixels": texts, "emotion_given": ["a", "b", "c"]})
    assert list(found) == ["emotion_given", "emotion", "probs", "error"]
    assert found["probs"].shape == (3, 7)
    assert found["probs"].dtype == np.float32
    assert np.isnan(found["probs"][1]).all()
    assert found["probs"][[0, 2]].sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (found["emotion"][1], found["error"][0]) == (None, None)
    only_bad = of_faces({"pixels": ["1 2 3"]})
    assert only_bad["probs"].shape == (1, 7)
    rgb = [np.repeat(face[..., np.newaxis], 3, axis=2) for face in faces[:2]]
    assert np.allclose(of_faces({"image": rgb})["probs"], found["probs"][[0, 2]], atol=2e-6)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        pytest.param({"file": ["a"]}, "^expected a column image, bytes, pixels, path, found file$", id="no pictures"),
        # As FER-2013 has it.
        pytest.param(
            {"emotion": ["0"], "pixels": ["1 2 3 4"]}, "^the column emotion is one that is to be added", id="its name"
        ),
    ],
)
def test_columns_that_do_not_fit(of_faces, batch, message):
    with pytest.raises(InputError, match=message):
        of_faces(batch)


def test_it_goes_to_another_process_without_its_engine(of_faces, faces):
    item = Item(source="csv", pixel_text=as_text(faces[0]).encode())
    expected = of_faces.analyse([item])
    data = pickle.dumps(of_faces)
    assert len(data) < 1000
    assert pickle.loads(data).analyse([item]) == expected


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        pytest.param(
            {"batch_size": 0}, UsageError, "^batch size: expected a whole number from 1 to 1024", id="batch 0"
        ),
        pytest.param({"batch_size": 1025}, UsageError, "found 1025$", id="batch too large"),
        pytest.param({"engine": "onxx", "faces": True}, UsageError, "did you mean onnx", id="engine"),
        pytest.param({"engine": "onnx", "precision": "int4", "faces": True}, MissingExtraError, "int4", id="precision"),
        pytest.param({"precision": "int4", "faces": True}, MissingExtraError, "int4", id="precision of any engine"),
        pytest.param({"bundle": "/none", "faces": True}, InputError, "no bundle at /none", id="bundle"),
        pytest.param({"min_face_px": -1.0}, UsageError, "min_face_px", id="smallest face"),
    ],
)
def test_options_that_are_wrong(options, kind, message):
    with pytest.raises(kind, match=message):
        BulkPredictor(**options).load()


def test_files_that_are_none(of_faces, tmp_path):
    """Each gets the words of `read_image`, and nothing waits for a pipe's writer."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"text")
    names = ["pipe.png", "folder.png", "empty.png", "text.png", "none.png", "a\0b.png"]
    errors = [
        answer["error"] for answer in of_faces.analyse([Item(source=name, path=str(tmp_path / name)) for name in names])
    ]
    expected = [
        "found a device, pipe",
        "found a folder",
        "is empty",
        "not a picture",
        "no such file",
        "a zero byte in it",
    ]
    assert [part in error for part, error in zip(expected, errors, strict=True)] == [True] * 6, errors
