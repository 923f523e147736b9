"""What the tests of cameras and streams share: scripted ones, a motion-JPEG server, GStreamer's RTSP server."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from fer_edge._cv2 import import_cv2
from fer_edge.errors import InputError

SYSTEM_PYTHON = "/usr/bin/python3"
RED = (0, 0, 255)  # B, G, R


def patched(colour=RED, size_wh=(160, 120)):
    """A gray picture whose middle is of one colour."""
    width, height = size_wh
    image = np.full((height, width, 3), 128, np.uint8)
    image[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = colour
    return image


def middle(image):
    """The mean B, G, R around the middle of a picture."""
    height, width = image.shape[:2]
    return image[height // 2 - 5 : height // 2 + 5, width // 2 - 5 : width // 2 + 5].mean(axis=(0, 1))


class FakeClock:
    """A clock that stands still but while somebody waits or spends time."""

    def __init__(self):
        self.now = 1000.0

    def now_s(self):
        return self.now

    def spend(self, seconds):
        self.now += seconds

    def wait(self, condition, timeout_s):
        if timeout_s is None:  # another thread has to do something
            assert condition.wait(10)
        else:
            self.now += timeout_s


class FakeCapture:
    """A camera that does what a list says: a picture is delivered, an event is waited for, an error is raised."""

    def __init__(self, script, fps=None):
        self.script, self.fps = iter(script), fps
        self.memory, self.closed = [], threading.Event()

    def read(self, into):
        for step in self.script:
            if isinstance(step, threading.Event):
                assert step.wait(10)
            elif isinstance(step, Exception):
                raise step
            else:
                if into is None or into.shape != step.shape:
                    into = step.copy()
                np.copyto(into, step)
                self.memory.append(into)
                return into
        raise InputError("fake: no frame came; the script is at its end")

    def close(self):
        self.closed.set()


class MjpegCamera:
    """A motion-JPEG camera on 127.0.0.1 that can be switched off and on, stop sending, or answer otherwise.

    `/locked` asks for a login. `requests` has every path that was asked for, with the login.
    """

    def __init__(self, fps=50, context=None):
        self.fps, self.context = fps, context
        done, jpeg = import_cv2().imencode(".jpg", patched(), [import_cv2().IMWRITE_JPEG_QUALITY, 95])
        assert done
        self.jpeg = jpeg.tobytes()
        self.sending = threading.Event()
        self.sending.set()
        self.requests, self.n_sent = [], 0
        self.answers = {}
        self.port = 0
        self.on()

    def on(self):
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                camera.requests.append((self.path, self.headers.get("Authorization")))
                with suppress(OSError):
                    camera.answer(self)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.handle_error = lambda *_: None
        if self.context is not None:
            self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.is_on = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def off(self):
        self.is_on = False
        self.sending.set()
        self.server.shutdown()
        self.server.server_close()

    def url(self, path="/video", login=""):
        return f"http{'s' if self.context else ''}://{login}127.0.0.1:{self.port}{path}"

    def answer(self, handler):
        if handler.path in self.answers:
            status, kind, body = self.answers[handler.path]
            handler.send_response(status)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
            return
        if handler.path == "/locked" and handler.headers.get("Authorization") is None:
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="camera"')
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        server = self.server
        while self.is_on and server is self.server:
            if not self.sending.wait(0.05):
                continue
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(self.jpeg)}\r\n\r\n"
            handler.wfile.write(head.encode() + self.jpeg + b"\r\n")
            self.n_sent += 1
            time.sleep(1 / self.fps)


class RtspServer:
    """GStreamer's RTSP server in a process of its own, on ports that stay the same when it starts again."""

    def __init__(self):
        self.port = "0"
        self.start()

    def start(self):
        script = Path(__file__).parent / "fer_edge" / "sources" / "rtsp_server.py"
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, str(script), self.port], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.port, self.port_with_login = self.process.stdout.readline().split()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def url(self, path="/bars", login=None):
        if login is None:
            return f"rtsp://127.0.0.1:{self.port}{path}"
        return f"rtsp://{login}127.0.0.1:{self.port_with_login}{path}"


def missing_for_rtsp():
    """What the RTSP server lacks here, None where it can run."""
    elements = "videotestsrc x264enc rtph264pay"
    code = (
        "import gi\n"
        "for name in ('Gst', 'GstRtspServer'): gi.require_version(name, '1.0')\n"
        "from gi.repository import Gst, GstRtspServer\n"
        "Gst.init(None)\n"
        f"print([name for name in {elements.split()} if Gst.ElementFactory.find(name) is None])"
    )
    if shutil.which(SYSTEM_PYTHON) is None:
        return f"there is no {SYSTEM_PYTHON}"
    done = subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        return done.stderr.strip().splitlines()[-1]
    return None if done.stdout.strip() == "[]" else f"GStreamer lacks {done.stdout.strip()}"


def eventually(condition, timeout_s=10.0):
    """Wait until something holds."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it never happened"
        time.sleep(0.01)
