"""Reads the JSON of a record's file, plain or packed by gzip."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from fer_edge.errors import InputError

__all__ = ["read_record_json"]

_GZIP_MAGIC = b"\x1f\x8b"


def read_record_json(path: Path, expected: str) -> Any:
    """Return what a file holds as JSON types; `expected` says in an error what it should have been.

    Raises:
        InputError: the file cannot be read, or is no JSON.
    """
    try:
        data = path.read_bytes()
        return json.loads(gzip.decompress(data) if data.startswith(_GZIP_MAGIC) else data)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path}: {error}; expected {expected}") from error
