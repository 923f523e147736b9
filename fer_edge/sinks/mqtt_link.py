"""The connection to an MQTT broker: made again when it is lost, and never waited for by who sends."""

from __future__ import annotations

import secrets
import select
import socket
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fer_edge.errors import MissingExtraError, OutputError
from fer_edge.sinks.options import MqttOptions

__all__ = ["MAX_WAITING", "BrokerLink", "Message"]

# Records that wait for the broker, 40 s of frames, about 1 MB. The oldest is dropped for the newest.
MAX_WAITING = 1000
# Sent and not yet confirmed; brokers commonly take 20.
_MAX_UNCONFIRMED = 20
_CONNECT_S = 5.0  # until the network answers
_LOGIN_S = 10.0  # until the broker does
# A broker that vanished without a word is missed after twice that at most.
_KEEPALIVE_S = 20
_CLOSE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is published.

    Attributes:
        qos: 0, at most once; 1, at least once.
        retain: whether the broker keeps it for who subscribes later.
    """

    topic: str
    payload: str
    qos: int = 0
    retain: bool = False


class _RefusedError(OutputError):
    """The broker answered and does not want us."""


class BrokerLink:
    """Sends messages from a thread of its own.

    Attributes:
        n_lost: records that were dropped because the broker did not take them in time.
        trouble: why nothing is sent at present.

    Args:
        options: which broker.
        password: for `options.user`.
        will: what the broker publishes when the connection breaks.
        retry_s: wait before connecting again, doubled each time, and its bound.

    Raises:
        OutputError: the broker refuses the login, or its certificate is not trusted. A broker that cannot be reached is
            `trouble`, and tried again.
        MissingExtraError: paho-mqtt is not installed.
    """

    def __init__(
        self, options: MqttOptions, password: str | None, will: Message, retry_s: tuple[float, float] = (1.0, 60.0)
    ) -> None:
        self.n_lost = 0
        self.trouble: str | None = None
        self._options = options
        self._retry_s = retry_s
        self._lock = threading.Lock()
        self._waiting: deque[Message] = deque()
        self._retained: dict[str, str] = {}
        self._to_retain: dict[str, str] = {}
        self._unconfirmed: dict[int, bool] = {}  # by number, whether it is a record
        self._answer: Any = None
        self._is_connected = False
        self._closing = threading.Event()
        self._farewell: tuple[str, str] = ("", "")
        self._close_by_s = 0.0
        self._client = self._make_client(password, will)
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        try:
            self._connect()
        except (_RefusedError, ssl.SSLError) as error:
            self._close_sockets()
            raise OutputError(self._reason(error)) from error
        except OSError as error:
            self.trouble = self._reason(error)
        self._thread = threading.Thread(target=self._run, name="fer-edge-mqtt", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Send a record as soon as the broker takes it; the oldest that wait are dropped where too many do."""
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self.n_lost += 1
            self._waiting.append(message)
        self._wake()

    def set_retained(self, topic: str, payload: str) -> None:
        """Let the broker keep a payload, now and again after each new connection; only the newest counts."""
        with self._lock:
            if self._retained.get(topic) == payload:
                return
            self._retained[topic] = self._to_retain[topic] = payload
        self._wake()

    def close(self, topic: str, payload: str) -> None:
        """Send what waits, then a payload to be retained, for three seconds at most; what is left is lost."""
        self._farewell = topic, payload
        self._close_by_s = time.monotonic() + _CLOSE_S
        self._closing.set()
        self._wake()
        # Longer only where the name service holds the thread; it ends with the process then.
        self._thread.join(_CLOSE_S + 1.0)
        with self._lock:
            self.n_lost += len(self._waiting) + sum(self._unconfirmed.values())
            self._waiting.clear()
            self._unconfirmed.clear()
        if not self._thread.is_alive():
            self._close_sockets()

    def _close_sockets(self) -> None:
        self._wake_receiver.close()
        self._wake_sender.close()

    def _make_client(self, password: str | None, will: Message) -> Any:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise MissingExtraError('mqtt needs paho-mqtt 2 or newer; pip install "fer-edge[mqtt]"') from error
        options = self._options
        # Two clients of one name throw each other out.
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"fer-edge-{secrets.token_hex(6)}")
        client.connect_timeout = _CONNECT_S
        client.will_set(will.topic, will.payload, will.qos, will.retain)
        if options.user is not None:
            client.username_pw_set(options.user, password)
        if options.tls:
            try:
                client.tls_set(ca_certs=options.ca_file)
            except OSError as error:
                raise OutputError(f"cannot read {options.ca_file}: {error.strerror or error}") from error
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._answer = reason

    def _on_disconnect(self, *_: Any) -> None:
        self._is_connected = False

    def _on_publish(self, _client: Any, _data: Any, number: int, *_: Any) -> None:
        self._unconfirmed.pop(number, None)

    def _run(self) -> None:
        wait_s = self._retry_s[0]
        while not self._closing.is_set():
            if self._is_connected:
                began_s = time.monotonic()
                self._serve()
                # A broker that takes a login and at once ends the connection is not asked every second.
                if time.monotonic() - began_s >= self._retry_s[1]:
                    wait_s = self._retry_s[0]
            elif self._closing.wait(wait_s):
                break
            else:
                wait_s = min(2 * wait_s, self._retry_s[1])
                try:
                    self._connect()
                except OSError as error:
                    self.trouble = self._reason(error)
        self._say_goodbye()

    def _connect(self) -> None:
        """Connect and log in.

        Raises:
            OSError: the broker does not answer, or refuses the login.
        """
        self._answer = None
        try:
            self._client.connect(self._options.host, self._options.port_or_default, keepalive=_KEEPALIVE_S)
        except UnicodeError as error:  # a part of a name has 63 letters at most
            raise OSError(f"{self._options.host[:60]!r} is no name or address") from error
        deadline_s = time.monotonic() + _LOGIN_S
        while self._answer is None:
            if self._client.socket() is None:
                raise OSError("it ended the connection at once")
            if time.monotonic() > deadline_s or self._closing.is_set():
                raise TimeoutError(f"it did not answer the login within {_LOGIN_S:g} s")
            self._turn(0.1)
        if self._answer.is_failure:
            raise _RefusedError(str(self._answer))
        with self._lock:
            self._to_retain = dict(self._retained)
        self._is_connected = True
        self.trouble = None

    def _serve(self) -> None:
        """Send what waits until the connection is lost or is to be closed."""
        while self._is_connected and not self._closing.is_set():
            self._publish_waiting()
            self._turn(1.0)
        if not self._is_connected:
            self.trouble = self._reason(OSError("the connection was lost"))

    def _say_goodbye(self) -> None:
        self._finish()
        self.set_retained(*self._farewell)
        self._finish()
        self._client.disconnect()
        while self._client.socket() is not None and time.monotonic() < self._close_by_s:
            self._turn(0.1)

    def _finish(self) -> None:
        while self._is_connected and time.monotonic() < self._close_by_s and self._has_work():
            self._publish_waiting()
            self._turn(0.1)

    def _has_work(self) -> bool:
        with self._lock:
            return bool(self._waiting or self._to_retain or self._unconfirmed or self._client.want_write())

    def _publish_waiting(self) -> None:
        while self._is_connected and len(self._unconfirmed) < _MAX_UNCONFIRMED and not self._client.want_write():
            with self._lock:
                is_record = not self._to_retain
                if self._to_retain:
                    topic = next(iter(self._to_retain))
                    message = Message(topic=topic, payload=self._to_retain.pop(topic), qos=1, retain=True)
                elif self._waiting:
                    message = self._waiting.popleft()
                else:
                    return
            info = self._client.publish(message.topic, message.payload, message.qos, message.retain)
            if message.qos:
                # The client has it now, and sends it again after the connection was lost.
                self._unconfirmed[info.mid] = is_record
            elif info.rc:
                with self._lock:
                    self.n_lost += 1

    def _turn(self, timeout_s: float) -> None:
        """Wait until something can be read, written or sent, and let the client do so."""
        connection = self._client.socket()
        if connection is None:
            self._is_connected = False
            return
        poll = select.poll()
        poll.register(self._wake_receiver, select.POLLIN)
        poll.register(connection, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        ready = dict(poll.poll(1000 * timeout_s))
        if self._wake_receiver.fileno() in ready:
            with suppress(BlockingIOError):
                while self._wake_receiver.recv(4096):
                    pass
        events = ready.get(connection.fileno(), 0)
        if events & select.POLLOUT:
            self._client.loop_write()
        if events & ~select.POLLOUT:
            self._client.loop_read()
        # What TLS has decrypted already does not show in poll; a plain socket holds nothing back, and int() is 0.
        while self._client.socket() is connection and getattr(connection, "pending", int)():
            self._client.loop_read()
        self._client.loop_misc()

    def _wake(self) -> None:
        with suppress(OSError):  # full, so that the thread will wake, or closed
            self._wake_sender.send(b"\0")

    def _reason(self, error: OSError) -> str:
        place = f"the MQTT broker {self._options.host}:{self._options.port_or_default}"
        if isinstance(error, _RefusedError):
            return f"{place} refused the login: {error}; check user and password"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{place} has no certificate that is trusted: {error.verify_message}; name its CA with ca_file"
        return f"{place} cannot be reached: {error.strerror or error}"
