"""What the preview's tests share: results without a pipeline, requests, and a headless Chromium."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import time
from contextlib import closing

import numpy as np

from fer_edge.results import Face, FrameAnalysis
from fer_edge.sinks.base import FrameResult
from fer_edge.sources import Frame

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def make_result(
    index=0, *, n_faces=1, size_wh=(320, 180), source="clip.mp4", labels=LABELS, gray=128, n_dropped=0, **times
):
    """A frame of one gray with faces in a row; face k's likeliest label is the k-th, its probability 0.7."""
    width, height = size_wh
    faces = []
    for number in range(n_faces):
        probs = np.full(len(labels), 0.3 / (len(labels) - 1), np.float32)
        probs[number % len(labels)] = 0.7
        left = 10.0 + 50 * number
        faces.append(
            Face(
                box_xyxy=np.array([left, 40, left + 40, 90], np.float32),
                detection_score=0.9,
                landmarks_xy=np.zeros((5, 2), np.float32),
                probs=probs,
                emotion=labels[number % len(labels)],
                track_id=number + 1,
            )
        )
    image_bgr = np.full((height, width, 3), gray, np.uint8)
    return FrameResult(
        frame=Frame(image_bgr=image_bgr, source=source, index=index, time_s=index / 25),
        analysis=FrameAnalysis(
            faces=tuple(faces),
            detect_ms=times.get("detect_ms", 8.0),
            classify_ms=times.get("classify_ms", 2.0),
            stages_ms=times.get("stages_ms", {"follow": 1.0, "pnet": 5.0, "crop": 0.5, "classify": 1.5}),
        ),
        labels=labels,
        decode_ms=times.get("decode_ms", 3.0),
        n_dropped=n_dropped,
    )


def wait_until(is_so, timeout_s=10):
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s"
        time.sleep(0.01)


def port_of(server):
    return int(server.url.split("/")[2].rpartition(":")[2])


def get(server, path, *, method="GET", headers=None, timeout_s=10):
    """Return status, headers and body of one request."""
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=timeout_s)) as connection:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


class Events:
    """A reader of the stream of events; iterating gives names and contents."""

    def __init__(self, server, headers=None):
        self._connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=10)
        self._connection.request("GET", "/events", headers=headers or {})
        self.response = self._connection.getresponse()

    def __iter__(self):
        name = None
        while line := self.response.readline():
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                yield name, json.loads(value)

    def close(self):
        self.response.close()
        self._connection.close()


class Browser:
    """A Chromium that is told what to do by the DevTools protocol, over two pipes: JSON with a zero byte behind it."""

    def __init__(self, program, profile):
        # Chromium takes commands from descriptor 3 and answers on 4.
        self._process = subprocess.Popen(
            [
                *("sh", "-c", 'exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null', "sh", program),
                *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
                *("--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", f"--user-data-dir={profile}"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._last_id = 0
        self._context = self._session = None
        self.messages = []

    def begin(self):
        """Open an empty tab that shares nothing with those before."""
        self.messages.clear()
        self._context = self.command("Target.createBrowserContext")["browserContextId"]
        target = self.command("Target.createTarget", url="about:blank", browserContextId=self._context)["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def finish(self):
        """Close the tab."""
        self._session = None
        self.command("Target.disposeBrowserContext", browserContextId=self._context)

    def command(self, method, **params):
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, answer
                return answer["result"]
            self.messages.append(answer)

    def _read(self):
        data = b""
        while not data.endswith(b"\0"):
            byte = self._process.stdout.read(1)
            assert byte, "Chromium has ended"
            data += byte
        return json.loads(data[:-1])

    def open(self, url, *, size_wh=(1280, 800), scheme="light", motion="no-preference", mobile=False, scale=1):
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=size_wh[0],
            height=size_wh[1],
            deviceScaleFactor=scale,
            mobile=mobile,
        )
        self.command(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": motion},
            ],
        )
        self.command("Page.navigate", url=url)

    def evaluate(self, expression):
        result = self._evaluate(expression)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def _evaluate(self, expression):
        return self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)

    def wait_for(self, expression, timeout_s=20):
        """Wait until an expression is true, and return its value."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            result = self._evaluate(expression)  # an error while the page is not there yet
            value = None if "exceptionDetails" in result else result["result"].get("value")
            if value:
                return value
            assert time.monotonic() < deadline_s, f"not within {timeout_s} s: {expression}"
            time.sleep(0.05)

    def press(self, key):
        number, code, text = {"Tab": (9, "Tab", ""), " ": (32, "Space", " "), "Enter": (13, "Enter", "\r")}[key]
        for kind, typed in (("keyDown", {"text": text} if text else {}), ("keyUp", {})):
            self.command("Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=number, **typed)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))

    def complaints(self):
        """Errors and warnings of scripts, the policy and the network."""
        self.command("Runtime.evaluate", expression="0")  # what was said before has been read then
        found = []
        for message in self.messages:
            params = message.get("params", {})
            if message["method"] == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"])
            elif message["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"])
        return found

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
