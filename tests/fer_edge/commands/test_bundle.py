from __future__ import annotations

import json
import zipfile

import pytest
from runtime_support import (
    fake_engine,
    first_three,
    golden_manifest_json,
    manifest_json,
    write_bundle,
    write_golden_bundle,
)

from fer_edge.bundle import Bundle
from fer_edge.cli import main
from fer_edge.errors import EngineError


def test_inspect_names_every_variant_and_what_was_measured(capsys, default_bundle):
    assert main(["bundle", "inspect", str(default_bundle.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "labels: angry, disgust, fear, happy, sad, surprise, neutral"
    described = [line.split()[:3] for line in lines[2:] if "bytes" in line]
    stages = default_bundle.manifest.stages
    assert described == [
        [name, variant.engine, variant.precision] for name, stage in stages.items() for variant in stage.variants
    ]
    int8 = next(line for line in lines if line.startswith("classifier  litert    int8"))
    figures = next(v for v in stages["classifier"].variants if (v.engine, v.precision) == ("litert", "int8")).measured
    assert f"PublicTest {100 * figures['PublicTest']['top1']:.2f} %" in int8
    assert "n = 3589" in int8


@pytest.mark.parametrize(
    ("figures", "shown"),
    [
        pytest.param(
            {"top1": 0.5, "interval95": [0.25, 0.75], "n": 4, "drop_points": -0.5},
            "data 50.00 % (25.00 to 75.00, n = 4), drop -0.50 points",
            id="convert's",
        ),
        pytest.param({"top1": 0.5}, 'data {"top1": 0.5}', id="one of them"),
        pytest.param(
            {"top1": "0.5", "interval95": [0.25, 0.75], "n": 4, "drop_points": 0.5},
            'data {"top1": "0.5", "interval95": [0.25, 0.75], "n": 4, "drop_points": 0.5}',
            id="text for a number",
        ),
        pytest.param(
            {"top1": 10**400, "n": 4},
            f'data {{"top1": 1{"0" * 190}…',
            id="long",
        ),
        pytest.param([0.5], "data [0.5]", id="list"),
        pytest.param(None, "data null", id="null"),
        pytest.param("\x1b[2J\n", 'data "\\u001b[2J\\n"', id="control characters"),
    ],
)
def test_inspect_shows_figures_of_any_shape(capsys, tmp_path, figures, shown):
    content = manifest_json()
    content["stages"]["classifier"]["variants"][0]["measured"] = {"data": figures}
    assert main(["bundle", "inspect", str(write_bundle(tmp_path / "bundle", content))]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines()[2].endswith(f"bytes  {shown}")


def test_inspect_as_json_is_the_manifest(capsys, default_bundle):
    assert main(["bundle", "inspect", "--json", str(default_bundle.path)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((default_bundle.path / "manifest.json").read_text())


def test_verify_counts_the_files(capsys, default_bundle):
    assert main(["bundle", "verify", str(default_bundle.path)]) == 0
    n_files = sum(path.name != "manifest.json" for path in default_bundle.path.iterdir())
    assert f": {n_files} files are as the manifest says" in capsys.readouterr().out


def test_verify_as_json(capsys, default_bundle):
    assert main(["bundle", "verify", "--json", str(default_bundle.path)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "schema": "fer-edge/bundle-verification/1",
        "bundle": str(default_bundle.path),
        "files": default_bundle.verify(),
        "golden": None,
    }


@pytest.fixture
def golden_bundle(tmp_path):
    """A bundle of two variants, the second for an engine that is not installed."""
    content = golden_manifest_json()
    variants = content["stages"]["classifier"]["variants"]
    variants.append({**variants[0], "engine": "absent"})
    return write_golden_bundle(tmp_path / "bundle", content)


@pytest.fixture
def fake(monkeypatch):
    """Function that makes a model what every engine of the name "fake" computes."""
    from fer_edge.engines import load_engine

    def use(compute):
        monkeypatch.setattr(
            "fer_edge.golden.load_engine", lambda name: fake_engine(compute) if name == "fake" else load_engine(name)
        )

    return use


def shifted(pixels):
    return (first_three(pixels)[0] + 3,)


def broken(pixels):
    raise EngineError("fake failed: it is broken")


SKIPPED = "classifier  absent    float32      skipped: no engine is named 'absent'; known: "
DIFFERS = "classifier  fake      float32      differs: 6 of 6 values are off by up to 2 of their range (let through: 0)"


@pytest.mark.parametrize(
    ("compute", "code", "line", "error"),
    [
        pytest.param(first_three, 0, "classifier  fake      float32      exact", "", id="exact"),
        pytest.param(
            shifted,
            4,
            DIFFERS,
            "fer-edge: error: {folder}: classifier fake float32: expected the golden outputs byte for byte, found that "
            "6 of 6 values are off by up to 2 of their range in fake 0; use another variant here, or fake 0, with "
            "which the bundle was made\n",
            id="differs",
        ),
        pytest.param(
            broken,
            1,
            "classifier  fake      float32      failed: fake failed: it is broken",
            "fer-edge: error: {folder}: classifier fake float32: fake failed: it is broken\n",
            id="fails",
        ),
    ],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_verify_replays_golden_vectors(capsys, golden_bundle, fake, as_json, compute, code, line, error):
    fake(compute)
    assert main(["bundle", "verify", "--golden", *["--json"] * as_json, str(golden_bundle)]) == code
    captured = capsys.readouterr()
    assert captured.err == error.format(folder=golden_bundle)
    if as_json:
        (text,) = captured.out.splitlines()
        ran, absent = json.loads(text)["golden"]
        assert (ran["engine"], ran["precision"], ran["stage"]) == ("fake", "float32", "classifier")
        assert (ran["outcome"], absent["outcome"]) == (line.split()[3].rstrip(":"), "skipped")
        assert absent["reason"].startswith("no engine is named 'absent'; known: ")
    else:
        files, first, second = captured.out.splitlines()
        assert files == f"{golden_bundle}: 2 files are as the manifest says"
        assert first == line
        assert second.startswith(SKIPPED)


def test_verify_as_json_states_every_figure(capsys, golden_bundle, fake):
    fake(shifted)
    main(["bundle", "verify", "--golden", "--json", str(golden_bundle)])
    assert json.loads(capsys.readouterr().out)["golden"][0] == {
        "stage": "classifier",
        "engine": "fake",
        "precision": "float32",
        "reference_kernels": False,
        "outcome": "differs",
        "engine_version": "fake 0",
        "values": 6,
        "different": 6,
        "largest_difference": 2.0,
        "tolerance": 0.0,
    }


def test_verify_without_any_engine_of_the_bundle(capsys, golden_bundle):
    assert main(["bundle", "verify", "--golden", str(golden_bundle)]) == 3
    captured = capsys.readouterr()
    assert captured.out.count("skipped") == 2
    assert captured.err.startswith(
        f"fer-edge: error: {golden_bundle}: expected an engine that runs one of the variants; no engine is named 'fake'"
    )
    assert captured.err.count("\n") == 1


def test_verify_of_a_bundle_without_golden_vectors(capsys, tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    assert main(["bundle", "verify", "--golden", str(folder)]) == 3
    message = f"fer-edge: error: {folder} has no golden vectors; make the bundle again with fer-edge convert\n"
    assert capsys.readouterr().err == message


def test_files_are_verified_before_anything_runs(capsys, golden_bundle, fake):
    fake(lambda pixels: pytest.fail("it ran"))
    (golden_bundle / "classifier_float32.fake").write_bytes(b"x")
    assert main(["bundle", "verify", "--golden", str(golden_bundle)]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "classifier_float32.fake: expected 35 bytes, found 1" in captured.err


def test_a_packed_bundle_keeps_its_golden_vectors(tmp_path, golden_bundle, fake):
    fake(first_three)
    assert main(["bundle", "pack", str(golden_bundle), "-o", str(tmp_path / "a.zip")]) == 0
    assert main(["bundle", "verify", "--golden", str(tmp_path / "a.zip")]) == 0


def test_a_packed_bundle_is_the_same_bundle_and_the_same_bytes_each_time(capsys, tmp_path, default_bundle):
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    assert main(["bundle", "pack", str(default_bundle.path), "-o", str(first)]) == 0
    assert main(["bundle", "pack", str(first), "-o", str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()
    packed = Bundle.open(first)
    assert packed.manifest.to_json() == default_bundle.manifest.to_json()
    assert packed.verify() == default_bundle.verify()
    with zipfile.ZipFile(first) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_the_manifest_is_packed_byte_for_byte(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    raw = b"\n" + (folder / "manifest.json").read_bytes() + b"  \r\n"
    (folder / "manifest.json").write_bytes(raw)
    assert main(["bundle", "pack", str(folder), "-o", str(tmp_path / "a.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("manifest.json") == raw


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["verify", "{folder}/nothing"], 1, "no bundle"),
        (["pack", "-o", "{folder}/there.zip"], 2, "--force"),
        (["pack", "-o", "{folder}/no/such.zip"], 1, "does not exist"),
    ],
    ids=["no bundle", "target exists", "no folder"],
)
def test_what_cannot_be_done_leaves_everything_as_it_was(capsys, tmp_path, words, code, word):
    (tmp_path / "there.zip").write_bytes(b"somebody's")
    assert main(["bundle", *(text.format(folder=tmp_path) for text in words)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert word in captured.err
    assert (tmp_path / "there.zip").read_bytes() == b"somebody's"
    assert [path.name for path in tmp_path.iterdir()] == ["there.zip"]
