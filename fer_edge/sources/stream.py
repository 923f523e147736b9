"""Streams of network cameras, read by the FFmpeg inside OpenCV: RTSP over TCP alone, and motion JPEG over HTTP.

Nothing that a URL keeps secret leaves this file: messages, records and names show scheme, host, port and path.
"""

from __future__ import annotations

import math
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from fer_edge._cv2 import MAX_IMAGE_PIXELS, import_cv2
from fer_edge.errors import InputError
from fer_edge.sources.grabber import Capture
from fer_edge.sources.live import LiveSource
from fer_edge.sources.live_options import LiveOptions
from fer_edge.sources.opencv_capture import OpenCvCapture

__all__ = ["STREAM_SCHEMES", "open_stream", "shown_url"]

# Scheme and the port it stands for.
STREAM_SCHEMES = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

# How long to look for the reason after a stream did not open.
_DIAGNOSIS_TIMEOUT_S = 2.0

_CAPTURE_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_NO_LOCKS = "OPENCV_FFMPEG_IS_THREAD_SAFE"

# Where Debian, Raspberry Pi OS and Ubuntu keep the certificates; Python's own OpenSSL may look elsewhere.
_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt",)


def open_stream(url: str, options: LiveOptions) -> LiveSource:
    """Open a stream.

    Raises:
        InputError: the URL is none, nothing answers there, or what answers sends no video.
    """
    name = shown_url(url)
    parts = _split(url)
    return LiveSource(name, "stream", lambda: _open(url, name, parts, options), options)


def shown_url(url: str) -> str:
    """Return what may be shown of a URL: neither user nor password, no query, no path from a part with `=` or `&` on.

    Some cameras take user and password as `/user=…&password=…`. With an unescaped `/` or `#` in its password a text is
    no URL any more, so everything before the last `@` is left out, wherever that stands.
    """
    scheme, _, rest = url.partition("://")
    rest = re.split(r"[?#]", rest.rpartition("@")[2])[0]
    parts = rest.split("/")
    shown = next((place for place, part in enumerate(parts) if "=" in part or "&" in part), len(parts))
    return f"{scheme.lower()}://{'/'.join(parts[:shown])}{'/…' if shown < len(parts) else ''}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.hostname and (parts.port is None or parts.port > 0):
            return parts
    except ValueError:  # of a port that is no number; its message would show it
        pass
    raise InputError(
        f"{url.partition(':')[0].lower()}: expected SCHEME://HOST:PORT/PATH or SCHEME://USER:PASSWORD@HOST:PORT/PATH; "
        "write @ : / ? # % in a password as %40 %3A %2F %3F %23 %25"
    )


def _open(url: str, name: str, parts: SplitResult, options: LiveOptions) -> Capture:
    cv2 = import_cv2()
    timeouts = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        math.ceil(1000 * options.open_timeout_s),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        math.ceil(1000 * options.read_timeout_s),
    ]
    with _ENVIRONMENT.safe():
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, timeouts)
    width, height = (round(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    problem = None
    if not capture.isOpened():
        problem = _why_not(parts)
    elif frames > 0 and parts.scheme.startswith("http"):  # RTSP sends recordings at their pace
        problem = f"expected a live stream, found a recording of {frames:.0f} frames; download it and give the file"
    elif width * height > MAX_IMAGE_PIXELS:
        problem = f"expected at most {MAX_IMAGE_PIXELS} pixels a frame, found {width} x {height}"
    if problem is not None:
        capture.release()
        raise InputError(f"{name}: {problem}")
    # FFmpeg makes up a rate for streams that state none.
    return OpenCvCapture(name, capture, states_fps=False, advice="the camera or the network to it is down")


def _why_not(parts: SplitResult) -> str:
    """Say how far a connection gets: OpenCV does not tell why a stream does not open."""
    host, port = parts.hostname or "", parts.port or STREAM_SCHEMES[parts.scheme]
    try:
        with socket.create_connection((host, port), timeout=_DIAGNOSIS_TIMEOUT_S) as connection:
            distrust = _distrust(connection, host) if parts.scheme in ("rtsps", "https") else None
    except socket.gaierror:
        return f"no host {host} is known here; check the name"
    except ConnectionRefusedError:
        return f"nothing listens on port {port} of {host}; check the address, and whether the camera serves this"
    except OSError as error:
        return f"no connection to port {port} of {host} ({error.strerror or error}); check address and network"
    if distrust is not None:
        return (
            f"{host} has a certificate that is not trusted here ({distrust}); name the file of who issued it in the "
            f"environment variable {_CAPTURE_OPTIONS} as ca_file;PATH, or give the check up with tls_verify;0"
        )
    over = ", and whether it sends over TCP" if parts.scheme.startswith("rtsp") else ""
    return f"{host} answers on port {port} but sends no video; check path, user and password{over}"


def _distrust(connection: socket.socket, host: str) -> str | None:
    """Return what is wrong with a server's certificate, None where nothing is or the check was given up."""
    import ssl

    options = dict(option.split(";", 1) for option in _completed(os.environ.get(_CAPTURE_OPTIONS)).split("|"))
    if options["tls_verify"] != "1":
        return None
    try:
        context = ssl.create_default_context(cafile=options.get("ca_file"))
        context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError:
        return None
    return None


def _authorities() -> str | None:
    """Return the file with the certificates that this machine trusts; None where there is none."""
    import ssl

    found = ssl.get_default_verify_paths().cafile
    return found or next((path for path in _AUTHORITIES if Path(path).exists()), None)


class _OpeningEnvironment:
    """What OpenCV reads from the environment when it opens a stream; set only then, it concerns the whole process.

    Without the options it would fall back to UDP, which loses parts of pictures without a word, and FFmpeg would accept
    every certificate. Without the other one it opens one stream at a time, and who is silent holds up all others; the
    locks are there for an FFmpeg before 4.0.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: dict[str, str | None] = {}

    @contextmanager
    def safe(self) -> Iterator[None]:
        """Ask for TCP, checked certificates and no locks; what the user set stays in force."""
        with self._lock:
            if self._users == 0:
                self._before = {name: os.environ.get(name) for name in (_CAPTURE_OPTIONS, _NO_LOCKS)}
                os.environ[_CAPTURE_OPTIONS] = _completed(self._before[_CAPTURE_OPTIONS])
                os.environ.setdefault(_NO_LOCKS, "1")
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    for name, value in self._before.items():
                        if value is None:
                            os.environ.pop(name, None)
                        else:
                            os.environ[name] = value


def _completed(options: str | None) -> str:
    """Return FFmpeg's options with those that are missing, as OpenCV reads them: `name;value|name;value`."""
    given = [option for option in (options or "").split("|") if ";" in option]
    names = {option.partition(";")[0] for option in given}
    authorities = _authorities()
    wanted = {"rtsp_transport": "tcp", "tls_verify": "1"} | ({"ca_file": authorities} if authorities else {})
    return "|".join(given + [f"{name};{value}" for name, value in wanted.items() if name not in names])


_ENVIRONMENT = _OpeningEnvironment()
