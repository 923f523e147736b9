from __future__ import annotations

import io

import pytest

pytestmark = pytest.mark.host

FIGURES = {"train_loss": 1.23456, "train_top1": 0.5, "val_top1": 0.4567, "seconds": 12.4}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def make_progress(keras):
    pytest.importorskip("rich", reason="rich is not installed")
    from fer_edge_train.progress import make_progress

    return make_progress


def run(progress, epochs_done: int) -> None:
    with progress:
        progress.start(3, 2, epochs_done)
        for epoch in range(epochs_done, 3):
            for step in (1, 2):
                progress.step(epoch, step)
            progress.epoch(epoch, FIGURES)


@pytest.mark.parametrize(
    ("epochs_done", "lines"),
    [
        (
            0,
            [
                "3 epochs of 2 steps",
                "epoch 1/3: loss 1.2346, train 50.00 %, held out 45.67 %, 12 s",
                "epoch 2/3: loss 1.2346, train 50.00 %, held out 45.67 %, 12 s",
                "epoch 3/3: loss 1.2346, train 50.00 %, held out 45.67 %, 12 s",
            ],
        ),
        (
            2,
            [
                "continuing after 2 of 3 epochs of 2 steps",
                "epoch 3/3: loss 1.2346, train 50.00 %, held out 45.67 %, 12 s",
            ],
        ),
    ],
    ids=["new run", "continued run"],
)
def test_a_log_gets_a_line_for_each_epoch(make_progress, epochs_done, lines):
    stream = io.StringIO()
    run(make_progress(stream), epochs_done)
    assert stream.getvalue().splitlines() == lines


def test_without_held_out_images_none_are_mentioned(make_progress):
    stream = io.StringIO()
    with make_progress(stream) as progress:
        progress.start(1, 1, 0)
        progress.epoch(0, {"train_loss": 2.0, "train_top1": 0.25, "seconds": 0.6})
    assert stream.getvalue().splitlines()[-1] == "epoch 1/1: loss 2.0000, train 25.00 %, 1 s"


def test_a_terminal_gets_a_bar(make_progress, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    run(make_progress(stream), 1)
    text = stream.getvalue()
    assert "epoch 3" in text
    assert "6/6" in text
    assert "loss 1.2346, train 50.00 %, held out 45.67 %, 12 s" in text


def test_the_bar_is_closed_when_the_run_fails(make_progress, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = make_progress(stream)
    monkeypatch.setattr(progress, "step", lambda epoch, step: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run(progress, 0)
    assert stream.getvalue().endswith("\x1b[?25h")  # the cursor is shown again
