"""What the device's Python environment is made of, and the digest by which it is known there."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from fer_edge._version import __version__
from fer_edge.errors import UsageError
from fer_edge.files import sha256_of_file

__all__ = ["EnvironmentPlan"]

_WHEEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]{0,200}\.whl")
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentPlan:
    """An environment to be made on a device.

    Attributes:
        extra: of fer-edge, which brings an engine.
        wheel: fer-edge's wheel; None for this version from the device's package index, or for the one of `wheelhouse`.
        wheelhouse: folder of wheels, fer-edge's own (without `wheel`) and all that it needs, for a device without a
            network; None for the device's package index.
        system_site_packages: whether it sees the system's packages, as picamera2 needs.
    """

    extra: str = "litert"
    wheel: Path | None = None
    wheelhouse: Path | None = None
    system_site_packages: bool = False

    def files(self) -> tuple[Path, ...]:
        """Return the wheels to copy.

        Raises:
            UsageError: a name is no wheel's, a file is missing, or the wheelhouse has not exactly one fer-edge.
        """
        found = {self.wheel.name: self.wheel} if self.wheel else {}
        if self.wheelhouse:
            if not self.wheelhouse.is_dir():
                raise UsageError(f"--wheelhouse: there is no folder {self.wheelhouse}")
            found = {path.name: path for path in sorted(self.wheelhouse.glob("*.whl"))} | found
        for name, path in found.items():
            if not _WHEEL_NAME.fullmatch(name) or not path.is_file():
                raise UsageError(f"{path}: expected a file with the name of a wheel, NAME-VERSION-….whl")
        return tuple(found.values())

    def own_wheel(self) -> Path | None:
        """Return fer-edge's own wheel; None where it comes from the device's package index.

        Raises:
            UsageError: as `files`.
        """
        if self.wheel or self.wheelhouse is None:
            return self.wheel
        own = [path for path in self.files() if path.name.startswith("fer_edge-")]
        if len(own) != 1:
            raise UsageError(
                f"--wheelhouse: expected one wheel of fer-edge in {self.wheelhouse}, found {len(own)}; "
                "name it with --wheel"
            )
        return own[0]

    def requirement(self) -> str:
        """Return what pip is to install; with the version where no wheel says it.

        Raises:
            UsageError: as `files`.
        """
        return f"fer-edge[{self.extra}]" + ("" if self.own_wheel() else f"=={__version__}")

    def digest(self, python: str) -> str:
        """Return 16 hexadecimal digits that differ where an input does; `python` is the device's version."""
        own = self.own_wheel()
        made_of = {
            "python": python,
            "own_wheel": own.name if own else None,
            "requirement": self.requirement(),
            "wheels": [(path.name, sha256_of_file(path)) for path in sorted(self.files(), key=lambda path: path.name)],
            "offline": self.wheelhouse is not None,
            "system_site_packages": self.system_site_packages,
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:_DIGEST_CHARACTERS]
