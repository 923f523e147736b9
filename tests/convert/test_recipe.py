from __future__ import annotations

import json

import pytest

from fer_edge.errors import InputError
from fer_edge_convert.recipe import RECIPE_SCHEMA, QuantizationRecipe, VariantRecipe, read_recipe

RECIPE = QuantizationRecipe(
    images_per_class=30,
    seed=5,
    default=VariantRecipe(method="percentile", bias_correction=True),
    variants={("onnx", "int8"): VariantRecipe(method="entropy", float_layers=("00 conv 8x3x3x1",))},
)


def test_what_is_not_named_is_quantized_as_the_default():
    assert RECIPE.variant("onnx", "int8").method == "entropy"
    assert RECIPE.variant("litert", "int8") == VariantRecipe(method="percentile", bias_correction=True)
    assert QuantizationRecipe().variant("litert", "int8") == VariantRecipe(
        method="mse", float_layers=(), bias_correction=True
    )


def test_it_is_plain_data(tmp_path):
    content = RECIPE.to_json()
    assert content == {
        "schema": "fer-edge/quantization-recipe/1",
        "images_per_class": 30,
        "seed": 5,
        "default": {"method": "percentile", "float_layers": [], "bias_correction": True},
        "variants": [
            {
                "engine": "onnx",
                "precision": "int8",
                "method": "entropy",
                "float_layers": ["00 conv 8x3x3x1"],
                "bias_correction": False,
            },
        ],
    }
    (tmp_path / "recipe.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_recipe(tmp_path / "recipe.json") == RECIPE


def test_a_recipe_from_before_biases_were_corrected_corrects_none():
    content = RECIPE.to_json()
    del content["default"]["bias_correction"], content["variants"][0]["bias_correction"]
    found = QuantizationRecipe.from_json(content, "r")
    assert found.default == VariantRecipe(method="percentile", bias_correction=False)
    assert found.variant("onnx", "int8") == RECIPE.variant("onnx", "int8")


def test_a_bundle_brings_its_own(tmp_path):
    manifest = {"stages": {}, "provenance": {"quantization": RECIPE.to_json()}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert read_recipe(tmp_path) == RECIPE
    assert read_recipe(tmp_path / "manifest.json") == RECIPE


GOOD = RECIPE.to_json()
ENTRY = GOOD["variants"][0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param([], "r: expected an object, found list", id="list"),
        pytest.param({**GOOD, "schema": "x"}, f"r: expected the schema {RECIPE_SCHEMA}, found 'x'", id="schema"),
        pytest.param({**GOOD, "extra": 1}, "'extra' is unknown", id="unknown key"),
        pytest.param({k: v for k, v in GOOD.items() if k != "seed"}, "'seed' is missing", id="missing key"),
        pytest.param(
            {**GOOD, "images_per_class": 0},
            "r, images_per_class: expected a whole number from 1 on, found 0",
            id="no images",
        ),
        pytest.param({**GOOD, "seed": True}, "r, seed: expected a whole number from 0 on, found True", id="bool"),
        pytest.param({**GOOD, "variants": {}}, "r, variants: expected a list, found dict", id="variants"),
        pytest.param(
            {**GOOD, "variants": [{**ENTRY, "method": "max"}]},
            r"r, variants\[0\], method: expected one of min-max, percentile, mse, entropy, found 'max'",
            id="method",
        ),
        pytest.param(
            {**GOOD, "variants": [{**ENTRY, "engine": "onxx"}]},
            r"r, variants\[0\], engine: expected one of litert, onnx, openvino, found 'onxx'",
            id="engine",
        ),
        pytest.param(
            {**GOOD, "variants": [{**ENTRY, "precision": ["int8"]}]},
            r"r, variants\[0\], precision: expected one of int8, float16, float32, found \['int8'\]",
            id="precision",
        ),
        pytest.param(
            {**GOOD, "variants": [ENTRY, ENTRY]},
            r"r, variants\[1\]: expected each variant once, found onnx int8 again",
            id="twice",
        ),
        pytest.param(
            {**GOOD, "default": {"method": "mse", "float_layers": "00"}},
            "r, default, float_layers: expected a list of labels, found 00",
            id="layers",
        ),
        pytest.param(
            {**GOOD, "default": {"method": "mse", "float_layers": [], "bias_correction": 1}},
            "r, default, bias_correction: expected true or false, found 1",
            id="correction",
        ),
        pytest.param({**GOOD, "variants": [[]]}, r"r, variants\[0\]: expected an object, found list", id="variant"),
    ],
)
def test_a_wrong_recipe_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        QuantizationRecipe.from_json(content, "r")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param("none.json", None, r"cannot read the recipe .*none\.json: No such file", id="absent"),
        pytest.param("bad.json", "{", r"cannot read the recipe .*bad\.json: Expecting", id="no JSON"),
        pytest.param("deep.json", "[" * 200_000, r"cannot read the recipe .*deep\.json: maximum recursion", id="deep"),
        pytest.param(
            "old.json",
            '{"stages": {}, "provenance": {}}',
            r"old\.json, provenance, quantization: expected an object, found NoneType",
            id="a bundle without one",
        ),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_recipe(tmp_path / name)
