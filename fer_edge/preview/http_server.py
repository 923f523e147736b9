"""A thread for each connection to the preview, a bound on their number, and an end to all of them."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fer_edge.errors import UsageError
from fer_edge.preview.access import Gate
from fer_edge.preview.handler import PreviewHandler, read_assets

if TYPE_CHECKING:
    from fer_edge.preview.feed import PreviewFeed

__all__ = ["HttpServer"]

# A browser takes up to six; more than four people at one preview are a mistake or an attack.
_MAX_CONNECTIONS = 24
# Streams get this long to say that the run has ended, then all connections are cut.
_FAREWELL_S = 0.5
_JOIN_S = 1.0
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n"
    b"Cache-Control: no-store\r\nRetry-After: 5\r\nConnection: close\r\n\r\nToo many connections\n"
)


class HttpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread for each connection, and a bound on their number.

    Not http.server's own: that one looks its name up in the DNS, and from Python 3.14 on shares its port with others.
    """

    allow_reuse_address = True  # a port is free again at once after a run, in spite of connections that linger
    daemon_threads = True
    request_queue_size = 16

    def __init__(
        self, family: socket.AddressFamily, socket_address: tuple[Any, ...], *, host: str, feed: PreviewFeed
    ) -> None:
        """Listen; requests wait until `serve_forever`.

        Args:
            family: of the address.
            socket_address: where to listen.
            host: as the user wrote it.
            feed: what is served.

        Raises:
            UsageError: the token that the user chose is none.
            OSError: it cannot listen there.
        """
        self.address_family = family
        self.feed = feed
        self.assets = read_assets()
        self._guard = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        super().__init__(socket_address, PreviewHandler)
        bound_to, port = self.server_address[:2]
        try:
            self.gate = Gate(host, str(bound_to), port)
        except UsageError:
            self.server_close()
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, or say that there are too many."""
        with self._guard:
            is_full = len(self._open) >= _MAX_CONNECTIONS
        if is_full:
            with suppress(OSError):
                request.setblocking(False)
                request.send(_TOO_MANY)
            self.shutdown_request(request)
            return
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="fer-edge preview", daemon=True
        )
        with self._guard:
            self._open[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._open.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a watcher who went away or sent nonsense: the run's own output is no place for it."""

    def end_connections(self) -> None:
        """Wait for streams to take their leave, then cut what is still open."""
        with self._guard:
            waiting = dict(self._open)
        deadline_s = time.monotonic() + _FAREWELL_S
        for thread in waiting:
            thread.join(max(deadline_s - time.monotonic(), 0))
        for thread, request in waiting.items():
            if thread.is_alive():
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
        deadline_s = time.monotonic() + _JOIN_S
        for thread in waiting:
            thread.join(max(deadline_s - time.monotonic(), 0))
