"""What is imported when, who may import whom, and what the package offers by name."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from pathlib import Path

import pytest
from runtime_support import run_python

import fer_edge
from fer_edge import errors

PACKAGE = Path(fer_edge.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Besides the standard library and fer_edge itself: numpy anywhere, the others in one module each, inside functions.
ONLY_IN = {
    "cv2": "_cv2.py",
    "ai_edge_litert": "engines/litert.py",
    "tflite_runtime": "engines/litert.py",
    "onnxruntime": "engines/onnx.py",
    "openvino": "engines/openvino.py",
    "picamera2": "sources/picamera.py",
    "pyarrow": "bulk/_arrow.py",
    "paho": "sinks/mqtt_link.py",
}

CODE = """
import json, sys
before = set(sys.modules)
{statement}
new = sorted(name for name in set(sys.modules) - before if name.split(".")[0] not in sys.stdlib_module_names)
print("\\n" + json.dumps(new))
"""


def modules_after(statement):
    """Modules beyond the standard library that a statement loads in a fresh process."""
    done = run_python(CODE.format(statement=statement))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        pytest.param("import fer_edge", ["fer_edge", "fer_edge._version"], id="import"),
        pytest.param(
            "from fer_edge.cli import main; main(['--help'])",
            ["fer_edge", "fer_edge._version", "fer_edge.cli", "fer_edge.errors"],
            id="--help",
        ),
        pytest.param(
            "from fer_edge.cli import main; main(['--version'])",
            ["fer_edge", "fer_edge._version", "fer_edge.cli", "fer_edge.errors"],
            id="--version",
        ),
        pytest.param(
            "from fer_edge import FerEdgeError", ["fer_edge", "fer_edge._version", "fer_edge.errors"], id="errors"
        ),
    ],
)
def test_a_fresh_process_loads_no_more_than_this(statement, allowed):
    assert modules_after(statement) == allowed


@pytest.mark.parametrize("name", ["EmotionPipeline", "FaceDetector", "Bundle", "Face"])
def test_a_public_name_loads_neither_opencv_nor_an_engine(name):
    loaded = {module.split(".")[0] for module in modules_after(f"from fer_edge import {name}")}
    assert loaded == {"fer_edge", "numpy"}


def test_inference_loads_nothing_of_the_standard_library_that_is_large_and_not_needed():
    code = """
import sys
import numpy as np
from fer_edge import EmotionPipeline
EmotionPipeline(engine="litert").analyse(np.zeros((120, 160, 3), np.uint8))
print(sorted({"argparse", "email", "http", "importlib.metadata", "multiprocessing", "ssl"} & set(sys.modules)))
"""
    done = run_python(code)
    assert done.stdout == "[]\n", done.stderr


def test_all_is_sorted_and_every_name_resolves():
    assert fer_edge.__all__ == sorted(fer_edge.__all__)
    assert len(set(fer_edge.__all__)) == len(fer_edge.__all__)
    for name in fer_edge.__all__:
        value = getattr(fer_edge, name)
        assert name == "__version__" or value.__name__ == name
    assert dir(fer_edge) == fer_edge.__all__


def test_all_holds_every_error():
    assert set(errors.__all__) <= set(fer_edge.__all__)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match=r"^module 'fer_edge' has no attribute 'EmotionPipelin'$"):
        _ = fer_edge.EmotionPipelin


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_all_of_a_module_names_what_it_defines(path):
    name = ".".join(("fer_edge", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    if path.name == "__main__.py":
        pytest.skip("importing it runs the command line")
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    missing = [name for name in exported if not hasattr(module, name)]
    assert missing == []
    public = {
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_")
    }
    assert public <= set(exported)


def imports(path):
    """(root of an imported module, whether it is imported with the module) for every import of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        child
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.Lambda)) or (isinstance(node, ast.If) and _is_type_checking(node))
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node not in late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module.split(".")[0], node not in late


def _is_type_checking(node):
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_the_runtime_imports_nothing_of_the_other_layers(path):
    for root, at_top in imports(path):
        if root in sys.stdlib_module_names or root in ("fer_edge", "numpy"):
            continue
        assert ONLY_IN.get(root) == path.relative_to(PACKAGE).as_posix(), f"{root} is imported"
        assert not at_top, f"{root} is imported with the module"
