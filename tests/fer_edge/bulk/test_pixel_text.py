"""Numbers in text to pixels, compared with Python's own reading of each number."""

from __future__ import annotations

import numpy as np
import pytest

from fer_edge.bulk.pixel_text import parse_pixels, parse_pixels_of_many
from fer_edge.errors import InputError


def text_of(pixels):
    return " ".join(str(value) for value in pixels.ravel()).encode()


@pytest.fixture
def faces():
    # Every value from 0 to 255 is among 2,304 of these.
    values = np.random.default_rng(7).permutation(np.arange(5 * 48 * 48) % 256).astype(np.uint8)
    return values.reshape(5, 48, 48)


def test_many_faces(faces):
    found = parse_pixels_of_many([text_of(face) for face in faces])
    assert [face.dtype for face in found] == [np.uint8] * 5
    assert np.array_equal(found, faces)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"7", [[7]], id="one value"),
        pytest.param(b"0 10 200 255", [[0, 10], [200, 255]], id="one to three digits"),
        pytest.param(b"  1 2\t3   4 ", [[1, 2], [3, 4]], id="other gaps"),
        pytest.param(b"1 02 003 00004", [[1, 2], [3, 4]], id="zeros before"),
    ],
)
def test_one_face(text, expected):
    assert parse_pixels(text).tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"", r"^pixels: expected as many values as a square of .* has, found 0$", id="empty"),
        pytest.param(b"1 2 3", "found 3$", id="no square"),
        pytest.param(b"1 2 3 4 5", "found 5$", id="one too many"),
        pytest.param(b"1 2  4", "found 3$", id="a gap where a value belongs"),
        pytest.param(b"1 2 3 256", "^pixels: value 4 is '256', expected a whole number from 0 to 255$", id="256"),
        pytest.param(b"1 2 3 4.5", "value 4 is '4.5'", id="fraction"),
        pytest.param(b"1 -2 3 4", "value 2 is '-2'", id="negative"),
        pytest.param(b"1 2 3x 4", "value 3 is '3x'", id="letter"),
        pytest.param(b"1 2 #3 4", "value 3 is '#3'", id="what a PGM takes for a comment"),
        pytest.param(b"1 2 3 4294967301", "value 4 is '4294967301'", id="5 in 32 bits"),
        pytest.param(b"1 2 3 " + b"9" * 5000, f"value 4 is '{'9' * 20}'", id="thousands of digits"),
        pytest.param("1 2 3 \u0664".encode(), "value 4 is '\u0664'", id="digit of another script"),
        pytest.param(b"1 2 3 \xff", "value 4 is '\ufffd'", id="no UTF-8"),
    ],
)
def test_a_text_that_is_no_face(text, message):
    with pytest.raises(InputError, match=message):
        parse_pixels(text)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"1 2 3", id="shorter"),
        pytest.param(b"1 2 3 4 5 6 7 8 9", id="larger"),
        # Its gaps are those of four values; without the check of the count the next face would lend it one.
        pytest.param(b"1 2  4", id="shorter, as many gaps"),
        pytest.param(b"1 2 3 300", id="out of range"),
    ],
)
def test_a_bad_face_harms_no_other(bad):
    first, other, last = parse_pixels_of_many([b"1 2 3 4", bad, b"5 6 7 8"])
    assert first.tolist() == [[1, 2], [3, 4]]
    assert last.tolist() == [[5, 6], [7, 8]]
    if bad.endswith(b"9"):
        assert other.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    else:
        assert isinstance(other, InputError)
