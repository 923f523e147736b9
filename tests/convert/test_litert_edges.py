from __future__ import annotations

import numpy as np
import pytest
from convert.support import calibration_images, run_litert

from fer_edge.engines import EngineOptions, load_engine
from fer_edge.errors import InputError
from fer_edge_convert.litert import compact_litert
from fer_edge_convert.litert_edges import with_uint8_edges

pytestmark = pytest.mark.host

IMAGES = calibration_images(20, seed=5)


@pytest.fixture(scope="module")
def edged(litert) -> bytes:
    return compact_litert(with_uint8_edges(litert.files["int8"]))


def test_the_edges_are_uint8_of_the_same_reals(edged, litert):
    ours, theirs = (load_engine("litert").load(data, EngineOptions()) for data in (edged, litert.files["int8"]))
    for found, known in zip((*ours.inputs, *ours.outputs), (*theirs.inputs, *theirs.outputs), strict=True):
        assert (found.dtype, known.dtype) == ("uint8", "int8")
        assert found.scale == known.scale
        assert found.zero_point == known.zero_point + 128
        assert found.shape == known.shape
        assert found.name == known.name


def test_it_computes_the_same(edged, litert):
    answers = run_litert(edged, IMAGES)
    expected = run_litert(litert.files["int8"], (IMAGES.astype(int) - 128).astype(np.int8))
    assert answers.dtype == np.uint8
    np.testing.assert_array_equal(answers.astype(int) - 128, expected)
    assert len(np.unique(answers)) > 20


def test_the_file_grows_by_little(edged, litert):
    assert len(edged) < len(litert.files["int8"]) + 1000


@pytest.mark.parametrize("precision", ["float32", "dynamic-int8", "int16"])
def test_other_edges_are_refused(litert, precision):
    with pytest.raises(InputError, match=r"expected an input and outputs in int8, found .* in another type"):
        with_uint8_edges(litert.files[precision])
