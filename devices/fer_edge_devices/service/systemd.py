"""Installs, removes and asks after the unit, through systemctl."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.errors import FerEdgeError, InputError, UsageError
from fer_edge.files import write_text
from fer_edge_devices.service.record import read_record
from fer_edge_devices.service.unit import Program, runtime_folder

__all__ = ["RunProgram", "Systemd"]

RunProgram = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]

_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "MainPID",
    "NRestarts",
    "ActiveEnterTimestamp",
    "MemoryCurrent",
    "StatusText",
)
# systemctl waits for the first processed frame, at most as long as the unit's TimeoutStartSec and one more try.
_TIMEOUT_S = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Access:
    """Whether everybody may do something with a file or folder."""

    path: Path
    bit: int
    word: str


class Systemd:
    """The systemd of this machine, or a folder that stands for the root of one."""

    def __init__(self, root: Path = Path("/"), run: RunProgram | None = None, *, is_root: bool | None = None) -> None:
        self._root = root
        self._run = _run if run is None else run
        self._is_root = os.geteuid() == 0 if is_root is None else is_root

    def install(self, text: str, program: Program, *, name: str, bundle: Path | None = None) -> None:
        """Write a unit, have it started with the system, and start it now; returns when a frame was processed.

        Args:
            text: of the unit.
            program: that it starts.
            name: of the service.
            bundle: that it reads; None for the one installed.

        Raises:
            UsageError: not root, no systemd, or a file that the service's user could not read.
            OutputError: the unit cannot be written.
            FerEdgeError: systemd refuses it, or it does not start.
        """
        self._check(f"sudo fer-edge service install {program.config}")
        for path in (program.config, program.python, *([] if bundle is None else [bundle])):
            self._check_readable(path)
        target = self._unit_path(name)
        write_text(target, text)
        target.chmod(0o644)
        self._systemctl("daemon-reload")
        self._systemctl("enable", name)
        self._systemctl("restart", name)

    def uninstall(self, *, name: str) -> None:
        """Stop and remove a unit; what it has written stays.

        Raises:
            UsageError: not root, no systemd, or no such unit.
            FerEdgeError: systemd refuses.
        """
        self._check("sudo fer-edge service uninstall")
        target = self._unit_path(name)
        if not target.exists():
            raise UsageError(f"{target}: there is no such unit; installed ones: systemctl list-unit-files")
        self._systemctl("disable", "--now", name)
        target.unlink()
        self._systemctl("daemon-reload")

    def status(self, *, name: str) -> dict[str, Any]:
        """Return `fer-edge/service-status/1`: what systemd says, and the service's own last record.

        Raises:
            UsageError: there is no systemd.
        """
        self._check_systemd()
        told = self._systemctl("show", f"{name}.service", "--property", ",".join(_PROPERTIES))
        shown = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
        memory = shown.get("MemoryCurrent", "")
        problem = None
        try:
            record = read_record(self._below(runtime_folder(name)))
        except InputError as error:
            record, problem = None, str(error)
        return {
            "schema": "fer-edge/service-status/1",
            "unit": f"{name}.service",
            "installed": shown.get("LoadState") == "loaded",
            "active": shown.get("ActiveState") == "active",
            "state": f"{shown.get('ActiveState', 'unknown')} ({shown.get('SubState', 'unknown')})",
            "result": shown.get("Result") or None,
            "pid": int(shown.get("MainPID") or 0) or None,
            "n_restarts": int(shown.get("NRestarts") or 0),
            "since": shown.get("ActiveEnterTimestamp") or None,
            "memory_bytes": int(memory) if memory.isdecimal() and int(memory) < 2**63 else None,
            "status": shown.get("StatusText") or None,
            "last": None if record is None else dataclasses.asdict(record),
            "problem": problem,
        }

    def _systemctl(self, *words: str) -> str:
        """Return what systemctl printed.

        Raises:
            FerEdgeError: it failed.
        """
        done = self._run(["systemctl", *words])
        if done.returncode != 0:
            reason = " ".join(done.stderr.split())[:300] or f"exit code {done.returncode}"
            raise FerEdgeError(f"systemctl {' '.join(words)} failed: {reason}; see journalctl -n 30")
        return done.stdout

    def _unit_path(self, name: str) -> Path:
        return self._below(Path("/etc/systemd/system")) / f"{name}.service"

    def _below(self, path: Path) -> Path:
        return self._root / path.relative_to("/")

    def _check(self, command: str) -> None:
        self._check_systemd()
        if not self._is_root:
            raise UsageError(f"expected to run as root, found another user; {command}")

    def _check_systemd(self) -> None:
        # sd_booted(3): this folder is there if and only if systemd runs the machine.
        if not self._below(Path("/run/systemd/system")).is_dir():
            raise UsageError(
                "expected a machine that systemd runs, found none; fer-edge service install --print shows the unit"
            )

    def _check_readable(self, path: Path) -> None:
        """Refuse what the service's own user could not read, before it fails to start for no visible reason."""
        needed = [_Access(path=path, bit=0o004, word="read")]
        needed += [_Access(path=folder, bit=0o001, word="enter") for folder in path.resolve().parents]
        for access in needed:
            try:
                mode = access.path.stat().st_mode
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror or error}") from error
            if not mode & access.bit:
                raise UsageError(
                    f"{path}: the service has a user of its own, who may not {access.word} {access.path}; put secrets "
                    "into credentials, the rest where everybody may read it, such as /etc/fer-edge and /opt/fer-edge"
                )


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(list(words), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FerEdgeError(f"{words[0]} cannot be run: {error}") from error
