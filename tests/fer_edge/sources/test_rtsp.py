"""RTSP from GStreamer's server: colours, TCP alone, passwords, a server that goes and returns."""

from __future__ import annotations

import time

import numpy as np
import pytest
from live_support import eventually

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError
from fer_edge.sources import LiveOptions, open_source

# The bars of the server's picture, in B, G, R.
BARS_BGR = {
    "white": (255, 255, 255),
    "yellow": (0, 255, 255),
    "cyan": (255, 255, 0),
    "green": (0, 255, 0),
    "magenta": (255, 0, 255),
    "red": (0, 0, 255),
    "blue": (255, 0, 0),
}


def bars(image_bgr):
    """The mean colour of each bar's middle."""
    assert image_bgr.shape == (240, 336, 3)
    return [image_bgr[40:100, 48 * place + 16 : 48 * place + 32].mean(axis=(0, 1)) for place in range(7)]


def test_h264_keeps_its_colours(rtsp_server):
    with open_source(rtsp_server.url()) as source:
        assert (source.kind, source.is_live, source.fps, source.size_wh) == ("stream", True, None, (336, 240))
        frame = source.read()
        assert (frame.source, source.n_opened) == (rtsp_server.url(), 1)
        np.testing.assert_allclose(bars(frame.image_bgr), list(BARS_BGR.values()), atol=6)
        # After what was buffered while opening, frames come at the camera's pace.
        begin_s, begin = time.monotonic(), source.read().index
        eventually(lambda: source.read().index >= begin + 60)
        assert time.monotonic() - begin_s > 0.5


def test_udp_is_refused_where_opencv_alone_would_take_it(rtsp_server, monkeypatch):
    monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", raising=False)
    cv2 = import_cv2()
    capture = cv2.VideoCapture(rtsp_server.url("/udp"), cv2.CAP_FFMPEG)
    assert capture.isOpened()
    capture.release()
    with pytest.raises(
        InputError, match="but sends no video; check path, user and password, and whether it sends over"
    ):
        open_source(rtsp_server.url("/udp"))


def test_the_login_is_sent_and_shown_nowhere(rtsp_server, capfd):
    with open_source(rtsp_server.url(login="keeper:p%40ss%3Aword@")) as source:
        frame = source.read()
        shown = f"{frame!r} {source!r} {source.name}"
    np.testing.assert_allclose(bars(frame.image_bgr)[5], BARS_BGR["red"], atol=6)
    assert frame.source == rtsp_server.url(login="")
    for secret in ("keeper", "p@ss", "p%40ss"):
        assert secret not in shown
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("login", ["", "keeper:wrong@", "nobody:p%40ss%3Aword@"], ids=["none", "password", "user"])
def test_a_wrong_login_is_one_line_without_it(rtsp_server, capfd, login):
    with pytest.raises(InputError) as caught:
        open_source(rtsp_server.url(login=login))
    port = rtsp_server.port_with_login
    assert str(caught.value) == (
        f"rtsp://127.0.0.1:{port}/bars: 127.0.0.1 answers on port {port} but sends no video; check path, user and "
        "password, and whether it sends over TCP"
    )
    assert capfd.readouterr() == ("", "")


def test_no_such_path(rtsp_server):
    with pytest.raises(InputError, match=r"/nothing: 127\.0\.0\.1 answers on port [0-9]+ but sends no video"):
        open_source(rtsp_server.url("/nothing"))


def test_a_server_that_goes_and_returns(rtsp_server):
    states = []
    options = LiveOptions(
        open_timeout_s=3.0,
        read_timeout_s=0.5,
        offline_after_s=1.0,
        reopen_after_s=0.1,
        reopen_gap_s=0.5,
        on_state=lambda online, reason: states.append((online, reason)),
    )
    with open_source(rtsp_server.url(), live=options) as source:
        before = source.read()
        index, time_s = before.index, before.time_s
        rtsp_server.stop()
        eventually(lambda: source.read(timeout_s=0.1) is None and not source.is_online)
        rtsp_server.start()
        eventually(lambda: (frame := source.read(timeout_s=0.1)) is not None and frame.index > index)
        after = source.read()
        np.testing.assert_allclose(bars(after.image_bgr)[5], BARS_BGR["red"], atol=6)
        assert after.time_s > time_s + 1.0
    assert [online for online, _ in states] == [False, True]
    assert states[0][1].startswith(f"{rtsp_server.url()}: no frame for 1 s; ")
