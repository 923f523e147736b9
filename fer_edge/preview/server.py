"""The preview as a place for results: a page in the browser, on this machine alone unless asked otherwise."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fer_edge.errors import UsageError
from fer_edge.preview.access import DEFAULT_ADDRESS, Address, parse_address
from fer_edge.preview.feed import PreviewFeed
from fer_edge.preview.http_server import HttpServer
from fer_edge.preview.temperature import read_temperature_c
from fer_edge.sinks.base import FrameResult, Sink

__all__ = ["PreviewServer"]

_JOIN_S = 1.0
_POLL_S = 0.1  # how soon the listener notices that it is to end
_REASONS = {
    errno.EADDRINUSE: "the port is in use; choose another, or 0 for any that is free",
    errno.EADDRNOTAVAIL: "this machine has no such address; 0.0.0.0 is all that it has",
    errno.EACCES: "no permission; choose a port above 1023",
}


class PreviewServer(Sink):
    """Serves a page with the live picture, each face's probabilities over time, and how the run fares.

    `write` leaves a reference and returns; frames are copied, scaled and encoded only while somebody watches, the
    latter two in the watchers' threads. No frame is stored.

    Attributes:
        url: where the page is; with the token where the server made one, with TOKEN in its place where the user did.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        temperature_c: Callable[[], float | None] | None = read_temperature_c,
        max_rate_hz: float = 10.0,
    ) -> None:
        """Listen and serve, in threads of its own.

        Args:
            address: HOST:PORT or PORT; port 0 takes any that is free. Where others than this machine can connect, a
                token is needed: FER_EDGE_PREVIEW_TOKEN, else one made by chance.
            temperature_c: gives degrees Celsius, None where it cannot; None to show no temperature.
            max_rate_hz: pictures and events a second that a watcher gets at most.

        Raises:
            UsageError: the address or token is none, or the address cannot be listened on.
        """
        asked = parse_address(address)
        self._feed = PreviewFeed(temperature_c=temperature_c, max_rate_hz=max_rate_hz)
        family, socket_address = _resolve(asked, address)
        try:
            self._server = HttpServer(family, socket_address, host=asked.host, feed=self._feed)
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
            raise UsageError(f"--preview {address}: cannot listen there: {reason}") from error
        self.url = self._url(asked.host)
        self._closed = False
        self._listener = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="fer-edge preview", daemon=True
        )
        self._listener.start()

    def write(self, result: FrameResult) -> None:
        """Take the result of one frame."""
        self._feed.publish(result)

    def source_state(self, online: bool, reason: str) -> None:
        """Show whether the source delivers frames, and else why not."""
        self._feed.set_source_state(online, reason)

    def close(self) -> None:
        """Tell watchers that the run has ended, and end all threads and connections within two seconds."""
        if self._closed:
            return
        self._closed = True
        self._feed.close()
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()
        self._listener.join(_JOIN_S)

    def _url(self, host: str) -> str:
        bound_to, port = self._server.server_address[:2]
        if bound_to in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = _outward_address(is_ipv6=bound_to == "::") or socket.gethostname()
        base = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        gate = self._server.gate
        if gate.token is None:
            return base
        return base + "enter/" + ("TOKEN" if gate.has_own_token else gate.token)


def _resolve(address: Address, text: str) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Return family and socket address of a name or IP address.

    Raises:
        UsageError: no address belongs to that name.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"--preview {text}: cannot find the address of {address.host!r}: {reason}") from error
    return found[0][0], found[0][4]


def _outward_address(*, is_ipv6: bool) -> str | None:
    """Return the address by which the network knows this machine; None where it has no network."""
    # Connecting a datagram socket only chooses a route: nothing is sent. The addresses are those for documents.
    family, far = (socket.AF_INET6, "2001:db8::1") if is_ipv6 else (socket.AF_INET, "192.0.2.1")
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((far, 9))
        name: str = probe.getsockname()[0]
        return name
    return None
