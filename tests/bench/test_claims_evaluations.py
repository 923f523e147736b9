"""Accuracies are read from the records that fer-edge writes, and what is no such record is named in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from bench.bench_manifest import manifest

from fer_edge.errors import InputError
from fer_edge_bench.claims_evaluations import accuracy_of_bundle, read_evaluations

MEASURED: dict[str, Any] = {
    "top1": 0.6,
    "n": 50,
    "interval95": [0.46, 0.72],
    "macro_f1": 0.5,
    "recall": {"happy": 0.75, "fear": None},
    "precision": {"happy": 0.7, "fear": None},
}
MODEL = {
    "name": "mine",
    "file": "model.keras",
    "architecture": "mini_xception",
    "input_shape_hwc": [24, 24, 1],
    "parameters": 58_423,
    "trainable_parameters": 56_951,
}
TRAINING: dict[str, Any] = {
    "schema": "fer-edge/training-record/1",
    "model": MODEL,
    "data": {"name": "FER-2013"},
    "measured": {"PublicTest": MEASURED, "PrivateTest": MEASURED | {"top1": 0.61}},
}
EVALUATION: dict[str, Any] = {
    "schema": "fer-edge/evaluation-record/1",
    "model": {"kind": "bundle", "name": "default", "version": "1", "files": []},
    "engine": {"name": "litert", "version": "ai-edge-litert 2.3.0", "precision": "int8", "threads": 1},
    "data": {"name": "CK+, crops of 48 x 48", "usage": "test", "file_sha256": None},
    "labels": ["happy", "fear"],
    "measured": MEASURED,
}
FOLDS: dict[str, Any] = {
    "schema": "fer-edge/folds-record/1",
    "name": "four",
    "architecture": "mobilenet_v2",
    "data": {"name": "ExpW"},
    "folds": [{}, {}, {}, {}],
    "top1_mean": 0.7,
    "pooled": MEASURED,
}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_model_folder_has_one_for_each_part(tmp_path: Path) -> None:
    write(tmp_path / "record.json", TRAINING)
    public, private = read_evaluations(tmp_path)
    assert (public.subject, public.network, public.parameters, public.trainable_parameters, public.input_px) == (
        "mine",
        "mini_xception",
        58_423,
        56_951,
        24,
    )
    assert (public.data, public.part, public.top1, public.n) == ("FER-2013", "PublicTest", 0.6, 50)
    assert public.interval95 == (0.46, 0.72)
    assert public.recall == {"happy": 0.75, "fear": None}
    assert (private.part, private.top1) == ("PrivateTest", 0.61)


def test_an_evaluation(tmp_path: Path) -> None:
    (found,) = read_evaluations(write(tmp_path / "evaluation.json", EVALUATION))
    assert (found.subject, found.data, found.part) == ("default litert int8", "CK+, crops of 48 x 48", "test")
    assert (found.network, found.parameters, found.input_px) == (None, None, None)


def test_an_evaluation_that_tells_its_network(tmp_path: Path) -> None:
    record = EVALUATION | {"model": EVALUATION["model"] | {"architecture": "vgg", "input_shape_hwc": [64, 48, 1]}}
    (found,) = read_evaluations(write(tmp_path / "evaluation.json", record))
    assert (found.network, found.input_px) == ("vgg", 64)


def test_folds(tmp_path: Path) -> None:
    write(tmp_path / "folds.json", FOLDS)
    (found,) = read_evaluations(tmp_path)
    assert (found.subject, found.network, found.data, found.part) == ("four", "mobilenet_v2", "ExpW", "4 folds")
    assert (found.top1, found.n, found.interval95) == (0.7, 50, (0.46, 0.72))


def with_figures(provenance: Any) -> Any:
    bare = manifest([("onnx", "float32"), ("litert", "int8")], ["onnx"])
    stage = bare.stages["classifier"]
    measured = [{"PublicTest": MEASURED}, {}]
    variants = tuple(
        dataclasses.replace(variant, measured=figures)
        for variant, figures in zip(stage.variants, measured, strict=True)
    )
    stages = {**bare.stages, "classifier": dataclasses.replace(stage, variants=variants)}
    return dataclasses.replace(bare, stages=stages, provenance=provenance)


def test_a_bundle_has_one_for_each_variant_that_was_measured() -> None:
    source = {"classifier": {"model": MODEL, "data": {"name": "FER-2013"}}}
    (found,) = accuracy_of_bundle(with_figures(source))
    assert (found.subject, found.network, found.data, found.part) == (
        "some onnx float32",
        "mini_xception",
        "FER-2013",
        "PublicTest",
    )


@pytest.mark.parametrize(
    "provenance", [{}, {"classifier": None}, {"classifier": {"model": MODEL}}], ids=["empty", "other", "no data"]
)
def test_a_bundle_that_does_not_say_of_which_data(provenance: Any) -> None:
    assert accuracy_of_bundle(with_figures(provenance)) == ()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"model": MODEL, "data": {}}, "some, provenance, classifier, data: the key 'name' is missing"),
        ({"model": [], "data": {"name": "KDEF"}}, "some: expected an object, found list"),
    ],
)
def test_a_bundle_that_says_it_otherwise(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        accuracy_of_bundle(with_figures({"classifier": source}))


def test_the_default_bundle(default_bundle: Any) -> None:
    found = read_evaluations(default_bundle.path)
    assert len(found) == len(default_bundle.manifest.stages["classifier"].variants)
    assert {each.network for each in found} == {
        default_bundle.manifest.provenance["classifier"]["model"]["architecture"]
    }


def without(record: dict[str, Any], *keys: str) -> dict[str, Any]:
    head, *rest = keys
    if rest:
        return record | {head: without(record[head], *rest)}
    return {key: value for key, value in record.items() if key != head}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"expected the schema fer-edge/evaluation-record/1 or .*, found 'None'"),
        ({"schema": "fer-edge/photo-evaluation-record/1"}, "found 'fer-edge/photo-evaluation-record/1'"),
        ({"schema": 1}, "found '1'"),
        (without(TRAINING, "model"), r"r\.json: the key 'model' is missing"),
        (without(TRAINING, "data", "name"), r"r\.json, data: the key 'name' is missing"),
        (TRAINING | {"measured": []}, r"r\.json, measured: expected figures by part of the data, found list"),
        (TRAINING | {"measured": {"test": []}}, r"r\.json, measured: expected an object, found list"),
        (TRAINING | {"model": MODEL | {"parameters": "many"}}, r"r\.json, model, parameters: expected int, found str"),
        (without(EVALUATION, "data", "usage"), r"r\.json, data: the key 'usage' is missing"),
        (without(EVALUATION, "measured", "n"), r"r\.json, measured: the key 'n' is missing"),
        (EVALUATION | {"measured": MEASURED | {"top1": 60.0}}, r"r\.json, measured, test: .*shares of 0 to 1"),
        (EVALUATION | {"measured": MEASURED | {"n": 0}}, r"r\.json, measured, test: expected one face or more"),
        (EVALUATION | {"engine": {"name": "x"}}, r"r\.json, engine: the key 'precision' is missing"),
        (FOLDS | {"folds": 4}, r"r\.json: expected a list of folds"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_evaluations(write(tmp_path / "r.json", content))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000], ids=["empty", "cut short", "deep"])
def test_what_is_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"cannot read .*r\.json"):
        read_evaluations(tmp_path / "r.json")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*record\.json: No such file.*; expected a record"):
        read_evaluations(tmp_path)
