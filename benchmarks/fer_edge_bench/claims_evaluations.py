"""Accuracies that were measured elsewhere: records of `fer-edge evaluate` and `fer-edge train`, and bundles."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_edge.bundle import Bundle, Manifest
from fer_edge.errors import InputError
from fer_edge.typed_json import from_json_types

__all__ = ["Evaluation", "accuracy_of_bundle", "read_evaluations"]

_EVALUATION_SCHEMA = "fer-edge/evaluation-record/1"
_TRAINING_SCHEMA = "fer-edge/training-record/1"
_FOLDS_SCHEMA = "fer-edge/folds-record/1"
_RECORD_NAMES, _MANIFEST_NAME = ("record.json", "folds.json"), "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a classifier did on a part of a data set.

    Attributes:
        subject: what was measured, for people: a model's or bundle's name, and the file's engine and precision.
        network: the classifier's architecture; None where the record does not tell.
        parameters, trainable_parameters: of the network; None where the record does not tell.
        input_px: longer side of the network's input; None where the record does not tell.
        data: title of the data set.
        part: of it, e.g. "PublicTest"; "4 folds" where each fold was measured by a network that had not seen it.
        top1: 0 to 1; of folds the mean.
        n: faces.
        interval95: low and high of `top1`; of folds of all their answers together.
        recall: of each class, 0 to 1; None for a class without faces.
    """

    subject: str
    network: str | None
    parameters: int | None
    trainable_parameters: int | None
    input_px: int | None
    data: str
    part: str
    top1: float
    n: int
    interval95: tuple[float, float]
    recall: Mapping[str, float | None]

    def __post_init__(self) -> None:
        shares = (self.top1, *self.interval95, *(share for share in self.recall.values() if share is not None))
        if self.n < 1 or not all(0 <= share <= 1 for share in shares):
            raise ValueError("expected one face or more, and shares of 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """What a record says of its model, as far as it is needed here."""

    name: str
    architecture: str | None
    parameters: int | None
    trainable_parameters: int | None
    input_shape_hwc: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """What a record says of a measurement, as far as it is needed here."""

    top1: float
    n: int
    interval95: tuple[float, float]
    recall: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Engine:
    name: str
    precision: str


def read_evaluations(path: Path) -> tuple[Evaluation, ...]:
    """Read what was measured.

    Args:
        path: a record of `fer-edge evaluate --data` (`--json`, or a report's record.json) or of `fer-edge train`
            (record.json, or folds.json), a folder that holds one, or a bundle (folder or .zip).

    Raises:
        InputError: the file cannot be read or is no such record.
        IntegrityError: the bundle's manifest is not as it should be.
    """
    if (path / _MANIFEST_NAME).is_file() or path.suffix == ".zip":
        found = accuracy_of_bundle(Bundle.open(path).manifest)
        if not found:
            raise InputError(f"{path}: expected accuracies of its classifier and the name of their data, found none")
        return found
    file = path
    if path.is_dir():
        file = next((path / name for name in _RECORD_NAMES if (path / name).is_file()), path / _RECORD_NAMES[0])
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        raise InputError(
            f"cannot read {file}: {reason}; expected a record of fer-edge evaluate or fer-edge train, or a bundle"
        ) from error
    record = content if isinstance(content, dict) else {}
    readers = {_EVALUATION_SCHEMA: _of_evaluation, _TRAINING_SCHEMA: _of_training, _FOLDS_SCHEMA: _of_folds}
    schema = record.get("schema")
    if not isinstance(schema, str) or schema not in readers:
        raise InputError(f"{file}: expected the schema {' or '.join(readers)}, found {str(schema)[:60]!r}")
    return readers[schema](record, str(file))


def accuracy_of_bundle(manifest: Manifest) -> tuple[Evaluation, ...]:
    """Return what a manifest states of each variant of its classifier; nothing where it does not name their data.

    Raises:
        InputError: what it states is not as `fer-edge convert` writes it.
    """
    source = manifest.provenance.get("classifier")
    if not isinstance(source, dict) or not {"model", "data"} <= source.keys() or "classifier" not in manifest.stages:
        return ()
    where = manifest.name
    data = str(_entry(source["data"], "name", f"{where}, provenance, classifier, data"))
    model = _read(_Model, {**_object(source["model"], where), "name": where}, where)
    return tuple(
        _evaluation(model, f"{where} {variant.engine} {variant.precision}", data, part, figures, where)
        for variant in manifest.stages["classifier"].variants
        for part, figures in variant.measured.items()
    )


def _of_training(record: Mapping[str, Any], where: str) -> tuple[Evaluation, ...]:
    model = _read(_Model, _entry(record, "model", where), f"{where}, model")
    data = str(_entry(_entry(record, "data", where), "name", f"{where}, data"))
    measured = _entry(record, "measured", where)
    if not isinstance(measured, dict):
        raise InputError(f"{where}, measured: expected figures by part of the data, found {type(measured).__name__}")
    return tuple(_evaluation(model, model.name, data, part, figures, where) for part, figures in measured.items())


def _of_evaluation(record: Mapping[str, Any], where: str) -> tuple[Evaluation, ...]:
    model = _read(_Model, _entry(record, "model", where), f"{where}, model")
    engine = _read(_Engine, _entry(record, "engine", where), f"{where}, engine")
    data = _entry(record, "data", where)
    name, part = (str(_entry(data, key, f"{where}, data")) for key in ("name", "usage"))
    figures = _entry(record, "measured", where)
    return (_evaluation(model, f"{model.name} {engine.name} {engine.precision}", name, part, figures, where),)


def _of_folds(record: Mapping[str, Any], where: str) -> tuple[Evaluation, ...]:
    model = _read(_Model, record, where)
    data = str(_entry(_entry(record, "data", where), "name", f"{where}, data"))
    folds, pooled = _entry(record, "folds", where), _entry(record, "pooled", where)
    if not isinstance(folds, list) or not isinstance(pooled, dict):
        raise InputError(f"{where}: expected a list of folds and their figures together, found something else")
    figures = {**pooled, "top1": _entry(record, "top1_mean", where)}
    return (_evaluation(model, model.name, data, f"{len(folds)} folds", figures, where),)


def _evaluation(model: _Model, subject: str, data: str, part: str, measured: Any, where: str) -> Evaluation:
    figures = _read(_Figures, measured, f"{where}, measured")
    try:
        return Evaluation(
            subject=subject,
            network=model.architecture,
            parameters=model.parameters,
            trainable_parameters=model.trainable_parameters,
            input_px=None if model.input_shape_hwc is None else max(model.input_shape_hwc[:2]),
            data=data,
            part=part,
            top1=figures.top1,
            n=figures.n,
            interval95=figures.interval95,
            recall=figures.recall,
        )
    except ValueError as error:
        raise InputError(f"{where}, measured, {part[:40]}: {error}") from error


def _entry(content: Any, key: str, where: str) -> Any:
    if not isinstance(content, dict) or key not in content:
        raise InputError(f"{where}: the key {key!r} is missing; expected a record as fer-edge writes it")
    return content[key]


def _object(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected an object, found {type(content).__name__}")
    return content


def _read(kind: Any, content: Any, where: str) -> Any:
    """Read the fields of `kind` and pass over all others; what may be None of a model may be missing."""
    entries = _object(content, where)
    names = [item.name for item in dataclasses.fields(kind)]
    wanted = {name: entries[name] for name in names if name in entries}
    if kind is _Model:
        wanted = {
            "architecture": None,
            "parameters": None,
            "trainable_parameters": None,
            "input_shape_hwc": None,
        } | wanted
    return from_json_types(kind, wanted, where)
