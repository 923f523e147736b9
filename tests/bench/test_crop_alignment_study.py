"""The study of crop rules: where its crops lie, and which pixels they hold."""

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from train.photo_support import level, rectangles, write_photos

from fer_edge.preprocess import crop_square, face_pixels
from fer_edge.results import Detection
from fer_edge_train.labelled_photos import read_labelled_photos

STUDY = Path(__file__).resolve().parents[2] / "benchmarks" / "studies" / "crop_alignment.py"
# Left eye, right eye, nose, left and right mouth corner, in shares of a crop.
TEMPLATE_XY = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("crop_alignment", STUDY)
    module = importlib.util.module_from_spec(spec)
    sys.modules["crop_alignment"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["crop_alignment"]


def found(box=(10, 20, 50, 80), landmarks=TEMPLATE_XY * 48):
    return Detection(
        box_xyxy=np.array(box, np.float32), detection_score=0.9, landmarks_xy=np.asarray(landmarks, np.float32)
    )


def with_eyes(left, right):
    landmarks = TEMPLATE_XY * 48
    landmarks[:2] = left, right
    return found(landmarks=landmarks)


def corners(patch):
    """Upper left, upper right and lower left corner."""
    upper_left = patch.center - (patch.right + patch.down) / 2
    return [upper_left, upper_left + patch.right, upper_left + patch.down]


def noise(height=120, width=160, seed=5):
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@pytest.mark.parametrize(
    ("rule", "margin", "expected"),
    [
        # The box is 40 wide and 60 high around 30 + 50i.
        pytest.param("box_patch", 0.0, [10 + 20j, 50 + 20j, 10 + 80j], id="box"),
        pytest.param("box_patch", 0.5, [0 + 5j, 60 + 5j, 0 + 95j], id="wider box"),
        pytest.param("square_patch", 0.0, [0 + 20j, 60 + 20j, 0 + 80j], id="square"),
        pytest.param("square_patch", -0.1, [3 + 23j, 57 + 23j, 3 + 77j], id="smaller square"),
    ],
)
def test_boxes_by_hand(study, rule, margin, expected):
    assert corners(getattr(study, rule)(found(), margin)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("left", "right", "direction", "tilt_deg"),
    [
        pytest.param((10, 10), (30, 10), 1, 0.0, id="level"),
        pytest.param((10, 10), (13, 14), 0.6 + 0.8j, 53.1301, id="3, 4, 5"),
        pytest.param((10, 10), (10, 5), -1j, -90.0, id="a quarter against the clock"),
        pytest.param((10, 10), (10, 10), 1, 0.0, id="in one place"),
    ],
)
def test_tilt_by_hand(study, left, right, direction, tilt_deg):
    face = with_eyes(left, right)
    assert study.eye_direction(face) == pytest.approx(direction)
    assert study.tilt_deg(face) == pytest.approx(tilt_deg)


@pytest.mark.parametrize(
    ("left", "right", "nose", "expected"),
    [
        pytest.param((10, 10), (30, 10), (20, 25), 0.0, id="facing"),
        pytest.param((10, 10), (30, 10), (12, 25), 0.4, id="to the left"),
        pytest.param((10, 10), (30, 10), (28, 25), 0.4, id="to the right"),
        # Eyes 5 apart along 0.6 + 0.8i; from their middle 11.5 + 12i the nose is 4 along it and 3 across.
        pytest.param((10, 10), (13, 14), (11.5 + 0.6 * 4 - 0.8 * 3, 12 + 0.8 * 4 + 0.6 * 3), 0.8, id="tilted"),
        pytest.param((10, 10), (10, 10), (12, 25), np.inf, id="eyes in one place"),
    ],
)
def test_nose_aside_by_hand(study, left, right, nose, expected):
    face = with_eyes(left, right)
    face.landmarks_xy[2] = nose
    assert study.nose_aside(face) == pytest.approx(expected, abs=1e-6)


def test_turned_square_by_hand(study):
    # Side 60 around 30 + 50i; its right is 36 + 48i, its down -48 + 36i.
    patch = study.turned_patch(with_eyes((10, 10), (13, 14)), 0.0)
    assert corners(patch) == pytest.approx([36 + 8j, 72 + 56j, -12 + 44j])


@pytest.mark.parametrize("turn", [True, False])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_landmarks_that_are_the_template_give_its_square(study, turn, scale):
    # The template at 20 px a side from (100, 200).
    face = found(landmarks=TEMPLATE_XY * 20 + (100, 200))
    patch = study.landmark_patch(face, template_xy=TEMPLATE_XY, scale=scale, turn=turn)
    assert patch.center == pytest.approx(110 + 210j)
    assert patch.right == pytest.approx(20 * scale)
    assert patch.down == pytest.approx(20j * scale)


def test_a_turned_template_is_turned_back_or_stays_upright(study):
    # x' = 50 - 30 y, y' = 70 + 30 x: a quarter turn at 30 px a side.
    face = found(landmarks=np.stack([50 - 30 * TEMPLATE_XY[:, 1], 70 + 30 * TEMPLATE_XY[:, 0]], axis=1))
    turned = study.landmark_patch(face, template_xy=TEMPLATE_XY, scale=1.0, turn=True)
    assert corners(turned) == pytest.approx([50 + 70j, 50 + 100j, 20 + 70j], abs=1e-4)
    # A sixth of a turn, by least squares without turning: the factor is 30 times its cosine, one half.
    factor = np.exp(1j * np.pi / 3) * 30
    points = (TEMPLATE_XY[:, 0] + 1j * TEMPLATE_XY[:, 1]) * factor
    face = found(landmarks=np.stack([points.real, points.imag], axis=1))
    upright = study.landmark_patch(face, template_xy=TEMPLATE_XY, scale=1.0, turn=False)
    assert upright.right == pytest.approx(15, abs=1e-4)
    assert upright.down == pytest.approx(15j, abs=1e-4)


def test_landmarks_are_put_on_the_template_by_least_squares(study):
    landmarks = np.random.default_rng(7).uniform(20, 90, (5, 2))
    patch = study.landmark_patch(found(landmarks=landmarks), template_xy=TEMPLATE_XY, scale=1.0, turn=True)
    # x' = a x - b y + c and y' = b x + a y + d, solved as ten linear equations.
    x, y = TEMPLATE_XY.astype(np.float64).T
    zeros, ones = np.zeros(5), np.ones(5)
    rows = np.concatenate([np.stack([x, -y, ones, zeros], axis=1), np.stack([y, x, zeros, ones], axis=1)])
    a, b, c, d = np.linalg.lstsq(rows, landmarks.T.ravel(), rcond=None)[0]
    assert corners(patch) == pytest.approx([complex(c, d), complex(c + a, d + b), complex(c - b, d + a)], abs=1e-4)


def test_eyes_by_hand(study):
    # Eyes 20 apart where the template has 0.4 of a side: 50 px. Their middle, 60 + 30i, is at 0.5 and 0.4 of it.
    patch = study.eyes_patch(with_eyes((50, 30), (70, 30)), template_xy=TEMPLATE_XY, scale=1.0)
    assert corners(patch) == pytest.approx([35 + 10j, 85 + 10j, 35 + 60j])
    tilted = study.eyes_patch(with_eyes((54, 22), (66, 38)), template_xy=TEMPLATE_XY, scale=1.0)
    assert corners(tilted) == pytest.approx(corners(patch))


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param((40 + 30j, 48, 48j), lambda image: image[6:54, 16:64], id="pixels as they are"),
        pytest.param((40 + 30j, 48j, -48), lambda image: np.rot90(image[6:54, 16:64]), id="a quarter turn"),
        pytest.param((40 + 30j, -48, -48j), lambda image: image[6:54, 16:64][::-1, ::-1], id="upside down"),
        pytest.param(
            (60 + 60j, 96, 96j), lambda image: face_pixels(image[12:108, 12:108], (48, 48), 1)[..., 0], id="halved"
        ),
        pytest.param(
            (0 + 0j, 48, 48j), lambda image: np.pad(image[:24, :24], ((24, 0), (24, 0)), mode="edge"), id="border"
        ),
        pytest.param((-500 - 500j, 48, 48j), lambda image: np.full((48, 48), image[0, 0]), id="outside"),
    ],
)
def test_pixels_by_hand(study, patch, expected):
    image = noise()
    center, right, down = patch
    cut = study.sample(image, study.Patch(center=center, right=right, down=down), 48)
    assert cut.dtype == np.uint8
    assert np.array_equal(cut, expected(image))


def test_half_a_pixel_is_the_rounded_mean(study):
    image = np.array([[0, 1, 255]], np.uint8).repeat(3, axis=0)
    cut = study.sample(image, study.Patch(center=1.5 + 1.5j, right=2, down=2j), 2)
    # Means of 0 and 1, and of 1 and 255; halves go up.
    assert cut.tolist() == [[1, 128]] * 2


def test_turned_pixels_are_those_of_opencv(study):
    smooth = cv2.GaussianBlur(noise(), (0, 0), 3)
    patch = study.Patch(center=80.3 + 61.7j, right=45 * np.exp(0.4j), down=45j * np.exp(0.4j))
    # OpenCV's positions are of the middles of pixels.
    wanted = np.array([[-0.5, -0.5], [47.5, -0.5], [-0.5, 47.5]], np.float32)
    points = np.array([[point.real - 0.5, point.imag - 0.5] for point in corners(patch)], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    reference = cv2.warpAffine(smooth, cv2.getAffineTransform(wanted, points), (48, 48), flags=flags)
    difference = np.abs(study.sample(smooth, patch, 48).astype(int) - reference)
    assert difference.max() <= 1


@pytest.mark.parametrize("size_wh", [(31, 44), (60, 61), (90, 70)], ids=["enlarged", "a little smaller", "smaller"])
def test_the_control_is_nearly_the_shipped_crop(study, size_wh):
    smooth = cv2.GaussianBlur(noise(), (0, 0), 3)
    width, height = size_wh
    face = found(box=(20, 15, 20 + width, 15 + height))
    shipped = face_pixels(crop_square(smooth, face.box_xyxy, 0.0), (48, 48), 1)[..., 0].astype(int)
    # The shipped crop begins on a whole pixel, so it may lie half a pixel aside: less than this picture's slopes.
    difference = np.abs(study.sample(smooth, study.square_patch(face, 0.0), 48) - shipped)
    assert difference.mean() < np.abs(np.diff(smooth.astype(int), axis=1)).mean()


def test_margins_of_heads_that_turn_away(study, capsys):
    # Boxes of 60 px. The template's landmarks at 72 px a side; then eyes at half their distance, the nose below one.
    facing, turned = (found(landmarks=TEMPLATE_XY * 72) for _ in range(2))
    turned.landmarks_xy[1, 0] = turned.landmarks_xy[0, 0] + 0.2 * 72
    turned.landmarks_xy[2, 0] = turned.landmarks_xy[1, 0]
    study.print_margins([facing, turned], TEMPLATE_XY)
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in capsys.readouterr().out.splitlines()]
    eyes = next(row for row in rows if row[:1] == ["eyes"])
    assert eyes == ["eyes", "-0.10", "-0.25 to +0.05", "+0.20", "-0.40"]


def test_each_rule_is_tried_at_its_own_size(study):
    rules = study.photo_rules(TEMPLATE_XY)
    face = found()
    assert len(rules) == 30
    assert rules["square, -0.2"](face).right == pytest.approx(48)
    assert rules["square, +0.1"](face).right == pytest.approx(66)
    # The landmarks of `found` are the template's at 48 px a side.
    for name in ("landmarks", "landmarks, upright", "eyes"):
        assert abs(rules[f"{name}, x 0.8"](face).right) == pytest.approx(38.4, abs=1e-4)
        assert abs(rules[f"{name}, x 1.2"](face).right) == pytest.approx(57.6, abs=1e-4)


def test_faces_are_found_in_crops_in_their_own_pixels(study):
    class Detector:
        def __call__(self, frame):
            assert frame.shape == (192, 192, 3)
            return [found(box=(40, 80, 120, 160), landmarks=TEMPLATE_XY * 192)] if frame.any() else []

    images = np.zeros((2, 48, 48, 1), np.uint8)
    images[1] = 9
    none, face = study.faces_in_crops(images, Detector())
    assert none is None
    assert face.box_xyxy.tolist() == [10, 20, 30, 40]
    assert face.landmarks_xy == pytest.approx(TEMPLATE_XY * 48)


def test_only_labelled_faces_that_are_found_are_compared(study, tmp_path):
    first, second, third = (10, 10, 50, 50), (60, 10, 100, 50), (120, 20, 180, 80)
    folder = write_photos(
        tmp_path, {"a.png": ([(first, 0), (third, 3)], [(third, level(3)), (second, level(2))]), "b.png": ([], [])}
    )
    (face,) = study.find_faces(read_labelled_photos(folder), rectangles, -0.1)
    assert face.label_index == 3
    assert face.detection.box_xyxy.tolist() == list(third)
    assert face.frame_gray.shape == (120, 200)
    # 60 px less a tenth.
    assert face.shipped.shape == (54, 54, 3)
    assert np.all(face.shipped == level(3))


def test_a_row_is_the_difference_on_the_same_faces(study, capsys):
    labels, right = np.array([0, 0, 0, 6]), np.array([True, True, False, False])
    study.print_row("rule", right, labels, np.array([True, False, False, True]))
    study.print_row("first", right, labels, None)
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in capsys.readouterr().out.splitlines()]
    # Two of three and none of one.
    for name, share, mean, *_ in rows:
        assert (name in ("rule", "first"), share.startswith("50.0 ("), mean) == (True, True, "33.3")
    assert rows[0][3].startswith("+0.0 (-")
    assert rows[0][4:] == ["1 : 1", "1"]
    assert rows[1][3:] == ["", "", ""]
