"""Runs all packages in turns: photo by photo each is asked once, and none is always the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from peer_process import PeerProcess
from peer_record import RoundSamples, RunSettings

from fer_edge.errors import FerEdgeError
from fer_edge_bench.detection_metrics import Detections

__all__ = ["Measured", "PeerRun", "ask_labels", "detect_all", "measure_in_turns", "turns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRun:
    """A case at one smallest face, ready to be started.

    Attributes:
        name: as progress shows it.
        command: the environment's python and the adapter.
        mode, options, min_face_px: for the adapter.
    """

    name: str
    command: tuple[str, ...]
    mode: str
    options: dict[str, str]
    min_face_px: float | None

    def start(self, photos: Sequence[Path], threads: int, timeout_s: float) -> PeerProcess:
        """Start its process; see PeerProcess."""
        settings = {
            "min_face_px": self.min_face_px,
            "threads": threads,
            "mode": self.mode,
            "options": self.options,
            "photos": [str(path) for path in photos],
        }
        return PeerProcess(self.command, settings, timeout_s=timeout_s)


@dataclass(slots=True, kw_only=True)
class Measured:
    """What became of a run; `reason` says why it ended early."""

    rounds: list[RoundSamples] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    reason: str | None = None


@dataclass(slots=True, kw_only=True)
class _OpenRound:
    """A run's process in one round, and the answers so far: passes of photos, the first pass untimed."""

    process: PeerProcess
    passes: list[list[dict[str, Any]]] = field(default_factory=list)

    def samples(self) -> RoundSamples:
        first, later = self.passes[0], self.passes[1:]
        cpu_ms = sum(answer["cpu_ms"] for answers in later for answer in answers)
        duration_ms = sum(answer["duration_ms"] for answers in later for answer in answers)
        return RoundSamples(
            cold_start_ms=round(self.process.cold_start_ms, 1),
            first_ms=tuple(_ms(answer) for answer in first),
            samples_ms=tuple(tuple(_ms(answers[i]) for answers in later) for i in range(len(first))),
            busy_cores=round(cpu_ms / duration_ms, 3),
            n_faces=tuple(len(answer["faces"]) for answer in first),
            peak_memory_bytes=self.process.end(),
        )


def turns(n_runs: int, n_photos: int, n_passes: int) -> Iterator[tuple[int, int, int]]:
    """Yield pass, photo and run: each run once for each photo of a pass, the first one another each time."""
    for number in range(n_passes * n_photos):
        for offset in range(n_runs):
            yield number // n_photos, number % n_photos, (number + offset) % n_runs


def measure_in_turns(
    runs: Sequence[PeerRun],
    photos: Sequence[Path],
    settings: RunSettings,
    *,
    timeout_s: float,
    progress: Callable[[str], None],
) -> list[Measured]:
    """Measure all runs, round by round; one that fails is left out from there on, and says why."""
    measured = [Measured() for _ in runs]
    for number in range(settings.rounds):
        progress(f"round {number + 1} of {settings.rounds}: {sum(m.reason is None for m in measured)} packages")
        with ExitStack() as stack:
            open_rounds: dict[int, _OpenRound] = {}
            for i, run in enumerate(runs):
                if measured[i].reason is not None:
                    continue
                try:
                    process = stack.enter_context(run.start(photos, settings.threads, timeout_s))
                except FerEdgeError as error:
                    measured[i].reason = str(error)
                    progress(f"{run.name}: {error}")
                    continue
                measured[i].versions = dict(process.versions)
                open_rounds[i] = _OpenRound(process=process)
            for i in _asked_in_turns(open_rounds, len(photos), settings.passes + 1, measured):
                progress(f"{runs[i].name}: {measured[i].reason}")
            for i, opened in open_rounds.items():
                try:
                    measured[i].rounds.append(opened.samples())
                except (FerEdgeError, KeyError, TypeError, ZeroDivisionError) as error:
                    measured[i].reason = f"its answers cannot be used: {error}"
    return measured


def _asked_in_turns(
    open_rounds: dict[int, _OpenRound], n_photos: int, n_passes: int, measured: list[Measured]
) -> list[int]:
    """Collect the answers; take out of `open_rounds` what fails, and return its indices."""
    order, failed = list(open_rounds), []
    for number, photo, turn in turns(len(order), n_photos, n_passes):
        i = order[turn]
        if i not in open_rounds:
            continue
        opened = open_rounds[i]
        try:
            answer = opened.process.ask({"photo": photo}, "duration_ms")
        except FerEdgeError as error:
            measured[i].reason = str(error)
            failed.append(i)
            del open_rounds[i]
            continue
        if photo == 0:
            opened.passes.append([])
        opened.passes[number].append(answer)
    return failed


def detect_all(run: PeerRun, photos: Sequence[Path], threads: int, timeout_s: float) -> list[Detections]:
    """Return what a run finds in each photo.

    Raises:
        FerEdgeError: the package fails.
    """
    found = []
    with run.start(photos, threads, timeout_s) as process:
        for i in range(len(photos)):
            faces = process.ask({"photo": i}, "faces")["faces"]
            boxes = np.array([face["box_xyxy"] for face in faces], dtype=np.float64).reshape(-1, 4)
            scores = np.array([face["score"] for face in faces], dtype=np.float64)
            found.append(Detections(boxes_xyxy=boxes, scores=scores))
    return found


def ask_labels(run: PeerRun, crops: Path, photo: Path, threads: int, timeout_s: float) -> list[str]:
    """Return a run's label of each gray face in `crops`, uint8 (n, height, width) as .npy; `photo` opens it.

    Raises:
        FerEdgeError: the package fails.
    """
    with run.start([photo], threads, timeout_s) as process:
        return [str(label) for label in process.ask({"crops": str(crops)}, "labels")["labels"]]


def _ms(answer: dict[str, Any]) -> float:
    return round(float(answer["duration_ms"]), 4)
