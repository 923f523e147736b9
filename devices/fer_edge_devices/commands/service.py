"""`fer-edge service`: fer-edge under systemd, by a configuration file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fer_edge.command import Command

__all__ = ["COMMAND"]


def _config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configuration file (TOML)")


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="fer-edge", help="of the service and its folders (fer-edge)")


def _show(arguments: argparse.Namespace) -> int:
    """Tell about the service that is installed: what `fer-edge service` does without another word."""
    from fer_edge_devices.service.systemd import Systemd
    from fer_edge_devices.service.unit import check_name

    status = Systemd().status(name=check_name(arguments.name))
    if arguments.json:
        sys.stdout.write(json.dumps(status) + "\n")
    else:
        from fer_edge_devices.service.report import status_text

        sys.stdout.write(status_text(status) + "\n")
    return 0 if status["active"] else 1


def _configure_show(parser: argparse.ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _run_service(arguments: argparse.Namespace) -> int:
    from fer_edge_devices.service.running import Service

    Service(arguments.config).run()
    return 0


def _check(arguments: argparse.Namespace) -> int:
    import os

    from fer_edge_devices.service.config import read_config
    from fer_edge_devices.service.report import config_report

    sys.stdout.write(config_report(read_config(arguments.config), os.environ) + "\n")
    return 0


def _configure_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="SLUG", help="board, e.g. raspberry-pi-5 (this machine)")
    parser.add_argument("--source", metavar="SPEC", help="camera or stream (the first camera found, else 0)")


def _config(arguments: argparse.Namespace) -> int:
    import difflib

    from fer_edge.engines import engine_status
    from fer_edge.errors import UsageError
    from fer_edge_devices.board import recognise_board
    from fer_edge_devices.cameras import find_cameras
    from fer_edge_devices.profile import profile_for, read_profiles
    from fer_edge_devices.service.template import config_text
    from fer_edge_devices.system_tree import SystemTree

    tree, profiles = SystemTree(), read_profiles()
    if arguments.device is None:
        profile = profile_for(recognise_board(tree))
        usable = [each.name for each in engine_status() if each.problem is None]
    elif arguments.device in profiles:
        # Another machine's: what works here tells nothing.
        profile = profiles[arguments.device]
        usable = list(profile.run.engines)
    else:
        near = difflib.get_close_matches(arguments.device, list(profiles), n=1)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(profiles)
        raise UsageError(f"--device: there is no profile {arguments.device!r}; {hint}")
    cameras = find_cameras(tree) if arguments.device is None else ()
    spec = arguments.source or (cameras[0].source if cameras else "0")
    sys.stdout.write(config_text(profile, usable, spec=spec))
    return 0


def _configure_install(parser: argparse.ArgumentParser) -> None:
    _config_argument(parser)
    _name_argument(parser)
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the unit and install nothing")


def _install(arguments: argparse.Namespace) -> int:
    from fer_edge_devices.service.config import read_config
    from fer_edge_devices.service.systemd import Systemd
    from fer_edge_devices.service.unit import Program, check_name, unit_text

    name = check_name(arguments.name)
    config = read_config(arguments.config)
    # Not resolved: in a virtual environment the interpreter is a link, and its place tells where the packages are.
    program = Program(python=Path(sys.executable), config=arguments.config.absolute())
    text = unit_text(config, program, name=name)
    if arguments.only_print:
        sys.stdout.write(text)
        return 0
    bundle = None if config.pipeline.bundle is None else Path(config.pipeline.bundle)
    Systemd().install(text, program, name=name, bundle=bundle)
    sys.stdout.write(f"{name}.service runs; fer-edge service status, journalctl -u {name}\n")
    return 0


def _uninstall(arguments: argparse.Namespace) -> int:
    from fer_edge_devices.service.systemd import Systemd
    from fer_edge_devices.service.unit import check_name, state_folder

    name = check_name(arguments.name)
    Systemd().uninstall(name=name)
    sys.stdout.write(f"{name}.service is gone; what it has written stays in {state_folder(name)}\n")
    return 0


COMMAND = Command(
    summary="run as a service of the device, under systemd",
    configure=_configure_show,
    run=_show,
    actions={
        "config": Command(summary="print a configuration for a board", configure=_configure_config, run=_config),
        "check": Command(summary="check a configuration and say what it means", configure=_config_argument, run=_check),
        "install": Command(summary="write the unit, enable and start it", configure=_configure_install, run=_install),
        "status": Command(summary="tell how the service fares", configure=_configure_show, run=_show),
        "uninstall": Command(summary="stop the service, remove the unit", configure=_name_argument, run=_uninstall),
        "run": Command(summary="what the unit starts", configure=_config_argument, run=_run_service),
    },
)
