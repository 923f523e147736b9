"""All findings together, what they come to, and how they are told."""

from __future__ import annotations

import dataclasses
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge import __version__
from fer_edge_devices.board import Board, recognise_board
from fer_edge_devices.cameras import ARGUS, Camera, find_cameras
from fer_edge_devices.doctor.board_checks import check_board
from fer_edge_devices.doctor.camera_checks import check_cameras
from fer_edge_devices.doctor.finding import ADVICE, OK, SECTIONS, Finding
from fer_edge_devices.doctor.host import Subject
from fer_edge_devices.doctor.software_checks import Software, examine_software
from fer_edge_devices.doctor.speed_checks import check_speed
from fer_edge_devices.memory import read_memory
from fer_edge_devices.processor import read_processor
from fer_edge_devices.profile import Profile, profile_for, recommended_run_options

__all__ = ["SCHEMA", "Examination", "examine"]

SCHEMA = "fer-edge/doctor/2"
_LINE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was examined and found.

    Attributes:
        board: that was recognised.
        profile: the board's, or the generic one.
        cameras: that were found.
        software: see `examine_software`.
        findings: all of them, section by section.
        machine: architecture, processor, cores, memory, system and Python, as JSON types.
    """

    board: Board
    profile: Profile
    cameras: tuple[Camera, ...]
    software: Software
    findings: tuple[Finding, ...]
    machine: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """Return 0 where a pipeline can run, else the code of what stands in the way."""
        return self.software.exit_code

    @property
    def run_options(self) -> dict[str, str | int | float]:
        """Return options of `fer-edge run` to start with."""
        usable = [status.name for status in self.software.engines if status.problem is None]
        return recommended_run_options(
            self.profile, usable, tuned=self.software.is_tuned, camera=self._camera() is not None
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON types, SCHEMA's."""
        return {
            "schema": SCHEMA,
            "fer_edge": __version__,
            "can_run": self.exit_code == 0,
            "board": dataclasses.asdict(self.board),
            "profile": self.profile.slug,
            "machine": self.machine,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "cameras": [dataclasses.asdict(camera) for camera in self.cameras],
            "opencv": self.software.opencv,
            "engines": [dataclasses.asdict(status) for status in self.software.engines],
            "bundle": self.software.bundle,
            "run_options": self.run_options,
        }

    def to_text(self) -> str:
        """Return lines for people."""
        lines = [f"fer-edge {__version__} on {self.machine['system']}"]
        width = max(len(finding.name) for finding in self.findings)
        for section in SECTIONS:
            found = [finding for finding in self.findings if finding.section == section]
            if found:
                lines += ["", section]
            for finding in found:
                lines += _lines(finding, width)
        options = " ".join(f"--{name} {_shown(value)}" for name, value in self.run_options.items())
        camera = self._camera()
        source = "SOURCE" if camera is None else camera.source
        lines += ["", "to start with (not measured)", f"  $ fer-edge run {source} {options}", "", self._verdict()]
        return "\n".join(lines)

    def _camera(self) -> Camera | None:
        """Return the first camera that can be asked for a size: a pipeline states its own, and has no short name."""
        return next((camera for camera in self.cameras if camera.access != ARGUS), None)

    def _verdict(self) -> str:
        n_advices = sum(finding.level == ADVICE for finding in self.findings)
        advised = f"{n_advices} piece{'' if n_advices == 1 else 's'} of advice above" if n_advices else ""
        if self.exit_code == 0:
            return f"ready; {advised}" if advised else "ready"
        return "not ready: see the problems above"


def examine(subject: Subject, bundle_path: Path | None = None) -> Examination:
    """Examine a system.

    Raises:
        MissingExtraError: Python is older than 3.11 and tomli, which reads the profiles, is not installed.
    """
    board = recognise_board(subject.tree)
    profile = profile_for(board)
    processor, memory = read_processor(subject.tree), read_memory(subject.tree)
    software = examine_software(subject, profile, bundle_path)
    return Examination(
        board=board,
        profile=profile,
        cameras=find_cameras(subject.tree),
        software=software,
        findings=(
            *check_board(subject, board, profile),
            *check_speed(subject, profile),
            *check_cameras(subject, board),
            *software.findings,
        ),
        machine={
            "architecture": processor.architecture,
            "cpu": processor.model,
            "cores": processor.cores_online,
            "memory_bytes": memory.total_bytes,
            "system": f"Linux {subject.tree.read_text('/proc/sys/kernel/osrelease') or ''}".strip(),
            "python": ".".join(str(number) for number in subject.host.python),
        },
    )


def _lines(finding: Finding, width: int) -> list[str]:
    head = f"  {finding.level:<8} {finding.name:<{width}}  "
    lines = _filled(finding.found, head)
    if finding.level != OK and finding.advice is not None:
        lines += _filled(finding.advice, " " * len(head))
    if finding.command is not None:
        # Not broken: it is to be copied.
        lines.append(f"{' ' * len(head)}$ {finding.command}")
    return lines


def _filled(text: str, head: str) -> list[str]:
    # A camera's name comes from the camera: it must not move the cursor.
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return textwrap.wrap(
        printable,
        width=_LINE,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head.rstrip()]


def _shown(value: str | int | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
