"""`fer-edge doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fer_edge.command import Command
from fer_edge.errors import FerEdgeError, MissingExtraError

__all__ = ["COMMAND", "examine"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, metavar="PATH", help="bundle to look at (the one installed)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def _run(arguments: argparse.Namespace) -> int:
    findings, exit_code = examine(arguments.bundle)
    sys.stdout.write((json.dumps(findings) if arguments.json else _as_text(findings)) + "\n")
    return exit_code


def examine(bundle_path: Path | None) -> tuple[dict[str, Any], int]:
    """Look at machine, engines, OpenCV, cameras and bundle.

    Returns:
        The findings as JSON types, and the exit code: 0 where a pipeline can run, else that of what stands in the way.
    """
    from fer_edge import __version__
    from fer_edge._cv2 import import_cv2
    from fer_edge.engines import engine_status
    from fer_edge.machine import machine_summary

    engines = engine_status()
    exit_code = 0 if any(status.problem is None for status in engines) else MissingExtraError.exit_code
    try:
        opencv = import_cv2().__version__
    except MissingExtraError as error:
        opencv, exit_code = f"missing: {error}", error.exit_code
    bundle, problem = _examine_bundle(bundle_path)
    if problem is not None:
        exit_code = exit_code or problem.exit_code
    findings = {
        "schema": "fer-edge/doctor/1",
        "fer_edge": __version__,
        "machine": machine_summary(),
        "governor": _cpu_governor(),
        "opencv": opencv,
        "engines": [{"name": status.name, "version": status.version, "problem": status.problem} for status in engines],
        "bundle": bundle,
        "cameras": [str(path) for path in sorted(Path("/dev").glob("video*"))],
        "can_run": exit_code == 0,
    }
    return findings, exit_code


def _examine_bundle(path: Path | None) -> tuple[dict[str, Any], FerEdgeError | None]:
    from fer_edge.bundle import Bundle

    try:
        bundle = Bundle.open(path)
        n_files = bundle.verify()
    except FerEdgeError as error:
        return {"problem": str(error)}, error
    manifest = bundle.manifest
    variants = sorted(
        {(variant.engine, variant.precision) for variant in manifest.stages["classifier"].variants}
        if "classifier" in manifest.stages
        else set()
    )
    return {
        "path": str(bundle.path),
        "name": manifest.name,
        "version": manifest.version,
        "files": n_files,
        "classifier": [" ".join(variant) for variant in variants],
        "problem": None,
    }, None


def _cpu_governor() -> str | None:
    """Return how the kernel sets the first core's clock; None where it does not say."""
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text(encoding="ascii").strip()
    except OSError:
        return None


def _as_text(findings: dict[str, Any]) -> str:
    machine, bundle = findings["machine"], findings["bundle"]
    lines = [
        f"fer-edge {findings['fer_edge']}, Python {machine['python']}, OpenCV {findings['opencv']}",
        f"machine   {machine['cpu']} ({machine['architecture']}), {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 1e9:.1f} GB, {machine['system']}",
    ]
    if findings["governor"] not in (None, "performance"):
        lines.append(f"          clock governor {findings['governor']}: latencies vary; set performance to measure")
    for engine in findings["engines"]:
        lines.append(f"engine    {engine['name']:<9} {engine['version'] or 'missing: ' + engine['problem']}")
    if bundle["problem"]:
        lines.append(f"bundle    {bundle['problem']}")
    else:
        lines.append(
            f"bundle    {bundle['name']} {bundle['version']}, {bundle['files']} files as the manifest says, "
            f"classifier: {', '.join(bundle['classifier'])}"
        )
    lines.append(f"cameras   {', '.join(findings['cameras']) or 'none under /dev/video*'}")
    lines.append("ready" if findings["can_run"] else "not ready: see above")
    return "\n".join(lines)


COMMAND = Command(summary="tell what this machine has and what is missing", configure=_configure, run=_run)
