"""Any of the formats as a classifier that can be converted: network, classes, coding of pixels, origin."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from fer_edge.errors import InputError, UsageError
from fer_edge.files import sha256_of_file
from fer_edge_convert.float_model import FloatModel, KerasFloatModel
from fer_edge_convert.inputs.onnx_file import Layout, read_onnx
from fer_edge_convert.inputs.saved_model import read_saved_model
from fer_edge_convert.inputs.trust import refuse_pickles
from fer_edge_train.model_folder import RECORD_NAME, read_classifier

__all__ = ["SourceClassifier", "SourceOptions", "read_source"]

_LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_PROBED_IMAGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What a file does not say of itself.

    Attributes:
        labels: the classes in the order of the outputs.
        pixel_mean, pixel_std: the network takes (pixel - mean) / std.
        layout: of an ONNX file's input, where its shape does not tell.
        trust: load files that can run code.
    """

    labels: tuple[str, ...] | None = None
    pixel_mean: float | None = None
    pixel_std: float | None = None
    layout: str | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        if self.layout is not None and self.layout not in _LAYOUTS:
            raise UsageError(f"--layout: expected {' or '.join(_LAYOUTS)}, found {self.layout!r}")
        if self.pixel_std is not None and not self.pixel_std > 0:
            raise UsageError(f"--pixel-std: expected a positive number, found {self.pixel_std:g}")
        if self.labels is not None and len(set(self.labels)) != len(self.labels):
            raise UsageError(f"--labels: expected each class once, found {', '.join(self.labels)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClassifier:
    """A classifier to convert.

    Attributes:
        model: the network; it gives logits.
        name: of the model.
        sha256: of its file, or of a SavedModel's files and their names.
        labels: the classes, in the order of the outputs.
        input_shape_hwc: height, width and channels of the input.
        pixel_mean, pixel_std: the network takes (pixel - mean) / std.
        provenance: what is known of its making, as JSON types, with the name under "model".
    """

    model: FloatModel
    name: str
    sha256: str
    labels: tuple[str, ...]
    input_shape_hwc: tuple[int, int, int]
    pixel_mean: float
    pixel_std: float
    provenance: dict[str, Any]


def read_source(path: Path, options: SourceOptions) -> SourceClassifier:
    """Read a model folder made by `fer-edge train`, a .keras, .h5 or .onnx file, or a SavedModel's folder.

    Raises:
        InputError: there is nothing that can be converted at the path.
        IntegrityError: a model folder's file is not the one that its record describes.
        UsageError: an option is missing, or contradicts what the file says of itself; or the file is not trusted.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected a model")
    if (path / RECORD_NAME).is_file():
        return _from_model_folder(path, options)
    refuse_pickles(path)
    _require_description(path, options)
    model, kind = _read_model(path, options)
    _, height, width, channels = _shape_of(model, path)
    labels = options.labels or ()
    _check_outputs(model, labels, path)
    digest = _digest(path)
    name = path.stem if path.is_file() else path.name
    return SourceClassifier(
        model=model,
        name=name,
        sha256=digest,
        labels=labels,
        input_shape_hwc=(height, width, channels),
        pixel_mean=float(options.pixel_mean or 0.0),
        pixel_std=float(options.pixel_std or 1.0),
        provenance={"model": {"name": name, "format": kind, "file": path.name, "sha256": digest}},
    )


def _from_model_folder(path: Path, options: SourceOptions) -> SourceClassifier:
    import keras

    found = read_classifier(path)
    stated = {"labels": found.labels, "pixel_mean": found.pixel_mean, "pixel_std": found.pixel_std}
    for key, value in stated.items():
        given = getattr(options, key)
        if given is not None and given != value:
            raise UsageError(
                f"--{key.replace('_', '-')}: the record of {path} states {value}, found {given}; leave it out"
            )
    return SourceClassifier(
        model=KerasFloatModel(keras.saving.load_model(found.path, compile=False)),
        name=found.name,
        sha256=found.sha256,
        labels=found.labels,
        input_shape_hwc=found.input_shape_hwc,
        pixel_mean=found.pixel_mean,
        pixel_std=found.pixel_std,
        provenance={key: found.record[key] for key in ("command", "model", "data", "recipe", "measured")},
    )


def _require_description(path: Path, options: SourceOptions) -> None:
    missing = [
        text
        for value, text in (
            (options.labels, "--labels (the classes in the order of its outputs)"),
            (
                options.pixel_mean,
                "--pixel-mean and --pixel-std (it takes (pixel - mean) / std: often 0 255 or 127.5 127.5)",
            ),
        )
        if value is None
    ]
    if not missing and options.pixel_std is None:
        missing = ["--pixel-std"]
    if missing:
        raise UsageError(f"{path} does not say how it is used; add {' and '.join(missing)}")


def _read_model(path: Path, options: SourceOptions) -> tuple[FloatModel, str]:
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise InputError(
                f"{path}: expected a folder with {RECORD_NAME} (fer-edge train) or saved_model.pb, found neither"
            )
        return read_saved_model(path, trust=options.trust), "SavedModel"
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        layout = next((name for name in _LAYOUTS if name == options.layout), None)
        return read_onnx(path, layout), "ONNX"
    if suffix in (".keras", ".h5", ".hdf5"):
        from fer_edge_convert.inputs.keras_file import read_keras

        return read_keras(path, trust=options.trust), "Keras"
    raise InputError(
        f"{path}: expected .keras, .onnx, .h5, a SavedModel or a model folder, found {suffix or 'no ending'}"
    )


def _shape_of(model: FloatModel, path: Path) -> tuple[None, int, int, int]:
    shape = model.input_shape
    lengths = tuple(length for length in shape[1:] if length is not None)
    if len(shape) != 4 or len(lengths) != 3:
        raise InputError(f"{path}: expected an input of fixed height, width and channels, found {list(shape)}")
    if lengths[2] not in (1, 3):
        raise InputError(f"{path}: expected 1 or 3 channels on the last axis, found {list(shape)}")
    return None, *lengths


def _check_outputs(model: FloatModel, labels: tuple[str, ...], path: Path) -> None:
    if len(model.output_shapes) != 1 or len(model.output_shapes[0]) != 2:
        raise InputError(f"{path}: expected one output (n, classes), found {[list(s) for s in model.output_shapes]}")
    classes = model.output_shapes[0][1]
    if classes != len(labels):
        raise InputError(f"{path}: expected as many outputs as --labels names ({len(labels)}), found {classes}")
    rng = np.random.default_rng(0)
    shape = (_PROBED_IMAGES, *(length or 0 for length in model.input_shape[1:]))
    (answers,) = model.predict(rng.normal(size=shape).astype(np.float32))
    if (answers >= 0).all() and np.allclose(answers.sum(axis=1), 1.0, atol=1e-3):
        raise InputError(
            f"{path}: expected logits, found probabilities (never negative, their sum 1); the runtime applies softmax "
            "itself: save the network without it"
        )


def _digest(path: Path) -> str:
    if path.is_file():
        return sha256_of_file(path)
    digest = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\n{sha256_of_file(file)}\n".encode())
    return digest.hexdigest()
