"""The int8 classifier on x86-64 and on aarch64: the same bytes where that is promised, the same labels elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from aarch64 import run_in_root

from fer_edge.bundle import default_bundle_path

REPOSITORY = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("classifier_outputs.py")


def synthetic_faces(n: int) -> np.ndarray:
    """Blurred noise with the contrast of photographs: exercises all values without any data set."""
    rng = np.random.default_rng(48)
    images = []
    for _ in range(n):
        noise = cv2.GaussianBlur(rng.normal(size=(48, 48)), (0, 0), rng.uniform(0.8, 6.0))
        noise = (noise - noise.min()) / (noise.max() - noise.min())
        images.append(np.rint(255 * noise).astype(np.uint8)[..., np.newaxis])
    return np.stack(images)


def outputs_of_both(images: np.ndarray, arm64_root: Path, tmp_path: Path) -> tuple[dict, dict]:
    bundle = os.environ.get("FER_EDGE_TEST_BUNDLE", str(default_bundle_path()))
    np.save(tmp_path / "images.npy", images)
    arguments = [str(WORKER), bundle, str(tmp_path / "images.npy")]
    here = subprocess.run(
        [sys.executable, *arguments, str(tmp_path / "here.npz")],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert here.returncode == 0, here.stderr
    there = run_in_root(
        arm64_root, [*arguments, str(tmp_path / "there.npz")], pythonpath=[REPOSITORY], timeout_s=540
    )
    assert there.returncode == 0, there.stderr
    with np.load(tmp_path / "here.npz") as first, np.load(tmp_path / "there.npz") as second:
        return dict(first), dict(second)


def check(here: dict, there: dict, n: int) -> None:
    assert (str(here["machine"]), str(there["machine"])) == ("x86_64", "aarch64")
    for case in ("onnx", "litert-reference"):
        assert here[case].shape == (n, 7)
        assert here[case].dtype in (np.uint8, np.int8)
        # Not one value for every image: the comparison must be able to fail.
        assert len(np.unique(here[case], axis=0)) > n / 2
        differ = np.flatnonzero((here[case] != there[case]).any(axis=1))
        assert differ.size == 0, f"{case}: {differ.size} of {n} images differ, the first is {differ[0]}"


@pytest.mark.arm
def test_int8_outputs_are_equal_on_synthetic_images(arm64_root, tmp_path):
    here, there = outputs_of_both(synthetic_faces(40), arm64_root, tmp_path)
    check(here, there, 40)


@pytest.mark.arm
@pytest.mark.data
def test_int8_outputs_are_equal_on_faces_and_fast_kernels_agree_on_labels(arm64_root, tmp_path, public_test):
    """The byte promises on 200 faces, and what LiteRT's fast kernels, which promise none, do to the labels there."""
    images = public_test.images[:: len(public_test) // 200][:200]
    here, there = outputs_of_both(images, arm64_root, tmp_path)
    check(here, there, 200)
    agreement = float((here["litert"].argmax(axis=1) == there["litert"].argmax(axis=1)).mean())
    largest = int(np.abs(here["litert"].astype(int) - there["litert"].astype(int)).max())
    changed = int((here["litert"] != there["litert"]).any(axis=1).sum())
    print(f"LiteRT fast kernels: top-1 agreement {agreement:.3f}, {changed} images differ, by up to {largest} steps")
    assert agreement >= 0.95
