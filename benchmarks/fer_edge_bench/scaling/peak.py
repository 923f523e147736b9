"""The large convolutions that ship with fer-edge: an engine's speed on them is the peak that stages are held against.

They are made by benchmarks/studies/peak_models.py; see fer_edge/models/peak/README.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import fer_edge
from fer_edge.errors import IntegrityError
from fer_edge.files import sha256_hex
from fer_edge.typed_json import parse_json

__all__ = [
    "PEAK_SCHEMA",
    "PeakFile",
    "PeakModel",
    "PeakModels",
    "peak_models_folder",
    "peak_precision",
    "read_contents",
    "read_peak_models",
]

PEAK_SCHEMA = "fer-edge/peak-models/1"
_RECORD = "record.json"
# Of a file's content: 2 x 256 x 256 x 9 weights in float32 are 4.7 MB.
_MAX_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakFile:
    """A file of a model, packed by gzip: its name, and length and SHA-256 digest as it lies there."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakModel:
    """So many equal square convolutions in a row, as many channels out as in, zeros around the picture.

    Attributes:
        engine: under which a bundle has such files.
        precision: "float32" or "int8".
        name: of the shape.
        kernel, channels, side, layers: of it; `side` is the picture's, in pixels.
        multiply_adds: of one run.
        files: the model, and the weights where they are a file of their own.
    """

    engine: str
    precision: str
    name: str
    kernel: int
    channels: int
    side: int
    layers: int
    multiply_adds: int
    files: tuple[PeakFile, ...]

    def __post_init__(self) -> None:
        expected = self.layers * (self.kernel * self.channels * self.side) ** 2
        if self.multiply_adds != expected:
            raise ValueError(f"multiply_adds: expected {expected}, found {self.multiply_adds}")
        if len(self.files) not in (1, 2):
            raise ValueError(f"files: expected one or two, found {len(self.files)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakModels:
    """The record of all of them: how they were made, and with which releases."""

    schema: str
    command: str
    versions: Mapping[str, str]
    models: tuple[PeakModel, ...]

    def __post_init__(self) -> None:
        if self.schema != PEAK_SCHEMA:
            raise ValueError(f"schema: expected {PEAK_SCHEMA}, found {self.schema[:60]!r}")


def peak_models_folder() -> Path:
    """Return where they lie."""
    return Path(fer_edge.__file__).resolve().parent / "models" / "peak"


def read_peak_models(folder: Path | None = None) -> PeakModels:
    """Read the record.

    Raises:
        IntegrityError: it cannot be read.
        InputError: it is no such record.
    """
    path = (folder or peak_models_folder()) / _RECORD
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise IntegrityError(f"cannot read {path}: {error}; install fer-edge again") from error
    return parse_json(PeakModels, text, str(path))


def read_contents(model: PeakModel, folder: Path | None = None) -> tuple[bytes, ...]:
    """Return what a model's files hold, after a look at their digests.

    Raises:
        IntegrityError: one cannot be read or is another than the record says.
    """
    contents = []
    for entry in model.files:
        path = (folder or peak_models_folder()) / entry.file
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise IntegrityError(f"cannot read {path}: {error.strerror or error}; install fer-edge again") from error
        if sha256_hex(packed) != entry.sha256:
            raise IntegrityError(
                f"{path}: expected the digest {entry.sha256[:16]}, found another; install fer-edge again"
            )
        contents.append(zlib.decompressobj(wbits=16 + zlib.MAX_WBITS).decompress(packed, _MAX_BYTES))
    return tuple(contents)


def peak_precision(precision: str) -> str:
    """Return which of the convolutions compute as a variant does: float16 is how a file stores what runs in float32."""
    return "int8" if "int8" in precision else "float32"
