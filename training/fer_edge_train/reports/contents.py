"""What a report on a model says: sections made from figures, and the pictures that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_edge_train.comparison import PairedComparison
from fer_edge_train.evaluation import Evaluation
from fer_edge_train.metrics import Accuracy, Share
from fer_edge_train.photo_evaluation import PhotoEvaluation
from fer_edge_train.plots import plot_confusion
from fer_edge_train.reports.document import Block, Code, Heading, Paragraph, Picture, Table
from fer_edge_train.reports.pictures import Mistake, plot_classes, plot_mistakes, plot_reliability

__all__ = [
    "N_MISTAKES",
    "classifier_sections",
    "closing_sections",
    "comparison_section",
    "key_figures",
    "photo_sections",
]

N_MISTAKES = 20  # five rows of the contact sheet

_CLOSING = (
    "The classes say how a face looks to the people who labelled the data, never what a person feels. The figures hold "
    "for faces like those of this data; for other cameras, ages and cultures they have to be measured again.",
    "The faces shown belong to the data set; its licence decides who may see this report.",
)


def key_figures(evaluation: Evaluation) -> Table:
    """Return the figures to look at first."""
    return Table(
        header=("figure", "value", "95 % interval"),
        rows=(
            ("accuracy (top-1)", _percent(evaluation.accuracy.top1), _interval(evaluation.accuracy)),
            ("macro F1", f"{evaluation.macro_f1:.3f}", ""),
            ("expected calibration error", f"{evaluation.calibration_error:.3f}", ""),
            ("faces", f"{evaluation.accuracy.n:,}", ""),
        ),
    )


def classifier_sections(folder: Path, evaluation: Evaluation, mistakes: Sequence[Mistake]) -> list[Block]:
    """Draw the classifier's pictures into `folder` and return the sections that show them.

    Args:
        folder: the report's.
        evaluation: at least one face.
        mistakes: surest first; none where there are none.
    """
    classes = evaluation.class_shares()
    plot_classes(classes, ("recall", "precision"), "Recall and precision by class", folder / "classes.png")
    plot_confusion(evaluation.confusion, evaluation.labels, "Labelled and predicted classes", folder / "confusion.png")
    plot_reliability(
        evaluation.reliability,
        f"Expected calibration error {evaluation.calibration_error:.3f}",
        folder / "reliability.png",
    )
    blocks: list[Block] = [
        Heading(text="Classes"),
        Paragraph(
            text="Recall: of the faces labelled so, the % that are called so. Precision: of the faces called so, the % "
            "that are labelled so. With 95 % Wilson intervals."
        ),
        Picture(file="classes.png", caption="Recall and precision of each class with 95 % intervals"),
        Table(
            header=("class", "faces", "recall / %", "precision / %"),
            rows=tuple((name, f"{recall.n:,}", recall.short(), right.short()) for name, recall, right in classes),
        ),
        Heading(text="Confusion"),
        Picture(
            file="confusion.png",
            caption="Labelled classes (rows) and predicted ones (columns): % of the labelled class, number of faces",
        ),
        Table(
            header=("labelled", *evaluation.labels),
            rows=tuple(
                (name, *(f"{count:,}" for count in row))
                for name, row in zip(evaluation.labels, evaluation.confusion.tolist(), strict=True)
            ),
        ),
        Heading(text="Confidence"),
        Paragraph(
            text="An answer's confidence is its largest probability. Where bars end below the dashed line, the model "
            "is surer than it is right. Below: how many answers each bin holds."
        ),
        Picture(file="reliability.png", caption="Share of right answers by confidence, with the number of answers"),
        Heading(text="Surest mistakes"),
    ]
    if not mistakes:
        return [*blocks, Paragraph(text="None: every face is named as labelled.")]
    plot_mistakes(mistakes, folder / "mistakes.png")
    return [
        *blocks,
        Paragraph(text="Some of these are mistakes of the model, some of the label."),
        Picture(
            file="mistakes.png",
            caption="Wrong answers of the highest confidence: what the model says, and below it the label",
        ),
    ]


def photo_sections(folder: Path, result: PhotoEvaluation) -> list[Block]:
    """Draw the pipeline's picture into `folder` and return what leads the report on photos."""
    classes = result.class_shares()
    plot_classes(
        [(name, recall, both) for name, recall, _, both in classes],
        ("found", "found and named as labelled"),
        "Labelled faces by class",
        folder / "pipeline.png",
    )
    blocks: list[Block] = [
        Table(
            header=("figure", "value / %", "95 % interval", "faces"),
            rows=(
                _share_row("labelled faces found", result.recall),
                _share_row("right among the found", result.right_of_found),
                _share_row("end to end", result.end_to_end),
            ),
        ),
        Paragraph(
            text=f"{result.n_extra:,} other faces were found; the data labels not every face of a photo. "
            f"{_skipped_text(result)}"
        ),
        Heading(text="From photo to class"),
        Picture(file="pipeline.png", caption="Labelled faces that are found, and found and named as labelled, in %"),
        Table(
            header=("class", "faces", "found / %", "right of found / %", "end to end / %"),
            rows=tuple(
                (name, f"{recall.n:,}", recall.short(), right.short(), both.short())
                for name, recall, right, both in classes
            ),
        ),
    ]
    if not result.skipped:
        return blocks
    return [
        *blocks,
        Heading(text="Photos left out"),
        Table(
            header=("photo", "labelled faces", "reason"),
            rows=tuple((photo.name, str(photo.n_faces), photo.reason) for photo in result.skipped),
        ),
    ]


def comparison_section(first: str, second: str, right: str, comparison: PairedComparison) -> list[Block]:
    """Return what says which of two models is better on the same faces.

    Args:
        first: title of the model that the report is on.
        second: title of the other model.
        right: when a face counts as right.
        comparison: who is right.
    """
    low, high = comparison.interval95
    return [
        Heading(text="Compared with another model"),
        Paragraph(text=f"First: {first}."),
        Paragraph(text=f"Second: {second}."),
        Paragraph(text=f"Both saw the same {comparison.n:,} faces. Right: {right}."),
        Table(
            header=("figure", "value"),
            rows=(
                ("first less second / points", f"{100 * comparison.difference:+.2f}"),
                ("95 % interval (paired, Newcombe)", f"{100 * low:+.2f} to {100 * high:+.2f}"),
                ("McNemar's exact test, p", f"{comparison.p_value:.3g}"),
                ("both right", f"{comparison.both_right:,}"),
                ("the first alone right", f"{comparison.only_first:,}"),
                ("the second alone right", f"{comparison.only_second:,}"),
                ("neither right", f"{comparison.neither:,}"),
            ),
        ),
    ]


def closing_sections(record: dict[str, Any]) -> list[Block]:
    """Return limits, the command that makes the report again, and the versions it was made with."""
    versions = {"fer-edge": record["fer_edge_version"], record["engine"]["name"]: record["engine"]["version"]}
    rows = [*versions.items(), *record["versions"].items(), ("machine", record["machine"]["cpu"])]
    return [
        Heading(text="Limits"),
        *(Paragraph(text=text) for text in _CLOSING),
        Heading(text="How to make this again"),
        Code(text=record["command"]),
        Table(header=("made with", "version"), rows=tuple((name, str(value)) for name, value in rows)),
        Paragraph(text="All figures are in record.json beside this report."),
    ]


def _skipped_text(result: PhotoEvaluation) -> str:
    if not result.skipped:
        return "No photo was left out."
    n_faces = sum(photo.n_faces for photo in result.skipped)
    return f"Photos left out, as they cannot be read: {len(result.skipped):,}; their labelled faces: {n_faces:,}."


def _share_row(name: str, share: Share) -> tuple[str, str, str, str]:
    if not share.n:
        return name, "-", "-", "0 of 0"
    low, high = share.interval95
    return (
        name,
        f"{100 * share.share:.2f}",
        f"{100 * low:.2f} to {100 * high:.2f}",
        f"{share.count:,} of {share.n:,}",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _interval(accuracy: Accuracy) -> str:
    return f"{100 * accuracy.low:.2f} to {100 * accuracy.high:.2f} %"
