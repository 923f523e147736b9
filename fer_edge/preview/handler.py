"""Answers the preview's requests: the page and its files, the stream of events, and pictures one at a time."""

from __future__ import annotations

import importlib.resources
import socket
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from fer_edge.preview.http_server import HttpServer

__all__ = ["PreviewHandler", "read_assets"]

# Path, file and type of all that the page consists of.
_ASSETS = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# Of a stream of events the system keeps no more unsent than this, some seconds of it: who reads too slowly, a phone
# that was asleep, then gets news and not what happened a minute ago.
_UNSENT_BYTES = 16384
_TEXT = "text/plain; charset=utf-8"


def read_assets() -> dict[str, tuple[bytes, str]]:
    """Return contents and type of each of the page's files, by path."""
    folder = importlib.resources.files(__package__)
    return {path: (folder.joinpath(name).read_bytes(), kind) for path, (name, kind) in _ASSETS.items()}


class PreviewHandler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"  # pictures come over one connection
    server_version, sys_version = "fer-edge", ""
    timeout = 20  # seconds that a connection may stand idle or take nothing of what is sent
    server: HttpServer
    disable_nagle_algorithm = True  # a picture's header and body are sent one after the other

    def do_GET(self) -> None:
        """Answer a request, if whoever sent it may look."""
        try:
            self._answer()
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # whoever asked is gone

    def do_HEAD(self) -> None:
        """Answer a request for the header alone."""
        self.do_GET()

    def _answer(self) -> None:
        gate = self.server.gate
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # what follows the header is not read
        if not gate.knows_host(self.headers.get("Host")):
            self._refuse("This preview answers to the IP address and the names of its own machine only.")
            return
        if self._is_from_another_page():
            self._refuse("This preview is shown in its own page only.")
            return
        try:
            url = urlsplit(self.path)
        except ValueError:  # http://[ and no address
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        if url.path == "/healthz":
            self._healthz()
        elif url.path.startswith("/enter/") and gate.is_token(url.path.removeprefix("/enter/")):
            # The page itself, not a redirect to it: a browser that follows a link of another page would leave the
            # strict cookie out. The page then takes the token out of the address.
            self._send_asset("/", {"Set-Cookie": gate.set_cookie()})
        elif not gate.admits(self.headers.get("Cookie")):
            self._refuse("Open the address with the token that fer-edge printed when it started.")
        elif url.path in _ASSETS:
            self._send_asset(url.path)
        elif url.path == "/events":
            self._events()
        elif url.path == "/frame.jpg":
            self._picture(url.query)
        else:
            self._send(HTTPStatus.NOT_FOUND, b"There is nothing at this address.\n", _TEXT)

    def _is_from_another_page(self) -> bool:
        """Tell whether another site's page embeds this, rather than somebody following a link to it."""
        site = self.headers.get("Sec-Fetch-Site", "none")
        return site in ("cross-site", "same-site") and self.headers.get("Sec-Fetch-Mode") != "navigate"

    def _healthz(self) -> None:
        if self.server.feed.online:
            self._send(HTTPStatus.OK, b"ok\n", _TEXT)
        else:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, b"the source is offline\n", _TEXT)

    def _send_asset(self, path: str, headers: Mapping[str, str] | None = None) -> None:
        data, kind = self.server.assets[path]
        self._send(HTTPStatus.OK, data, kind, headers)

    def _picture(self, query: str) -> None:
        after = parse_qs(query).get("after", ["0"])[0]
        if not (after.isascii() and after.isdigit() and len(after) <= 15):
            self._send(HTTPStatus.BAD_REQUEST, b"after: expected a picture's number.\n", _TEXT)
            return
        if self.command == "HEAD":
            self._send(HTTPStatus.OK, b"", "image/jpeg")
            return
        found = self.server.feed.picture(int(after))
        if found is None:
            self._send(HTTPStatus.NO_CONTENT, b"", "image/jpeg")
            return
        number, jpeg = found
        self._send(HTTPStatus.OK, jpeg, "image/jpeg", {"Fer-Edge-Number": str(number)})

    def _events(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT_BYTES)
        self.close_connection = True  # it ends with the stream
        self._send_headers(HTTPStatus.OK, "text/event-stream; charset=utf-8", {"Connection": "close"})
        if self.command == "HEAD":
            return
        with closing(self.server.feed.events()) as events:
            for name, data in events:
                # A line that starts with a colon is no event; it shows whether somebody still reads.
                text = ": quiet\n\n" if name == "quiet" else f"event: {name}\ndata: {data}\n\n"
                self.wfile.write(text.encode())

    def _refuse(self, reason: str) -> None:
        self.close_connection = True
        self._send(HTTPStatus.FORBIDDEN, f"{reason}\n".encode(), _TEXT, {"Connection": "close"})

    def _send(self, status: HTTPStatus, data: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        extra = dict(headers or {})
        if status is not HTTPStatus.NO_CONTENT:
            extra["Content-Length"] = str(len(data))
        self._send_headers(status, kind, extra)
        if self.command != "HEAD":
            self.wfile.write(data)

    def _send_headers(self, status: HTTPStatus, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what is no request in one line of text, without repeating any of it."""
        self.close_connection = True
        self._send(HTTPStatus(code), f"{HTTPStatus(code).phrase}\n".encode(), _TEXT, {"Connection": "close"})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Write no log: a path may hold the token, and the run's own output is no place for it."""
