"""`fer-edge convert --fine-tune`: used where int8 loses too much, never otherwise, and told everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from convert.support import (
    calibration_images,
    coded,
    decisive,
    harden,
    run_litert,
    save_model_folder,
    small_model,
)
from train.support import HEADER, csv_row

from fer_edge import cli
from fer_edge.bundle import Bundle
from fer_edge.errors import GateError, OutputError, UsageError
from fer_edge_convert.convert import ConvertOptions, convert
from fer_edge_convert.fine_tuning import FineTuned
from fer_edge_convert.gates import Gates
from fer_edge_convert.inputs import SourceOptions
from fer_edge_convert.recipe import QuantizationRecipe, VariantRecipe, read_recipe
from fer_edge_train.datasets import FER2013_LABELS

pytestmark = pytest.mark.host

TRAINING_IMAGES, TEST_IMAGES = calibration_images(1700, seed=41), calibration_images(1000, seed=42)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, converters) -> Path:
    return tmp_path_factory.mktemp("fine_tuning")


@pytest.fixture(scope="module")
def network(converters):
    return harden(decisive(small_model(), TRAINING_IMAGES), 64.0)


@pytest.fixture(scope="module")
def model_folder(folder, network) -> Path:
    return save_model_folder(folder / "hard", network)


@pytest.fixture(scope="module")
def data(folder, network) -> Path:
    """1,700 Training rows and 1,000 PublicTest rows, all labelled as the network answers."""
    rows = []
    for images, part in ((TRAINING_IMAGES, "Training"), (TEST_IMAGES, "PublicTest")):
        labels = network.predict(coded(images), verbose=0).argmax(axis=1)
        rows += [csv_row(int(label), image, part) for label, image in zip(labels, images, strict=True)]
    path = folder / "fer2013.csv"
    path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return path


def options(data: Path, **changes) -> ConvertOptions:
    values = {
        "engines": ("litert",),
        "precisions": ("int8",),
        "calibrate": str(data),
        "recipe": QuantizationRecipe(images_per_class=10, seed=3, default=VariantRecipe()),
        "fine_tune_epochs": 2,
        "gates": Gates(max_drop_points=4.0),
        "crop_margin": 0.0,
        "name": "hard",
        "version": "1",
        "command": "fer-edge convert hard",
    }
    return ConvertOptions(**(values | changes))


def stand_in(network, calls: list, *, error: BaseException | None = None):
    """Return what can stand for `fine_tuned`: it gives the network as it is."""
    from fer_edge_convert.float_model import KerasFloatModel

    def fine_tuned(source, engine, **settings):
        calls.append((engine, settings))
        if error:
            raise error
        return FineTuned(model=KerasFloatModel(network), record={"engines": [engine], "epochs": 2, "images": 1})

    return fine_tuned


@pytest.mark.slow
def test_a_network_that_int8_breaks_is_mended(tmp_path, model_folder, data, network, capfd):
    out, report = tmp_path / "b", tmp_path / "report"
    words = [model_folder, "--to", "litert", "--int8", "--float32", "--calibrate", data]
    # Corrected biases would mend most of it.
    recipe = QuantizationRecipe(images_per_class=10, seed=3, default=VariantRecipe(method="mse"))
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_json()), encoding="utf-8")
    words += ["--recipe", tmp_path / "recipe.json", "--max-drop", "15", "-o", out]
    assert cli.main(["convert", *map(str, words)]) == 5
    assert not out.exists()
    capfd.readouterr()
    assert cli.main(["convert", *map(str, words), "--fine-tune", "40", "--report", str(report)]) == 0

    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("fine-tuning for")] == [
        "fine-tuning for litert on 700 training faces"
    ]
    assert sum(line.startswith("fine-tuning epoch 40/40: divergence ") for line in said) == 1
    assert [
        sum(line == f"classifier: converting to {name} for litert" for line in said) for name in ("int8", "float32")
    ] == [2, 1]

    bundle = Bundle.open(out)
    int8, float32 = bundle.manifest.stages["classifier"].variants
    assert (int8.recipe, float32.recipe) == ("static_wi8_ai8_fine_tuned", None)
    assert float32.measured["PublicTest"]["top1"] == 1.0
    # Against the network as it was given, which is right on all of these faces.
    answers = run_litert((out / int8.model.file).read_bytes(), (TEST_IMAGES.astype(int) - 128).astype(np.int8))
    lost = 100 * (answers.argmax(axis=1) != network.predict(coded(TEST_IMAGES), verbose=0).argmax(axis=1)).mean()
    assert int8.measured["PublicTest"]["drop_points"] == pytest.approx(lost, abs=1e-4)
    (tuning,) = bundle.manifest.provenance["fine_tuning"]
    assert (tuning["engines"], tuning["n_weight_steps"], tuning["images"]) == (["litert"], 127, 700)
    assert lost <= 15.0 < tuning["drop_points_before"]["litert"]
    record = json.loads((report / "record.json").read_text(encoding="utf-8"))
    assert record["fine_tuning"] == [tuning]
    assert sum("so its weights were fine-tuned (40 epochs on 700 training" in line for line in record["warnings"]) == 1


def test_it_is_not_used_where_int8_is_good_enough(monkeypatch, tmp_path, model_folder, data):
    monkeypatch.setattr("fer_edge_convert.convert.fine_tuned", lambda *_, **__: pytest.fail("fine-tuned"))
    wanted = options(data, engines=("onnx",), gates=Gates(max_drop_points=90.0))
    made = convert(model_folder, None, tmp_path / "b", wanted, force=False)
    (variant,) = made.manifest.stages["classifier"].variants
    assert variant.recipe == "static_wi8_ai8"
    assert "fine_tuning" not in made.manifest.provenance


def test_nothing_is_trained_where_the_gate_is_missed_all_the_same(monkeypatch, tmp_path, model_folder, data):
    monkeypatch.setattr("fer_edge_convert.convert.fine_tuned", lambda *_, **__: pytest.fail("fine-tuned"))
    wanted = options(data, fine_tune_epochs=2, gates=Gates(max_drop_points=-90.0, max_bytes=1000))
    with pytest.raises(GateError, match=r"at most -90 are let through.*at most 1000 are let through"):
        convert(model_folder, None, tmp_path / "b", wanted, force=False)


@pytest.mark.parametrize(
    ("epochs", "precisions", "n_calls"),
    [
        pytest.param(0, ("int8",), 0, id="not asked for"),
        pytest.param(2, ("int8",), 1, id="asked for"),
        pytest.param(2, ("float32",), 0, id="float32 alone"),
    ],
)
def test_a_gate_that_is_missed_all_the_same_leaves_nothing(
    monkeypatch, tmp_path, model_folder, data, network, epochs, precisions, n_calls
):
    calls: list = []
    monkeypatch.setattr("fer_edge_convert.convert.fine_tuned", stand_in(network, calls))
    wanted = options(data, fine_tune_epochs=epochs, precisions=precisions, gates=Gates(max_drop_points=-90.0))
    with pytest.raises(GateError, match="at most -90 are let through; nothing was written"):
        convert(model_folder, None, tmp_path / "b", wanted, force=False)
    assert len(calls) == n_calls
    assert list(tmp_path.iterdir()) == []


def test_what_it_is_given_and_what_becomes_of_the_recipe(monkeypatch, tmp_path, model_folder, data, network):
    """No face that chooses is tuned on; no layer stays in float32, no bias is corrected; the method stays."""
    calls: list = []
    stub = stand_in(network, calls)
    monkeypatch.setattr("fer_edge_convert.convert.fine_tuned", stub)
    recipe = QuantizationRecipe(
        images_per_class=10,
        seed=3,
        default=VariantRecipe(),
        variants={
            ("onnx", "int8"): VariantRecipe(method="entropy", float_layers=("04 conv 7x16x3x3",), bias_correction=True)
        },
    )
    seen = []
    original = Gates.check

    def check(self, figures, latencies_ms, hint):
        seen.append(figures)
        return original(Gates(max_drop_points=100.0), figures, latencies_ms, hint)

    monkeypatch.setattr(Gates, "check", check)
    wanted = options(data, engines=("onnx",), recipe=recipe, gates=Gates(max_drop_points=-90.0))
    made = convert(model_folder, None, tmp_path / "b", wanted, force=False)
    ((engine, settings),) = calls
    assert engine == "onnx"
    assert (settings["epochs"], settings["seed"], settings["method"]) == (2, 3, "entropy")
    assert len(settings["faces"]) == 700
    assert read_recipe(tmp_path / "b").variant("onnx", "int8") == VariantRecipe(method="entropy")
    assert made.manifest.provenance["fine_tuning"][0]["drop_points_before"].keys() == {"onnx"}
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(KeyboardInterrupt(), KeyboardInterrupt, id="interrupted"),
        pytest.param(OSError(28, "No space left on device"), OutputError, id="disk full"),
    ],
)
def test_what_ends_it_leaves_nothing(monkeypatch, tmp_path, model_folder, data, network, error, expected):
    calls: list = []
    monkeypatch.setattr("fer_edge_convert.convert.fine_tuned", stand_in(network, calls, error=error))
    with pytest.raises(expected):
        convert(model_folder, None, tmp_path / "b", options(data, gates=Gates(max_drop_points=-90.0)), force=False)
    assert len(calls) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_keras_did_not_save_is_refused_before_the_work(monkeypatch, tmp_path, data, network):
    from fer_edge_convert.onnx import to_onnx_float32

    (tmp_path / "theirs.onnx").write_bytes(to_onnx_float32(network))
    monkeypatch.setattr("fer_edge_convert.convert.read_conversion_data", lambda *_: pytest.fail("work was begun"))
    stated = SourceOptions(labels=FER2013_LABELS, pixel_mean=128.0, pixel_std=128.0)
    with pytest.raises(UsageError, match=r"^--fine-tune: expected a network that Keras saved .* found ONNX; leave it"):
        convert(
            tmp_path / "theirs.onnx", None, tmp_path / "b", options(data, engines=("onnx",), source=stated), force=False
        )
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.onnx"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--int8", "--fine-tune", "-1"], "--fine-tune: expected 0 to 1000 epochs, found -1"),
        (["--int8", "--fine-tune", "1001"], "--fine-tune: expected 0 to 1000 epochs, found 1001"),
        (["--float16", "--fine-tune", "3"], "--fine-tune trains the network for int8; add --int8"),
    ],
    ids=["negative", "too many", "no int8"],
)
def test_options_are_checked_before_anything_is_imported(monkeypatch, capsys, words, message):
    monkeypatch.setattr("fer_edge_convert.quiet.require_converters", lambda: pytest.fail("imported"))
    assert cli.main(["convert", "m", "--to", "onnx", "--calibrate", "d.csv", "-o", "b", *words]) == 2
    assert capsys.readouterr().err == f"fer-edge: error: {message}\n"
