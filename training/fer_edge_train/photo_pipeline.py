"""The pipeline that is measured on photos: a bundle as a device runs it, or a model behind a bundle's detector."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fer_edge.detector import DetectorOptions, FaceDetector
from fer_edge.errors import UsageError
from fer_edge.pipeline import EmotionPipeline
from fer_edge.stage import choose_variant
from fer_edge_train.scorers import BundleScorer, EngineChoice, Scorer, is_bundle, open_scorer

__all__ = ["PhotoPipeline", "open_photo_pipeline"]

_DETECTOR_STAGES = ("pnet", "rnet", "onet")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoPipeline:
    """A detector, a crop rule and a classifier.

    Attributes:
        detector: frame to faces, with its options.
        scorer: the classifier.
        crop_margin: of the classifier's crop, in sides of the detector's box.
        detector_json: what identifies the detector and its options, as JSON types.
    """

    detector: FaceDetector
    scorer: Scorer
    crop_margin: float
    detector_json: dict[str, Any]

    @property
    def title(self) -> str:
        """Classifier, detector and crop rule, in one line for people."""
        bundle, options = self.detector_json["bundle"], self.detector.options
        return (
            f"{self.scorer.title}; MTCNN of {bundle['name']} {bundle['version']}, "
            f"faces of {options.min_face_px:g} px and more, crop margin {self.crop_margin:+g}"
        )


def open_photo_pipeline(
    path: Path,
    choice: EngineChoice,
    *,
    detector: Path | None,
    options: DetectorOptions,
    crop_margin: float | None,
) -> PhotoPipeline:
    """Open a bundle with its own detector, or a bundle or model folder behind another bundle's.

    Args:
        path: a bundle (folder or .zip), or a model folder made by `fer-edge train`.
        choice: how a bundle shall run; for a model folder, engine and threads are the detector's.
        detector: bundle to take the detector from; None for the bundle's own, of a model folder the installed bundle's.
        options: the detector's.
        crop_margin: None for the classifier bundle's own, of a model folder the detector bundle's.

    Raises:
        InputError: there is neither bundle nor model folder at `path`.
        IntegrityError: a file is not what the manifest or the record states.
        MissingExtraError: an engine, or Keras for a model folder, is not installed.
        UsageError: an option has no valid value.
    """
    if choice.reference_kernels:
        raise UsageError("--reference-kernels goes with --data; a pipeline runs the engine's fast kernels")
    if is_bundle(path) and detector is None:
        pipeline = _open_pipeline(path, choice, options)
        scorer: Scorer = _pipeline_scorer(pipeline, choice)
    else:
        # The detector's bundle may lack the precision that is asked of the classifier.
        pipeline = _open_pipeline(detector, replace(choice, precision=None), options)
        own = choice if is_bundle(path) else replace(choice, engine=None, threads=None)
        scorer = open_scorer(path, own)
    margin = scorer.classifier.crop_margin if isinstance(scorer, BundleScorer) else pipeline.classifier.crop_margin
    return PhotoPipeline(
        detector=pipeline.detector,
        scorer=scorer,
        crop_margin=margin if crop_margin is None else crop_margin,
        detector_json=_detector_json(pipeline, options),
    )


def _open_pipeline(path: Path | None, choice: EngineChoice, options: DetectorOptions) -> EmotionPipeline:
    return EmotionPipeline(
        path,
        engine=choice.engine,
        precision=choice.precision,
        threads=1 if choice.threads is None else choice.threads,
        detector_options=options,
    )


def _pipeline_scorer(pipeline: EmotionPipeline, choice: EngineChoice) -> BundleScorer:
    return BundleScorer(
        pipeline.bundle,
        pipeline.classifier,
        engine_version=pipeline.engine_version,
        threads=1 if choice.threads is None else choice.threads,
    )


def _detector_json(pipeline: EmotionPipeline, options: DetectorOptions) -> dict[str, Any]:
    manifest = pipeline.bundle.manifest
    engine = pipeline.classifier.stage.variant.engine
    variants = [choose_variant(manifest.stages[name], engine) for name in _DETECTOR_STAGES]
    return {
        "bundle": {
            "name": manifest.name,
            "version": manifest.version,
            "files": [entry.to_json() for variant in variants for entry in variant.files()],
        },
        "engine": {"name": engine, "version": pipeline.engine_version},
        "options": asdict(options),
    }
