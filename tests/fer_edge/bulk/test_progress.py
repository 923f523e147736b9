"""The line on a terminal, and silence elsewhere."""

from __future__ import annotations

import io

import pytest

from fer_edge.bulk import progress as progress_module
from fer_edge.bulk.inputs import Inputs
from fer_edge.bulk.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Half(Inputs):
    """Half of which is read when a test says so."""

    def __init__(self, total):
        self.total = total
        self.share = 0.0

    def __iter__(self):
        return iter(())

    def identity(self):
        return {}

    def share_read(self):
        return self.share


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


def shown(stream):
    return [line.removesuffix("\x1b[K") for line in stream.getvalue().split("\r")[1:]]


@pytest.mark.parametrize(
    ("total", "n_before", "share_before", "share", "line"),
    [
        pytest.param(2_000_000, 0, 0.0, 0.5, "1,000,000 of 2,000,000 (50 %), 250 images/s, 1:06:40 left", id="folder"),
        pytest.param(None, 0, 0.0, 0.25, "1,000,000 (25 %), 250 images/s, 3:20:00 left", id="csv"),
        # The rate and the time are those of this run: 40 of 100 parts took 4,000 s, 20 are left.
        pytest.param(None, 600_000, 0.4, 0.8, "1,000,000 (80 %), 100 images/s, 0:33:20 left", id="resumed"),
        pytest.param(None, 0, 0.0, 0.0, "1,000,000 (0 %), 250 images/s", id="nothing to tell from"),
    ],
)
def test_the_line(clock, total, n_before, share_before, share, line):
    stream, inputs = Terminal(), Half(total)
    inputs.share = share_before
    progress = Progress(stream, inputs, n_before)
    clock[0] += 4000
    inputs.share = share
    progress.show(1_000_000)
    progress.show(1_000_001)  # within half a second
    progress.clear()
    assert shown(stream) == [line, ""]


def test_nothing_where_nobody_watches(clock):
    stream = io.StringIO()
    progress = Progress(stream, Half(10), 0)
    clock[0] += 10
    progress.show(5)
    progress.clear()
    assert stream.getvalue() == ""
