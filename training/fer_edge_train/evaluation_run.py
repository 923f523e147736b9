"""One evaluation of cut-out faces, from files to its table, record and report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge import __version__
from fer_edge.errors import UsageError
from fer_edge.files import sha256_of_file
from fer_edge.machine import machine_summary, package_versions
from fer_edge_train.comparison import PairedComparison, compare_paired
from fer_edge_train.datasets import FaceSet, ReadOptions, read_dataset
from fer_edge_train.evaluation import Evaluation, check_labels, evaluate, most_confident_mistakes
from fer_edge_train.reports.contents import (
    N_MISTAKES,
    classifier_sections,
    closing_sections,
    comparison_section,
    key_figures,
)
from fer_edge_train.reports.document import Block, Paragraph
from fer_edge_train.reports.pictures import Mistake
from fer_edge_train.scorers import EngineChoice, Scorer, open_scorer
from fer_edge_train.typed_command import typed_command

__all__ = ["FACES_SCHEMA", "ModelChoice", "Outcome", "comparison_text", "make_record", "measure_faces", "name_mistakes"]

FACES_SCHEMA = "fer-edge/evaluation-record/1"
_PACKAGES = ("numpy", "opencv-python-headless")
# What a set's authors test on, else an undivided set as a whole.
_TEST_PARTS = ("PublicTest", "test", "all")
_MIRRORED_TEXT = "Each answer is the mean of the probabilities of the face and of its mirror image: twice the work."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model or bundle, and how it shall run."""

    path: Path
    choice: EngineChoice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What an evaluation gave.

    Attributes:
        text: a table for a terminal.
        record: JSON types.
        picture_title: of a picture of the confusion matrix.
        faces: the classifier's figures; None where no face was found.
        report: draws pictures into a folder and returns a report's title and contents.
    """

    text: str
    record: dict[str, Any]
    picture_title: str
    faces: Evaluation | None
    report: Callable[[Path], tuple[str, list[Block]]]


def measure_faces(
    model: ModelChoice, against: ModelChoice | None, *, data: str, usage: str | None, mirrored: bool = False
) -> Outcome:
    """Classify faces that are cut out already, with one model or with two.

    Args:
        model: what is measured.
        against: what it is compared with.
        data: what `read_dataset` takes.
        usage: the part of the data; None for the one that its authors test on, or for all of an undivided set.
        mirrored: each answer is the mean of the probabilities of the face and of its mirror image.

    Raises:
        InputError: a model or the data cannot be read, or their labels differ.
        IntegrityError: a file is not what the manifest or the record states.
        MissingExtraError: an engine, or Keras for a model folder, is not installed.
        UsageError: an engine's option goes with no bundle, or has no valid value.
    """
    scorer = open_scorer(model.path, model.choice)
    other = open_scorer(against.path, against.choice) if against else None
    faces, data_json = _read_faces(data, usage, scorer.input_shape_hwc)
    usage = str(data_json["usage"])
    check_labels(scorer.labels, faces, str(model.path))
    if other and against:
        check_labels(other.labels, faces, str(against.path))
    probs = _probs(scorer, faces, mirrored=mirrored)
    result = evaluate(probs, faces)
    views = ", each face and its mirror image" if mirrored else ""
    text = f"{scorer.title}\n{data_json['name']}, {usage}{views}\n\n{result.to_text()}\n"
    contents: dict[str, Any] = {
        **scorer.to_json(),
        "data": data_json,
        "mirrored": mirrored,
        "labels": list(result.labels),
        "measured": result.to_json(),
        "calibration": result.reliability.to_json(),
    }
    compared: list[Block] = []
    if other:
        other_probs = _probs(other, faces, mirrored=mirrored)
        other_result = evaluate(other_probs, faces)
        comparison = compare_paired(
            probs.argmax(axis=1) == faces.label_indices, other_probs.argmax(axis=1) == faces.label_indices
        )
        text += comparison_text(other.title, f"top-1 {other_result.accuracy}", comparison)
        contents["against"] = {**other.to_json(), "measured": other_result.to_json()}
        contents["comparison"] = comparison.to_json()
        compared = comparison_section(scorer.title, other.title, "named as labelled", comparison)
    record = make_record(FACES_SCHEMA, contents)

    def report(folder: Path) -> tuple[str, list[Block]]:
        surest = most_confident_mistakes(probs, faces.label_indices, N_MISTAKES)
        mistakes = name_mistakes(list(faces.images[surest]), probs[surest], faces.label_indices[surest], result.labels)
        return f"{record['model']['name']} on {data_json['name']}, {usage}", [
            Paragraph(text=f"{scorer.title}. Faces cut out of photos, each with one labelled apparent expression."),
            *([Paragraph(text=_MIRRORED_TEXT)] if mirrored else []),
            key_figures(result),
            *compared,
            *classifier_sections(folder, result, mistakes),
            *closing_sections(record),
        ]

    return Outcome(
        text=text,
        record=record,
        picture_title=f"{scorer.title}\n{usage}{views}, {result.accuracy}",
        faces=result,
        report=report,
    )


def _probs(scorer: Scorer, faces: FaceSet, *, mirrored: bool) -> npt.NDArray[np.float32]:
    probs = scorer.probs(faces.images)
    if not mirrored:
        return probs
    return (probs + scorer.probs(np.ascontiguousarray(faces.images[:, :, ::-1]))) / np.float32(2)


def make_record(schema: str, contents: dict[str, Any]) -> dict[str, Any]:
    """Return a record with what every record has: schema, command, versions and machine."""
    return {
        "schema": schema,
        "fer_edge_version": __version__,
        "command": typed_command(),
        **contents,
        "versions": package_versions(_PACKAGES),
        "machine": machine_summary(),
    }


def comparison_text(title: str, figure: str, comparison: PairedComparison) -> str:
    """Return what a terminal shows of a comparison with the model of that title."""
    return f"\nagainst {title}\n{figure}\n{comparison.to_text()}\n"


def name_mistakes(
    crops: list[npt.NDArray[np.uint8]],
    probs: npt.NDArray[np.float32],
    label_indices: npt.NDArray[np.int64],
    labels: tuple[str, ...],
) -> list[Mistake]:
    """Return the wrong answers probs (n, classes) to n crops with their names."""
    return [
        Mistake(crop=crop, labelled=labels[label], predicted=labels[int(row.argmax())], confidence=float(row.max()))
        for crop, row, label in zip(crops, probs, label_indices.tolist(), strict=True)
    ]


def _read_faces(spec: str, usage: str | None, shape_hwc: tuple[int, int, int]) -> tuple[FaceSet, dict[str, Any]]:
    """Return the faces to measure on, and what identifies them in a record."""
    data = read_dataset(spec, ReadOptions(size_px=max(shape_hwc[:2]), channels=shape_hwc[2]))
    if usage is None:
        found = [name for name in _TEST_PARTS if name in data.splits]
        if not found:
            raise UsageError(f"{data.title} has the parts {', '.join(data.splits)}; name one with --usage")
        usage = found[0]
    faces = data.split(usage)
    path = Path(spec.removeprefix(f"{data.name}:"))
    return faces, {
        "name": data.title,
        "usage": usage,
        "file_sha256": sha256_of_file(path) if path.is_file() else None,
        "digest": faces.digest(),
    }
