"""Keras with a backend that is installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

from fer_edge.errors import MissingExtraError, UsageError

__all__ = ["accelerator_name", "fastest_compute_dtype", "import_keras"]

_BACKENDS = ("torch", "tensorflow", "jax")  # fastest first for these networks on a CPU


def import_keras() -> Any:
    """Import Keras on KERAS_BACKEND, or on the first backend that is installed where that is not set.

    Raises:
        MissingExtraError: Keras or every backend is missing.
        UsageError: KERAS_BACKEND names no backend that trains.
    """
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen is None:
        chosen = next((name for name in _BACKENDS if importlib.util.find_spec(name) is not None), None)
        if chosen is None:
            raise MissingExtraError(
                'training needs tensorflow, torch or jax, found none; pip install "fer-edge[convert]" brings tensorflow'
            )
        os.environ["KERAS_BACKEND"] = chosen
    elif chosen not in _BACKENDS:
        raise UsageError(f"KERAS_BACKEND: expected one of {', '.join(_BACKENDS)}, found {chosen!r}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import keras
    except ImportError as error:
        raise MissingExtraError(
            f'Keras on the backend {chosen} cannot be imported ({error}); pip install "fer-edge[train]" {chosen}'
        ) from error
    return keras


def fastest_compute_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return "bfloat16" where torch is the backend and the GPU or processor multiplies in it, else "float32"."""
    if os.environ.get("KERAS_BACKEND") != "torch":
        return "float32"
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    try:
        flags = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "float32"
    return "bfloat16" if re.search(r"\b(avx512_bf16|amx_bf16)\b", flags) else "float32"


def accelerator_name() -> str | None:
    """Return the name of the GPU that torch or JAX trains on; None on a processor, and on TensorFlow."""
    backend = os.environ.get("KERAS_BACKEND")
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if backend == "jax":
        device = importlib.import_module("jax").devices()[0]
        return None if device.platform == "cpu" else str(device.device_kind)
    return None
