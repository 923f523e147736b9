"""The service's configuration file: TOML, read strictly; what is wrong is named by file, table and key."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_edge.engines import engine_name
from fer_edge.errors import FerEdgeError, InputError
from fer_edge.sinks import SinkOptions, sink_from_table
from fer_edge.sources.live_options import OFFLINE_AFTER_S, LiveOptions
from fer_edge.typed_json import from_json_types

__all__ = [
    "MIN_WATCHDOG_S",
    "PipelineTable",
    "PreviewTable",
    "ServiceConfig",
    "ServiceTable",
    "SourceTable",
    "TrackingTable",
    "load_credentials",
    "parse_config",
    "read_config",
    "referenced_names",
    "with_values",
]

# A camera that is lost is called offline after OFFLINE_AFTER_S without a frame, and the watchdog is widened then. It
# must not bite before: the last feed may be a third of its time older than the last frame; 4 s are for a slow frame.
MIN_WATCHDOG_S = 1.5 * (OFFLINE_AFTER_S + 4)
# A configuration is some kilobytes; what is longer is another file.
_MAX_BYTES = 1 << 20
_MAX_S = 86400.0
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$\{{({_NAME})\}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """Where frames come from.

    Attributes:
        spec: as `fer-edge run` takes it, a camera or stream; `${NAME}` stands for a secret.
        size_wh, fps: asked of a camera; None takes what it gives.
        offline_restart_s: how long the source may be offline before the process ends, to be started anew.
    """

    spec: str
    size_wh: tuple[int, int] | None = None
    fps: float | None = None
    offline_restart_s: float = 120.0

    def __post_init__(self) -> None:
        if not self.spec:
            raise ValueError("spec: expected a camera or stream, found an empty text")
        if self.spec == "-" or self.spec.startswith("raw:"):
            raise ValueError(
                f"spec: expected a camera or stream, found {self.spec}; a service has no standard input to read it from"
            )
        LiveOptions(size_wh=self.size_wh, fps=self.fps)
        if not OFFLINE_AFTER_S <= self.offline_restart_s <= _MAX_S:
            raise ValueError(
                f"offline_restart_s: expected {OFFLINE_AFTER_S:g} to {_MAX_S:g} seconds, found "
                f"{self.offline_restart_s:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineTable:
    """What analyses the frames; the keys are those of `EmotionPipeline`, None leaves its choice."""

    bundle: str | None = None
    engine: str | None = None
    precision: str | None = None
    detector_precision: str | None = None
    threads: int | None = None
    min_face_px: float = 40.0

    def __post_init__(self) -> None:
        if self.engine is not None:
            try:
                engine_name(self.engine)
            except FerEdgeError as error:
                raise ValueError(f"engine: {error}") from error
        if self.threads is not None and not 1 <= self.threads <= 256:
            raise ValueError(f"threads: expected 1 to 256, found {self.threads}")
        # The side of P-Net's window: it cannot find a smaller face.
        if not 12 <= self.min_face_px < math.inf:
            raise ValueError(f"min_face_px: expected 12 or more, found {self.min_face_px:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingTable:
    """How the video is looked at: keys of `TrackerOptions`."""

    detect_every: int = 24
    max_latency_ms: float | None = None
    max_cpu_percent: float | None = None

    def __post_init__(self) -> None:
        from fer_edge.tracking import TrackerOptions

        TrackerOptions(**dataclasses.asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewTable:
    """The live page: HOST:PORT or PORT, None for none."""

    address: str | None = None

    def __post_init__(self) -> None:
        from fer_edge.preview.access import parse_address

        if self.address is not None:
            try:
                parse_address(self.address)
            except FerEdgeError as error:
                raise ValueError(f"address: expected HOST:PORT, e.g. 127.0.0.1:8080, found {self.address!r}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTable:
    """What the unit says.

    Attributes:
        watchdog_s: how long no frame may be processed while the camera delivers, before systemd ends the process.
        memory_max_mb: the memory above which the system ends it.
        group: of the device, whose members may connect to Unix sockets of the service; None for nobody.
        credentials: file of each secret by the name under which `${NAME}` and `password_env` find it.
    """

    watchdog_s: float = 40.0
    memory_max_mb: int = 512
    group: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not MIN_WATCHDOG_S <= self.watchdog_s <= _MAX_S:
            raise ValueError(
                f"watchdog_s: expected {MIN_WATCHDOG_S:g} to {_MAX_S:g} seconds, found {self.watchdog_s:g}"
            )
        # OpenCV, an engine and its models need more than 100 MB at their least.
        if self.memory_max_mb < 128:
            raise ValueError(f"memory_max_mb: expected 128 or more, found {self.memory_max_mb}")
        if self.group is not None and not re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", self.group):
            raise ValueError(f"group: expected the name of a group, found {self.group[:60]!r}")
        for name, path in self.credentials.items():
            if not re.fullmatch(_NAME, name):
                raise ValueError(f"credentials: expected names of letters, digits and _, found {name[:60]!r}")
            if not re.fullmatch(r"/[^\s:%\\]+", path):  # what a unit's file would read otherwise
                raise ValueError(
                    f"credentials, {name}: expected a path from / on without spaces, colons, % and \\, found "
                    f"{path[:60]!r}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """A whole configuration; secrets are still references."""

    source: SourceTable
    pipeline: PipelineTable
    tracking: TrackingTable
    preview: PreviewTable
    service: ServiceTable
    sinks: tuple[SinkOptions, ...]


_TABLES: dict[str, type[Any]] = {
    "source": SourceTable,
    "pipeline": PipelineTable,
    "tracking": TrackingTable,
    "preview": PreviewTable,
    "service": ServiceTable,
}


def read_config(path: Path) -> ServiceConfig:
    """Read and check a configuration file.

    Raises:
        InputError: it cannot be read, is no TOML, or a key is missing, unknown, of another type or without sense.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected TOML in UTF-8, found other bytes at {error.start}") from error
    if len(data) > _MAX_BYTES:
        raise InputError(f"{path}: expected a configuration of at most {_MAX_BYTES} bytes, found a longer file")
    return parse_config(text, str(path))


def parse_config(text: str, where: str) -> ServiceConfig:
    """Read a configuration's text; `where` is what an error calls it.

    Raises:
        InputError: see `read_config`.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected TOML, found other text ({error})") from error
    _check_tables(content, where)
    tables = {
        name: from_json_types(kind, _completed(kind, content.get(name, {})), f"{where}, [{name}]")
        for name, kind in _TABLES.items()
    }
    sinks = content.get("sink", [])
    if not isinstance(sinks, list) or not all(isinstance(each, dict) for each in sinks):
        raise InputError(f"{where}: expected sinks as [[sink]], with two brackets, found sink of another form")
    options = tuple(sink_from_table(each, f"{where}, [[sink]] number {i}") for i, each in enumerate(sinks, start=1))
    return ServiceConfig(**tables, sinks=options)


def _check_tables(content: Mapping[str, Any], where: str) -> None:
    import difflib

    known = [*_TABLES, "sink"]
    for name in content:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(known)
            raise InputError(f"{where}: unknown table {name[:60]!r}; {hint}")


def _completed(kind: Any, table: Any) -> Any:
    """Add the defaults of what a table leaves out."""
    if not isinstance(table, dict):
        return table
    defaults: dict[str, Any] = {}
    for item in dataclasses.fields(kind):
        if item.default is not dataclasses.MISSING:
            defaults[item.name] = item.default
        elif item.default_factory is not dataclasses.MISSING:
            defaults[item.name] = item.default_factory()
    return {**defaults, **table}


def referenced_names(config: ServiceConfig) -> tuple[str, ...]:
    """Return the names that a configuration refers to by `${NAME}`, each once, in their order."""
    found: dict[str, None] = {}

    def note(text: str) -> str:
        found.update(dict.fromkeys(_REFERENCE.findall(text)))
        return text

    _map_texts(config, in_url=note, elsewhere=note)
    return tuple(found)


def with_values(config: ServiceConfig, environment: Mapping[str, str]) -> ServiceConfig:
    """Return the configuration with the environment's values in place of `${NAME}`.

    In a URL, what has a meaning there is written as %40 and the like.

    Raises:
        InputError: a name is not set, or what its value makes of a key cannot be used.
    """
    from urllib.parse import quote

    missing = [name for name in referenced_names(config) if name not in environment]
    if missing:
        raise InputError(
            f"${{{missing[0]}}} is used and not set; name its file in [service] as credentials.{missing[0]}, or set it "
            "in the environment"
        )
    try:
        return _map_texts(
            config,
            in_url=lambda text: _REFERENCE.sub(lambda found: quote(environment[found[1]], safe=""), text),
            elsewhere=lambda text: _REFERENCE.sub(lambda found: environment[found[1]], text),
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def load_credentials(environment: MutableMapping[str, str]) -> None:
    """Put the secrets that systemd hands over as files into the environment, each under its file's name.

    Raises:
        InputError: a file cannot be read.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return
    try:
        for path in sorted(Path(folder).iterdir()):
            if re.fullmatch(_NAME, path.name) and path.is_file():
                # os.environ takes no zero byte, and an editor leaves a newline at the end.
                environment[path.name] = path.read_text(encoding="utf-8").split("\0")[0].rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the credentials in {os.fspath(folder)}: {error}") from error


def _map_texts(
    config: ServiceConfig, *, in_url: Callable[[str], str], elsewhere: Callable[[str], str]
) -> ServiceConfig:
    """Apply a function to the source's text and to all texts of sinks."""
    change = in_url if "://" in config.source.spec else elsewhere
    source = dataclasses.replace(config.source, spec=change(config.source.spec))
    sinks = []
    for options in config.sinks:
        texts = {item.name: getattr(options, item.name) for item in dataclasses.fields(options)}
        changed: dict[str, Any] = {name: elsewhere(text) for name, text in texts.items() if isinstance(text, str)}
        sinks.append(dataclasses.replace(options, **changed))
    return dataclasses.replace(config, source=source, sinks=tuple(sinks))
