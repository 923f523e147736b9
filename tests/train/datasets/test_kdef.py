from __future__ import annotations

import numpy as np
import pytest
from train.datasets.support import contents, lenient, options, pixels_of, save, strict

from fer_edge.errors import InputError, UsageError
from fer_edge_train.datasets.kdef import read_kdef

NAMES = {
    "AF01/AF01AFS.JPG": "fear",
    "AF01/AF01ANS.JPG": "angry",
    "AF01/AF01DIS.JPG": "disgust",
    "AM35/AM35HAS.JPG": "happy",
    "AM35/AM35NES.JPG": "neutral",
    "BF01/BF01SAS.JPG": "sad",
    "BF01/BF01SUS.JPG": "surprise",
}


def test_names_say_who_and_what_and_both_sessions_are_one_person(tmp_path):
    for name in NAMES:
        save(tmp_path / name)
    faces = read_kdef(tmp_path, options(), strict())["all"]
    assert contents(faces) == [(label, name) for name, label in NAMES.items()]
    assert faces.subjects.tolist() == ["F01", "F01", "F01", "M35", "M35", "F01", "F01"]
    np.testing.assert_array_equal(faces.images[..., 0], [pixels_of(name.split("/")[1]) for name in NAMES])


@pytest.mark.parametrize(
    ("angles", "expected", "n_left_out"),
    [
        (("S",), ["AF01HAS.JPG"], 4),
        (("HL", "S", "HR"), ["AF01HAHL.JPG", "AF01HAHR.JPG", "AF01HAS.JPG"], 2),
        (
            ("FL", "HL", "S", "HR", "FR"),
            ["AF01HAFL.JPG", "AF01HAFR.JPG", "AF01HAHL.JPG", "AF01HAHR.JPG", "AF01HAS.JPG"],
            0,
        ),
    ],
)
def test_only_the_angles_asked_for_are_read(tmp_path, angles, expected, n_left_out):
    for angle in ("FL", "HL", "S", "HR", "FR"):
        save(tmp_path / f"AF01HA{angle}.JPG")
    skipped = strict()
    faces = read_kdef(tmp_path, options(angles=angles), skipped)["all"]
    assert faces.sources.tolist() == expected
    assert skipped.left_out["pictures from other angles"] == n_left_out


@pytest.mark.parametrize("angles", [(), ("X",), ("S", "L")])
def test_unknown_angles_are_refused(angles):
    with pytest.raises(UsageError) as caught:
        options(angles=angles)
    assert str(caught.value) == f"angles: expected some of FL, HL, S, HR, FR, found {', '.join(angles) or '-'}"


def test_another_name_is_refused_or_counted(tmp_path):
    save(tmp_path / "AF01" / "AF01ANS.JPG")
    path = save(tmp_path / "AF01" / "AF01XXS.JPG")
    message = f"{path}: expected a name like AF01ANS.JPG: session, person, expression, angle"
    with pytest.raises(InputError) as caught:
        read_kdef(tmp_path, options(), strict())
    assert str(caught.value) == message
    skipped = lenient()
    assert len(read_kdef(tmp_path, options(), skipped)["all"]) == 1
    assert skipped.examples == [message]
