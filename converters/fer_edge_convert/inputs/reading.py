"""Any of the formats as a classifier that can be converted: network, classes, coding of pixels, origin."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from fer_edge.errors import InputError, UsageError
from fer_edge.files import sha256_of_file
from fer_edge_convert.float_model import FloatModel, Shape
from fer_edge_convert.inputs.converter_errors import one_line
from fer_edge_convert.inputs.keras_file import KerasFileModel, load_keras, read_keras
from fer_edge_convert.inputs.network import Network
from fer_edge_convert.inputs.onnx_file import Layout, read_onnx
from fer_edge_convert.inputs.saved_model import read_saved_model
from fer_edge_convert.inputs.trust import refuse_pickles
from fer_edge_train.model_folder import RECORD_NAME, read_classifier

__all__ = ["SourceClassifier", "SourceOptions", "read_source"]

_LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_FORMATS = {".keras": "Keras", ".h5": "Keras", ".hdf5": "Keras", ".onnx": "ONNX"}
_SAVED_MODEL_NAME = "saved_model.pb"
_PROBED_IMAGES = 8
_CHANNELS = (1, 3)
# What a manifest may state.
_MAX_PIXEL_MEAN = 1e6
_MIN_PIXEL_STD, _MAX_PIXEL_STD = 1e-3, 1e6


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
        if self.pixel_mean is not None and not abs(self.pixel_mean) <= _MAX_PIXEL_MEAN:
            raise UsageError(
                f"--pixel-mean: expected {-_MAX_PIXEL_MEAN:.12g} to {_MAX_PIXEL_MEAN:.12g}, found {self.pixel_mean:g}"
            )
        if self.pixel_std is not None and not _MIN_PIXEL_STD <= self.pixel_std <= _MAX_PIXEL_STD:
            raise UsageError(
                f"--pixel-std: expected {_MIN_PIXEL_STD:.12g} to {_MAX_PIXEL_STD:.12g}, found {self.pixel_std:g}"
            )
        if self.labels is not None:
            if len(set(self.labels)) != len(self.labels):
                raise UsageError(f"--labels: expected each class once, found {', '.join(self.labels)}")
            for label in self.labels:
                if not label.strip() or not label.isprintable():
                    raise UsageError(f"--labels: expected names that can be read, found {label!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClassifier:
    """A classifier to convert.

    Attributes:
        model: the network; it gives logits.
        name: of the model.
        sha256: of its file; where there are several, of their names and digests.
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
        UsageError: an option is missing, does not apply, or contradicts what the file says of itself; or the file is
            not trusted.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; expected a model")
    kind = _format(path)
    if options.layout is not None and kind != "ONNX":
        raise UsageError(f"--layout: expected an .onnx file, found {path}; leave it out")
    return _from_model_folder(path, options) if kind is None else _from_others(path, kind, options)


def _format(path: Path) -> str | None:
    """Return the format's name, None for a model folder."""
    if path.is_dir():
        if (path / RECORD_NAME).is_file():
            return None
        if (path / _SAVED_MODEL_NAME).is_file():
            return "SavedModel"
        raise InputError(
            f"{path}: expected a folder with {RECORD_NAME} (fer-edge train) or {_SAVED_MODEL_NAME}, found neither"
        )
    refuse_pickles(path)
    if path.suffix not in _FORMATS:
        raise InputError(
            f"{path}: expected .keras, .onnx, .h5, a SavedModel or a model folder, found {path.suffix or 'no ending'}"
        )
    return _FORMATS[path.suffix]


def _from_model_folder(path: Path, options: SourceOptions) -> SourceClassifier:
    found = read_classifier(path)
    stated = {"labels": found.labels, "pixel_mean": found.pixel_mean, "pixel_std": found.pixel_std}
    for key, value in stated.items():
        given = getattr(options, key)
        if given is not None and given != value:
            raise UsageError(
                f"--{key.replace('_', '-')}: the record of {path} states {value}, found {given}; leave it out"
            )
    model = KerasFileModel(load_keras(found.path, trust=options.trust), str(path))
    return SourceClassifier(
        model=model,
        name=found.name,
        sha256=found.sha256,
        labels=found.labels,
        input_shape_hwc=_check(model, found.labels, "its record", path),
        pixel_mean=found.pixel_mean,
        pixel_std=found.pixel_std,
        provenance={key: found.record[key] for key in ("command", "model", "data", "recipe", "measured")},
    )


def _from_others(path: Path, kind: str, options: SourceOptions) -> SourceClassifier:
    labels, pixel_mean, pixel_std = _description(path, options)
    network = _read(path, kind, options)
    shape_hwc = _check(network.model, labels, "--labels", path)
    digest = _digest(network.files, path if path.is_dir() else path.parent)
    name = path.stem if path.is_file() else path.resolve().name
    return SourceClassifier(
        model=network.model,
        name=name,
        sha256=digest,
        labels=labels,
        input_shape_hwc=shape_hwc,
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
        provenance={
            "model": {
                "name": name,
                "format": kind,
                "written_by": network.written_by,
                "file": path.name,
                "sha256": digest,
            }
        },
    )


def _description(path: Path, options: SourceOptions) -> tuple[tuple[str, ...], float, float]:
    labels, mean, std = options.labels, options.pixel_mean, options.pixel_std
    if labels is not None and mean is not None and std is not None:
        return labels, mean, std
    stated = {"--labels": labels, "--pixel-mean": mean, "--pixel-std": std}
    missing = [option for option, value in stated.items() if value is None]
    hints = ["--labels are the classes in the order of its outputs"] if labels is None else []
    if mean is None or std is None:
        hints.append("it takes (pixel - mean) / std, mostly with 0 and 255 or 127.5 and 127.5")
    raise UsageError(f"{path} does not say how it is used; add {', '.join(missing)} ({'; '.join(hints)})")


def _read(path: Path, kind: str, options: SourceOptions) -> Network:
    if kind == "SavedModel":
        return read_saved_model(path, trust=options.trust)
    if kind == "ONNX":
        return read_onnx(path, next((name for name in _LAYOUTS if name == options.layout), None))
    return read_keras(path, trust=options.trust)


def _check(model: FloatModel, labels: tuple[str, ...], labelled_by: str, path: Path) -> tuple[int, int, int]:
    """Return height, width and channels of a network that answers each image with a logit for each label."""
    shape = model.input_shape
    if len(shape) != 4 or None in shape[1:]:
        raise InputError(f"{path}: expected an input of fixed height, width and channels, found {_text(shape)}")
    if shape[0] is not None:
        raise InputError(f"{path}: expected an input of any batch, found {_text(shape)}; save it with a free one")
    height, width, channels = (int(length or 0) for length in shape[1:])
    if channels not in _CHANNELS:
        raise InputError(f"{path}: expected 1 or 3 channels on the last axis, found {_text(shape)}")
    pixels = np.random.default_rng(0).normal(size=(_PROBED_IMAGES, height, width, channels)).astype(np.float32)
    try:
        answers = model.predict(pixels)
    except Exception as error:  # engines raise anything
        raise InputError(f"{path}: it cannot be run on {_PROBED_IMAGES} images ({one_line(error)})") from error
    if len(answers) != 1 or answers[0].ndim != 2 or len(answers[0]) != _PROBED_IMAGES:
        found = ", ".join(_text(item.shape) for item in answers)
        raise InputError(f"{path}: expected an output [{_PROBED_IMAGES}, classes] for as many images, found {found}")
    (logits,) = answers
    if logits.shape[1] != len(labels):
        raise InputError(
            f"{path}: expected as many outputs as {labelled_by} names ({len(labels)}), found {logits.shape[1]}"
        )
    if not np.isfinite(logits).all():
        raise InputError(f"{path}: expected logits that are numbers, found NaN or infinity; train the network again")
    if (logits >= 0).all() and np.allclose(logits.sum(axis=1), 1.0, atol=1e-3):
        raise InputError(
            f"{path}: expected logits, found probabilities (never negative, their sum 1); the runtime applies softmax "
            "itself: save the network without it"
        )
    return height, width, channels


def _text(shape: Shape) -> str:
    return str(list(shape))


def _digest(files: tuple[Path, ...], folder: Path) -> str:
    if len(files) == 1:
        return sha256_of_file(files[0])
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(folder).as_posix()}\n{sha256_of_file(file)}\n".encode())
    return digest.hexdigest()
