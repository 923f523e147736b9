"""Records to an MQTT broker, and what Home Assistant shows of them."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fer_edge.errors import OutputError, UsageError
from fer_edge.results import Face
from fer_edge.sinks.base import FrameResult
from fer_edge.sinks.content import Content, RecordSink
from fer_edge.sinks.home_assistant import OFFLINE, ONLINE, Topics, discovery_messages
from fer_edge.sinks.mqtt_link import BrokerLink, Message
from fer_edge.sinks.options import PASSWORD_ENV, MqttOptions

__all__ = ["MqttSink", "read_password"]

# The state is for eyes: what changes more often than this is not shown.
_STATE_PERIOD_S = 1.0
_MAX_PASSWORD_BYTES = 4096


class MqttSink(RecordSink):
    """Publishes the content's records, and topics that tell what is seen at present and whether anything is.

    Frames are sent at most once, events and aggregates at least once. A broker that is away is tried again; what does
    not fit into the queue meanwhile is lost, the oldest first, and counted.

    Args:
        content: what is published.
        options: where.
        environ: where the password is looked for.
        clock: seconds from any beginning.
        retry_s: wait before connecting again, doubled each time, and its bound.

    Raises:
        UsageError: there is a user and no password.
        OutputError: the broker refuses the login, or the password's file cannot be used.
        MissingExtraError: paho-mqtt is not installed.
    """

    def __init__(
        self,
        content: Content,
        options: MqttOptions,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        retry_s: tuple[float, float] = (1.0, 60.0),
    ) -> None:
        super().__init__(content)
        self._topics = Topics.of(options)
        self._is_aggregate = options.content == "aggregate"
        # What happens once must arrive; of frames there is soon another.
        self._qos = 0 if options.content == "frames" else 1
        self._clock = clock
        self._state_s: float | None = None
        password = None if options.user is None else read_password(options, environ)
        will = Message(topic=self._topics.status, payload=OFFLINE, qos=1, retain=True)
        self._link = BrokerLink(options, password, will, retry_s)
        for topic, payload in discovery_messages(options).items():
            self._link.set_retained(topic, payload)
        self._link.set_retained(self._topics.status, ONLINE)

    def write(self, result: FrameResult) -> None:
        """Queue what the content makes of one frame, and the state, at most once a second."""
        self._link.set_retained(self._topics.source, ONLINE)
        super().write(result)
        now_s = self._clock()
        if not self._is_aggregate and (self._state_s is None or now_s - self._state_s >= _STATE_PERIOD_S):
            self._state_s = now_s
            self._link.set_retained(self._topics.state, _state_text(result.analysis.faces))
        self.n_lost, self.trouble = self._link.n_lost, self._link.trouble

    def source_state(self, online: bool, reason: str) -> None:
        """Tell whether the camera delivers."""
        super().source_state(online, reason)
        self._link.set_retained(self._topics.source, ONLINE if online else OFFLINE)
        if not online:
            self._show_nobody()

    def close(self) -> None:
        """Send what waits, say that nothing follows, and disconnect; three seconds at most."""
        try:
            super().close()
        finally:
            self._show_nobody()
            self._link.close(self._topics.status, OFFLINE)
            self.n_lost = self._link.n_lost

    def _show_nobody(self) -> None:
        # The broker keeps the state: it must not go on telling of somebody who was here.
        if not self._is_aggregate:
            self._link.set_retained(self._topics.state, _state_text(()))

    def _put(self, texts: list[str]) -> None:
        for text in texts:
            self._link.send(Message(topic=self._topics.records, payload=text, qos=self._qos, retain=self._is_aggregate))


def _state_text(faces: Sequence[Face]) -> str:
    return json.dumps({"n_faces": len(faces), "apparent_emotion": faces[0].emotion if faces else None})


def read_password(options: MqttOptions, environ: Mapping[str, str]) -> str:
    """Return the password of a sink's user.

    Raises:
        UsageError: there is none.
        OutputError: its file cannot be read, or others can read or change it.
    """
    if options.password_file is not None:
        return _password_of_file(Path(options.password_file))
    name = options.password_env or PASSWORD_ENV
    password = environ.get(name)
    if password is None:
        raise UsageError(
            f"{options.name}: the user {options.user} needs a password; set {name} or name a file with password_file"
        )
    return password


def _password_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            # Service managers hand a credential over as a file that its group may read.
            if stat.S_IMODE(status.st_mode) & (stat.S_IRWXO | stat.S_IWGRP):
                raise OutputError(
                    f"{path}: expected a password that others cannot read or change, found the mode "
                    f"{stat.S_IMODE(status.st_mode):04o}; chmod 600 {path}"
                )
            lines = file.read(_MAX_PASSWORD_BYTES).decode().splitlines()
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot read the password in {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise OutputError(f"{path}: expected a password in UTF-8, found other bytes") from error
    if not lines or not lines[0]:
        raise OutputError(f"{path}: expected a password in its first line, found none")
    return lines[0]
