"""Keras with a backend that is installed."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from fer_edge.errors import MissingExtraError, UsageError

__all__ = ["import_keras"]

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
