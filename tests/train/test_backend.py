from __future__ import annotations

import importlib.util
import sys

import pytest

from fer_edge.errors import MissingExtraError, UsageError
from fer_edge_train.backend import accelerator_name, fastest_compute_dtype, import_keras


@pytest.mark.parametrize("name", ["openvino", "numpy", "Torch", ""])
def test_a_backend_that_cannot_train_is_refused(monkeypatch, name):
    monkeypatch.setenv("KERAS_BACKEND", name)
    with pytest.raises(UsageError) as caught:
        import_keras()
    assert str(caught.value) == f"KERAS_BACKEND: expected one of torch, tensorflow, jax, found {name!r}"


def test_no_backend_installed_names_what_to_install(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"found none; pip install \"fer-edge\[convert\]\" brings tensorflow"):
        import_keras()


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [({"torch", "tensorflow", "jax"}, "torch"), ({"tensorflow", "jax"}, "tensorflow"), ({"jax"}, "jax")],
)
def test_the_first_installed_backend_is_chosen(monkeypatch, installed, chosen):
    import os

    monkeypatch.setenv("KERAS_BACKEND", "restored after the test")
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in installed else None)
    stand_in = type(sys)("keras")
    monkeypatch.setitem(sys.modules, "keras", stand_in)
    assert import_keras() is stand_in
    assert os.environ["KERAS_BACKEND"] == chosen


def test_keras_missing_names_what_to_install(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"fer-edge\[train\]\" torch$"):
        import_keras()


CPUINFO = "processor\t: 0\nflags\t\t: fpu sse2 avx512f {} avx512_vnni\n"


class Cuda:
    def __init__(self, available: bool, bfloat16: bool) -> None:
        self.is_available = lambda: available
        self.is_bf16_supported = lambda: bfloat16


@pytest.mark.parametrize(
    ("backend", "flag", "gpu", "expected"),
    [
        pytest.param("torch", "avx512_bf16", None, "bfloat16", id="AMD Zen 4, Intel Cooper Lake"),
        pytest.param("torch", "amx_bf16", None, "bfloat16", id="Intel Sapphire Rapids"),
        pytest.param("torch", "avx2", None, "float32", id="a processor without it"),
        pytest.param("torch", "avx512_bf16x", None, "float32", id="another flag"),
        pytest.param("torch", "avx2", True, "bfloat16", id="a GPU with it"),
        pytest.param("torch", "avx512_bf16", False, "float32", id="a GPU without it"),
        pytest.param("tensorflow", "avx512_bf16", None, "float32", id="another backend"),
    ],
)
def test_the_compute_type_is_what_the_hardware_multiplies(monkeypatch, tmp_path, backend, flag, gpu, expected):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    torch = type(sys)("torch")
    torch.cuda = Cuda(gpu is not None, bool(gpu))
    monkeypatch.setitem(sys.modules, "torch", torch)
    (tmp_path / "cpuinfo").write_text(CPUINFO.format(flag))
    assert fastest_compute_dtype(tmp_path / "cpuinfo") == expected


def test_a_machine_without_cpuinfo_computes_in_float32(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    torch = type(sys)("torch")
    torch.cuda = Cuda(False, False)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert fastest_compute_dtype(tmp_path / "none") == "float32"


@pytest.mark.parametrize(
    ("platform", "kind", "name"),
    [("gpu", "NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"), ("cpu", "cpu", None)],
)
def test_the_accelerator_of_jax_is_its_first_device(monkeypatch, platform, kind, name):
    device = type("Device", (), {"platform": platform, "device_kind": kind})()
    jax = type(sys)("jax")
    jax.devices = lambda: [device, None]
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert accelerator_name() == name


def test_tensorflow_names_no_accelerator(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert accelerator_name() is None
