"""What a tuning holds for, and what becomes of one that does not."""

from __future__ import annotations

import dataclasses
import json

import pytest
from runtime_support import ENGINE_NAMES, run_cli

from fer_edge import EmotionPipeline
from fer_edge.assets import demo_photo_path
from fer_edge.bundle.manifest import STAGE_NAMES
from fer_edge.engines import load_engine
from fer_edge.errors import InputError, OutputError, UsageError
from fer_edge.files import sha256_hex
from fer_edge.images import read_image
from fer_edge.tuning import SCHEMA, StageChoice, Tuning, machine_key, read_tuning, tuning_path, write_tuning

FLOAT = StageChoice(engine="litert", precision="float32", threads=1)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_EDGE_TUNING", str(tmp_path / "tunings"))
    return tmp_path / "tunings"


@pytest.fixture
def tuning(default_bundle):
    if "litert" not in ENGINE_NAMES:
        pytest.skip("the engine litert is not installed")
    return Tuning(
        schema=SCHEMA,
        created_utc="2026-01-02T03:04:05+00:00",
        manifest_sha256=sha256_hex(default_bundle.manifest_bytes),
        machine=machine_key(),
        engine_versions={"litert": load_engine("litert").version()},
        stages=dict.fromkeys(STAGE_NAMES, FLOAT),
        frame_ms=10.0,
        default_frame_ms=12.0,
        peak_memory_bytes=90_000_000,
        default_peak_memory_bytes=95_000_000,
        min_face_px=40.0,
    )


def test_it_reads_back(tuning, default_bundle, folder):
    assert read_tuning(default_bundle) is None
    path = write_tuning(tuning)
    assert path == folder / f"{tuning.manifest_sha256[:32]}.json"
    assert read_tuning(default_bundle) == tuning


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"manifest_sha256": "0" * 64}, id="another bundle"),
        pytest.param({"machine": {"cpu": "another"}}, id="another machine"),
        pytest.param({"engine_versions": {"litert": "ai-edge-litert 0.0"}}, id="another release of an engine"),
        pytest.param({"engine_versions": {"no-such-engine": "1"}}, id="an engine that is gone"),
    ],
)
def test_one_that_does_not_hold_is_left_alone(tuning, default_bundle, changes):
    path = write_tuning(tuning)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    assert read_tuning(default_bundle) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "expected JSON, found other text", id="no json"),
        pytest.param('{"schema": "fer-edge/tuning/1"}', "the key 'created_utc' is missing", id="keys missing"),
        pytest.param(b"\xff\xfe", "cannot read", id="no text"),
    ],
)
def test_what_is_no_tuning(default_bundle, folder, text, message):
    folder.mkdir()
    path = tuning_path(sha256_hex(default_bundle.manifest_bytes))
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as raised:
        read_tuning(default_bundle)
    assert "run fer-edge tune again" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "fer-edge/tuning/2"}, "expected fer-edge/tuning/1, found 'fer-edge/tuning/2'"),
        ({"stages": {"pnet": FLOAT}}, "expected pnet, rnet, onet, classifier, found pnet"),
    ],
    ids=["schema", "stages"],
)
def test_what_cannot_be(tuning, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(tuning, **changes)


def test_no_threads():
    with pytest.raises(ValueError, match="threads: expected 1 or more, found 0"):
        StageChoice(engine="litert", precision="int8", threads=0)


def test_a_place_that_cannot_be_written(tuning, folder):
    folder.write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write_tuning(tuning)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({"FER_EDGE_TUNING": "/a"}, "/a/", id="named"),
        pytest.param({"XDG_CACHE_HOME": "/b"}, "/b/fer-edge/tuning/", id="cache"),
        pytest.param({"HOME": "/c"}, "/c/.cache/fer-edge/tuning/", id="home"),
    ],
)
def test_where_it_is(monkeypatch, variables, expected):
    for name in ("FER_EDGE_TUNING", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(tuning_path("ab" * 32)) == f"{expected}{'ab' * 16}.json"


@pytest.mark.skipif(len(ENGINE_NAMES) < 2, reason="one engine is installed")
def test_a_pipeline_of_several_engines(default_bundle):
    first, second = ENGINE_NAMES[:2]
    stages = dict.fromkeys(STAGE_NAMES, StageChoice(engine=first, precision="float32", threads=1))
    stages["classifier"] = StageChoice(engine=second, precision="int8", threads=2)
    pipeline = EmotionPipeline(default_bundle.path, stages=stages)
    assert pipeline.engine_version == f"{load_engine(first).version()}, {load_engine(second).version()}"
    assert pipeline.classifier.stage.variant.engine == second
    assert {stage.variant.engine for stage in pipeline.detector.stages.values()} == {first}
    (face,) = pipeline(read_image(demo_photo_path()))
    assert face.emotion == "happy"


@pytest.mark.parametrize("given", [{"engine": "litert"}, {"precision": "int8"}, {"threads": 2}], ids=str)
def test_stages_take_the_place_of_other_options(default_bundle, given):
    with pytest.raises(UsageError, match="stages: expected no engine, precision, detector_precision or threads"):
        EmotionPipeline(default_bundle.path, stages=dict.fromkeys(STAGE_NAMES, FLOAT), **given)


@pytest.mark.parametrize(
    ("words", "is_taken"),
    [
        pytest.param([], True, id="nothing asked for"),
        pytest.param(["--no-tuning"], False, id="left alone"),
        pytest.param(["--engine", "litert"], False, id="an engine asked for"),
        pytest.param(["--threads", "1"], False, id="threads asked for"),
    ],
)
def test_run_takes_it(tuning, folder, words, is_taken):
    """A tuning whose precision the bundle lacks: whoever takes it fails by name."""
    missing = dict.fromkeys(STAGE_NAMES, dataclasses.replace(FLOAT, precision="int4"))
    write_tuning(dataclasses.replace(tuning, stages=missing))
    done = run_cli("run", str(demo_photo_path()), *words, FER_EDGE_TUNING=str(folder))
    assert (done.returncode == 3 and "litert int4" in done.stderr) is is_taken
