"""The adapter's end of the exchange with compare.py: a package is opened, then asked photo by photo.

Needs only numpy, so that it works in the environment of any package; fer-edge is not imported. JSON lines come in on
standard input and go out on standard output:

    in   {"min_face_px": 40, "threads": 1, "mode": "detect", "options": {}, "photos": ["0.npy", …]}
    out  {"ready": {"versions": {"python": "3.11.7", …}, "n_faces": 1}}        after the first photo was analysed
    in   {"photo": 0}
    out  {"duration_ms": 12.3, "cpu_ms": 12.2, "faces": [{"box_xyxy": […], "score": 0.99, "expression": "happy"}]}
    in   {"crops": "crops.npy"}
    out  {"labels": ["happy", …]}
    in   {"end": true}
    out  {"peak_memory_bytes": 123456789}

Photos are decoded by the parent: uint8 (height, width, 3) in B, G, R order as .npy, so that every package sees the same
pixels and none is charged for decoding. What a package prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["CropClassifier", "FoundFace", "Peer", "PeerSettings", "box_from_xywh", "serve"]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PeerSettings:
    """What an adapter is told.

    Attributes:
        min_face_px: smallest face to look for; None for the package's own default.
        threads: that the package may use. Variables such as OMP_NUM_THREADS are set accordingly.
        mode: "detect" for faces alone, "expressions" for faces and their expressions.
        options: of this adapter alone.
        photos: .npy files.
    """

    min_face_px: float | None
    threads: int
    mode: str
    options: Mapping[str, str]
    photos: Sequence[str]


@dataclass(frozen=True)
class FoundFace:
    """A face that a package found.

    Attributes:
        box_xyxy: left, top, right, bottom in pixels.
        score: larger is surer; 1.0 from a package that gives none.
        expression: one of FER-2013's seven labels, None in mode "detect".
    """

    box_xyxy: Sequence[float]
    score: float = 1.0
    expression: str | None = None


class Peer(Protocol):
    """A package, opened."""

    @property
    def packages(self) -> Sequence[str]:
        """Distributions whose versions decide the result."""
        ...

    @property
    def takes_rgb(self) -> bool:
        """Whether `analyse` wants R, G, B order; else it gets B, G, R."""
        ...

    def analyse(self, photo: Pixels) -> list[FoundFace]:
        """Return the faces of a photo, with expressions in mode "expressions"; the call that is timed."""
        ...


class CropClassifier(Protocol):
    """A peer that can also be handed faces already cut out."""

    def classify(self, faces: Pixels) -> list[str]:
        """Return FER-2013's label of each gray face uint8 (n, height, width)."""
        ...


def box_from_xywh(box: Sequence[float]) -> list[float]:
    """Return left, top, right, bottom of a box given as left, top, width, height."""
    x, y, width, height = (float(value) for value in box)
    return [x, y, x + width, y + height]


def serve(open_peer: Callable[[PeerSettings], Peer]) -> int:
    """Open the package and answer until the parent ends the exchange; `open_peer` imports what it needs itself."""
    # Packages print to standard output, from C++ too; it stays free for the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    settings = PeerSettings(**json.loads(sys.stdin.readline()))
    peer = open_peer(settings)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(settings.threads)
    n_faces = len(peer.analyse(_photo(settings.photos[0], peer)))
    versions = {"python": platform.python_version()} | {name: version(name) for name in peer.packages}
    answer({"ready": {"versions": versions, "n_faces": n_faces}})
    for line in sys.stdin:
        request = json.loads(line)
        if "end" in request:
            break
        if "crops" in request:
            answer({"labels": peer.classify(np.load(request["crops"]))})  # type: ignore[attr-defined]
        else:
            answer(_timed(peer, settings.photos[request["photo"]]))
    answer({"peak_memory_bytes": _peak_memory_bytes()})
    return 0


def _photo(path: str, peer: Peer) -> Pixels:
    photo: Pixels = np.load(path)
    return np.ascontiguousarray(photo[..., ::-1]) if peer.takes_rgb else photo


def _timed(peer: Peer, path: str) -> dict[str, Any]:
    photo = _photo(path, peer)
    cpu_s, started_s = time.process_time(), time.perf_counter()
    faces = peer.analyse(photo)
    ended_s, cpu_ended_s = time.perf_counter(), time.process_time()
    return {
        "duration_ms": 1000 * (ended_s - started_s),
        "cpu_ms": 1000 * (cpu_ended_s - cpu_s),
        "faces": [
            {
                "box_xyxy": [float(value) for value in face.box_xyxy],
                "score": float(face.score),
                "expression": face.expression,
            }
            for face in faces
        ],
    }


def _peak_memory_bytes() -> int:
    """Return VmHWM; the kernel writes kB and means 1024 bytes."""
    with open("/proc/self/status", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not loaded for one line
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
