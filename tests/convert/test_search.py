"""The search on trials whose outcome is known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fer_edge_convert.layers import Layer
from fer_edge_convert.recipe import VariantRecipe
from fer_edge_convert.search import Point, pareto_front, search
from fer_edge_convert.trials import Trial, layer_sensitivities

LAYERS = tuple(Layer(index=i, kind="conv", weights_shape=(8, 3, 3, 8), name=f"l{i}", output=f"l{i}") for i in range(8))
# What each layer's quantization adds to the divergence, and each method on top.
COSTS = dict(zip((layer.label for layer in LAYERS), (0.1, 0.0, 0.4, 0.0, 0.0, 0.0, -0.05, 0.02), strict=True))
METHODS = {"min-max": 0.5, "percentile": 0.3, "mse": 0.2, "entropy": 0.9}


class KnownTrials:
    """Divergences add up; a point of top-1 is lost for each tenth of them."""

    def __init__(self, correction: float = 0.0) -> None:
        self.tried: list[VariantRecipe] = []
        self.correction = correction  # what correcting biases adds to the divergence

    def quantizer(self, engine: str) -> SimpleNamespace:
        return SimpleNamespace(layers=LAYERS)

    def run(self, engine: str, precision: str, recipe: VariantRecipe) -> Trial:
        self.tried.append(recipe)
        left = sum(cost for label, cost in COSTS.items() if label not in recipe.float_layers)
        divergence = METHODS[recipe.method] + left + self.correction * recipe.bias_correction
        return Trial(
            divergence=divergence,
            agreement=1 - divergence / 10,
            drop_points=10 * divergence,
            n_bytes=1000 + 100 * len(recipe.float_layers),
        )


def test_layers_are_ranked_by_what_they_cost():
    found = layer_sensitivities(KnownTrials(), "onnx", "int8", VariantRecipe(method="mse"))
    assert [item.layer.index for item in found[:3]] == [2, 0, 7]
    assert [item.gain for item in found[:3]] == pytest.approx([0.4, 0.1, 0.02])
    assert found[-1].layer.index == 6
    assert found[-1].gain == pytest.approx(-0.05)


@pytest.mark.parametrize(
    ("max_drop_points", "float_layers"),
    [
        pytest.param(7.0, (), id="int8 alone is good enough"),
        pytest.param(3.0, ("02 conv 8x3x3x8",), id="one layer in float32"),
        pytest.param(2.0, ("00 conv 8x3x3x8", "02 conv 8x3x3x8"), id="two"),
        pytest.param(0.1, ("00 conv 8x3x3x8", "02 conv 8x3x3x8", "07 conv 8x3x3x8"), id="nothing is: the nearest"),
    ],
)
def test_the_fewest_layers_that_keep_within_the_drop(max_drop_points, float_layers):
    trials = KnownTrials()
    found = search(trials, "onnx", "int8", max_drop_points=max_drop_points)
    assert found.chosen.recipe == VariantRecipe(method="mse", float_layers=float_layers)
    # Five would need layers that win nothing.
    assert [len(point.recipe.float_layers) for point in found.points] == [0, 0, 0, 0, 0, 1, 2, 3]
    assert found.to_json()["chosen"]["bytes"] == 1000 + 100 * len(float_layers)
    assert len(found.to_json()["sensitivities"]) == 8


@pytest.mark.parametrize(
    ("max_bytes", "n_float_layers"),
    [
        pytest.param(1200, 2, id="room for all that is needed"),
        pytest.param(1199, 1, id="room for one layer: the nearest to the network"),
        pytest.param(999, 0, id="too little for any: the smallest"),
    ],
)
def test_no_more_layers_in_float32_than_there_is_room_for(max_bytes, n_float_layers):
    found = search(KnownTrials(), "onnx", "int8", max_drop_points=2.0, max_bytes=max_bytes)
    assert len(found.chosen.recipe.float_layers) == n_float_layers


@pytest.mark.parametrize(
    ("correction", "expected"), [pytest.param(-0.05, True, id="it helps"), pytest.param(0.05, False, id="it hurts")]
)
def test_biases_are_corrected_where_that_helps(correction, expected):
    trials = KnownTrials(correction)
    found = search(trials, "onnx", "int8", max_drop_points=3.0)
    assert found.chosen.recipe == VariantRecipe(
        method="mse", float_layers=("02 conv 8x3x3x8",), bias_correction=expected
    )
    # Once to see, then with each group of layers in float32; never for a layer's sensitivity.
    assert [recipe.bias_correction for recipe in trials.tried].count(True) == (4 if expected else 1)
    assert [item.gain for item in found.sensitivities[:2]] == pytest.approx([0.4, 0.1])


def test_the_front_keeps_what_nothing_beats():
    def point(n_bytes: int, divergence: float) -> Point:
        trial = Trial(divergence=divergence, agreement=1.0, drop_points=0.0, n_bytes=n_bytes)
        return Point(recipe=VariantRecipe(), trial=trial)

    points = [point(10, 0.5), point(10, 0.4), point(12, 0.4), point(20, 0.1), point(30, 0.2), point(5, 0.9)]
    assert [(p.trial.n_bytes, p.trial.divergence) for p in pareto_front(points)] == [(5, 0.9), (10, 0.4), (20, 0.1)]
