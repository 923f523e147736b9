"""What every test shares: one Keras backend for the process, chosen before anything imports Keras."""

from __future__ import annotations

import importlib.util
import os

# Conversion needs tensorflow in this process, and Keras keeps the first backend it is imported with. Tests of another
# backend start a process of their own.
if importlib.util.find_spec("tensorflow") is not None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
