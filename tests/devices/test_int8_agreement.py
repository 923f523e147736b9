"""The int8 classifier on several processors: the same bytes where that is promised, the same labels elsewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from aarch64 import DEFAULT_PROCESSOR, run_in_root
from processors import PROCESSORS

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


def bundle_path() -> str:
    return os.environ.get("FER_EDGE_TEST_BUNDLE", str(default_bundle_path()))


def run_here(images: np.ndarray, tmp_path: Path, emulator: tuple[str, ...] = ()) -> dict:
    """Run the worker on this machine's wheels, as it is or under an emulator of another x86-64 processor."""
    np.save(tmp_path / "images.npy", images)
    target = tmp_path / f"here{len(emulator)}.npz"
    done = subprocess.run(
        [*emulator, sys.executable, str(WORKER), bundle_path(), str(tmp_path / "images.npy"), str(target)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    with np.load(target) as outputs:
        return dict(outputs)


def run_there(images: np.ndarray, arm64_root: Path, tmp_path: Path, processor: str) -> dict:
    """Run the worker on the aarch64 wheels."""
    np.save(tmp_path / "images.npy", images)
    target = tmp_path / "there.npz"
    done = run_in_root(
        arm64_root,
        [str(WORKER), bundle_path(), str(tmp_path / "images.npy"), str(target)],
        pythonpath=[REPOSITORY],
        timeout_s=540,
        processor=processor,
    )
    assert done.returncode == 0, done.stderr
    with np.load(target) as outputs:
        return dict(outputs)


def check_promised_bytes(first: dict, second: dict, n: int) -> None:
    for case in ("onnx", "litert-reference"):
        assert first[case].shape == (n, 7)
        assert first[case].dtype in (np.uint8, np.int8)
        # Not one value for every image: the comparison must be able to fail.
        assert len(np.unique(first[case], axis=0)) > n / 2
        differ = np.flatnonzero((first[case] != second[case]).any(axis=1))
        assert differ.size == 0, f"{case}: {differ.size} of {n} images differ, the first is {differ[0]}"


@pytest.mark.arm
@pytest.mark.parametrize("processor", PROCESSORS)
def test_int8_outputs_are_equal_on_aarch64(arm64_root, tmp_path, processor):
    images = synthetic_faces(40)
    there = run_there(images, arm64_root, tmp_path, processor)
    assert str(there["machine"]) == "aarch64"
    check_promised_bytes(run_here(images, tmp_path), there, 40)


@pytest.mark.arm
def test_int8_outputs_are_equal_on_x86_without_vnni(tmp_path):
    """Processors before VNNI add pairs of products in 16 bits; eight-bit weights overflowed there."""
    emulator = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("qemu-x86_64 is not installed; apt-get install qemu-user-static")
    images = synthetic_faces(40)
    check_promised_bytes(run_here(images, tmp_path), run_here(images, tmp_path, (emulator, "-cpu", "Haswell")), 40)


@pytest.mark.arm
@pytest.mark.data
def test_int8_outputs_are_equal_on_faces_and_fast_kernels_agree_on_labels(arm64_root, tmp_path, public_test):
    """The byte promises on 200 faces, and what LiteRT's fast kernels, which promise none, do to the labels there."""
    images = public_test.images[:: len(public_test) // 200][:200]
    here, there = run_here(images, tmp_path), run_there(images, arm64_root, tmp_path, DEFAULT_PROCESSOR)
    check_promised_bytes(here, there, 200)
    agreement = float((here["litert"].argmax(axis=1) == there["litert"].argmax(axis=1)).mean())
    largest = int(np.abs(here["litert"].astype(int) - there["litert"].astype(int)).max())
    changed = int((here["litert"] != there["litert"]).any(axis=1).sum())
    print(f"LiteRT fast kernels: top-1 agreement {agreement:.3f}, {changed} images differ, by up to {largest} steps")
    assert agreement >= 0.95
