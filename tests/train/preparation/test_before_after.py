from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_edge_train.preparation.before_after import demo_face, demo_haze, draw_before_after


def test_the_demo_face_is_the_runtimes_crop_of_the_photo():
    face = demo_face(48, 1)
    assert face.shape == (48, 48, 1)
    assert demo_face(64, 3).shape == (64, 64, 3)
    # The eyes are darker than the cheeks below them.
    assert face[14:20, 10:38].mean() < face[24:30, 10:38].mean()


def test_the_hazes_of_the_picture():
    face = np.array([[[0], [200]]], np.uint8)
    hazy = demo_haze(face)
    # 255 x 0.9 = 229.5 of airlight: 0.7 J + 68.85; 0.35 J + 149.175; 0.8 J + 45.9 on the left, 0.3 J + 160.65 right.
    assert hazy[0].ravel().tolist() == [69, 209]
    assert hazy[1].ravel().tolist() == [149, 219]
    assert hazy[2].ravel().tolist() == [46, 221]
    np.testing.assert_array_equal(hazy[3], face)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_shows_what_the_enhancer_did(tmp_path, channels):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    given = []

    def blacken(images):
        given.append(images)
        return np.zeros_like(images)

    draw_before_after(blacken, channels, tmp_path / "p.png")
    (images,) = given
    np.testing.assert_array_equal(images, demo_haze(demo_face(48, channels)))
    picture = cv2.imread(str(tmp_path / "p.png"))
    height, width = picture.shape[:2]
    middle = picture[:, width // 3 + width // 12 : 2 * width // 3 - width // 12]
    black_share = (middle.max(axis=2) < 10).mean()
    assert black_share > 0.7
    assert height > width
