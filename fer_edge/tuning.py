"""Which engine, precision and threads are the fastest for each stage here, as `fer-edge tune` found by measuring.

A tuning holds for one bundle on one machine with the engines it was made with; where any of these is another, it is
left alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fer_edge.bundle import Bundle
from fer_edge.bundle.manifest import STAGE_NAMES
from fer_edge.engines import load_engine
from fer_edge.errors import FerEdgeError, InputError
from fer_edge.files import sha256_hex, write_text
from fer_edge.machine import machine_summary
from fer_edge.typed_json import parse_json, to_json_text

__all__ = ["SCHEMA", "StageChoice", "Tuning", "machine_key", "read_tuning", "tuning_path", "write_tuning"]

SCHEMA = "fer-edge/tuning/1"
_FOLDER_VARIABLE = "FER_EDGE_TUNING"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChoice:
    """What runs a stage: an engine's name, a precision of the bundle, and the threads it may use."""

    engine: str
    precision: str
    threads: int

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads: expected 1 or more, found {self.threads}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What was chosen, what for, and what it gained.

    Attributes:
        schema: SCHEMA.
        created_utc: ISO 8601.
        manifest_sha256: of the bundle's manifest.json.
        machine: what `machine_key` gave.
        engine_versions: of the engines chosen, by name.
        stages: by name, each of STAGE_NAMES.
        frame_ms, default_frame_ms: median of a frame with these choices, and with those of the bundle and the runtime.
        peak_memory_bytes, default_peak_memory_bytes: of both.
        min_face_px: smallest face looked for while measuring.
    """

    schema: str
    created_utc: str
    manifest_sha256: str
    machine: Mapping[str, str]
    engine_versions: Mapping[str, str]
    stages: Mapping[str, StageChoice]
    frame_ms: float
    default_frame_ms: float
    peak_memory_bytes: int
    default_peak_memory_bytes: int
    min_face_px: float

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema: expected {SCHEMA}, found {self.schema[:60]!r}")
        if set(self.stages) != set(STAGE_NAMES):
            raise ValueError(f"stages: expected {', '.join(STAGE_NAMES)}, found {', '.join(self.stages)}")


def machine_key() -> dict[str, str]:
    """Return what of the machine decides which choice is the fastest: processor, cores, system, Python."""
    return {name: str(value) for name, value in machine_summary().items() if name != "memory_bytes"}


def tuning_path(manifest_sha256: str) -> Path:
    """Return where the tuning of a bundle is remembered: below FER_EDGE_TUNING, else the user's cache folder."""
    named = os.environ.get(_FOLDER_VARIABLE)
    cache = os.environ.get("XDG_CACHE_HOME")
    folder = Path(named) if named else (Path(cache) if cache else Path.home() / ".cache") / "fer-edge" / "tuning"
    return folder / f"{manifest_sha256[:32]}.json"


def write_tuning(tuning: Tuning) -> Path:
    """Remember a tuning and return where.

    Raises:
        OutputError: the file cannot be written.
    """
    path = tuning_path(tuning.manifest_sha256)
    # What is wrong with the folder is told by the writing, with the file's name.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, to_json_text(tuning))
    return path


def read_tuning(bundle: Bundle) -> Tuning | None:
    """Return the tuning that holds for a bundle on this machine; None where there is none.

    Raises:
        InputError: there is a file, and it is no tuning; the message says how to be rid of it.
    """
    manifest_sha256 = sha256_hex(bundle.manifest_bytes)
    path = tuning_path(manifest_sha256)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; remove it, or run fer-edge tune again") from error
    try:
        tuning = parse_json(Tuning, text, str(path))
    except InputError as error:
        raise InputError(f"{error}; remove the file, or run fer-edge tune again") from error
    if tuning.manifest_sha256 != manifest_sha256 or dict(tuning.machine) != machine_key():
        return None
    return tuning if _engines_are_the_same(tuning) else None


def _engines_are_the_same(tuning: Tuning) -> bool:
    try:
        return all(load_engine(name).version() == version for name, version in tuning.engine_versions.items())
    except FerEdgeError:
        return False
