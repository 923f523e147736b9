"""What the reader of each format gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fer_edge_convert.float_model import FloatModel

__all__ = ["Network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network that others saved.

    Attributes:
        model: the network, without a softmax at the end.
        written_by: what wrote the file, with its version, as the file states it; None where it does not.
        files: all that belong to it.
    """

    model: FloatModel
    written_by: str | None
    files: tuple[Path, ...]
