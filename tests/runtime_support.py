"""What the runtime's tests share: processes of their own, and small bundles without real models."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fer_edge.engines import TensorSpec, load_engine
from fer_edge.errors import MissingExtraError
from fer_edge.testing import FakeEngine

ENGINE_NAMES = ("litert", "onnx", "openvino")
MODEL_BYTES = b"any bytes will do for a fake engine"
# Two images for `manifest_json()`, and what `first_three` makes of them: values from -1 to 0.5.
GOLDEN_PIXELS = np.arange(48, dtype=np.uint8).reshape(2, 6, 4, 1)
GOLDEN_PIXELS[:, 0, :3, 0] = [[0, 128, 192], [64, 32, 160]]
GOLDEN_OUTPUTS = np.array([[-1, 0, 0.5], [-0.5, -0.75, 0.25]], np.float32)
GOLDEN_BYTES = GOLDEN_PIXELS.tobytes() + GOLDEN_OUTPUTS.tobytes()


def run_python(code, *words, **environment):
    """Run code in a fresh Python; pytest's settings and the shell's debug switch do not reach it."""
    kept = {name: value for name, value in os.environ.items() if name != "FER_EDGE_DEBUG"}
    kept.pop("ORT_DISABLE_TELEMETRY", None)
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=300,
        env={**kept, **environment},
        check=False,
    )


def run_cli(*words, **environment):
    """Run `fer-edge` in a fresh Python."""
    return run_python("import sys\nfrom fer_edge.cli import main\nsys.exit(main(sys.argv[1:]))", *words, **environment)


def installed_engine(name):
    """Return an engine, or skip the test with the reason."""
    try:
        return load_engine(name)
    except MissingExtraError as error:
        pytest.skip(str(error))


def file_json(name, data):
    return {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def tensor_json(name, shape, dtype="float32", scale=None, zero_point=None):
    return {"name": name, "shape": shape, "dtype": dtype, "scale": scale, "zero_point": zero_point}


def manifest_json():
    """The content of a valid manifest: a classifier of 4 x 6 gray pixels with three classes, for the engine "fake"."""
    return copy.deepcopy(_MANIFEST)


def write_bundle(folder, content=None):
    """Write a bundle's folder around MODEL_BYTES and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(content or manifest_json()), encoding="utf-8")
    (folder / "classifier_float32.fake").write_bytes(MODEL_BYTES)
    return folder


def first_three(pixels):
    """The first three network inputs of each image."""
    return (pixels.reshape(len(pixels), -1)[:, :3].copy(),)


def golden_manifest_json(data=GOLDEN_BYTES):
    """`manifest_json()` with golden vectors in `data`, to be compared byte for byte."""
    content = manifest_json()
    stage = content["stages"]["classifier"]
    stage["golden"] = {"offset": 0, "shape": [2, 6, 4, 1], "output_shapes": [[2, 3]]}
    stage["variants"][0]["golden"] = {"offset": 48, "reference_kernels": False, "tolerance": 0.0}
    content["golden"] = file_json("golden.bin", data)
    return content


def write_golden_bundle(folder, content=None, data=GOLDEN_BYTES):
    """Write a bundle's folder with golden vectors and return it."""
    write_bundle(folder, content or golden_manifest_json(data))
    (folder / "golden.bin").write_bytes(data)
    return folder


def fake_engine(compute, inputs=None, outputs=None):
    """An engine that fits `manifest_json()`."""
    return FakeEngine(
        inputs=inputs or (TensorSpec(name="pixels", shape=(None, 6, 4, 1), dtype="float32"),),
        outputs=outputs or (TensorSpec(name="logits", shape=(None, 3), dtype="float32"),),
        compute=compute,
    )


_MANIFEST = {
    "schema": "fer-edge/bundle/1",
    "name": "small",
    "version": "1",
    "licence": "Apache-2.0",
    "labels": ["angry", "happy", "neutral"],
    "stages": {
        "classifier": {
            "colour": "gray",
            "pixel_mean": 128.0,
            "pixel_std": 128.0,
            "layout": "NHWC",
            "crop_margin": 0.1,
            "golden": None,
            "variants": [
                {
                    "engine": "fake",
                    "precision": "float32",
                    "model": file_json("classifier_float32.fake", MODEL_BYTES),
                    "weights": None,
                    "inputs": [tensor_json("pixels", [None, 6, 4, 1])],
                    "outputs": [tensor_json("logits", [None, 3])],
                    "tested_with": "fake 0",
                    "recipe": None,
                    "measured": {},
                    "golden": None,
                }
            ],
        }
    },
    "provenance": {"seed": 7},
    "calibration": {},
    "attribution": ["nobody's work is inside"],
    "golden": None,
}
