"""The int8 classifier on several processors: the same bytes where that is promised, the same labels elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from aarch64 import DEFAULT_PROCESSOR, MissingToolError, run_in_root
from processors import PROCESSORS
from x86_64 import X86_PROCESSORS, run_on_x86

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


def run_here(images: np.ndarray, tmp_path: Path, processor: str | None = None) -> dict:
    """Run the worker on this machine's wheels, as it is or as an older x86-64 processor."""
    np.save(tmp_path / "images.npy", images)
    target = tmp_path / f"{processor}.npz"
    arguments = [str(WORKER), bundle_path(), str(tmp_path / "images.npy"), str(target)]
    if processor is not None:
        done = run_on_x86(arguments, pythonpath=[REPOSITORY], timeout_s=540, processor=processor)
    else:
        done = subprocess.run(
            [sys.executable, *arguments],
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
    for case in ("onnx", "litert-reference", "litert"):
        assert first[case].shape == (n, 7)
        assert first[case].dtype in (np.uint8, np.int8)
        # Not one value for every image: the comparison must be able to fail.
        assert len(np.unique(first[case], axis=0)) > n / 2
        differ = np.flatnonzero((first[case] != second[case]).any(axis=1))
        assert differ.size == 0, f"{case}: {differ.size} of {n} images differ, the first is {differ[0]}"


@pytest.fixture(scope="module")
def synthetic_here(tmp_path_factory) -> tuple[np.ndarray, dict]:
    """Synthetic faces, and what this machine answers to them."""
    images = synthetic_faces(40)
    return images, run_here(images, tmp_path_factory.mktemp("here"))


@pytest.mark.arm
@pytest.mark.parametrize("processor", PROCESSORS)
def test_int8_outputs_are_equal_on_aarch64(arm64_root, tmp_path, processor, synthetic_here):
    images, here = synthetic_here
    there = run_there(images, arm64_root, tmp_path, processor)
    assert str(there["machine"]) == "aarch64"
    check_promised_bytes(here, there, len(images))


@pytest.mark.arm
@pytest.mark.parametrize("processor", X86_PROCESSORS)
def test_int8_outputs_are_equal_on_x86_without_vnni(tmp_path, processor, synthetic_here):
    """Processors before VNNI add pairs of products in 16 bits; eight-bit weights overflowed there."""
    images, here = synthetic_here
    try:
        there = run_here(images, tmp_path, processor)
    except MissingToolError as error:
        pytest.skip(str(error))
    check_promised_bytes(here, there, len(images))


@pytest.mark.arm
@pytest.mark.parametrize("processor", X86_PROCESSORS)
def test_processor_is_what_emulated_x86_code_sees(processor):
    """numpy names what it finds in the processor: Haswell has AVX2, Nehalem does not, neither has AVX-512."""
    code = "from numpy._core._multiarray_umath import __cpu_features__ as f; print(f['SSE42'], f['AVX2'], f['AVX512F'])"
    try:
        done = run_on_x86(["-c", code], timeout_s=120, processor=processor)
    except MissingToolError as error:
        pytest.skip(str(error))
    assert done.stdout.split() == ["True", str(processor == "Haswell"), "False"], done.stderr


@pytest.mark.arm
@pytest.mark.data
def test_int8_outputs_are_equal_on_faces_and_kernels_agree_on_labels(arm64_root, tmp_path, public_test):
    """The byte promises on 200 faces, and how often LiteRT's fast kernels and its reference ones agree."""
    images = public_test.images[:: len(public_test) // 200][:200]
    here, there = run_here(images, tmp_path), run_there(images, arm64_root, tmp_path, DEFAULT_PROCESSOR)
    check_promised_bytes(here, there, 200)
    fast, reference = there["litert"], here["litert-reference"]
    agreement = float((fast.argmax(axis=1) == reference.argmax(axis=1)).mean())
    largest = int(np.abs(fast.astype(int) - reference.astype(int)).max())
    changed = int((fast != reference).any(axis=1).sum())
    print(
        f"LiteRT, fast and reference: top-1 agreement {agreement:.3f}, {changed} faces differ, by up to {largest} steps"
    )
    assert agreement >= 0.95
    # Not the same kernels twice: the two are known to round differently.
    assert changed > 0
