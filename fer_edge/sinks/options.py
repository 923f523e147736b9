"""The sinks that can be asked for, each a typed dataclass, read from the command line or from a configuration file.

    jsonl:PATH                              a file, a line for each record
    stdout                                  standard output, likewise
    unix:PATH                               a Unix socket, likewise, for other processes of the device
    mqtt://[USER@]HOST[:PORT]/TOPIC-PREFIX  a broker; mqtts:// with TLS
    prometheus:HOST:PORT                    metrics over HTTP

Other keys follow as `?key=value&key=value`. In a configuration file each is a table with `kind` and the same keys.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote

from fer_edge.errors import InputError, UsageError
from fer_edge.sinks.aggregate import MIN_FACES, MIN_WINDOW_S
from fer_edge.typed_json import from_json_types

__all__ = [
    "PASSWORD_ENV",
    "ContentOptions",
    "JsonLinesOptions",
    "MqttOptions",
    "PrometheusOptions",
    "SinkOptions",
    "StandardOutputOptions",
    "UnixSocketOptions",
    "parse_sink",
    "sink_from_table",
]

_DEFAULT_WINDOW_S = 60.0
_DEFAULT_KEEP = 4
_MAX_TOPIC_CHARACTERS = 200  # the protocol allows 65535 bytes, brokers often less; ours add some levels
_MQTT_PORT, _MQTTS_PORT = 1883, 8883
PASSWORD_ENV = "FER_EDGE_MQTT_PASSWORD"  # noqa: S105 - the variable's name


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentOptions:
    """What is written.

    Attributes:
        content: "frames", a record for each frame; "events", who came, went or changed; "aggregate", counts alone.
        window_s: of an aggregate, the time that is counted together; None for 60.
        min_faces: of an aggregate, the least number that is told; None for 5, which is the least.
    """

    kind: ClassVar[str]
    contents: ClassVar[tuple[str, ...]] = ("frames", "events", "aggregate")

    content: str = "frames"
    window_s: float | None = None
    min_faces: int | None = None

    def __post_init__(self) -> None:
        if self.content not in self.contents:
            raise ValueError(f"content: expected {' or '.join(self.contents)}, found {self.content[:60]!r}")
        if self.content != "aggregate":
            for name in ("window_s", "min_faces"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: expected it with content = aggregate alone, found {self.content}")
        if not MIN_WINDOW_S <= self.window_or_default_s < math.inf:
            raise ValueError(f"window_s: expected {MIN_WINDOW_S:g} or more, found {self.window_or_default_s:g}")
        if self.min_faces_or_default < MIN_FACES:
            raise ValueError(f"min_faces: expected {MIN_FACES} or more, found {self.min_faces}")

    @property
    def window_or_default_s(self) -> float:
        """The window that is used, in seconds."""
        return _DEFAULT_WINDOW_S if self.window_s is None else self.window_s

    @property
    def min_faces_or_default(self) -> int:
        """The least number that is told."""
        return MIN_FACES if self.min_faces is None else self.min_faces

    @property
    def name(self) -> str:
        """What messages call the sink; no secret is in it."""
        return self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesOptions(ContentOptions):
    """A file, a line for each record; lines are added to one that exists.

    Attributes:
        path: the file.
        max_bytes: size at which it becomes `PATH.1` and a new one is begun; None for no bound.
        keep: with `max_bytes`, how many old files stay, the oldest of more is removed; None for 4.
    """

    kind: ClassVar[str] = "jsonl"

    path: str
    max_bytes: int | None = None
    keep: int | None = None

    def __post_init__(self) -> None:
        ContentOptions.__post_init__(self)
        _check_path(self.path)
        if self.max_bytes is not None and self.max_bytes < _MIN_MAX_BYTES:
            raise ValueError(f"max_bytes: expected {_MIN_MAX_BYTES} or more, found {self.max_bytes}")
        if self.keep is not None and self.max_bytes is None:
            raise ValueError("keep: expected it with max_bytes alone; add max_bytes")
        if self.keep_or_default < 0:
            raise ValueError(f"keep: expected 0 or more, found {self.keep}")

    @property
    def keep_or_default(self) -> int:
        """How many old files stay."""
        return _DEFAULT_KEEP if self.keep is None else self.keep

    @property
    def name(self) -> str:
        """What messages call the sink."""
        return f"jsonl:{self.path}"


# A record with twenty faces is longer than 10 kB.
_MIN_MAX_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardOutputOptions(ContentOptions):
    """Standard output, a line for each record."""

    kind: ClassVar[str] = "stdout"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixSocketOptions(ContentOptions):
    """A Unix stream socket that readers connect to, a line for each record.

    Attributes:
        path: where the socket appears.
    """

    kind: ClassVar[str] = "unix"

    path: str

    def __post_init__(self) -> None:
        ContentOptions.__post_init__(self)
        _check_path(self.path)

    @property
    def name(self) -> str:
        """What messages call the sink."""
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttOptions(ContentOptions):
    """An MQTT broker.

    Attributes:
        host: its name or address.
        topic_prefix: what all topics begin with, e.g. "fer-edge/door".
        port: None for 1883, with TLS 8883.
        user: to log in as; None for nobody. The password is in `password_file`, else in the environment variable
            that `password_env` names.
        password_file: a file whose first line it is, and which nobody but its owner and its group may read.
        password_env: None for FER_EDGE_MQTT_PASSWORD.
        tls: whether the connection is encrypted and the broker's certificate checked.
        ca_file: with `tls`, the certificates that are trusted, PEM; None for the system's.
        discovery: whether Home Assistant learns of the device.
        discovery_prefix: where it looks for devices.
        device_name: what it calls the device; None for the topic prefix.
    """

    kind: ClassVar[str] = "mqtt"

    host: str
    topic_prefix: str
    port: int | None = None
    user: str | None = None
    password_file: str | None = None
    password_env: str | None = None
    tls: bool = False
    ca_file: str | None = None
    discovery: bool = True
    discovery_prefix: str = "homeassistant"
    device_name: str | None = None

    def __post_init__(self) -> None:
        ContentOptions.__post_init__(self)
        if not self.host:
            raise ValueError("host: expected a name or address, found an empty text")
        _check_port(self.port_or_default, lowest=1)
        _check_topic("topic_prefix", self.topic_prefix)
        _check_topic("discovery_prefix", self.discovery_prefix)
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file: expected it with tls alone; use mqtts:// or tls = true")
        if self.user is None and (self.password_file is not None or self.password_env is not None):
            raise ValueError("a password needs a user; add one")
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("expected password_file or password_env, found both")

    @property
    def port_or_default(self) -> int:
        """The port that is used."""
        return self.port if self.port is not None else _MQTTS_PORT if self.tls else _MQTT_PORT

    @property
    def name(self) -> str:
        """What messages call the sink; neither user nor password is in it."""
        return f"mqtt{'s' if self.tls else ''}://{_host_text(self.host)}:{self.port_or_default}/{self.topic_prefix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusOptions(ContentOptions):
    """Metrics over HTTP.

    Attributes:
        host: the address to listen on; 127.0.0.1 is reached from this machine alone.
        port: 0 for one that is free.
        content: "frames", faces counted in each frame; "aggregate", distinct faces of windows.
    """

    kind: ClassVar[str] = "prometheus"
    contents: ClassVar[tuple[str, ...]] = ("frames", "aggregate")

    host: str
    port: int

    def __post_init__(self) -> None:
        ContentOptions.__post_init__(self)
        if not self.host:
            raise ValueError("host: expected an address, e.g. 127.0.0.1, found an empty text")
        _check_port(self.port, lowest=0)

    @property
    def name(self) -> str:
        """What messages call the sink."""
        return f"prometheus:{_host_text(self.host)}:{self.port}"


SinkOptions = JsonLinesOptions | StandardOutputOptions | UnixSocketOptions | MqttOptions | PrometheusOptions

_KINDS: dict[str, type[SinkOptions]] = {
    kind.kind: kind
    for kind in (JsonLinesOptions, StandardOutputOptions, UnixSocketOptions, MqttOptions, PrometheusOptions)
}


def parse_sink(spec: str) -> SinkOptions:
    """Read a sink as `--sink` gives it.

    Raises:
        UsageError: it is none, or a key is unknown or has a value that cannot be used.
    """
    head, _, query = spec.partition("?")
    scheme, _, rest = head.partition(":")
    _refuse_password(spec)
    where = f"--sink {spec[:200]}"
    kind = _KINDS.get("mqtt" if scheme == "mqtts" else scheme)
    if kind is None:
        raise UsageError(f"--sink {scheme[:60]!r}: {_near(scheme, [*_KINDS, 'mqtts'])}")
    try:
        keys = _KEYS_BY_KIND[kind.kind](scheme, rest)
        for key, text in _query(query):
            if key in keys:
                raise ValueError(f"the key {key!r} is given twice")
            keys[key] = _value(kind, key, text)
        return _from_keys(kind, keys, where)
    except ValueError as error:
        text = str(error)
        raise UsageError(text if text.startswith(where) else f"{where}: {text}") from error


def sink_from_table(table: Mapping[str, Any], where: str) -> SinkOptions:
    """Read a sink from a table of a configuration file, such as `[[sink]]` in TOML.

    Args:
        table: `kind` and the keys of that kind.
        where: what an error calls the table.

    Raises:
        InputError: a key is unknown, is missing, or has a value that cannot be used.
    """
    name = table.get("kind")
    if name is None:
        raise InputError(f"{where}: the key 'kind' is missing; kinds: {', '.join(_KINDS)}")
    if not isinstance(name, str) or name not in _KINDS:
        raise InputError(f"{where}, kind {str(name)[:60]!r}: {_near(str(name), list(_KINDS))}")
    return _from_keys(_KINDS[name], {key: value for key, value in table.items() if key != "kind"}, where)


def _from_keys(kind: type[SinkOptions], keys: Mapping[str, Any], where: str) -> SinkOptions:
    defaults = {
        field.name: field.default for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING
    }
    return from_json_types(kind, {**defaults, **keys}, where)


def _refuse_password(spec: str) -> None:
    """Refuse USER:PASSWORD@HOST before any other error could repeat it."""
    scheme, _, rest = spec.partition(":")
    before, at, _ = rest.rpartition("@")
    if scheme in ("mqtt", "mqtts") and at and ":" in before:
        raise UsageError(
            f"--sink {scheme}://...: expected no password here, where a list of processes shows it; put it into the "
            f"environment variable {PASSWORD_ENV} or into a file that password_file names"
        )


def _path_keys(_scheme: str, rest: str) -> dict[str, Any]:
    return {"path": rest}


def _no_keys(_scheme: str, rest: str) -> dict[str, Any]:
    if rest:
        raise ValueError(f"expected nothing after stdout, found {rest[:60]!r}")
    return {}


def _mqtt_keys(scheme: str, rest: str) -> dict[str, Any]:
    place, slash, prefix = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or not slash or not prefix:
        raise ValueError(f"expected {scheme}://[USER@]HOST[:PORT]/TOPIC-PREFIX")
    user, at, address = place.rpartition("@")
    host, port = _split_address(address)
    keys: dict[str, Any] = {"host": host, "topic_prefix": prefix, "tls": scheme == "mqtts"}
    if at:
        keys["user"] = unquote(user)
    if port is not None:
        keys["port"] = port
    return keys


def _prometheus_keys(_scheme: str, rest: str) -> dict[str, Any]:
    host, port = _split_address(rest)
    if not host or port is None:
        raise ValueError("expected prometheus:HOST:PORT, e.g. prometheus:127.0.0.1:9310")
    return {"host": host, "port": port}


_KEYS_BY_KIND = {
    "jsonl": _path_keys,
    "stdout": _no_keys,
    "unix": _path_keys,
    "mqtt": _mqtt_keys,
    "prometheus": _prometheus_keys,
}


def _split_address(text: str) -> tuple[str, int | None]:
    """Split HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT."""
    if text.startswith("["):
        host, _, after = text[1:].partition("]")
        colon, port = after[:1], after[1:]
        if colon not in ("", ":"):
            raise ValueError(f"expected [ADDRESS]:PORT, found {text[:60]!r}")
    else:
        host, colon, port = text.partition(":")
    if colon and not (port.isascii() and port.isdecimal()):
        raise ValueError(f"expected a port's number after {host}:, found {port[:60]!r}")
    return host, int(port) if colon else None


def _host_text(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _query(text: str) -> list[tuple[str, str]]:
    pairs = []
    for part in text.split("&") if text else []:
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"expected key=value after the ?, found {part[:60]!r}")
        pairs.append((key, unquote(value)))
    return pairs


def _value(kind: type[SinkOptions], key: str, text: str) -> Any:
    """Return a text as the type that the key has; unknown keys stay texts and are refused by name later."""
    hint = typing.get_type_hints(kind).get(key, str)
    wanted = next((each for each in typing.get_args(hint) if each is not type(None)), hint)
    if wanted is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{key}: expected true or false, found {text[:60]!r}")
        return text == "true"
    if wanted in (int, float):
        try:
            return wanted(text)
        except ValueError as error:
            raise ValueError(f"{key}: expected a number, found {text[:60]!r}") from error
    return text


def _check_path(path: str) -> None:
    if not path or "\0" in path:
        raise ValueError("path: expected the path of a file, found an empty text or a zero byte")


def _check_port(port: int, *, lowest: int) -> None:
    if not lowest <= port <= 65535:
        raise ValueError(f"port: expected {lowest} to 65535, found {port}")


def _check_topic(name: str, topic: str) -> None:
    if not topic or topic.startswith("/") or topic.endswith("/") or any(sign in topic for sign in "+#\0"):
        raise ValueError(f"{name}: expected a topic without +, # and without / at its ends, found {topic[:60]!r}")
    if len(topic) > _MAX_TOPIC_CHARACTERS:
        raise ValueError(f"{name}: expected at most {_MAX_TOPIC_CHARACTERS} characters, found {len(topic)}")


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return (
        f"there is no such sink; did you mean {near[0]}?"
        if near
        else f"there is no such sink; sinks: {', '.join(known)}"
    )
