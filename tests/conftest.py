"""What every test shares: one Keras backend for the process, chosen before anything imports Keras; data and bundle.

FER_EDGE_DATA     folder of the development data; tests marked `data` need it
FER_EDGE_TEST_BUNDLE     bundle to test in place of the installed one, e.g. one that was just converted
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from fer_edge._cv2 import import_cv2

# Each worker has a core, and so have the processes that its tests start: more threads would wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(_name, "1")

# OpenCV reads its limits and its log level once: the test that loads it first must not decide them.
import_cv2()

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


@pytest.fixture(scope="session")
def default_bundle():
    """The bundle that is installed with fer-edge, or the one that FER_EDGE_TEST_BUNDLE names."""
    from fer_edge.bundle import Bundle

    path = os.environ.get("FER_EDGE_TEST_BUNDLE")
    return Bundle.open(Path(path) if path else None)


@pytest.fixture(scope="session")
def pipelines(default_bundle):
    """Function from an engine's name and the classifier's precision to a pipeline, made once; skips what is missing."""
    from fer_edge.errors import MissingExtraError
    from fer_edge.pipeline import EmotionPipeline

    made = {}

    def pipeline(engine, precision=None):
        if (engine, precision) not in made:
            try:
                made[engine, precision] = EmotionPipeline(default_bundle.path, engine=engine, precision=precision)
            except MissingExtraError as error:
                pytest.skip(str(error))
        return made[engine, precision]

    return pipeline
