"""Network streams: what of a URL is shown, and a motion-JPEG camera on 127.0.0.1 with all its moods."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time

import numpy as np
import pytest
from live_support import RED, MjpegCamera, eventually, middle, patched
from runtime_support import run_python

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError
from fer_edge.sources import LiveOptions, open_source
from fer_edge.sources.stream import shown_url

FAST = LiveOptions(open_timeout_s=2.0, read_timeout_s=0.5, offline_after_s=0.8, reopen_after_s=0.1, reopen_gap_s=0.4)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://camera/stream", "rtsp://camera/stream"),
        ("RTSP://camera:8554/", "rtsp://camera:8554/"),
        ("rtsp://camera", "rtsp://camera"),
        ("rtsp://keeper:secret@camera:554/stream/1", "rtsp://camera:554/stream/1"),
        ("rtsp://secret@camera/stream", "rtsp://camera/stream"),
        ("rtsp://keeper:p%40secret@[fe80::1]:554/s", "rtsp://[fe80::1]:554/s"),
        ("http://camera/video?user=keeper&pwd=secret", "http://camera/video"),
        ("http://camera/video#secret", "http://camera/video"),
        ("rtsp://camera/user=keeper_password=secret_channel=1.sdp?real_stream", "rtsp://camera/…"),
        ("rtsp://camera/live/user=keeper&password=secret/1", "rtsp://camera/live/…"),
        # No URLs any more, and still nothing is shown.
        ("rtsp://keeper:sec/ret@camera/stream", "rtsp://camera/stream"),
        ("rtsp://keeper:sec#ret@camera/stream", "rtsp://camera/stream"),
        ("rtsp://keeper:sec?ret@camera/stream", "rtsp://camera/stream"),
        ("rtsp://keeper:s@cret@camera/stream", "rtsp://camera/stream"),
    ],
)
def test_what_is_shown_of_a_url(url, shown):
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("rtsp://", "rtsp: expected SCHEME://HOST:PORT/PATH or "),
        ("rtsp://keeper:secret@", "rtsp: expected SCHEME://HOST:PORT/PATH or "),
        ("rtsp://keeper:sec/ret@camera/stream", "rtsp: expected SCHEME://HOST:PORT/PATH or "),
        ("http://camera:secret/stream", "http: expected SCHEME://HOST:PORT/PATH or "),
        ("http://camera:99999/stream", "http: expected SCHEME://HOST:PORT/PATH or "),
        ("http://[secret/stream", "http: expected SCHEME://HOST:PORT/PATH or "),
        (
            "rtsp:/keeper:secret@camera",
            "rtsp: expected a URL that begins with rtsp://, rtsps://, http://, https://, or ",
        ),
        (
            "rtmp://keeper:secret@camera",
            "rtmp: expected a URL that begins with rtsp://, rtsps://, http://, https://, or ",
        ),
        ("file:///etc/secret", "file: expected a URL that begins with rtsp://, rtsps://, http://, https://, or "),
        ("concat:a|b", "concat:a|b: no such file; check the name"),
    ],
)
def test_a_url_that_is_none(url, message):
    with pytest.raises(InputError) as caught:
        open_source(url)
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_motion_jpeg_keeps_its_colours(mjpeg_camera):
    with open_source(mjpeg_camera.url()) as source:
        assert (source.kind, source.is_live, source.fps, source.size_wh) == ("stream", True, None, (160, 120))
        frame = next(iter(source))
    assert (frame.image_bgr.dtype, frame.image_bgr.shape) == (np.uint8, (120, 160, 3))
    np.testing.assert_allclose(middle(frame.image_bgr), RED, atol=3)
    assert (frame.source, frame.time_s) == (mjpeg_camera.url(), pytest.approx(frame.time_s))


def test_a_slow_reader_of_motion_jpeg_stays_with_the_newest(mjpeg_camera):
    with open_source(mjpeg_camera.url()) as source:
        ages, read = [], 0
        for frame in source:
            ages.append(mjpeg_camera.n_sent - 1 - frame.index)
            read += 1
            if read == 8:
                break
            time.sleep(0.15)  # seven or eight frames come meanwhile
        assert frame.index + 1 == read + source.n_dropped
        assert source.n_dropped > 30
        assert max(ages) <= 10  # what FFmpeg and the network hold; without dropping it would be more than 40
        assert frame.time_s == pytest.approx(7 * 0.15, abs=0.3)


def test_frames_come_in_three_pieces_of_memory(mjpeg_camera):
    with open_source(mjpeg_camera.url()) as source:
        addresses = {source.read().image_bgr.ctypes.data for _ in range(20)}
    assert len(addresses) <= 3


def test_a_camera_that_stops_sending_goes_offline_and_comes_back(mjpeg_camera):
    states = []
    options = LiveOptions(
        open_timeout_s=FAST.open_timeout_s,
        read_timeout_s=FAST.read_timeout_s,
        offline_after_s=FAST.offline_after_s,
        reopen_after_s=FAST.reopen_after_s,
        reopen_gap_s=FAST.reopen_gap_s,
        on_state=lambda online, reason: states.append((online, reason)),
    )
    with open_source(mjpeg_camera.url(login="keeper:secret@"), live=options) as source:
        source.read()
        mjpeg_camera.sending.clear()
        eventually(lambda: source.read(timeout_s=0.1) is None and not source.is_online)
        mjpeg_camera.sending.set()
        eventually(lambda: source.read(timeout_s=0.1) is not None and source.is_online)
        mjpeg_camera.off()
        eventually(lambda: source.read(timeout_s=0.1) is None and not source.is_online)
        mjpeg_camera.on()
        eventually(lambda: source.read(timeout_s=0.1) is not None and source.is_online)
        assert source.n_opened >= 3
    url = mjpeg_camera.url()
    assert states == [
        (False, f"{url}: no frame for 0.8 s; no frame came; the camera or the network to it is down"),
        (True, f"{url}: frames come again"),
        (
            False,
            f"{url}: no frame for 0.8 s; nothing listens on port {mjpeg_camera.port} of 127.0.0.1; check the address, "
            "and whether the camera serves this",
        ),
        (True, f"{url}: frames come again"),
    ]


def video_bytes(path):
    cv2 = import_cv2()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (160, 120))
    for _ in range(20):
        writer.write(patched())
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(
            lambda path: (404, "text/html", b"no such page"),
            "127.0.0.1 answers on port {port} but sends no video; check path, user and password",
            id="404",
        ),
        pytest.param(
            lambda path: (200, "text/html", b"<html>" * 1000),
            "127.0.0.1 answers on port {port} but sends no video; check path, user and password",
            id="a page",
        ),
        pytest.param(
            lambda path: (200, "video/avi", video_bytes(path / "v.avi")),
            "expected a live stream, found a recording of 20 frames; download it and give the file",
            id="a recording",
        ),
    ],
)
def test_what_is_no_stream(mjpeg_camera, tmp_path, capfd, answer, problem):
    mjpeg_camera.answers["/video"] = answer(tmp_path)
    with pytest.raises(InputError) as caught:
        open_source(mjpeg_camera.url(login="keeper:secret@"))
    assert str(caught.value) == f"{mjpeg_camera.url()}: {problem.format(port=mjpeg_camera.port)}"
    assert capfd.readouterr() == ("", "")


def test_nothing_listens(free_port):
    with pytest.raises(InputError) as caught:
        open_source(f"http://keeper:secret@127.0.0.1:{free_port}/video")
    assert str(caught.value) == (
        f"http://127.0.0.1:{free_port}/video: nothing listens on port {free_port} of 127.0.0.1; check the address, and "
        "whether the camera serves this"
    )


def test_no_such_host():
    with pytest.raises(InputError, match=r"^http://camera\.invalid/: no host camera\.invalid is known here"):
        open_source("http://keeper:secret@camera.invalid/")


def test_a_server_that_never_answers_is_given_up_at_the_timeout(mjpeg_camera):
    mjpeg_camera.sending.clear()
    started_s = time.monotonic()
    with pytest.raises(InputError, match=r"answers on port [0-9]+ but sends no video"):
        open_source(mjpeg_camera.url(), live=LiveOptions(open_timeout_s=0.5))
    assert 0.4 < time.monotonic() - started_s < 3.0


def test_the_login_is_sent_and_shown_nowhere(mjpeg_camera, capfd):
    with open_source(mjpeg_camera.url("/locked", login="keeper:se%40cret@")) as source:
        frame = source.read()
        shown = f"{frame!r} {source!r} {source.name} {vars(source)}"
    for secret in ("keeper", "se@cret", "se%40cret"):
        assert secret not in shown
    assert frame.source == mjpeg_camera.url("/locked")
    assert mjpeg_camera.requests[-1] == ("/locked", f"Basic {base64.b64encode(b'keeper:se@cret').decode()}")
    assert capfd.readouterr() == ("", "")


LEAVE_AT_ONCE = """
import sys, threading, time
from fer_edge.sources import open_source
camera, silent = sys.argv[1:]
threading.Thread(target=open_source, args=(silent,), daemon=True).start()
source = open_source(camera)
print(source.read().image_bgr.shape, flush=True)
"""


def test_a_process_can_end_without_closing_anything(mjpeg_camera):
    """One thread is in the middle of reading then, another one of opening what never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin_s = time.monotonic()
        done = run_python(LEAVE_AT_ONCE, mjpeg_camera.url(), f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert (done.returncode, done.stdout, done.stderr) == (0, "(120, 160, 3)\n", "")
        assert time.monotonic() - begin_s < 6.0  # less than the 8 s that opening may take


UNTIL_SIGNAL = """
import signal, sys
from fer_edge.sources import open_source
with open_source(sys.argv[1]) as source:
    signal.signal(signal.SIGTERM, lambda *_: source.close())
    for frame in source:
        print("frame", flush=True)
print("closed", flush=True)
"""


@pytest.mark.parametrize("sends", [True, False], ids=["frames", "silence"])
def test_a_signal_can_end_the_loop(mjpeg_camera, sends):
    process = subprocess.Popen(
        [sys.executable, "-c", UNTIL_SIGNAL, mjpeg_camera.url()], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "frame\n"
    if not sends:
        mjpeg_camera.sending.clear()
        time.sleep(0.2)
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert (process.returncode, output.splitlines()[-1]) == (0, "closed")


def test_closing_while_the_camera_is_silent_does_not_wait_for_it(mjpeg_camera):
    source = open_source(mjpeg_camera.url())
    mjpeg_camera.sending.clear()
    time.sleep(0.2)
    begin_s = time.monotonic()
    source.close()
    assert time.monotonic() - begin_s < 3.0  # its timeout is 8 s
    assert list(source) == []


@pytest.mark.parametrize(
    ("before", "during"),
    [
        pytest.param(None, "rtsp_transport;tcp|tls_verify;1|ca_file;{ca}", id="unset"),
        pytest.param("", "rtsp_transport;tcp|tls_verify;1|ca_file;{ca}", id="empty"),
        pytest.param("fflags;nobuffer", "fflags;nobuffer|rtsp_transport;tcp|tls_verify;1|ca_file;{ca}", id="another"),
        pytest.param("rtsp_transport;udp", "rtsp_transport;udp|tls_verify;1|ca_file;{ca}", id="UDP"),
        pytest.param("tls_verify;0|ca_file;x", "tls_verify;0|ca_file;x|rtsp_transport;tcp", id="TLS"),
    ],
)
def test_options_of_ffmpeg_are_set_while_a_stream_is_opened_and_no_longer(monkeypatch, before, during, tmp_path):
    name, authorities = "OPENCV_FFMPEG_CAPTURE_OPTIONS", str(tmp_path / "ca.pem")
    seen = []

    class NoCapture:
        def __init__(self, *arguments):
            seen.append(os.environ[name])

        def get(self, number):
            return 0.0

        def isOpened(self):  # noqa: N802
            return False

        def release(self):
            pass

    monkeypatch.setattr(import_cv2(), "VideoCapture", NoCapture)
    monkeypatch.setattr("fer_edge.sources.stream._authorities", lambda: authorities)
    monkeypatch.setattr("fer_edge.sources.stream._why_not", lambda parts: "it is a test")
    if before is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, before)
    with pytest.raises(InputError, match="it is a test"):
        open_source("rtsp://camera/stream")
    assert seen == [during.format(ca=authorities)]
    assert os.environ.get(name) == before


@pytest.fixture
def tls_camera(tmp_path):
    """A camera with a certificate of its own making, and the certificate's file."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    camera = MjpegCamera(context=context)
    yield camera, certificate
    camera.off()


def test_a_certificate_that_nobody_trusts_is_refused_before_the_password_is_sent(tls_camera):
    camera, _ = tls_camera
    with pytest.raises(InputError, match=r"127\.0\.0\.1 has a certificate that is not trusted here \(self-signed cert"):
        open_source(camera.url(login="keeper:secret@"))
    assert camera.requests == []


@pytest.mark.parametrize("options", ["ca_file;{certificate}", "tls_verify;0"])
def test_a_certificate_can_be_named_and_its_check_given_up(tls_camera, monkeypatch, options):
    camera, certificate = tls_camera
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", options.format(certificate=certificate))
    with open_source(camera.url()) as source:
        np.testing.assert_allclose(middle(source.read().image_bgr), RED, atol=3)
