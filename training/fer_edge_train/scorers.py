"""What gives a face its probabilities in an evaluation: a bundle as a device runs it, or a trained model in Keras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fer_edge.bundle import Bundle
from fer_edge.bundle.store import MANIFEST_NAME
from fer_edge.classifier import EmotionClassifier, softmax
from fer_edge.engines import ENGINE_NAMES, Engine, load_engine, pick_engine
from fer_edge.errors import InputError, UsageError
from fer_edge.preprocess import PixelCoding, face_pixels
from fer_edge.stage import Stage
from fer_edge_train.model_folder import RECORD_NAME, ClassifierSource, read_classifier

__all__ = ["BundleScorer", "EngineChoice", "KerasScorer", "Scorer", "is_bundle", "open_scorer"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

_BATCH_SIZES = (64, 1)
_KERAS_BATCH_SIZE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """How a bundle shall run; None leaves the choice to the bundle and to what is installed.

    Attributes:
        engine: name or alias of an engine.
        precision: of the classifier, e.g. "int8".
        threads: at most this many; None for one.
        reference_kernels: use the engine's plain kernels (LiteRT).
    """

    engine: str | None = None
    precision: str | None = None
    threads: int | None = None
    reference_kernels: bool = False


class Scorer(Protocol):
    """A classifier under evaluation."""

    labels: tuple[str, ...]
    input_shape_hwc: tuple[int, int, int]

    @property
    def title(self) -> str:
        """One line for people: what runs, and on what."""
        ...

    def probs(self, images: Iterable[Pixels]) -> Floats:
        """Return the probabilities float32 (n, classes) of uint8 faces (h, w, c), at least one, each of any size."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return what identifies the model and the engine, as JSON types."""
        ...


def open_scorer(path: Path, choice: EngineChoice) -> Scorer:
    """Open a bundle (folder or .zip) or a model folder made by `fer-edge train`.

    Raises:
        InputError: there is neither at `path`.
        IntegrityError: a file is not what the manifest or the record states.
        MissingExtraError: the engine, or Keras for a model folder, is not installed.
        UsageError: an engine's options are given for a model folder, or one has no valid value.
    """
    if is_bundle(path):
        return _open_bundle(Bundle.open(path), choice)
    if not (path / RECORD_NAME).is_file():
        raise InputError(
            f"{path}: expected a bundle (a folder with {MANIFEST_NAME}, or a .zip) or a model folder "
            f"(with {RECORD_NAME}), found neither"
        )
    if choice != EngineChoice():
        raise UsageError(
            f"{path} is a trained model, which Keras runs; --engine, --precision, --threads and --reference-kernels "
            "go with a bundle"
        )
    return KerasScorer(read_classifier(path))


def is_bundle(path: Path) -> bool:
    """Return whether `path` is a bundle's place rather than a model folder's: a file, or a folder with a manifest."""
    return path.is_file() or (path / MANIFEST_NAME).is_file()


def _open_bundle(bundle: Bundle, choice: EngineChoice) -> BundleScorer:
    threads = 1 if choice.threads is None else choice.threads
    if threads < 1:
        raise UsageError(f"threads: expected 1 or more, found {threads}")
    if "classifier" not in bundle.manifest.stages:
        raise InputError(f"{bundle.path}: expected a bundle with a classifier, found {_names(bundle)} alone")
    engine = _engine_for(bundle, choice)
    stage = Stage(
        bundle,
        "classifier",
        engine,
        precision=choice.precision,
        threads=threads,
        batch_sizes=_BATCH_SIZES,
        reference_kernels=choice.reference_kernels,
    )
    return BundleScorer(
        bundle,
        EmotionClassifier(stage, bundle.manifest.labels),
        engine_version=engine.version(),
        threads=threads,
        reference_kernels=choice.reference_kernels,
    )


class BundleScorer:
    """A bundle's classifier on one engine, in the way a device runs it."""

    def __init__(
        self,
        bundle: Bundle,
        classifier: EmotionClassifier,
        *,
        engine_version: str,
        threads: int,
        reference_kernels: bool = False,
    ) -> None:
        self.labels = classifier.labels
        width, height = classifier.input_size_wh
        self.input_shape_hwc = (height, width, classifier.stage.channels)
        self.classifier = classifier
        self._bundle = bundle
        self._engine_version = engine_version
        self._threads, self._reference_kernels = threads, reference_kernels

    @property
    def title(self) -> str:
        """Bundle, variant and engine."""
        manifest, variant = self._bundle.manifest, self.classifier.stage.variant
        kernels = ", reference kernels" if self._reference_kernels else ""
        return (
            f"{manifest.name} {manifest.version}: classifier {variant.engine} {variant.precision} "
            f"({self._engine_version}{kernels})"
        )

    def probs(self, images: Iterable[Pixels]) -> Floats:
        """Return the probabilities float32 (n, classes) of uint8 faces (h, w, c), each of any size.

        Raises:
            EngineError: the engine fails.
        """
        return self.classifier.classify(list(images))

    def to_json(self) -> dict[str, Any]:
        """Return what identifies the model and the engine, as JSON types."""
        manifest, variant = self._bundle.manifest, self.classifier.stage.variant
        return {
            "model": {
                "kind": "bundle",
                "name": manifest.name,
                "version": manifest.version,
                **_network_json(manifest.provenance.get("classifier", {})),
                "files": [entry.to_json() for entry in variant.files()],
            },
            "engine": {
                "name": variant.engine,
                "version": self._engine_version,
                "precision": variant.precision,
                "threads": self._threads,
                "reference_kernels": self._reference_kernels,
            },
        }


class KerasScorer:
    """A trained model, run by Keras."""

    def __init__(self, source: ClassifierSource) -> None:
        from fer_edge_train.backend import import_keras

        keras = import_keras()
        self.labels = source.labels
        self.input_shape_hwc = source.input_shape_hwc
        self._source = source
        self._model: Any = keras.saving.load_model(source.path, compile=False)
        self._backend = str(keras.backend.backend())
        self._version = str(keras.__version__)

    @property
    def title(self) -> str:
        """Model, Keras and its backend."""
        return f"{self._source.name}: float model (keras {self._version} on {self._backend})"

    def probs(self, images: Iterable[Pixels]) -> Floats:
        """Return the probabilities float32 (n, classes) of uint8 faces (h, w, c), at least one, each of any size."""
        height, width, channels = self._source.input_shape_hwc
        coding = PixelCoding(mean=self._source.pixel_mean, std=self._source.pixel_std)
        fitted = np.stack([face_pixels(image, (width, height), channels) for image in images])
        logits: Floats = self._model.predict(coding.encode(fitted), batch_size=_KERAS_BATCH_SIZE, verbose=0)
        return softmax(logits)

    def to_json(self) -> dict[str, Any]:
        """Return what identifies the model and Keras, as JSON types."""
        path = self._source.path
        return {
            "model": {
                "kind": "model folder",
                "name": self._source.name,
                **_network_json(self._source.record),
                "files": [{"file": path.name, "bytes": path.stat().st_size, "sha256": self._source.sha256}],
            },
            "engine": {
                "name": "keras",
                "version": f"keras {self._version}",
                "backend": self._backend,
                "precision": "float32",
            },
        }


def _engine_for(bundle: Bundle, choice: EngineChoice) -> Engine:
    """Load the engine that was asked for, else the first that is installed and has a variant of that precision."""
    if choice.engine is not None:
        return load_engine(choice.engine)
    variants = bundle.manifest.stages["classifier"].variants
    # Where no variant has the precision, the stage says which there are.
    fitting = [variant for variant in variants if choice.precision in (None, variant.precision)] or variants
    names = {variant.engine for variant in fitting}
    known = [name for name in ENGINE_NAMES if name in names]
    return pick_engine([*known, *sorted(names - set(known))])


def _names(bundle: Bundle) -> str:
    return ", ".join(bundle.manifest.stages)


def _network_json(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a training record says of its network: which it is, and how large."""
    model = record.get("model", {})
    keys = ("architecture", "parameters", "trainable_parameters", "input_shape_hwc")
    return {key: model[key] for key in keys if key in model}
