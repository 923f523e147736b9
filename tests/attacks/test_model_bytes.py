"""Damaged model files that reach an engine, as if nobody had checked their digests: the process must survive.

LiteRT's other loader crashed the process on most truncated files; this holds the one in use to what was found. Each
engine runs in a process of its own, so that a crash fails one case and not the test run.
"""

from __future__ import annotations

import json

import pytest
from runtime_support import ENGINE_NAMES, installed_engine, run_python

POSITIONS = 30

CODE = """
import json, sys
from pathlib import Path
from fer_edge.bundle import Bundle
from fer_edge.engines import EngineOptions, load_engine
from fer_edge.errors import EngineError

name, path, positions = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
engine = load_engine(name)
bundle = Bundle.open(path)
loaded, refused = [], 0
for stage, size in (("classifier", (1, 48, 48, 1)), ("pnet", (1, 60, 80, 3))):
    variant = next(v for v in bundle.manifest.stages[stage].variants if v.engine == name)
    model = bundle.read(variant.model)
    weights = bundle.read(variant.weights) if variant.weights else None
    options = EngineOptions(input_shapes=(size,))
    for i in range(positions):
        files = [(model[: len(model) * i // positions], weights)]
        if weights:
            files.append((model, weights[: len(weights) * i // positions]))
        for damaged, beside in files:
            try:
                engine.load(damaged, options, weights=beside)
            except EngineError as error:
                assert "\\n" not in str(error)
                refused += 1
            else:
                loaded.append([stage, i])
print(json.dumps({"refused": refused, "loaded": loaded}))
"""


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_truncated_models(name, default_bundle):
    installed_engine(name)
    done = run_python(CODE, name, str(default_bundle.path.resolve()), str(POSITIONS))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"refused": 2 * POSITIONS * (2 if name == "openvino" else 1), "loaded": []}
