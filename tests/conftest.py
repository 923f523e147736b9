"""What every test shares: one Keras backend for the process, chosen before anything imports Keras."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

# Conversion needs tensorflow in this process, and Keras keeps the first backend it is imported with. Tests of another
# backend start a process of their own.
if importlib.util.find_spec("tensorflow") is not None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def data_folder():
    """The development data that FER_EDGE_DATA names."""
    folder = os.environ.get("FER_EDGE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FER_EDGE_DATA names no folder with the development data")
    return Path(folder)


@pytest.fixture(scope="session")
def public_test(data_folder):
    """FER-2013's PublicTest rows."""
    from fer_edge_train.datasets import read_fer2013

    return read_fer2013(data_folder / "fer2013" / "fer2013.csv.gz", ("PublicTest",))["PublicTest"]
