from __future__ import annotations

import numpy as np
import pytest
from convert.support import calibration_images
from train.support import HEADER, csv_row

from fer_edge.errors import InputError, UsageError
from fer_edge_convert.conversion_data import read_conversion_data

SHAPE = (48, 48, 1)
TRAINING, TEST = calibration_images(30, seed=1), calibration_images(20, seed=2)


def write(path, **parts):
    rows = [csv_row(i % 7, image, usage) for usage, images in parts.items() for i, image in enumerate(images)]
    path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return str(path)


def test_training_calibrates_and_public_test_measures(tmp_path):
    spec = write(tmp_path / "fer2013.csv", Training=TRAINING, PublicTest=TEST, PrivateTest=TEST[:7])
    found = read_conversion_data(spec, None, SHAPE)
    np.testing.assert_array_equal(found.pool.images, TRAINING)
    np.testing.assert_array_equal(found.held_out.faces.images, TEST)
    assert (found.held_out.name, found.n_shared) == ("PublicTest", 0)
    assert found.pool_title.endswith(" Training")
    assert found.held_out.title.endswith(" PublicTest")
    content = found.to_json()
    assert content["held_out"]["digest"] == found.held_out.faces.digest()
    assert content["calibration"]["data_file_sha256"] == found.pool_sha256


def test_published_duplicates_and_constant_images_calibrate_nothing(tmp_path):
    constant = np.full((2, 48, 48, 1), 7, np.uint8)
    training = np.concatenate([TRAINING, TEST[3:6], constant])
    spec = write(tmp_path / "fer2013.csv", Training=training, PublicTest=TEST)
    found = read_conversion_data(spec, None, SHAPE)
    np.testing.assert_array_equal(found.pool.images, TRAINING)
    assert found.n_shared == 3
    assert found.to_json()["held_out"]["shared_with_training_and_left_out_there"] == 3


def test_another_set_can_be_measured_on(tmp_path):
    spec = write(tmp_path / "one.csv", Training=TRAINING, PublicTest=TRAINING[:9])
    other = write(tmp_path / "other.csv", Training=TRAINING, PublicTest=TEST)
    found = read_conversion_data(spec, other, SHAPE)
    np.testing.assert_array_equal(found.held_out.faces.images, TEST)
    assert len(found.pool) == 30


def test_sets_that_share_faces_are_refused(tmp_path):
    spec = write(tmp_path / "one.csv", Training=TRAINING, PublicTest=TEST)
    other = write(tmp_path / "other.csv", Training=TEST, PublicTest=np.concatenate([TEST, TRAINING[:4]]))
    with pytest.raises(
        InputError, match=r"one\.csv and .*other\.csv: expected different faces, found 4 images in both"
    ):
        read_conversion_data(spec, other, SHAPE)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        pytest.param(
            {"PublicTest": TEST}, "expected Training or train; calibration needs a training part", id="only a test part"
        ),
        pytest.param(
            {"Training": TRAINING},
            "expected PublicTest or test; measuring needs a test part; name a data set with --measure",
            id="only a training part",
        ),
    ],
)
def test_each_purpose_needs_its_part(tmp_path, parts, message):
    with pytest.raises(UsageError, match=message):
        read_conversion_data(write(tmp_path / "fer2013.csv", **parts), None, SHAPE)


def test_faces_are_squares(tmp_path):
    spec = write(tmp_path / "fer2013.csv", Training=TRAINING, PublicTest=TEST)
    with pytest.raises(InputError, match="expected a network that takes squares, as faces are cut out, found 32 x 48"):
        read_conversion_data(spec, None, (32, 48, 1))
