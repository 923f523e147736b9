from __future__ import annotations

import json
import shutil

import cv2
import pytest

from fer_edge import __version__
from fer_edge.cli import main
from fer_edge.commands import doctor
from fer_edge.engines import EngineStatus


def test_findings_as_json(capsys, default_bundle):
    assert main(["doctor", "--bundle", str(default_bundle.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "fer-edge/doctor/1"
    assert (found["fer_edge"], found["opencv"], found["can_run"]) == (__version__, cv2.__version__, True)
    assert [engine["name"] for engine in found["engines"]][:3] == ["litert", "onnx", "openvino"]
    assert found["bundle"]["files"] == default_bundle.verify()
    assert "litert int8" in found["bundle"]["classifier"]


def test_a_damaged_bundle_is_named_and_ends_with_4(capsys, tmp_path, default_bundle):
    shutil.copytree(default_bundle.path, tmp_path / "bundle")
    entry = default_bundle.manifest.stages["pnet"].variants[0].model
    (tmp_path / "bundle" / entry.file).write_bytes(b"x" * entry.bytes)
    assert main(["doctor", "--bundle", str(tmp_path / "bundle")]) == 4
    out = capsys.readouterr().out
    assert entry.file in out
    assert out.endswith("not ready: see above\n")


def test_without_any_engine_it_says_how_to_get_one(capsys, monkeypatch, default_bundle):
    problem = 'the engine litert cannot be imported; pip install "fer-edge[litert]"'
    missing = [EngineStatus(name="litert", version=None, problem=problem)]
    monkeypatch.setattr("fer_edge.engines.engine_status", lambda: missing)
    assert main(["doctor", "--bundle", str(default_bundle.path)]) == 3
    assert f"litert    missing: {problem}" in capsys.readouterr().out


@pytest.mark.parametrize(("governor", "shown"), [("powersave", True), ("performance", False), (None, False)])
def test_a_governor_that_spoils_measurements_is_named(capsys, monkeypatch, default_bundle, governor, shown):
    monkeypatch.setattr(doctor, "_cpu_governor", lambda: governor)
    assert main(["doctor", "--bundle", str(default_bundle.path)]) == 0
    assert ("clock governor" in capsys.readouterr().out) is shown
