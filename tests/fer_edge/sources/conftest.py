"""Cameras for the tests, switched off at their end."""

from __future__ import annotations

import socket

import pytest
from live_support import MjpegCamera, RtspServer, missing_for_rtsp


@pytest.fixture
def mjpeg_camera():
    camera = MjpegCamera()
    yield camera
    if camera.is_on:
        camera.off()


@pytest.fixture(scope="session")
def rtsp_possible():
    missing = missing_for_rtsp()
    if missing is not None:
        pytest.skip(f"no RTSP server: {missing}")


@pytest.fixture
def rtsp_server(rtsp_possible):
    server = RtspServer()
    yield server
    server.stop()


@pytest.fixture
def free_port():
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
