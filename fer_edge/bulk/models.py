"""What answers for a picture: a classifier for faces that are cut already, the whole pipeline for photos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from fer_edge.bundle import Bundle
from fer_edge.classifier import EmotionClassifier, softmax
from fer_edge.engines import ENGINE_NAMES, load_engine, pick_engine
from fer_edge.errors import InputError, IntegrityError
from fer_edge.files import sha256_hex
from fer_edge.frame_record import frame_record
from fer_edge.pipeline import EmotionPipeline
from fer_edge.preprocess import face_pixels
from fer_edge.sources import Frame
from fer_edge.stage import Stage

__all__ = ["BulkModel", "FaceModel", "PhotoModel", "open_classifier"]

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T")


class BulkModel(ABC):
    """Answers for pictures, as JSON types.

    Attributes:
        keys: of an answer; `error` is the last.
        labels: names of the classes.
        engine_version, precision: of what runs.
        bundle_sha256: of the bundle's manifest, which names every file by its digest.
    """

    keys: ClassVar[tuple[str, ...]]
    labels: tuple[str, ...]
    engine_version: str
    precision: str
    bundle_sha256: str

    @abstractmethod
    def answer(self, sources: Iterable[T], read: Callable[[T], Pixels]) -> list[dict[str, Any]]:
        """Return an answer for each of the sources that `read` makes pixels of.

        Where `read` raises an InputError, its text is the `error` and all else is None.

        Raises:
            EngineError: the engine fails.
        """

    def _failed(self, error: InputError) -> dict[str, Any]:
        return dict.fromkeys(self.keys) | {"error": str(error)}


class FaceModel(BulkModel):
    """Classifies pictures that are faces, many in one call of the engine."""

    keys = ("emotion", "probs", "error")

    def __init__(self, bundle: Bundle, classifier: EmotionClassifier, engine_version: str) -> None:
        self.labels = classifier.labels
        self.engine_version = engine_version
        self.precision = classifier.stage.variant.precision
        self.bundle_sha256 = sha256_hex(bundle.manifest_bytes)
        self._classifier = classifier

    def answer(self, sources: Iterable[T], read: Callable[[T], Pixels]) -> list[dict[str, Any]]:
        """See BulkModel.answer."""
        answers: list[dict[str, Any]] = []
        faces: list[Pixels] = []
        stage, size_wh = self._classifier.stage, self._classifier.input_size_wh
        for source in sources:
            try:
                # At once, so that a batch of large pictures is never in memory.
                faces.append(face_pixels(read(source), size_wh, stage.channels))
            except InputError as error:
                answers.append(self._failed(error))
            else:
                answers.append({})
        if not faces:
            return answers
        probs = softmax(stage.run(np.stack(faces))[0])
        likeliest = probs.argmax(axis=1).tolist()
        # As a whole, in float64: the nearest numbers with six digits.
        rounded = np.round(probs.astype(np.float64), 6).tolist()
        labels, row = self.labels, 0
        for answer in answers:
            if not answer:
                answer["emotion"] = labels[likeliest[row]]
                answer["probs"] = dict(zip(labels, rounded[row], strict=True))
                answer["error"] = None
                row += 1
        return answers


class PhotoModel(BulkModel):
    """Finds and classifies the faces of photos, one photo after the other."""

    keys = ("size_wh", "faces", "error")

    def __init__(self, pipeline: EmotionPipeline) -> None:
        self.labels = pipeline.labels
        self.engine_version = pipeline.engine_version
        self.precision = pipeline.classifier.stage.variant.precision
        self.bundle_sha256 = sha256_hex(pipeline.bundle.manifest_bytes)
        self._pipeline = pipeline

    def answer(self, sources: Iterable[T], read: Callable[[T], Pixels]) -> list[dict[str, Any]]:
        """See BulkModel.answer."""
        answers = []
        for source in sources:
            try:
                frame = Frame(image_bgr=_in_colour(read(source)), source="", index=0, time_s=None)
                analysis = self._pipeline.analyse(frame.image_bgr)
            except InputError as error:
                answers.append(self._failed(error))
                continue
            record = frame_record(frame, analysis, self.labels, decode_ms=0.0)
            answers.append({"size_wh": record["size_wh"], "faces": record["faces"], "error": None})
        return answers


def open_classifier(
    bundle_path: str | None, engine: str | None, precision: str | None, *, threads: int, batch_size: int
) -> FaceModel:
    """Load the classifier of a bundle, to be run `batch_size` faces at once.

    Raises:
        InputError: there is no bundle.
        IntegrityError: the bundle is damaged, or has no classifier.
        MissingExtraError: the engine is not installed, or the bundle has nothing for it in that precision.
        UsageError: no engine has that name.
    """
    bundle = Bundle.open(None if bundle_path is None else Path(bundle_path))
    spec = bundle.manifest.stages.get("classifier")
    if spec is None:
        raise IntegrityError(f"{bundle.path}: expected the stage classifier, the bundle has none")
    if engine is None:
        offered = [variant.engine for variant in spec.variants if precision in (None, variant.precision)]
        runner = pick_engine([name for name in ENGINE_NAMES if name in offered] or offered or ENGINE_NAMES)
    else:
        runner = load_engine(engine)
    stage = Stage(
        bundle, "classifier", runner, precision=precision, threads=threads, batch_sizes=tuple({1, batch_size})
    )
    return FaceModel(bundle, EmotionClassifier(stage, bundle.manifest.labels), runner.version())


def _in_colour(image: Pixels) -> Pixels:
    """Return (h, w, 3) for a gray image (h, w) or (h, w, 1); the pipeline looks at colour."""
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return image
