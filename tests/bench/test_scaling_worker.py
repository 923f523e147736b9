"""The clock around OpenCV sees every call, and goes away again."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fer_edge._cv2 import import_cv2
from fer_edge.preprocess import halve
from fer_edge_bench.scaling.worker import _Clock, _clock_us, _clocked, _clocked_opencv


def test_every_call_is_seen() -> None:
    cv2 = import_cv2()
    before = {name: getattr(cv2, name) for name in ("resize", "cvtColor", "remap", "warpAffine", "copyMakeBorder")}
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    expected = halve(image)
    with _clocked_opencv() as clock:
        assert all(getattr(cv2, name) is not function for name, function in before.items())
        assert np.array_equal(halve(image), expected)
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    assert clock.calls == 2
    assert clock.seconds > 0
    assert all(getattr(cv2, name) is function for name, function in before.items())


def test_it_goes_away_where_a_call_fails() -> None:
    cv2 = import_cv2()
    resize = cv2.resize
    with pytest.raises(cv2.error), _clocked_opencv():
        cv2.resize(np.empty((0, 0), np.uint8), (2, 2))
    assert cv2.resize is resize


def test_the_clock_counts_the_call_alone() -> None:
    clock = _Clock()
    assert _clocked(lambda value, *, more: value + more, clock)(1, more=2) == 3
    assert clock.calls == 1
    _clocked(time.sleep, clock)(0.02)
    assert 0.02 <= clock.seconds < 2
    assert 0 <= _clock_us() < 1000
