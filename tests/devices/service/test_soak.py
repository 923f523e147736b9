"""The soak test, in small: all its faults, once."""

import subprocess
import sys
from pathlib import Path

import pytest
from runtime_support import installed_engine

SOAK = Path(__file__).parents[3] / "benchmarks" / "studies" / "soak.py"


@pytest.mark.slow
def test_the_service_outlives_what_breaks():
    installed_engine("litert")
    done = subprocess.run(
        [sys.executable, str(SOAK), "--minutes", "0.7"], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for fault in ("camera 1", "reader 1", "disk 1", "watcher 1", "reload 1"):
        assert fault in done.stdout
    assert "| hang | ended after" in done.stdout
