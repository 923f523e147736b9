from __future__ import annotations

import argparse
import copy
import hashlib
import json
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest
from runtime_support import fake_engine, file_json, manifest_json, tensor_json, write_bundle
from train.support import HEADER, child_environment, csv_row, learnable_faces

from fer_edge import cli
from fer_edge._cv2 import import_cv2
from fer_edge.engines import TensorSpec
from fer_edge.errors import InputError, IntegrityError, MissingExtraError, OutputError, UsageError
from fer_edge_train import evaluation_run, scorers
from fer_edge_train.commands.evaluate import COMMAND
from fer_edge_train.datasets import FER2013_LABELS
from fer_edge_train.scorers import EngineChoice, open_scorer
from fer_edge_train.typed_command import typed_command

BAR_WEIGHTS = np.zeros((48, 48, 7), np.float32)
for _k in range(7):
    BAR_WEIGHTS[6 * _k + 2 : 6 * _k + 8, :, _k] = 1 / 288
BAR_WEIGHTS = BAR_WEIGHTS.reshape(-1, 7)


def bar_logits(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
    """What finds the bright bar of the learnable faces: its mean value, for each place a bar may be."""
    return ((10 * pixels.reshape(len(pixels), -1) @ BAR_WEIGHTS).astype(np.float32),)


def bar_manifest(variants=(("fake", "float32"),), labels=FER2013_LABELS) -> dict:
    content = manifest_json()
    content["labels"] = list(labels)
    stage = content["stages"]["classifier"]
    template = stage["variants"][0]
    template["inputs"] = [tensor_json("pixels", [None, 48, 48, 1])]
    template["outputs"] = [tensor_json("logits", [None, len(labels)])]
    stage["variants"] = [{**copy.deepcopy(template), "engine": name, "precision": how} for name, how in variants]
    return content


@pytest.fixture
def engine(monkeypatch):
    """The engine that finds bars; it stands in for every engine, under the name that is asked for."""
    made = fake_engine(
        bar_logits,
        inputs=(TensorSpec(name="pixels", shape=(None, 48, 48, 1), dtype="float32"),),
        outputs=(TensorSpec(name="logits", shape=(None, 7), dtype="float32"),),
    )

    def load(name):
        made.name = {"tflite": "litert"}.get(name, name)
        return made

    monkeypatch.setattr(scorers, "load_engine", load)
    monkeypatch.setattr(scorers, "pick_engine", lambda names: load(next(iter(names))))
    return made


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bars", bar_manifest())


@pytest.fixture
def data(tmp_path):
    """14 PublicTest faces, the first labelled angry but showing disgust's bar; 7 PrivateTest ones, all as labelled."""
    rows = [HEADER]
    for usage, n, seed in (("PublicTest", 14, 3), ("PrivateTest", 7, 4)):
        images, labels = learnable_faces(n, seed)
        if usage == "PublicTest":
            images[0] = images[1]
        rows += [csv_row(label, image, usage) for image, label in zip(images, labels, strict=True)]
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join([*rows, ""]), encoding="utf-8")
    return path


def run(*words) -> int:
    parser = argparse.ArgumentParser()
    COMMAND.configure(parser)
    return COMMAND.run(parser.parse_args([str(word) for word in words]))


def test_the_summary_is_the_command_lines():
    assert COMMAND.summary == cli._SUMMARIES["evaluate"]


def test_the_table(engine, bundle, data, capsys):
    assert run(bundle, "--data", data) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[:4] == [
        "small 1: classifier fake float32 (fake 0)",
        "FER-2013, PublicTest",
        "",
        "top-1    92.86 % (95 % interval 68.53 to 98.73, n = 14)",
    ]
    # F1 by hand: angry 2/3, disgust 4/5, five times 1.
    assert lines[4].startswith(f"macro F1 {(2 / 3 + 4 / 5 + 5) / 7:.4f}, ")
    assert lines[8].split() == ["angry", "50.0", "50.0", *["0.0"] * 5, "2"]
    assert lines[9].split() == ["disgust", "0.0", "100.0", *["0.0"] * 5, "2"]
    assert lines[14].split() == ["neutral", *["0.0"] * 6, "100.0", "2"]
    assert lines[15].split() == ["precision", "100.0", "66.7", *["100.0"] * 5]
    assert lines[16:] == [""]


def test_the_record(engine, bundle, data, capsys):
    assert run(bundle, "--data", data, "--json", "--threads", "2") == 0
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    record = json.loads(text)
    images, labels = learnable_faces(14, 3)
    images[0] = images[1]
    assert record["schema"] == "fer-edge/evaluation-record/1"
    assert record["model"] == {
        "kind": "bundle",
        "name": "small",
        "version": "1",
        "files": [file_json("classifier_float32.fake", (bundle / "classifier_float32.fake").read_bytes())],
    }
    assert record["engine"] == {
        "name": "fake",
        "version": "fake 0",
        "precision": "float32",
        "threads": 2,
        "reference_kernels": False,
    }
    assert record["data"] == {
        "name": "FER-2013",
        "usage": "PublicTest",
        "file_sha256": hashlib.sha256(data.read_bytes()).hexdigest(),
        "digest": hashlib.sha256(images.tobytes() + labels.astype("<i8").tobytes()).hexdigest(),
    }
    assert record["labels"] == list(FER2013_LABELS)
    assert record["measured"]["top1"] == round(13 / 14, 6)
    assert record["measured"]["confusion"][0] == [1, 1, 0, 0, 0, 0, 0]
    assert record["measured"]["precision"]["disgust"] == round(2 / 3, 6)
    assert len(record["calibration"]) == 15
    assert sum(row["n"] for row in record["calibration"]) == 14
    assert record["command"] == typed_command()
    assert "against" not in record
    assert record["machine"].keys() >= {"architecture", "cpu", "cores", "memory_bytes", "python"}
    assert str(data.parent) not in text


class OneSided:
    """Takes the value of a face's first column for its class, with probability 0.6, and else the last class."""

    labels = FER2013_LABELS
    input_shape_hwc = (48, 48, 1)
    title = "one-sided"

    def probs(self, images):
        probs = np.zeros((len(images), 7), np.float32)
        probs[:, 6] = 0.4
        probs[np.arange(len(images)), images[:, 0, 0, 0]] += 0.6
        return probs

    def to_json(self):
        return {"model": {"name": "one-sided"}}


@pytest.mark.parametrize(
    ("words", "confusion_of_neutral", "confidence"),
    # 0.6 for the left edge's class; mirrored 0.3 for each edge's class and 0.4 for the last.
    [([], [1, 0, 0, 0, 0, 0, 0], 0.6), (["--mirrored"], [0, 0, 0, 0, 0, 0, 1], 0.4)],
    ids=["the face alone", "mirrored"],
)
def test_an_answer_may_be_the_mean_with_the_mirror_image(
    monkeypatch, tmp_path, capsys, words, confusion_of_neutral, confidence
):
    monkeypatch.setattr(evaluation_run, "open_scorer", lambda _path, _choice: OneSided())
    face = np.full((48, 48), 128)
    face[:, 0], face[:, -1] = 0, 1
    path = tmp_path / "f.csv"
    path.write_text("\n".join([HEADER, csv_row(6, face, "PublicTest")]))
    run(tmp_path, "--data", path, "--json", *words)
    record = json.loads(capsys.readouterr().out)
    assert record["mirrored"] is bool(words)
    assert record["measured"]["confusion"][6] == confusion_of_neutral
    (filled,) = (row for row in record["calibration"] if row["n"])
    assert filled["confidence"] == pytest.approx(confidence)
    run(tmp_path, "--data", path, *words)
    assert ("PublicTest, each face and its mirror image\n" in capsys.readouterr().out) is bool(words)


def test_only_the_rows_of_the_usage_count(engine, bundle, data, capsys):
    assert run(bundle, "--data", data, "--usage", "PrivateTest") == 0
    assert ", PrivateTest\n\ntop-1    100.00 % (95 % interval 64.57 to 100.00, n = 7)\n" in capsys.readouterr().out


def test_another_layout_is_read_and_its_part_chosen(engine, bundle, tmp_path, capsys):
    cv2 = import_cv2()
    images, labels = learnable_faces(14, 3)
    for part in ("train", "test"):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = tmp_path / "faces" / part / FER2013_LABELS[label]
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{i}.png"), image)
    assert run(bundle, "--data", tmp_path / "faces", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["data"]["usage"], record["data"]["file_sha256"], record["measured"]["n"]) == ("test", None, 14)
    with pytest.raises(UsageError, match=r"has no split 'dev'; it has test, train$"):
        run(bundle, "--data", tmp_path / "faces", "--usage", "dev")


def test_options_reach_the_engine(engine, bundle, data, capsys):
    assert run(bundle, "--data", data, "--engine", "fake", "--threads", "3", "--reference-kernels") == 0
    assert {(s.options.threads, s.options.reference_kernels) for s in engine.sessions} == {(3, True)}
    assert capsys.readouterr().out.startswith("small 1: classifier fake float32 (fake 0, reference kernels)\n")


def test_pixels_are_coded_as_the_manifest_states(engine, bundle):
    pixels = np.arange(256, dtype=np.uint8).repeat(9).reshape(1, 48, 48, 1)
    open_scorer(bundle, EngineChoice()).probs(pixels)
    (call,) = engine.sessions[0].calls
    np.testing.assert_array_equal(call[0], (pixels.astype(np.float64) - 128) / 128)


@pytest.mark.parametrize(
    ("variants", "choice", "expected"),
    [
        pytest.param(["onnx int8", "litert float32"], {}, "litert float32", id="the table's order"),
        pytest.param(["openvino int8", "onnx int8", "onnx float32"], {}, "onnx int8", id="then the bundle's"),
        pytest.param(["onnx int8", "litert float32"], {"precision": "int8"}, "onnx int8", id="who has the precision"),
        pytest.param(["extra int8", "onnx int8"], {}, "onnx int8", id="others come last"),
        pytest.param(["extra int8"], {}, "extra int8", id="but they come"),
        pytest.param(["onnx int8", "litert int8"], {"engine": "onnx"}, "onnx int8", id="asked for"),
        pytest.param(["onnx int8", "litert int8"], {"engine": "tflite"}, "litert int8", id="by its alias"),
        pytest.param(
            ["litert int8", "litert float32"],
            {"engine": "litert", "precision": "float32"},
            "litert float32",
            id="with a precision",
        ),
    ],
)
def test_the_engine_that_runs(engine, tmp_path, variants, choice, expected):
    folder = write_bundle(tmp_path / "b", bar_manifest([variant.split() for variant in variants]))
    found = open_scorer(folder, EngineChoice(**choice))
    assert f": classifier {expected} (" in found.title
    assert found.to_json()["engine"]["name"] == expected.split()[0]


@pytest.mark.parametrize("choice", [{"precision": "int4"}, {"engine": "onnx", "precision": "int4"}])
def test_a_precision_that_the_bundle_lacks(engine, tmp_path, choice):
    folder = write_bundle(tmp_path / "b", bar_manifest([("onnx", "int8"), ("onnx", "float32")]))
    with pytest.raises(MissingExtraError, match=r"no variant for onnx int4; it has onnx int8, onnx float32$"):
        open_scorer(folder, EngineChoice(**choice))


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(tuple(reversed(FER2013_LABELS)), id="another order"),
        pytest.param((*FER2013_LABELS[:6], "bored"), id="another class"),
    ],
)
def test_other_labels_are_refused(engine, tmp_path, data, labels):
    folder = write_bundle(tmp_path / "b", bar_manifest(labels=labels))
    with pytest.raises(InputError) as caught:
        run(folder, "--data", data)
    assert str(caught.value) == (
        f"{folder}: expected the labels of the data (angry, disgust, fear, happy, sad, surprise, neutral), in that "
        f"order, found {', '.join(labels)}; choose a model of these classes"
    )
    assert engine.sessions == []


def test_a_bundle_in_a_zip(engine, bundle, data, tmp_path, capsys):
    packed = tmp_path / "bars.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in bundle.iterdir():
            archive.write(path, path.name)
    run(bundle, "--data", data)
    of_folder = capsys.readouterr().out
    run(packed, "--data", data)
    assert capsys.readouterr().out == of_folder


def test_a_changed_file_is_not_measured(engine, bundle, data):
    (bundle / "classifier_float32.fake").write_bytes(b"Any bytes will do for a fake engine")
    with pytest.raises(IntegrityError, match="expected SHA-256"):
        run(bundle, "--data", data)


def test_neither_bundle_nor_model(tmp_path, data):
    with pytest.raises(InputError, match=r"a \.zip\) or a model folder \(with record\.json\), found neither$"):
        run(tmp_path / "nothing", "--data", data)


def test_a_bundle_without_classifier(engine, tmp_path, data):
    content = bar_manifest()
    stage = content["stages"].pop("classifier")
    for name, side, widths in (("pnet", None, (1, 4)), ("rnet", 24, (1, 4))):
        content["stages"][name] = copy.deepcopy(stage)
        content["stages"][name].update(colour="bgr", crop_margin=None)
        content["stages"][name]["variants"][0]["inputs"] = [tensor_json("pixels", [None, side, side, 3])]
        content["stages"][name]["variants"][0]["outputs"] = [tensor_json(f"o{n}", [None, n]) for n in widths]
    with pytest.raises(InputError, match="expected a bundle with a classifier, found pnet, rnet alone"):
        run(write_bundle(tmp_path / "b", content), "--data", data)


@pytest.mark.parametrize("threads", ["0", "-1"])
def test_threads_out_of_bounds(engine, bundle, data, threads):
    with pytest.raises(UsageError, match=f"threads: expected 1 or more, found {threads}$"):
        run(bundle, "--data", data, f"--threads={threads}")


@pytest.mark.parametrize(
    "words",
    [["--engine", "onnx"], ["--precision", "int8"], ["--threads", "1"], ["--reference-kernels"]],
    ids=lambda words: words[0],
)
def test_an_engines_options_do_not_go_with_a_trained_model(tmp_path, data, words):
    (tmp_path / "record.json").write_text("{}", encoding="utf-8")
    with pytest.raises(
        UsageError, match="which Keras runs; --engine, --precision, --threads and --reference-kernels go"
    ):
        run(tmp_path, "--data", data, *words)


# The picture.


def test_the_picture_is_drawn(engine, bundle, data, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "confusion.png"
    assert run(bundle, "--data", data, "--confusion-png", path) == 0
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    side = round((1.6 + 0.85 * 7) * 120)
    assert abs(picture.shape[0] - side) <= 1
    # Six of the diagonal's seven cells are 100 %: the darkest blue of the map, with white on it.
    darkest = (abs(picture.astype(int) - (107, 48, 8)).max(axis=2) < 4).mean()
    assert 6 * 0.006 < darkest < 6 * 0.02
    assert capsys.readouterr().out.startswith("small 1: ")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        pytest.param(lambda p: p.write_bytes(b"old"), UsageError, "exists already; choose another", id="exists"),
        pytest.param(lambda p: p.mkdir(), UsageError, "is a folder; expected the name of a file", id="folder"),
    ],
)
def test_a_place_for_the_picture_that_is_taken(monkeypatch, tmp_path, bundle, make, error, message):
    path = tmp_path / "c.png"
    make(path)
    monkeypatch.setattr(evaluation_run, "open_scorer", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(error, match=message):
        run(bundle, "--data", "not read.csv", "--confusion-png", path)
    assert path.is_dir() or path.read_bytes() == b"old"


def test_a_place_for_the_picture_that_is_not_there(monkeypatch, tmp_path, bundle):
    monkeypatch.setattr(evaluation_run, "open_scorer", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(OutputError, match=r"the folder .* does not exist; create it first"):
        run(bundle, "--data", "not read.csv", "--confusion-png", tmp_path / "no" / "c.png")


def test_force_replaces_the_picture(engine, bundle, data, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "c.png"
    path.write_bytes(b"old")
    assert run(bundle, "--data", data, "--confusion-png", path, "--force") == 0
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_matplotlib_the_extra_is_named_before_the_work(monkeypatch, bundle, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(evaluation_run, "open_scorer", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(MissingExtraError, match=r'pip install "fer-edge\[train\]"$'):
        run(bundle, "--data", "not read.csv", "--confusion-png", tmp_path / "c.png")


# The report.


def test_the_report(engine, bundle, data, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    out = tmp_path / "report"
    assert run(bundle, "--data", data, "--report", out, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert json.loads((out / "record.json").read_text()) == record
    pictures = ["classes.png", "confusion.png", "mistakes.png", "reliability.png"]
    assert sorted(p.name for p in out.iterdir()) == sorted([*pictures, "record.json", "report.html", "report.md"])
    markdown = (out / "report.md").read_text()
    assert markdown.startswith("# small on FER-2013, PublicTest\n")
    assert "| accuracy (top-1) | 92.86 % | 68.53 to 98.73 % |" in markdown
    assert "| angry | 2 | 50.0 (9.5-90.5) | 100.0 (20.7-100.0) |" in markdown  # Wilson's intervals of 1/2 and 1/1
    assert "| angry | 1 | 1 | 0 | 0 | 0 | 0 | 0 |" in markdown
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert str(tmp_path) not in markdown + page
    # One mistake makes one tile.
    sheet = cv2.imdecode(np.fromfile(out / "mistakes.png", np.uint8), cv2.IMREAD_COLOR)
    assert abs(sheet.shape[0] - 288) <= 1


def test_a_model_without_mistakes_has_a_report_too(engine, bundle, data, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    out = tmp_path / "report"
    assert run(bundle, "--data", data, "--usage", "PrivateTest", "--report", out) == 0
    assert "None: every face is named as labelled." in (out / "report.md").read_text()
    assert not (out / "mistakes.png").exists()


def test_a_model_folder_is_not_overwritten_by_a_report(monkeypatch, tmp_path, bundle):
    model = tmp_path / "model"
    model.mkdir()
    (model / "record.json").write_text("{}")
    monkeypatch.setattr(evaluation_run, "open_scorer", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(UsageError, match=r"found one without it"):
        run(bundle, "--data", "not read.csv", "--report", model, "--force")
    assert (model / "record.json").read_text() == "{}"


def test_a_report_that_cannot_be_written_is_known_before_the_work(monkeypatch, tmp_path, bundle):
    monkeypatch.setattr(evaluation_run, "open_scorer", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(OutputError, match=r"the folder .* does not exist; create it first"):
        run(bundle, "--data", "not read.csv", "--report", tmp_path / "no" / "report")


# Two models.


@pytest.fixture
def two_precisions(tmp_path, monkeypatch):
    """A bundle whose int8 variant finds bars and whose float32 one takes all faces for happy."""
    engines = {}
    for name in ("int8", "float32"):
        made = fake_engine(
            bar_logits if name == "int8" else lambda pixels: (np.eye(7, dtype=np.float32)[[3] * len(pixels)],),
            inputs=(TensorSpec(name="pixels", shape=(None, 48, 48, 1), dtype="float32"),),
            outputs=(TensorSpec(name="logits", shape=(None, 7), dtype="float32"),),
        )
        made.name = {"int8": "onnx", "float32": "litert"}[name]
        engines[made.name] = made
    monkeypatch.setattr(scorers, "load_engine", engines.__getitem__)
    return write_bundle(tmp_path / "two", bar_manifest([("onnx", "int8"), ("litert", "float32")]))


def test_two_models_on_the_same_faces(two_precisions, data, capsys):
    words = (two_precisions, "--data", data, "--engine", "onnx", "--against", two_precisions)
    assert run(*words, "--against-engine", "litert", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    # 13 of 14 are right, of which 2 are happy; the second model has the 2 happy ones.
    assert record["measured"]["top1"] == round(13 / 14, 6)
    assert record["against"]["measured"]["top1"] == round(2 / 14, 6)
    assert record["against"]["engine"]["precision"] == "float32"
    comparison = record["comparison"]
    assert [comparison[f"{who}_right"] for who in ("both", "only_first", "only_second", "neither")] == [2, 11, 0, 1]
    assert comparison["mcnemar_exact_p"] == pytest.approx(2 / 2**11, rel=1e-5)
    assert comparison["difference"] == round(11 / 14, 6)
    run(*words, "--against-engine", "litert")
    text = capsys.readouterr().out
    assert "\nagainst small 1: classifier litert float32 (litert 0)\ntop-1 14.29 % " in text
    assert text.endswith("both right 2, the first alone 11, the second alone 0, neither 1\n")


def test_the_report_shows_the_comparison(two_precisions, data, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    out = tmp_path / "report"
    words = (two_precisions, "--data", data, "--engine", "onnx", "--against", two_precisions, "--report", out)
    assert run(*words, "--against-engine", "litert") == 0
    markdown = (out / "report.md").read_text()
    assert "| first less second / points | +78.57 |" in markdown
    assert "Second: small 1: classifier litert float32 (litert 0)." in markdown


def test_a_second_model_of_other_labels_is_refused(engine, bundle, data, tmp_path):
    other = write_bundle(tmp_path / "other", bar_manifest(labels=(*FER2013_LABELS[:6], "bored")))
    with pytest.raises(InputError, match=f"^{other}: expected the labels of the data"):
        run(bundle, "--data", data, "--against", other)
    assert engine.sessions == []


@pytest.mark.parametrize("option", ["--against-engine", "--against-precision"])
def test_options_of_a_second_model_need_one(bundle, data, option):
    with pytest.raises(UsageError, match=f"{option} goes with --against; name the model to compare with"):
        run(bundle, "--data", data, option, "onnx")


@pytest.mark.parametrize("option", ["--against-engine", "--against-precision"])
def test_options_that_a_trained_second_model_has_no_use_for_are_refused(engine, bundle, data, tmp_path, option):
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "record.json").write_text("{}")
    with pytest.raises(UsageError, match=r"trained is a trained model, which Keras runs; --against-engine and"):
        run(bundle, "--data", data, "--against", tmp_path / "trained", option, "onnx")


def test_a_picture_inside_the_report_is_refused(bundle, data, tmp_path):
    words = ["--report", tmp_path / "r", "--confusion-png", tmp_path / "r" / "c.png"]
    with pytest.raises(UsageError, match=r"^a report has confusion\.png already; leave --confusion-png away"):
        run(bundle, "--data", data, *words)


# Options that do not go together.


@pytest.mark.parametrize(
    "words",
    [
        ["--part", "fit"],
        ["--detector", "b"],
        ["--min-face-px", "20"],
        ["--thresholds", "0.5", "0.5", "0.5"],
        ["--crop-margin", "-0.1"],
        ["--skip-bad"],
    ],
    ids=lambda words: words[0],
)
def test_options_of_photos_do_not_go_with_faces(bundle, data, words):
    with pytest.raises(UsageError, match=f"^{words[0]} goes with --photos; leave it away$"):
        run(bundle, "--data", data, *words)


@pytest.mark.parametrize(
    "words", [["--usage", "PublicTest"], ["--mirrored"], ["--reference-kernels"]], ids=lambda words: words[0]
)
def test_options_of_faces_do_not_go_with_photos(bundle, tmp_path, words):
    with pytest.raises(UsageError, match=f"^{words[0]} goes with --data; leave it away$"):
        run(bundle, "--photos", tmp_path, *words)


@pytest.mark.parametrize("words", [[], ["--data", "a.csv", "--photos", "b"]])
def test_either_faces_or_photos(bundle, words, capsys):
    with pytest.raises(SystemExit) as caught:
        run(bundle, *words)
    assert caught.value.code == 2


# With real models.


def bar_onnx() -> bytes:
    """The network that finds bars, as an ONNX file."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["pixels"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])],
        "bars",
        [helper.make_tensor_value_info("pixels", kind, [None, 48, 48, 1])],
        [helper.make_tensor_value_info("logits", kind, [None, 7])],
        [onnx.numpy_helper.from_array(10 * BAR_WEIGHTS, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def test_numpy_and_one_engine_are_enough(tmp_path, data):
    """The command runs where Keras, its backends and matplotlib cannot be imported."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model = bar_onnx()
    content = bar_manifest([("onnx", "float32")])
    content["stages"]["classifier"]["variants"][0]["model"] = file_json("classifier.onnx", model)
    folder = write_bundle(tmp_path / "b", content)
    (folder / "classifier.onnx").write_bytes(model)
    script = """
import sys
for name in ("keras", "tensorflow", "torch", "jax", "onnx", "matplotlib", "rich", "tf2onnx", "nncf"):
    sys.modules[name] = None
from fer_edge.cli import main
sys.exit(main(sys.argv[1:]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "evaluate", folder, "--data", data, "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        env=child_environment(),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    assert record["engine"]["version"].startswith("onnxruntime ")
    assert record["model"]["files"] == [file_json("classifier.onnx", model)]
    assert record["measured"]["confusion"][0] == [1, 1, 0, 0, 0, 0, 0]
    assert record["measured"]["top1"] == round(13 / 14, 6)


@pytest.mark.host
def test_a_trained_model_is_run_by_keras(keras, tmp_path, data, capsys):
    pixels = keras.Input((48, 48, 1), name="pixels")
    dense = keras.layers.Dense(7, use_bias=False)
    model = keras.Model(pixels, dense(keras.layers.Flatten()(pixels)))
    dense.set_weights([10 * BAR_WEIGHTS])
    folder = tmp_path / "model"
    folder.mkdir()
    model.save(folder / "model.keras")
    digest = hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
    record = {
        "schema": "fer-edge/training-record/1",
        "model": {
            "name": "bars",
            "architecture": "bars_of_its_own",
            "parameters": 16128,
            "file": "model.keras",
            "sha256": digest,
            "labels": FER2013_LABELS,
            "input_shape_hwc": [48, 48, 1],
            # Not the training's own constants: the record counts.
            "pixel_mean": 100.0,
            "pixel_std": 64.0,
        },
    }
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    assert run(folder, "--data", data, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == {
        "kind": "model folder",
        "name": "bars",
        "architecture": "bars_of_its_own",
        "parameters": 16128,
        "input_shape_hwc": [48, 48, 1],
        "files": [{"file": "model.keras", "bytes": (folder / "model.keras").stat().st_size, "sha256": digest}],
    }
    assert found["engine"]["version"] == f"keras {keras.__version__}"
    assert found["measured"]["confusion"][0] == [1, 1, 0, 0, 0, 0, 0]

    images = learnable_faces(14, 3)[0][..., np.newaxis]
    logits = ((images.astype(np.float64) - 100) / 64).reshape(14, -1) @ (10 * BAR_WEIGHTS)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(open_scorer(folder, EngineChoice()).probs(images), expected, atol=1e-4)


def test_help_loads_nothing_heavy():
    script = """
import argparse, json, sys
from fer_edge_train.commands.evaluate import COMMAND
COMMAND.configure(argparse.ArgumentParser())
heavy = ("keras", "tensorflow", "torch", "matplotlib", "rich", "cv2")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, env=child_environment(), check=True
    )
    assert json.loads(done.stdout) == []
