"""What a configuration means, and how a service fares, in lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fer_edge.sources.stream import shown_url
from fer_edge_devices.service.config import ServiceConfig, referenced_names

__all__ = ["config_report", "status_text"]


def config_report(config: ServiceConfig, environment: Mapping[str, str]) -> str:
    """Say what a configuration means; no secret is in it.

    Args:
        config: as it is written.
        environment: in which names that the configuration refers to may be set.
    """
    source, pipeline, tracking, service = config.source, config.pipeline, config.tracking, config.service
    rows = [("source", shown_url(source.spec) if "://" in source.spec else source.spec)]
    asked = [f"{source.size_wh[0]} x {source.size_wh[1]}"] if source.size_wh is not None else []
    asked += [f"{source.fps:g} frames/s"] if source.fps is not None else []
    if asked:
        rows.append(("", f"asked for {' at '.join(asked)}"))
    rows.append(("", f"offline for {source.offline_restart_s:g} s: a new process tries it"))
    rows.append(("bundle", pipeline.bundle or "the one installed"))
    rows.append(("engine", f"{pipeline.engine or 'the first installed'}, {_threads(pipeline.threads)}"))
    rows.append(("faces", f"of {pipeline.min_face_px:g} pixels or more, detected every {tracking.detect_every} frames"))
    if tracking.max_latency_ms is not None:
        rows.append(("", f"{tracking.max_latency_ms:g} ms a frame at most, on average"))
    if tracking.max_cpu_percent is not None:
        rows.append(("", f"{tracking.max_cpu_percent:g} % of a core at most, on average"))
    rows += [("sink", f"{options.name}, {options.content}") for options in config.sinks]
    if not config.sinks:
        rows.append(("sink", "none: results go nowhere; add a [[sink]]"))
    rows.append(("preview", config.preview.address or "none"))
    rows.append(("watchdog", f"{service.watchdog_s:g} s without a processed frame"))
    rows.append(("memory", f"{service.memory_max_mb} MB at most"))
    for name in referenced_names(config):
        if name in service.credentials:
            rows.append(("secret", f"{name} from {service.credentials[name]}"))
        else:
            found = "set" if name in environment else "not set"
            rows.append(("secret", f"{name} from the environment, {found} here; a unit needs [service] credentials"))
    return "\n".join(f"{label:<10}{text}" for label, text in rows)


def _threads(threads: int | None) -> str:
    return "1 thread, or what was tuned" if threads is None else f"{threads} thread{'' if threads == 1 else 's'}"


def status_text(status: Mapping[str, Any]) -> str:
    """Say in lines what `Systemd.status` returned."""
    if not status["installed"]:
        return f"{status['unit']}: not installed; fer-edge service install CONFIG"
    since = f" since {status['since']}" if status["since"] else ""
    lines = [f"{status['unit']}: {status['state']}{since}, {status['n_restarts']} restarts"]
    if status["result"] not in (None, "success"):
        lines.append(f"ended last by: {status['result']}")
    if status["memory_bytes"] is not None:
        lines.append(f"memory: {status['memory_bytes'] / 1e6:.0f} MB")
    if status["status"]:
        lines.append(status["status"])
    last = status["last"]
    if last is not None:
        lost = ", ".join(f"{name}: {count}" for name, count in last["lost_by_sink"].items() if count)
        lines.append(f"{last['n_frames']} frames in {last['uptime_s']:.0f} s" + (f"; lost: {lost}" if lost else ""))
    if status["problem"]:
        lines.append(status["problem"])
    return "\n".join(lines)
