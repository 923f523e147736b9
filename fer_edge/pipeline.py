"""From a frame to the apparent expression of each face in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from fer_edge.bundle import Bundle
from fer_edge.bundle.manifest import STAGE_NAMES
from fer_edge.classifier import EmotionClassifier
from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.engines import ENGINE_NAMES, Engine, load_engine, pick_engine
from fer_edge.errors import IntegrityError, UsageError
from fer_edge.results import Face, FrameAnalysis
from fer_edge.stage import Pixels, Stage
from fer_edge.tuning import StageChoice, Tuning, read_tuning

__all__ = ["EmotionPipeline", "engines_of", "open_pipeline", "tuning_for"]

# R-Net sees a varying number of boxes; these batch sizes keep shapes fixed without padding. Each size is a session with
# its own copy of the weights, which for O-Net's 1.6 MB costs more memory than a larger batch saves time.
_RNET_BATCHES = (1, 8)
_MAX_THREADS = 256  # engines crash rather than refuse when the system cannot give them as many as asked for
_DETECTOR_STAGES = ("pnet", "rnet", "onet")


class EmotionPipeline:
    """Detects faces and classifies their apparent expression.

    One pipeline serves one stream: it keeps buffers between frames and must not be used by two threads at once.

    Attributes:
        detector: callable, frame -> list[Detection].
        classifier: callable, face crop -> probabilities.
        labels: names of the classes, in the order of `Face.probs`.
    """

    def __init__(
        self,
        bundle: str | Path | None = None,
        *,
        engine: str | None = None,
        precision: str | None = None,
        detector_precision: str | None = None,
        min_face_px: float = 40.0,
        threads: int = 1,
        detector_options: DetectorOptions | None = None,
        stages: Mapping[str, StageChoice] | None = None,
    ) -> None:
        """Load a bundle.

        Args:
            bundle: folder or .zip; None for the one that is installed with fer-edge.
            engine: "litert", "onnx" or "openvino"; None for the first that is installed and in the bundle.
            precision: of the classifier, e.g. "int8" or "float32"; None for the bundle's preferred one.
            detector_precision: of the detector's three networks; None for the ones that the bundle prefers.
            min_face_px: smallest face looked for, in pixels of the frame.
            threads: that the engine may use.
            detector_options: all of the detector's options; `min_face_px` is then taken from here.
            stages: engine, precision and threads of each stage by name, as `fer_edge.tuning.read_tuning` has them; in
                place of `engine`, `precision`, `detector_precision` and `threads`.

        Raises:
            InputError: there is no bundle.
            IntegrityError: the bundle is damaged.
            MissingExtraError: the engine is not installed, or the bundle has nothing for it in that precision.
            UsageError: an option has no valid value, or `stages` comes with one that it takes the place of.
        """
        if stages is not None and (engine, precision, detector_precision, threads) != (None, None, None, 1):
            raise UsageError("stages: expected no engine, precision, detector_precision or threads beside it")
        try:
            options = detector_options or DetectorOptions(min_face_px=min_face_px)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if not isinstance(threads, int) or not 1 <= threads <= _MAX_THREADS:
            raise UsageError(f"threads: expected a whole number from 1 to {_MAX_THREADS}, found {threads}")
        opened = Bundle.open(None if bundle is None else Path(bundle))
        missing = [name for name in (*_DETECTOR_STAGES, "classifier") if name not in opened.manifest.stages]
        if missing:
            raise IntegrityError(
                f"{opened.path}: a pipeline needs the stages {', '.join(missing)}; the bundle has none"
            )
        if stages is None:
            runner = _engine_for(opened, engine)
            precisions = dict.fromkeys(_DETECTOR_STAGES, detector_precision) | {"classifier": precision}
            loaded = {name: (runner, precisions[name], threads) for name in STAGE_NAMES}
        else:
            engines = {name: load_engine(name) for name in dict.fromkeys(choice.engine for choice in stages.values())}
            loaded = {
                name: (engines[stages[name].engine], stages[name].precision, stages[name].threads)
                for name in STAGE_NAMES
            }
        self.bundle = opened
        self._engines = tuple(dict.fromkeys(runner for runner, _, _ in loaded.values()))
        self.labels = opened.manifest.labels

        def stage(name: str, batch_sizes: tuple[int, ...] = (1,)) -> Stage:
            runner, of_precision, of_threads = loaded[name]
            return Stage(opened, name, runner, precision=of_precision, threads=of_threads, batch_sizes=batch_sizes)

        self.classifier = EmotionClassifier(stage("classifier"), self.labels)
        self.detector = FaceDetector(stage("pnet"), stage("rnet", _RNET_BATCHES), stage("onet"), options)

    @property
    def engine_version(self) -> str:
        """Name and version of the library that runs the models, or of each where there are several."""
        return ", ".join(dict.fromkeys(engine.version() for engine in self._engines))

    def __call__(self, frame_bgr: Pixels) -> list[Face]:
        """Return the faces of a frame uint8 (height, width, 3) in B, G, R, best detection first.

        Raises:
            InputError: the frame is not such an array.
            EngineError: the engine fails.
        """
        return list(self.analyse(frame_bgr).faces)

    def analyse(self, frame_bgr: Pixels) -> FrameAnalysis:
        """Do the same and say how long each part took."""
        started = time.perf_counter()
        detections, detecting_ms = self.detector.analyse(frame_bgr)
        detected = time.perf_counter()
        probs, classifying_ms = self.classifier.analyse_boxes(frame_bgr, [found.box_xyxy for found in detections])
        faces = tuple(
            Face(
                box_xyxy=found.box_xyxy,
                detection_score=found.detection_score,
                landmarks_xy=found.landmarks_xy,
                probs=row,
                emotion=self.labels[int(row.argmax())],
            )
            for found, row in zip(detections, probs, strict=True)
        )
        classified = time.perf_counter()
        return FrameAnalysis(
            faces=faces,
            detect_ms=1000 * (detected - started),
            classify_ms=1000 * (classified - detected),
            stages_ms={**detecting_ms, **classifying_ms},
        )


def open_pipeline(
    bundle: str | Path | None,
    *,
    engine: str | None,
    precision: str | None,
    detector_precision: str | None,
    threads: int | None,
    min_face_px: float,
    use_tuning: bool = True,
) -> EmotionPipeline:
    """Load a bundle as asked; where nothing is asked of engine, precision and threads, as `fer-edge tune` found best.

    Args:
        bundle: folder or .zip; None for the one that is installed with fer-edge.
        engine: None for the first that is installed and in the bundle, or what was found best.
        precision: of the classifier; None for the bundle's preferred one, or what was found best.
        detector_precision: of the detector's networks; None likewise.
        threads: that the engine may use; None for one, or what was found best.
        min_face_px: smallest face looked for, in pixels of the frame.
        use_tuning: whether what `fer-edge tune` found is taken.

    Raises:
        FerEdgeError: the same as EmotionPipeline's.
    """
    if use_tuning:
        opened = Bundle.open(None if bundle is None else Path(bundle))
        tuning = tuning_for(opened, engine, precision, detector_precision, threads)
        if tuning is not None:
            return EmotionPipeline(bundle, min_face_px=min_face_px, stages=tuning.stages)
    return EmotionPipeline(
        bundle,
        engine=engine,
        precision=precision,
        detector_precision=detector_precision,
        min_face_px=min_face_px,
        threads=1 if threads is None else threads,
    )


def tuning_for(
    bundle: Bundle, engine: str | None, precision: str | None, detector_precision: str | None, threads: int | None
) -> Tuning | None:
    """Return the tuning that `open_pipeline` takes; None where there is none, or where something else is asked for.

    Raises:
        InputError: there is a file, and it is no tuning.
    """
    asked = (engine, precision, detector_precision, threads)
    return read_tuning(bundle) if asked == (None, None, None, None) else None


def engines_of(bundle: Bundle) -> frozenset[str]:
    """Return the names of the engines that a bundle has a variant of every stage for."""
    stages = bundle.manifest.stages.values()
    return frozenset.intersection(*(frozenset(variant.engine for variant in stage.variants) for stage in stages))


def _engine_for(bundle: Bundle, name: str | None) -> Engine:
    if name is not None:
        return load_engine(name)
    # The table's order first, then what third parties added.
    ordered = sorted(
        engines_of(bundle), key=lambda e: (ENGINE_NAMES.index(e) if e in ENGINE_NAMES else len(ENGINE_NAMES), e)
    )
    if not ordered:
        raise IntegrityError(f"{bundle.path}: no engine has a variant of every stage; make the bundle again")
    return pick_engine(ordered)
