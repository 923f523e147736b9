"""Finds how to quantize a classifier: method of calibration, correction of biases, then layers left in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fer_edge_convert.ranges import METHODS
from fer_edge_convert.recipe import VariantRecipe
from fer_edge_convert.trials import LayerSensitivity, Trial, Trials, layer_sensitivities

__all__ = ["Point", "SearchOutcome", "pareto_front", "search"]

# How many of the most sensitive layers are left in float32 together. More than half of a network in float32 is no
# int8 network any more.
_FLOAT_COUNTS = (1, 2, 3, 5, 8, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A recipe and what it gives."""

    recipe: VariantRecipe
    trial: Trial

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            **self.recipe.to_json(),
            "divergence_nats": float(f"{self.trial.divergence:.4g}"),
            "agreement": round(self.trial.agreement, 6),
            "drop_points": round(self.trial.drop_points, 4),
            "bytes": self.trial.n_bytes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOutcome:
    """What a search for one engine and precision found.

    Attributes:
        engine, precision: of what.
        points: all recipes tried, in order.
        sensitivities: of the layers with the best method, biases as they were, most sensitive first; empty where no
            layer was tried.
        chosen: of the recipes within the bytes, the one with the fewest layers in float32 that keeps within the drop,
            else the nearest to the network; the smallest where none is within the bytes.
    """

    engine: str
    precision: str
    points: tuple[Point, ...]
    sensitivities: tuple[LayerSensitivity, ...]
    chosen: Point

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "engine": self.engine,
            "precision": self.precision,
            "points": [point.to_json() for point in self.points],
            "sensitivities": [
                {"layer": item.layer.label, "gain_nats": float(f"{item.gain:.4g}")} for item in self.sensitivities
            ],
            "chosen": self.chosen.to_json(),
        }


def search(
    trials: Trials, engine: str, precision: str, *, max_drop_points: float, max_bytes: int | None = None
) -> SearchOutcome:
    """Try the methods of calibration, the best with corrected biases, then the most sensitive layers in float32.

    Divergence decides between recipes: it moves with every answer, where top-1 on a thousand faces moves by chance.
    Top-1 decides whether a recipe is good enough.

    Args:
        trials: run a recipe.
        engine: that the file is for.
        precision: of the file.
        max_drop_points: of top-1 that it may lose.
        max_bytes: that it may have; None for any.
    """
    methods = [_point(trials, engine, precision, VariantRecipe(method=method)) for method in METHODS]
    best = min(methods, key=lambda point: point.trial.divergence)
    corrected = _point(trials, engine, precision, replace(best.recipe, bias_correction=True))
    best = min(best, corrected, key=lambda point: point.trial.divergence)
    sensitivities = layer_sensitivities(trials, engine, precision, best.recipe)
    mixed = []
    for count in _FLOAT_COUNTS:
        helpful = [item.layer.label for item in sensitivities[:count] if item.gain > 0]
        if len(helpful) < count or 2 * count > len(sensitivities):
            break
        recipe = replace(best.recipe, float_layers=tuple(sorted(helpful)))
        mixed.append(_point(trials, engine, precision, recipe))
    points = (*methods, corrected, *mixed)
    return SearchOutcome(
        engine=engine,
        precision=precision,
        points=points,
        sensitivities=sensitivities,
        chosen=_choose([best, *mixed], max_drop_points, max_bytes),
    )


def pareto_front(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points to which none is better in bytes and as good in divergence, or the other way round."""
    front: list[Point] = []
    for point in sorted(points, key=lambda item: (item.trial.n_bytes, item.trial.divergence)):
        if not front or point.trial.divergence < front[-1].trial.divergence:
            front.append(point)
    return tuple(front)


def _point(trials: Trials, engine: str, precision: str, recipe: VariantRecipe) -> Point:
    return Point(recipe=recipe, trial=trials.run(engine, precision, recipe))


def _choose(candidates: Sequence[Point], max_drop_points: float, max_bytes: int | None) -> Point:
    small = [point for point in candidates if max_bytes is None or point.trial.n_bytes <= max_bytes]
    if not small:
        return min(candidates, key=lambda point: point.trial.n_bytes)
    within = [point for point in small if point.trial.drop_points <= max_drop_points]
    if within:
        return min(within, key=lambda point: len(point.recipe.float_layers))
    return min(small, key=lambda point: point.trial.divergence)
