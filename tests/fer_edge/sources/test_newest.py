"""The place for the newest frame, against a model that keeps everything."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fer_edge.sources.newest import NewestFrame


def picture(number):
    return np.full((2, 2, 3), number, np.uint8)


def test_nothing_waits_at_first():
    newest = NewestFrame()
    assert newest.take() is None
    assert (newest.n_put, newest.n_dropped, newest.first_s, newest.newest_s) == (0, 0, None, None)


def test_only_the_newest_is_taken_and_the_others_are_counted():
    newest = NewestFrame()
    for number in range(5):
        newest.put(picture(number), 10.0 + number)
    taken = newest.take()
    assert (taken.index, taken.time_s, taken.image_bgr[0, 0, 0]) == (4, 4.0, 4)
    assert newest.take() is None
    assert (newest.n_put, newest.n_dropped, newest.first_s, newest.newest_s) == (5, 4, 10.0, 14.0)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_read_is_never_written_to_and_three_pieces_of_memory_suffice(seed):
    chance = random.Random(seed)
    newest, memory, taken, pieces = NewestFrame(), None, None, set()
    n_put = n_taken = 0
    for _ in range(500):
        if chance.random() < 0.5:
            memory = picture(0) if memory is None else memory
            pieces.add(id(memory))
            memory[...] = n_put % 251
            memory = newest.put(memory, float(n_put))
            n_put += 1
        else:
            fresh = newest.take()
            if fresh is not None:
                assert fresh.index == n_put - 1
                taken, n_taken = fresh, n_taken + 1
        if taken is not None:
            assert (taken.image_bgr == taken.index % 251).all()
    waits = 0 if newest.take() is None else 1
    assert newest.n_put == n_put == newest.n_dropped + n_taken + waits
    assert len(pieces) == 3
