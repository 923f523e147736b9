"""The systemd unit of a configuration: only what that configuration needs is allowed."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fer_edge.engines import GPU_ENGINE_NAMES, engine_name
from fer_edge.errors import UsageError
from fer_edge.sinks.options import JsonLinesOptions, MqttOptions, PrometheusOptions, UnixSocketOptions
from fer_edge.sources.picamera import is_picamera
from fer_edge.sources.v4l2 import is_v4l2
from fer_edge_devices.service.config import ServiceConfig

__all__ = ["DEFAULT_NAME", "Program", "check_name", "runtime_folder", "state_folder", "unit_text"]

DEFAULT_NAME = "fer-edge"
_TUNING_FOLDER = "/etc/fer-edge/tuning"

# Longer than the 12 s that are a fifth of a minute: never more than five starts in one, as with a camera that is opened
# again. A camera that is away for a week is tried for a week.
_RESTART_S = 13
_START_S = 90
# TensorRT compiles each model when it is first run.
_TENSORRT_START_S = 900
# Two seconds for the camera, three for what a broker has not got yet; then the rest.
_STOP_S = 15
# These run with memory that is never writable and executable at once (tried with prctl(PR_SET_MDWE)); OpenVINO makes
# machine code at run time, and so does CUDA.
_ENGINES_WITHOUT_JIT = ("litert", "onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How the service is started: absolute paths of the interpreter and of the configuration."""

    python: Path
    config: Path

    def __post_init__(self) -> None:
        for path in (self.python, self.config):
            # The unit's file would read spaces, quotes, % and \ in its own way.
            if not re.fullmatch(r"/[A-Za-z0-9/_.,:+@~-]+", str(path)):
                raise UsageError(f"{path}: expected an absolute path of letters, digits and /_.,:+@~-")

    @property
    def is_in_home(self) -> bool:
        """Whether one of them lies where users' own files are."""
        return any(_is_in_home(path) for path in (self.python, self.config))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    """What of the network a configuration needs.

    Attributes:
        is_used: whether anything of it.
        allowed: addresses to talk with, systemd's word "localhost" among them; None where they are not known.
    """

    is_used: bool
    allowed: tuple[str, ...] | None


def check_name(name: str) -> str:
    """Return the name of a service if it is one.

    Raises:
        UsageError: it is none.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", name):
        raise UsageError(f"--name: expected small letters, digits and -, found {name[:60]!r}")
    return name


def state_folder(name: str) -> Path:
    """Return where the service may keep files."""
    return Path("/var/lib") / name


def runtime_folder(name: str) -> Path:
    """Return where its sockets and its record are while it runs."""
    return Path("/run") / name


def unit_text(config: ServiceConfig, program: Program, *, name: str = DEFAULT_NAME) -> str:
    """Return a unit for a configuration.

    Raises:
        UsageError: the configuration names a file where such a service may not write.
    """
    _check_paths(config, name)
    network = _network(config)
    needs = "After=network-online.target\nWants=network-online.target\n" if network.allowed is None else ""
    lines = [
        "[Unit]",
        "Description=fer-edge: apparent expressions of faces before a camera",
        "Documentation=man:systemd.exec(5)",
        *needs.splitlines(),
        "# Never more than five starts in a minute, and no end to them: see RestartSec.",
        "StartLimitIntervalSec=60",
        "StartLimitBurst=5",
        "",
        "[Service]",
        *_process_lines(config, program),
        "",
        "# A user that exists while the service runs, and the only folders it can write to.",
        *_user_lines(config, name),
        "",
        "# The device.",
        *_device_lines(config),
        "",
        "# The network.",
        *_network_lines(config, network),
        "",
        "# All else is closed. ProcSubset=pid is not: engines read /proc/cpuinfo to know the processor.",
        *_closed_lines(config, program),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _process_lines(config: ServiceConfig, program: Program) -> list[str]:
    start_s = _TENSORRT_START_S if config.pipeline.engine == "onnx-tensorrt" else _START_S
    return [
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={program.python} -m fer_edge service run {program.config}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        f"WatchdogSec={config.service.watchdog_s:g}",
        f"TimeoutStartSec={start_s}",
        f"TimeoutStopSec={_STOP_S}",
        "Restart=always",
        f"RestartSec={_RESTART_S}",
        f"MemoryMax={config.service.memory_max_mb}M",
        "TasksMax=128",
        "# The device's own work goes first.",
        "Nice=5",
        "# Python keeps no compiled files beside a program that it cannot write to.",
        "Environment=PYTHONDONTWRITEBYTECODE=1",
        f"Environment=FER_EDGE_TUNING={_TUNING_FOLDER}",
        *[f"LoadCredential={secret}:{path}" for secret, path in config.service.credentials.items()],
    ]


def _user_lines(config: ServiceConfig, name: str) -> list[str]:
    lines = [
        "DynamicUser=yes",
        f"StateDirectory={name}",
        f"RuntimeDirectory={name}",
    ]
    group = config.service.group
    if group is None:
        return [*lines, "StateDirectoryMode=0700", "RuntimeDirectoryMode=0700", "UMask=0077"]
    return [*lines, f"Group={group}", "StateDirectoryMode=0750", "RuntimeDirectoryMode=0750", "UMask=0007"]


def _device_lines(config: ServiceConfig) -> list[str]:
    spec = config.source.spec
    if _has_unknown_devices(config):
        groups = "video render" if _uses_gpu(config) else "video"
        return ["# What a GPU or a pipeline opens has many names: none is closed.", f"SupplementaryGroups={groups}"]
    if is_picamera(spec):
        # libcamera finds a sensor by its media device and has its buffers from the DMA heaps.
        kinds = ["char-video4linux", "char-media", "char-dma_heap"]
    elif is_v4l2(spec):
        kinds = ["char-video4linux"]
    else:
        return ["PrivateDevices=yes"]
    return ["DevicePolicy=closed", *[f"DeviceAllow={kind} rw" for kind in kinds], "SupplementaryGroups=video"]


def _network_lines(config: ServiceConfig, network: _Network) -> list[str]:
    families = ["AF_UNIX"] + (["AF_INET", "AF_INET6"] if network.is_used else [])
    if is_picamera(config.source.spec):
        families.append("AF_NETLINK")  # libcamera asks udev
    lines = [f"RestrictAddressFamilies={' '.join(families)}"]
    if not network.is_used:
        return [*lines, "PrivateNetwork=yes", "IPAddressDeny=any"]
    if network.allowed is None:
        return [*lines, "# Names of hosts, or clients that are not known here: no address is refused."]
    return [*lines, "IPAddressDeny=any", *[f"IPAddressAllow={address}" for address in network.allowed]]


def _closed_lines(config: ServiceConfig, program: Program) -> list[str]:
    engine = None if config.pipeline.engine is None else engine_name(config.pipeline.engine)
    is_pipeline = config.source.spec.startswith("gst:")  # GStreamer's ORC makes machine code too
    in_home = program.is_in_home or (config.pipeline.bundle is not None and _is_in_home(Path(config.pipeline.bundle)))
    return [
        "ProtectSystem=strict",
        f"ProtectHome={'read-only' if in_home else 'yes'}",
        "PrivateTmp=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "SystemCallErrorNumber=EPERM",
        *(["MemoryDenyWriteExecute=yes"] if engine in _ENGINES_WITHOUT_JIT and not is_pipeline else []),
        "LockPersonality=yes",
        # It allows one clock's device by name, which closes all that are not named.
        *([] if _has_unknown_devices(config) else ["ProtectClock=yes"]),
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
        "RemoveIPC=yes",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        # Not with devices: their group would be unknown inside.
        *(["PrivateUsers=yes"] if "PrivateDevices=yes" in _device_lines(config) else []),
    ]


def _network(config: ServiceConfig) -> _Network:
    """Return what of the network the source, the sinks and the live page need."""
    hosts: list[str] = []
    listens: list[str] = []
    if "://" in config.source.spec:
        try:
            hosts.append(urlsplit(config.source.spec).hostname or "")
        except ValueError:
            hosts.append("")
    is_open = config.source.spec.startswith("gst:")
    for options in config.sinks:
        if isinstance(options, MqttOptions):
            hosts.append(options.host)
        if isinstance(options, PrometheusOptions):
            listens.append(options.host)
    if config.preview.address is not None:
        from fer_edge.preview.access import parse_address

        listens.append(parse_address(config.preview.address).host)
    if not (hosts or listens or is_open):
        return _Network(is_used=False, allowed=())
    allowed = [_allowed(host, listens=False) for host in hosts] + [_allowed(host, listens=True) for host in listens]
    if is_open or None in allowed:
        return _Network(is_used=True, allowed=None)
    return _Network(is_used=True, allowed=tuple(dict.fromkeys(address for address in allowed if address is not None)))


def _allowed(host: str, *, listens: bool) -> str | None:
    """Return what to allow for a host; None for a name, and for an address where others connect to."""
    if host == "localhost":
        return "localhost"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.is_loopback:
        return "localhost"
    return None if listens else str(address)


def _has_unknown_devices(config: ServiceConfig) -> bool:
    return _uses_gpu(config) or config.source.spec.startswith("gst:")


def _uses_gpu(config: ServiceConfig) -> bool:
    return config.pipeline.engine is not None and engine_name(config.pipeline.engine) in GPU_ENGINE_NAMES


def _is_in_home(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in ("/home", "/root", "/run/user"))


def _check_paths(config: ServiceConfig, name: str) -> None:
    folders = {JsonLinesOptions: state_folder(name), UnixSocketOptions: runtime_folder(name)}
    for options in config.sinks:
        if isinstance(options, (JsonLinesOptions, UnixSocketOptions)):
            folder = folders[type(options)]
            path = Path(options.path)
            if ".." in path.parts or path.parent != folder:
                raise UsageError(
                    f"{options.name}: expected a file in {folder}, where the service may write; change the sink's path"
                )
