"""Fixtures of the preview's tests.

FER_EDGE_CHROMIUM     program to look at the page with, in place of the one on the path
"""

from __future__ import annotations

import os
import shutil
import threading

import pytest
from preview_support import Browser

from fer_edge.preview import PreviewServer


@pytest.fixture
def preview(monkeypatch):
    """A preview on this machine alone, closed at the end."""
    monkeypatch.delenv("FER_EDGE_PREVIEW_TOKEN", raising=False)
    with PreviewServer(temperature_c=lambda: 47.25) as server:
        yield server


@pytest.fixture
def writing():
    """Function that writes results to a server in a thread, in a circle, until the test ends."""
    ending = threading.Event()
    threads = []

    def start(server, results, period_s=0.02):
        def write():
            index = 0
            while not ending.wait(period_s):
                server.write(results[index % len(results)])
                index += 1

        thread = threading.Thread(target=write)
        thread.start()
        threads.append(thread)

    yield start
    ending.set()
    for thread in threads:
        thread.join()


@pytest.fixture(scope="session")
def chromium():
    """The program's path; skips where there is none."""
    named = os.environ.get("FER_EDGE_CHROMIUM")
    names = (named,) if named else ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no Chromium: {' or '.join(names)} is not on the path, and FER_EDGE_CHROMIUM names no other")
    return found


@pytest.fixture(scope="session")
def chromium_running(chromium, tmp_path_factory):
    """That program, running until the last test has ended."""
    running = Browser(chromium, tmp_path_factory.mktemp("chromium"))
    yield running
    running.close()


@pytest.fixture
def browser(chromium_running):
    """An empty tab of it, closed at the end."""
    chromium_running.begin()
    yield chromium_running
    chromium_running.finish()
