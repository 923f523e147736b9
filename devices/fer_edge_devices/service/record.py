"""How a service fares, in counts: a file in its runtime folder that `fer-edge service status` reads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import InputError, OutputError
from fer_edge.files import write_text
from fer_edge.typed_json import parse_json, to_json_text

__all__ = ["ServiceRecord", "read_record", "write_record"]

_FILE = "status.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecord:
    """The last few seconds of a service, and sums since it began.

    Attributes:
        utc: when it was written, by the machine's clock.
        pid: of the process.
        uptime_s: seconds since it began.
        online: whether the source delivers frames.
        offline_s: for how long it has not; None where it does.
        reason: why not; empty where it does.
        n_frames: that were processed, in all.
        n_dropped: that the source dropped because newer ones came, in all.
        n_reloads: of the configuration.
        frames_per_s: processed since the record before.
        mean_faces: in these frames; None where there was none.
        lost_by_sink: what each sink did not deliver since it was opened.
    """

    utc: str
    pid: int
    uptime_s: float
    online: bool
    offline_s: float | None
    reason: str
    n_frames: int
    n_dropped: int
    n_reloads: int
    frames_per_s: float
    mean_faces: float | None
    lost_by_sink: Mapping[str, int]

    def to_line(self) -> str:
        """Return what people want to know at a glance."""
        if not self.online:
            return f"offline for {self.offline_s or 0:.0f} s: {self.reason}"
        lost = sum(self.lost_by_sink.values())
        faces = "no frame" if self.mean_faces is None else f"{self.mean_faces:.1f} faces"
        text = f"{self.frames_per_s:.1f} frames/s, {faces}, {self.n_dropped} frames dropped"
        return text + (f", {lost} results lost" if lost else "")


def write_record(record: ServiceRecord, folder: Path) -> None:
    """Replace the record in a folder; where that cannot be done the service goes on without."""
    with suppress(OutputError):
        write_text(folder / _FILE, to_json_text(record))


def read_record(folder: Path) -> ServiceRecord | None:
    """Return the record in a folder; None where there is none.

    Raises:
        InputError: it may not be read, or is none.
    """
    path = folder / _FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; run it as root or in the service's group") from error
    return parse_json(ServiceRecord, text, str(path))
