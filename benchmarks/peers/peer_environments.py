"""One virtual environment for each requirements file, made once, and what it adds to an empty one."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import FerEdgeError

__all__ = ["Environment", "make_environment", "python_of_version"]

_RECORD_NAME = "made.json"
_REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment that pip has filled.

    Attributes:
        python: its interpreter.
        install_bytes: sizes of the files that pip added to its site-packages.
    """

    python: Path
    install_bytes: int


def make_environment(folder: Path, requirements: Path, python: Path) -> Environment:
    """Return the environment in `folder`, made now unless it was made from the same requirements before.

    Requirements that name this repository are installed anew each time: its files change without their text changing.

    Args:
        folder: of the environment alone.
        requirements: what pip installs; relative paths in it start at the repository's root.
        python: the interpreter it is made with.

    Raises:
        FerEdgeError: the environment cannot be made, or pip fails; the message is the last error it printed.
    """
    text = requirements.read_text(encoding="utf-8")
    identity = hashlib.sha256(f"{python}\n{text}".encode()).hexdigest()
    interpreter = folder / "bin" / "python"
    changes = any(line.startswith(".") for line in text.splitlines())
    if not changes and (made := _read_record(folder, identity)) is not None:
        return Environment(python=interpreter, install_bytes=made)
    shutil.rmtree(folder, ignore_errors=True)
    _run([str(python), "-m", "venv", str(folder)])
    packages = _site_packages(interpreter)
    empty_bytes = _bytes_below(packages)
    root = Path(__file__).resolve().parents[2]
    _run([str(interpreter), "-m", "pip", "install", "--quiet", "-r", str(requirements.resolve())], cwd=root)
    install_bytes = _bytes_below(packages) - empty_bytes
    record = {"identity": identity, "install_bytes": install_bytes}
    (folder / _RECORD_NAME).write_text(json.dumps(record), encoding="utf-8")
    return Environment(python=interpreter, install_bytes=install_bytes)


def python_of_version(pythons: Sequence[Path], version: str | None) -> Path:
    """Return the first interpreter, or the first of a minor version such as "3.12".

    Raises:
        FerEdgeError: there is none of that version.
    """
    if version is None:
        return pythons[0]
    for python in pythons:
        found = _run([str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
        if found == version:
            return python
    raise FerEdgeError(f"no Python {version} was offered; add one with --python")


def _read_record(folder: Path, identity: str) -> int | None:
    try:
        record = json.loads((folder / _RECORD_NAME).read_text(encoding="utf-8"))
        return int(record["install_bytes"]) if record["identity"] == identity else None
    except (OSError, ValueError, KeyError):
        # Not made, or not to the end.
        return None


def _site_packages(interpreter: Path) -> Path:
    return Path(_run([str(interpreter), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())


def _bytes_below(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False, cwd=cwd)
    except OSError as error:
        raise FerEdgeError(f"cannot run {command[0]}: {error.strerror or error}") from error
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith("error")] or lines or ["it said nothing"]
        raise FerEdgeError(f"cannot be installed: {errors[-1][:_REASON_CHARACTERS]}")
    return done.stdout
