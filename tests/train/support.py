"""Tiny data sets, and child processes with a Keras backend of their own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_edge_train.datasets import FER2013_LABELS, FaceSet

HEADER = "emotion,pixels,Usage"


def csv_row(emotion: int, pixels: np.ndarray, usage: str) -> str:
    return f"{emotion},{' '.join(str(int(value)) for value in pixels.ravel())},{usage}"


def learnable_faces(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures whose class is the height of a bright bar: uint8 (n, 48, 48), int64 (n,)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(FER2013_LABELS)
    images = rng.integers(0, 80, (n, 48, 48), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6 * label + 2 : 6 * label + 8] += 150
    return images, labels


def learnable_set(n: int, seed: int = 0) -> FaceSet:
    images, labels = learnable_faces(n, seed)
    return FaceSet(
        images=images[..., np.newaxis], label_indices=labels.astype(np.int64), labels=FER2013_LABELS, rows=np.arange(n)
    )


def write_learnable_csv(path: Path, n_training: int, n_test: int) -> Path:
    rows = [HEADER]
    for usage, n, seed in (("Training", n_training, 1), ("PublicTest", n_test, 2)):
        images, labels = learnable_faces(n, seed)
        rows += [csv_row(label, image, usage) for image, label in zip(images, labels, strict=True)]
    path.write_text("\n".join([*rows, ""]), encoding="utf-8")
    return path


def child_environment(backend: str | None = None) -> dict[str, str]:
    """Return this process's environment with another Keras backend (None: the project chooses)."""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Threads that wait for each other make small networks crawl on a busy machine.
    environment["OMP_NUM_THREADS"] = "1"
    if backend is not None:
        environment["KERAS_BACKEND"] = backend
    return environment


def hide_modules(folder: Path, *names: str) -> None:
    """Make modules that cannot be imported, for a folder that comes first in a child's PYTHONPATH.

    Keras on torch imports tensorflow (to seed it) and sklearn (to wrap it) where they are installed, for seconds each.
    """
    for name in names:
        (folder / f"{name}.py").write_text("raise ImportError('hidden by a test')\n", encoding="utf-8")


def need_backend(name: str) -> None:
    for module in ("keras", name):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def run_python(script: str, *arguments: str, backend: str | None = None, cwd: Path) -> str:
    """Run a script in a fresh process and return its stdout; its stderr is shown where it fails."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env=child_environment(backend),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
