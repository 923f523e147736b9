"""How a bundle's files were quantized, as data: saved with the result, and enough to repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError
from fer_edge_convert.precisions import ENGINE_PRECISIONS
from fer_edge_convert.ranges import METHODS, Method

__all__ = ["RECIPE_SCHEMA", "QuantizationRecipe", "VariantRecipe", "read_recipe"]

RECIPE_SCHEMA = "fer-edge/quantization-recipe/1"
# Where `fer-edge convert` puts the recipe in a manifest.
_IN_MANIFEST = ("provenance", "quantization")
_CORRECTION = "bias_correction"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRecipe:
    """How one engine's file is quantized.

    Attributes:
        method: that sets the ranges of activations.
        float_layers: labels of the layers that stay in float32.
        bias_correction: whether biases make up for what rounding adds to each channel's mean (docs/corrections.md).
    """

    method: Method = "mse"
    float_layers: tuple[str, ...] = ()
    bias_correction: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "method": self.method,
            "float_layers": list(self.float_layers),
            "bias_correction": self.bias_correction,
        }

    @classmethod
    def from_json(cls, content: Any, where: str) -> VariantRecipe:
        """Read JSON types strictly; a recipe from before there was a correction of biases had none.

        Raises:
            InputError: a key is missing or unknown, or a value is not as it should be; the message begins with `where`.
        """
        if isinstance(content, dict):
            content = {_CORRECTION: False, **content}
        found = _keys(content, ("method", "float_layers", _CORRECTION), where)
        if found["method"] not in METHODS:
            raise InputError(f"{where}, method: expected one of {', '.join(METHODS)}, found {found['method']!r}")
        labels = found["float_layers"]
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise InputError(f"{where}, float_layers: expected a list of labels, found {str(labels)[:60]}")
        if not isinstance(found[_CORRECTION], bool):
            raise InputError(f"{where}, {_CORRECTION}: expected true or false, found {str(found[_CORRECTION])[:60]}")
        return cls(method=found["method"], float_layers=tuple(labels), bias_correction=found[_CORRECTION])


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationRecipe:
    """How a classifier is quantized.

    Attributes:
        images_per_class: of the calibration set.
        seed: with which it is drawn.
        default: how a variant is quantized that has no recipe of its own.
        variants: by engine and precision.
    """

    images_per_class: int = 100
    seed: int = 2013
    default: VariantRecipe = VariantRecipe(bias_correction=True)
    variants: Mapping[tuple[str, str], VariantRecipe] = field(default_factory=dict)

    def variant(self, engine: str, precision: str) -> VariantRecipe:
        """Return how one file is quantized."""
        return self.variants.get((engine, precision), self.default)

    def to_json(self) -> dict[str, Any]:
        """Return JSON types."""
        return {
            "schema": RECIPE_SCHEMA,
            "images_per_class": self.images_per_class,
            "seed": self.seed,
            "default": self.default.to_json(),
            "variants": [
                {"engine": engine, "precision": precision, **recipe.to_json()}
                for (engine, precision), recipe in self.variants.items()
            ],
        }

    @classmethod
    def from_json(cls, content: Any, where: str) -> QuantizationRecipe:
        """Read JSON types strictly.

        Raises:
            InputError: a key is missing or unknown, or a value is not as it should be; the message begins with `where`.
        """
        found = _keys(content, ("schema", "images_per_class", "seed", "default", "variants"), where)
        if found["schema"] != RECIPE_SCHEMA:
            raise InputError(f"{where}: expected the schema {RECIPE_SCHEMA}, found {str(found['schema'])[:60]!r}")
        for key, least in (("images_per_class", 1), ("seed", 0)):
            if type(found[key]) is not int or found[key] < least:
                raise InputError(f"{where}, {key}: expected a whole number from {least} on, found {found[key]!r}")
        if not isinstance(found["variants"], list):
            raise InputError(f"{where}, variants: expected a list, found {type(found['variants']).__name__}")
        variants = {}
        for position, item in enumerate(found["variants"]):
            there = f"{where}, variants[{position}]"
            if isinstance(item, dict):
                item = {_CORRECTION: False, **item}
            entry = _keys(item, ("engine", "precision", "method", "float_layers", _CORRECTION), there)
            engine, precision = entry.pop("engine"), entry.pop("precision")
            if not isinstance(engine, str) or engine not in ENGINE_PRECISIONS:
                raise InputError(f"{there}, engine: expected one of {', '.join(ENGINE_PRECISIONS)}, found {engine!r}")
            if precision not in ENGINE_PRECISIONS[engine]:
                raise InputError(
                    f"{there}, precision: expected one of {', '.join(ENGINE_PRECISIONS[engine])}, found {precision!r}"
                )
            if (engine, precision) in variants:
                raise InputError(f"{there}: expected each variant once, found {engine} {precision} again")
            variants[engine, precision] = VariantRecipe.from_json(entry, there)
        return cls(
            images_per_class=found["images_per_class"],
            seed=found["seed"],
            default=VariantRecipe.from_json(found["default"], f"{where}, default"),
            variants=variants,
        )


def read_recipe(path: Path) -> QuantizationRecipe:
    """Read a recipe's own file, or the recipe in the manifest of a bundle's folder.

    Raises:
        InputError: there is none, or it is not as it should be.
    """
    file = path / "manifest.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read the recipe {file}: {reason}; expected {RECIPE_SCHEMA} or a bundle") from error
    where = str(file)
    if isinstance(content, dict) and "stages" in content:
        for key in _IN_MANIFEST:
            content = content.get(key) if isinstance(content, dict) else None
            where += f", {key}"
    return QuantizationRecipe.from_json(content, where)


def _keys(content: Any, expected: tuple[str, ...], where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected an object, found {type(content).__name__}")
    if set(content) != set(expected):
        wrong = sorted(set(content) ^ set(expected))[0]
        kind = "unknown" if wrong in content else "missing"
        raise InputError(f"{where}: expected the keys {', '.join(expected)}, {wrong[:60]!r} is {kind}")
    return dict(content)
