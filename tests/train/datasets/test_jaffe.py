from __future__ import annotations

import numpy as np
import pytest
from train.datasets.support import contents, lenient, options, pixels_of, save, strict

from fer_edge.errors import InputError
from fer_edge_train.datasets.jaffe import read_jaffe

NAMES = {
    "KA.AN1.39.tiff": "angry",
    "KL.DI3.172.tiff": "disgust",
    "KM.FE2.8.tiff": "fear",
    "MK.HA1.116.tiff": "happy",
    "NA.NE3.201.tiff": "neutral",
    "TM.SU2.181.tiff": "surprise",
    "YM.SA1.52.tiff": "sad",
}


def test_names_say_who_and_what(tmp_path):
    for name in NAMES:
        save(tmp_path / name)
    (tmp_path / "README").write_text("x")
    skipped = strict()
    faces = read_jaffe(tmp_path, options(), skipped)["all"]
    assert contents(faces) == [(label, name) for name, label in NAMES.items()]
    assert faces.subjects.tolist() == ["KA", "KL", "KM", "MK", "NA", "TM", "YM"]
    np.testing.assert_array_equal(faces.images[..., 0], [pixels_of(name) for name in NAMES])
    assert skipped.left_out == {"files that are no pictures by their names": 1}


def test_whole_pictures_are_cropped_where_a_cropper_is_given(tmp_path):
    image = pixels_of("a", 256, 256)
    save(tmp_path / "KA.AN1.39.tiff", image)
    faces = read_jaffe(tmp_path, options(crop_face=lambda picture: picture[100:116, 60:76]), strict())["all"]
    np.testing.assert_array_equal(faces.images[0, :, :, 0], image[100:116, 60:76])


@pytest.mark.parametrize("name", ["KA.XX1.39.tiff", "KA1.AN1.39.tiff", "AF01ANS.jpg", "KA.AN.39.tiff"])
def test_another_name_is_refused_or_counted(tmp_path, name):
    save(tmp_path / "YM.SA1.52.tiff")
    path = save(tmp_path / name)
    message = f"{path}: expected a name like KA.AN1.39.tiff, with AN, DI, FE, HA, NE, SA or SU"
    with pytest.raises(InputError) as caught:
        read_jaffe(tmp_path, options(), strict())
    assert str(caught.value) == message
    skipped = lenient()
    assert len(read_jaffe(tmp_path, options(), skipped)["all"]) == 1
    assert skipped.examples == [message]
