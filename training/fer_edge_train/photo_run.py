"""One evaluation of the whole pipeline on photos, from files to its table, record and report."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.detector import DetectorOptions
from fer_edge.errors import InputError
from fer_edge.files import sha256_of_file
from fer_edge.images import read_image
from fer_edge.preprocess import crop_square
from fer_edge_train.comparison import compare_paired
from fer_edge_train.evaluation import check_label_names, most_confident_mistakes
from fer_edge_train.evaluation_run import ModelChoice, Outcome, comparison_text, make_record, name_mistakes
from fer_edge_train.labelled_photos import (
    LISTING_NAME,
    PHOTO_LABELS,
    LabelledPhoto,
    photos_of_part,
    read_labelled_photos,
)
from fer_edge_train.photo_evaluation import SMALLEST_OVERLAP, PhotoEvaluation, evaluate_photos
from fer_edge_train.photo_pipeline import PhotoPipeline, open_photo_pipeline
from fer_edge_train.reports.contents import (
    N_MISTAKES,
    classifier_sections,
    closing_sections,
    comparison_section,
    key_figures,
    photo_sections,
)
from fer_edge_train.reports.document import Block, Heading, Paragraph
from fer_edge_train.reports.pictures import Mistake

__all__ = ["PHOTOS_SCHEMA", "PhotoOptions", "measure_photos"]

PHOTOS_SCHEMA = "fer-edge/photo-evaluation-record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoOptions:
    """How photos are looked at.

    Attributes:
        folder: with `label.lst` and `Images/`.
        part: "fit", "held-out" or "all" of its photos.
        detector: bundle to take the detector from; None for the model's own or the installed one.
        detector_options: of the detector.
        crop_margin: None for the bundle's own.
        skip_bad: leave out photos that cannot be read, and list them.
        on_photo: called with the number of photos done and that of all.
    """

    folder: Path
    part: str
    detector: Path | None
    detector_options: DetectorOptions
    crop_margin: float | None
    skip_bad: bool
    on_photo: Callable[[int, int], object] = lambda _done, _all: None


def measure_photos(model: ModelChoice, against: ModelChoice | None, options: PhotoOptions) -> Outcome:
    """Find and classify the faces of photos, with one pipeline or with two.

    Raises:
        InputError: a model, the list or a photo cannot be read, or the labels differ.
        IntegrityError: a file is not what the manifest or the record states.
        MissingExtraError: an engine, or Keras for a model folder, is not installed.
        UsageError: an option has no valid value.
    """
    photos = photos_of_part(read_labelled_photos(options.folder), options.part)
    if not photos:
        raise InputError(
            f"{options.folder / LISTING_NAME}: expected photos of the part {options.part}, found none; "
            "choose --part all"
        )
    pipelines = [_open(choice, options) for choice in (model, against) if choice is not None]
    results = _run(pipelines, photos, options)
    pipeline, result = pipelines[0], results[0]
    found_faces = result.of_found_faces()
    where = f"{options.folder.name}, part {options.part}"
    text = (
        f"{pipeline.title}\n{where}: {result.n_photos} photos, {len(result.label_indices)} labelled faces\n"
        f"{_skipped_lines(result)}\n{result.to_text()}\n"
    )
    if found_faces:
        text += f"\nthe classifier on the found faces\n{found_faces.to_text()}\n"
    contents: dict[str, Any] = {
        **_pipeline_json(pipeline),
        "smallest_overlap": SMALLEST_OVERLAP,
        "data": _data_json(options, photos, result),
        "labels": list(PHOTO_LABELS),
        "measured": result.to_json(),
        "calibration": found_faces.reliability.to_json() if found_faces else None,
        "skipped": [
            {"photo": photo.name, "labelled_faces": photo.n_faces, "reason": photo.reason} for photo in result.skipped
        ],
    }
    compared: list[Block] = []
    for other, other_result in zip(pipelines[1:], results[1:], strict=True):
        comparison = compare_paired(result.is_right, other_result.is_right)
        text += comparison_text(other.title, f"end to end {other_result.end_to_end}", comparison)
        contents["against"] = {**_pipeline_json(other), "measured": other_result.to_json()}
        contents["comparison"] = comparison.to_json()
        compared = comparison_section(pipeline.title, other.title, "found and named as labelled", comparison)
    record = make_record(PHOTOS_SCHEMA, contents)

    def report(folder: Path) -> tuple[str, list[Block]]:
        of_classifier: list[Block] = [Paragraph(text="No labelled face was found, so none was classified.")]
        if found_faces:
            of_classifier = [
                Heading(text="The classifier on the found faces"),
                Paragraph(text="What follows is of the found faces alone, cut out as the pipeline does."),
                key_figures(found_faces),
                *classifier_sections(folder, found_faces, _mistakes(photos, result)),
            ]
        return f"{record['model']['name']} on the photos of {where}", [
            Paragraph(
                text=f"{pipeline.title}. Whole photos: a labelled face counts as found where a box of the detector "
                f"overlaps its box by {SMALLEST_OVERLAP:g} or more (intersection over union)."
            ),
            *photo_sections(folder, result),
            *compared,
            *of_classifier,
            *closing_sections(record),
        ]

    return Outcome(
        text=text,
        record=record,
        picture_title=f"{pipeline.scorer.title}\nfound faces of {where}",
        faces=found_faces,
        report=report,
    )


def _open(model: ModelChoice, options: PhotoOptions) -> PhotoPipeline:
    pipeline = open_photo_pipeline(
        model.path,
        model.choice,
        detector=options.detector,
        options=options.detector_options,
        crop_margin=options.crop_margin,
    )
    check_label_names(pipeline.scorer.labels, PHOTO_LABELS, str(model.path))
    return pipeline


def _run(
    pipelines: Sequence[PhotoPipeline], photos: Sequence[LabelledPhoto], options: PhotoOptions
) -> list[PhotoEvaluation]:
    counter = itertools.count(1)
    n_all = len(pipelines) * len(photos)
    results: list[PhotoEvaluation] = []
    for pipeline in pipelines:
        results += evaluate_photos(
            photos,
            pipeline.detector,
            pipeline.scorer,
            (pipeline.crop_margin,),
            skip_bad=options.skip_bad,
            on_photo=lambda: options.on_photo(next(counter), n_all),
        )
    return results


def _pipeline_json(pipeline: PhotoPipeline) -> dict[str, Any]:
    return {
        **pipeline.scorer.to_json(),
        "detector": pipeline.detector_json,
        "crop_margin": pipeline.crop_margin,
    }


def _data_json(options: PhotoOptions, photos: Sequence[LabelledPhoto], result: PhotoEvaluation) -> dict[str, Any]:
    """Return what identifies the photos: the digest is over names and bytes of those that were looked at."""
    skipped = {photo.name for photo in result.skipped}
    digest = hashlib.sha256()
    for photo in photos:
        if photo.name not in skipped:
            digest.update(f"{sha256_of_file(photo.path)}  {photo.name}\n".encode())
    return {
        "name": options.folder.name,
        "part": options.part,
        "photos": result.n_photos,
        "labelled_faces": len(result.label_indices),
        "label_lst_sha256": sha256_of_file(options.folder / LISTING_NAME),
        "photos_sha256": digest.hexdigest(),
    }


def _mistakes(photos: Sequence[LabelledPhoto], result: PhotoEvaluation) -> list[Mistake]:
    """Return the surest wrong answers with their crops, cut again from the photos."""
    paths = {photo.name: photo.path for photo in photos}
    label_indices = result.label_indices[result.is_found]
    names = [result.photo_names[i] for i in np.flatnonzero(result.is_found)]
    surest = most_confident_mistakes(result.probs, label_indices, N_MISTAKES)
    crops = [crop_square(read_image(paths[names[i]]), result.boxes_xyxy[i], result.crop_margin) for i in surest]
    return name_mistakes(crops, result.probs[surest], label_indices[surest], PHOTO_LABELS)


def _skipped_lines(result: PhotoEvaluation) -> str:
    """Return a line for the skipped photos and one for each of them; nothing where there are none."""
    if not result.skipped:
        return ""
    n_faces = sum(photo.n_faces for photo in result.skipped)
    lines = [f"photos left out, as they cannot be read: {len(result.skipped)}, their labelled faces: {n_faces}"]
    lines += [f"  {photo.reason}" for photo in result.skipped]
    return "\n".join([*lines, ""])
