from __future__ import annotations

import pytest

from fer_edge_train.schedules import NEED_HELD_OUT, SCHEDULES, rate_factor


@pytest.mark.parametrize(
    ("schedule", "step", "n_steps", "factor"),
    [
        # The middle of each step; the rise is a fifth of one-cycle and a fiftieth of cosine, then half a cosine.
        pytest.param("one-cycle", 0, 10, 0.25, id="an eighth of the way up: 0.05 of 0.2"),
        pytest.param("one-cycle", 1, 10, 0.75, id="0.15 of 0.2"),
        pytest.param("one-cycle", 5, 10, 0.5975451610, id="0.35 of 0.8 down: (1 + cos(0.4375 pi)) / 2"),
        pytest.param("one-cycle", 9, 10, 0.0096073598, id="the last step still moves"),
        pytest.param("one-cycle", 0, 1, 0.6913417162, id="a single step moves: 0.3 of 0.8 down"),
        pytest.param("cosine", 0, 100, 0.25, id="0.005 of 0.02"),
        pytest.param("cosine", 50, 100, 0.5080139238, id="0.485 of 0.98 down"),
        pytest.param("cosine", 99, 100, 0.0000642263, id="nearly nothing at the end"),
    ],
)
def test_factors_by_hand(schedule, step, n_steps, factor):
    assert rate_factor(schedule, step, n_steps, []) == pytest.approx(factor, abs=1e-9)


@pytest.mark.parametrize("name", ["one-cycle", "cosine"])
def test_rises_then_falls(name):
    factors = [rate_factor(name, step, 50, []) for step in range(50)]
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def curve(*losses: float) -> list[dict[str, float]]:
    return [{"val_loss": loss} for loss in losses]


@pytest.mark.parametrize(
    ("losses", "factor"),
    [
        pytest.param([], 1.0, id="nothing yet"),
        pytest.param([2.0] * 10, 1.0, id="nine epochs without a fall"),
        pytest.param([2.0] * 11, 0.3, id="ten"),
        pytest.param([2.0] * 20, 0.3, id="the count starts anew"),
        pytest.param([2.0] * 21, 0.09, id="ten more"),
        pytest.param([2.0] * 10 + [1.9] + [2.0] * 9, 1.0, id="a fall starts the count anew"),
    ],
)
def test_plateau_by_hand(losses, factor):
    assert rate_factor("plateau", 0, 1, curve(*losses)) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("losses", "factor"),
    [
        pytest.param([2.0] * 4, 1.0, id="no look yet"),
        pytest.param([3, 3, 3, 3, 2.0, 9, 9, 9, 9, 1.9], 1.0, id="fell between the looks, whatever lies between"),
        pytest.param([3, 3, 3, 3, 2.0, 1, 1, 1, 1, 2.1], 0.05, id="rose"),
        pytest.param([9, 9, 9, 9, 1, 9, 9, 9, 9, 2, 9, 9, 9, 9, 3], 0.0025, id="rose twice"),
        pytest.param([9, 9, 9, 9, 1, 9, 9, 9, 9, 2, 9, 9, 9, 9, 2], 0.05, id="rose, then stayed"),
    ],
)
def test_attenuation_by_hand(losses, factor):
    assert rate_factor("attenuation", 0, 1, curve(*losses)) == pytest.approx(factor)


@pytest.mark.parametrize("name", SCHEDULES)
def test_those_that_look_at_held_out_images_are_listed(name):
    rows = [{"train_loss": 1.0}] * 12
    if name in NEED_HELD_OUT:
        with pytest.raises(KeyError):
            rate_factor(name, 0, 10, rows)
    else:
        assert 0.0 <= rate_factor(name, 0, 10, rows) <= 1.0
