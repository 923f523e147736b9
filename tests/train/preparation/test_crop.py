from __future__ import annotations

import sys
import types

import cv2
import numpy as np
import pytest

from fer_edge.assets import demo_photo_path
from fer_edge.errors import InputError, MissingExtraError, UsageError
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square
from fer_edge_train.preparation import crop as crop_module
from fer_edge_train.preparation.before_after import DEMO_FACE_XYXY
from fer_edge_train.preparation.crop import FaceCropper, HaarCropper, MtcnnCropper, make_cropper

# Read off the demo photo (512 x 512) by eye: forehead to chin, ear to ear.
FACE_XYXY = np.array([172, 60, 274, 172])


@pytest.fixture(scope="module")
def photo():
    return read_image(demo_photo_path())


@pytest.fixture(scope="module")
def croppers():
    if not hasattr(cv2, "CascadeClassifier"):
        pytest.skip("this OpenCV has no Haar cascades")
    try:
        return {"haar": HaarCropper(), "mtcnn": MtcnnCropper()}
    except MissingExtraError as error:
        pytest.skip(str(error))


def overlap(a, b) -> float:
    """Intersection over union of two boxes."""
    left_top, right_bottom = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.maximum(right_bottom - left_top, 0))
    areas = [np.prod(box[2:] - box[:2]) for box in (a, b)]
    return float(shared / (sum(areas) - shared))


@pytest.mark.parametrize("name", ["haar", "mtcnn"])
@pytest.mark.parametrize("colour", ["bgr", "gray", "gray with an axis"])
def test_the_face_of_the_demo_photo(croppers, photo, name, colour):
    gray = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY)
    image = {"bgr": photo, "gray": gray, "gray with an axis": gray[..., np.newaxis]}[colour]
    cropper = croppers[name]
    found = cropper(image)
    assert cropper.name == name
    assert overlap(found.box_xyxy, FACE_XYXY) > 0.7
    assert found.n_faces == 1
    np.testing.assert_array_equal(found.pixels, crop_square(image, found.box_xyxy, cropper.margin))
    assert found.pixels.shape[0] == found.pixels.shape[1]
    assert found.pixels.shape[2:] == image.shape[2:]


def test_mtcnn_cuts_as_the_pipeline_does(croppers, photo, pipelines):
    pipeline = pipelines(None)
    assert croppers["mtcnn"].margin == pipeline.classifier.crop_margin
    (face,) = pipeline.detector(photo)
    np.testing.assert_array_equal(croppers["mtcnn"](photo).box_xyxy, face.box_xyxy)


def test_the_box_of_the_before_after_picture_is_where_the_face_is(croppers, photo):
    assert overlap(croppers["mtcnn"](photo).box_xyxy, np.array(DEMO_FACE_XYXY)) > 0.95


@pytest.mark.parametrize("name", ["haar", "mtcnn"])
def test_a_small_picture_is_enlarged_to_look_at_and_cut_as_it_is(croppers, photo, name):
    small = cv2.resize(photo[20:230, 120:330], (60, 60), interpolation=cv2.INTER_AREA)
    found = croppers[name](small)
    expected = (FACE_XYXY - [120, 20, 120, 20]) * 60 / 210
    assert overlap(found.box_xyxy, expected) > 0.6
    assert found.pixels.shape[0] == round(max(found.box_xyxy[2:] - found.box_xyxy[:2]) * (1 + croppers[name].margin))


@pytest.mark.parametrize("name", ["haar", "mtcnn"])
@pytest.mark.parametrize("side", [48, 300])
def test_no_face(croppers, name, side):
    gradient = np.linspace(0, 255, side, dtype=np.uint8)[:, np.newaxis].repeat(side, axis=1)
    assert croppers[name](gradient) is None


class TwoFaces(FaceCropper):
    """Finds a small and a large face in what it is shown."""

    name, margin = "two", 0.5

    def _find(self, image, min_face_px):
        self.shown, self.min_face_px = image.shape, min_face_px
        return np.array([[0, 0, 40, 40], [64, 64, 128, 96]], np.float32)


def test_the_largest_face_is_taken_and_the_others_counted():
    cropper = TwoFaces()
    image = np.arange(96 * 128, dtype=np.uint8).reshape(96, 128)
    found = cropper(image)
    assert cropper.shown == (192, 256)  # twice as large
    assert cropper.min_face_px == pytest.approx(192 / 5)
    assert found.box_xyxy.tolist() == [32, 32, 64, 48]
    assert found.n_faces == 2
    assert found.pixels.shape == (48, 48)
    np.testing.assert_array_equal(found.pixels, image[16:64, 24:72])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        pytest.param(np.zeros((48, 48), np.float32), "expected a numpy array of uint8, found float32", id="float"),
        pytest.param(np.zeros((0, 48), np.uint8), "not empty", id="empty"),
        pytest.param(np.zeros((2, 48), np.uint8), "sides that differ by at most 16 times, found 48 x 2", id="sliver"),
    ],
)
def test_what_is_no_picture(image, message):
    with pytest.raises(InputError, match=message):
        TwoFaces()(image)


def test_opencv_without_cascades_says_what_to_do(monkeypatch):
    monkeypatch.setattr(crop_module, "import_cv2", lambda: types.SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(MissingExtraError) as caught:
        make_cropper("haar")
    assert str(caught.value) == (
        "Haar crops need the cascades that OpenCV 5 dropped, found OpenCV 5.0.0; "
        'pip install "opencv-python-headless>=4.12,<5", or crop with mtcnn'
    )


def test_a_missing_cascade_file(monkeypatch, tmp_path):
    without = types.SimpleNamespace(
        __version__="4.12.0",
        CascadeClassifier=cv2.CascadeClassifier,
        data=types.SimpleNamespace(haarcascades=str(tmp_path)),
    )
    monkeypatch.setattr(crop_module, "import_cv2", lambda: without)
    with pytest.raises(MissingExtraError, match=r"haarcascade_frontalface_default.xml, which is missing or damaged"):
        make_cropper("haar")


def test_the_names_of_croppers(croppers):
    assert make_cropper("none") is None
    assert isinstance(make_cropper("haar"), HaarCropper)
    assert isinstance(make_cropper("mtcnn"), MtcnnCropper)
    with pytest.raises(UsageError, match="crop: expected one of none, haar, mtcnn, found 'yunet'"):
        make_cropper("yunet")
    assert "cv2" in sys.modules
