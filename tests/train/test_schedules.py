from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.host


@pytest.fixture
def one_cycle(keras):
    from fer_edge_train.schedules import OneCycle

    return OneCycle


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        pytest.param(0, 0.05, id="half the warm-up of two steps"),
        pytest.param(1, 0.1, id="peak"),
        pytest.param(5, 0.05, id="half way down"),
        pytest.param(8, 0.1 * 0.5 * (1 - 0.9238795325), id="one step before the end"),  # cos(7/8 pi)
        pytest.param(9, 0.0, id="end"),
    ],
)
def test_rates_by_hand(one_cycle, step, rate):
    assert float(one_cycle(peak_rate=0.1, n_steps=10)(step)) == pytest.approx(rate, abs=1e-7)


def test_rises_then_falls(one_cycle):
    rates = [float(one_cycle(0.3, 50, warmup_fraction=0.3)(step)) for step in range(50)]
    assert rates.index(max(rates)) == 14
    assert max(rates) == pytest.approx(0.3)
    assert rates[:15] == sorted(rates[:15])
    assert rates[14:] == sorted(rates[14:], reverse=True)


def test_survives_serialisation(keras, one_cycle):
    before = one_cycle(peak_rate=0.25, n_steps=40, warmup_fraction=0.1)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(before)))
    after = keras.saving.deserialize_keras_object(config)
    assert isinstance(after, one_cycle)
    assert after.get_config() == before.get_config()
    assert [float(after(step)) for step in range(40)] == [float(before(step)) for step in range(40)]
