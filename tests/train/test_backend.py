from __future__ import annotations

import importlib.util
import sys

import pytest

from fer_edge.errors import MissingExtraError, UsageError
from fer_edge_train.backend import import_keras


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
