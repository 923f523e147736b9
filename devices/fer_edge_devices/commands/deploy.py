"""`fer-edge deploy`: bring a bundle to a device over ssh, test it there, return to the previous one, or remove all."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.command import Command
from fer_edge.errors import UsageError

if TYPE_CHECKING:
    from fer_edge_devices.deploy import Target

__all__ = ["COMMAND"]


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", metavar="USER@HOST", help="where to; ssh must log in there without a question")
    parser.add_argument("bundle", type=Path, nargs="?", metavar="BUNDLE", help="folder or .zip (the one installed)")
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--status", action="store_true", help="say what is deployed there; change nothing")
    actions.add_argument("--rollback", action="store_true", help="return to the previous release")
    actions.add_argument("--uninstall", action="store_true", help="remove what deployments made there")
    parser.add_argument("--root", metavar="DIR", help="folder there (~/.local/share/fer-edge)")
    parser.add_argument("--keep", type=int, default=2, metavar="N", help="older releases to keep there (2)")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    made = parser.add_argument_group("the environment there: this version from its package index, or")
    made.add_argument("--wheel", type=Path, metavar="FILE", help="this wheel of fer-edge")
    made.add_argument("--wheelhouse", type=Path, metavar="DIR", help="wheels from here alone, for want of a network")
    made.add_argument("--environment", metavar="DIR", help="an environment that is there, used as it is")
    made.add_argument("--extra", default="litert", choices=("litert", "onnx", "openvino"), help="engine (litert)")
    made.add_argument("--system-site-packages", action="store_true", help="let it see the system's, such as picamera2")
    how = parser.add_argument_group("how to get there")
    how.add_argument("--port", type=int, metavar="N", help="of its ssh server")
    how.add_argument("--ssh-config", type=Path, metavar="FILE", help="in place of ~/.ssh/config")
    how.add_argument("--python", default="python3", metavar="PYTHON", help="Python to use there (python3)")


def _run(arguments: argparse.Namespace) -> int:
    from fer_edge_devices.deploy import DEFAULT_ROOT, Target, device_status, roll_back, uninstall
    from fer_edge_devices.deploy.connection import printable

    root = DEFAULT_ROOT if arguments.root is None else arguments.root
    target = Target(
        destination=arguments.device, port=arguments.port, config=arguments.ssh_config, python=arguments.python
    )
    if arguments.bundle and (arguments.status or arguments.rollback or arguments.uninstall):
        raise UsageError("--status, --rollback and --uninstall take no bundle")
    if arguments.status:
        found, text = device_status(target, root=root), _status_text
    elif arguments.rollback:
        found, text = roll_back(target, root=root), _status_text
    elif arguments.uninstall:
        found, text = uninstall(target, root=root), _uninstall_text
    else:
        found, text = _deploy(arguments, target, root), _deployed_text
    lines = [json.dumps(found)] if arguments.json else map(printable, text(found))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _deploy(arguments: argparse.Namespace, target: Target, root: str) -> dict[str, Any]:
    from fer_edge.bundle import Bundle
    from fer_edge_devices.deploy import Deployment, EnvironmentPlan, deploy

    plan = EnvironmentPlan(
        extra=arguments.extra,
        wheel=arguments.wheel,
        wheelhouse=arguments.wheelhouse,
        system_site_packages=arguments.system_site_packages,
    )
    if arguments.environment and plan != EnvironmentPlan(extra=plan.extra):
        raise UsageError("--environment is used as it is: leave --wheel, --wheelhouse and --system-site-packages out")
    bundle = Bundle.open(arguments.bundle)
    made = Deployment(bundle=bundle, environment=arguments.environment or plan, root=root, keep=arguments.keep)
    return deploy(target, made)


def _deployed_text(found: dict[str, Any]) -> list[str]:
    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in found["self_test"].items())
    done = "is current now" if found["changed"] else "was current already"
    lines = [f"{found['current']['bundle']} {done} on {found['device']}; self-test: {outcomes}"]
    if found["changed"]:
        lines.append(f"what runs there goes on with what it loaded; start it again to use {found['root']}/current")
    return lines


def _status_text(found: dict[str, Any]) -> list[str]:
    lines = [f"{found['device']}: {found['machine']}, Python {found['python']}, {found['root']}"]
    pointed = {name: (found[name] or {}).get("number") for name in ("current", "previous")}
    for release in reversed(found["releases"]):
        name = next((name for name, number in pointed.items() if number == release["number"]), "")
        lines.append(
            f"{name:<9}{release['number']:>4}  {release['bundle']}  {release['bundle_sha256'][:16]}  "
            f"environment {release['environment']}  {release['deployed_utc']}"
        )
    return lines if found["releases"] else [*lines, "nothing is deployed"]


def _uninstall_text(found: dict[str, Any]) -> list[str]:
    lines = [f"removed {path}" for path in found["removed"]] + [
        f"left {path}, not a deployment's" for path in found["left"]
    ]
    return lines or [f"removed {found['root']}"]


COMMAND = Command(summary="put a bundle on a device over ssh and test it there", configure=_configure, run=_run)
