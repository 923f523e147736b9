"""What the folds of a cross validation say together: a record, and a page for people."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge import __version__
from fer_edge_train.datasets import FaceSet
from fer_edge_train.metrics import Share, macro_f1, per_class_precision, per_class_recall
from fer_edge_train.training_data import fold_name

__all__ = ["FOLDS_NAME", "FOLDS_SCHEMA", "FoldMembers", "folds_page", "folds_record"]

FOLDS_NAME = "folds.json"
FOLDS_SCHEMA = "fer-edge/folds-record/1"
_DIGITS = 6

# Šikić et al., table III, row "optimized": accuracy over 4 folds of 80 % of 84,830 cleaned faces of ExpW.
_PUBLISHED = {"mobilenet_v2": 0.712, "efficientnet_b0": 0.717}
_PUBLISHED_FOLDS, _PUBLISHED_DATA = 4, "expw"
_PUBLISHED_SOURCE = "Šikić et al., table III, optimized, 4 folds of 80 % of 84,830 cleaned faces of ExpW"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldMembers:
    """Which faces are in one fold.

    Attributes:
        sources: what each face is called in its data set: the same for every size of input.
        people: who is on them, as far as that is known.
    """

    sources: tuple[str, ...]
    people: frozenset[str]

    @classmethod
    def of(cls, faces: FaceSet) -> FoldMembers:
        """Return the members of a fold that was read."""
        subjects = [] if faces.subjects is None else faces.subjects.tolist()
        return cls(
            sources=tuple(faces.source(i) for i in range(len(faces))),
            people=frozenset(subjects) - {""},
        )


def folds_record(*, name: str, records: Sequence[dict[str, Any]], members: Sequence[FoldMembers]) -> dict[str, Any]:
    """Return the record of a cross validation as JSON types.

    Args:
        name: of the whole.
        records: the training record of each fold, in their order.
        members: of each fold.
    """
    n_folds, first = len(records), records[0]
    measured = [record["measured"][fold_name(i, n_folds)] for i, record in enumerate(records, start=1)]
    confusions = [np.array(figures["confusion"], dtype=np.int64) for figures in measured]
    top1 = [float(np.trace(confusion) / confusion.sum()) for confusion in confusions]
    mean = statistics.fmean(top1)
    data = first["data"]
    return {
        "schema": FOLDS_SCHEMA,
        "fer_edge_version": __version__,
        "command": first["command"],
        "name": name,
        "architecture": first["model"]["architecture"],
        "recipe": {key: value for key, value in first["recipe"].items() if key != "fold"},
        "data": {key: data[key] for key in ("name", "sets", "votes_sha256", "divided_by")},
        "division_sha256": _division_sha256(members),
        "people_in_several_folds": _people_in_several(members),
        "folds": [
            {
                "folder": record["model"]["name"],
                "model_sha256": record["model"]["sha256"],
                "training_images": record["data"]["training_images"],
                "kept_epoch": record["kept_epoch"],
                **{key: figures[key] for key in ("top1", "n", "interval95", "macro_f1")},
            }
            for record, figures in zip(records, measured, strict=True)
        ],
        "top1_mean": round(mean, _DIGITS),
        "top1_deviation": round(statistics.stdev(top1), _DIGITS),
        "pooled": _pooled(sum(confusions[1:], confusions[0]), first["model"]["labels"]),
        "published": _published(first, n_folds, mean),
    }


def _division_sha256(members: Sequence[FoldMembers]) -> str:
    """Return a digest of which face is in which fold: runs of equal ones were measured on the same folds."""
    return hashlib.sha256(json.dumps([sorted(fold.sources) for fold in members]).encode()).hexdigest()


def _people_in_several(members: Sequence[FoldMembers]) -> int | None:
    """Return how many people are in more than one fold; None where nobody is known."""
    n_folds_of = Counter(person for fold in members for person in fold.people)
    return sum(n > 1 for n in n_folds_of.values()) if n_folds_of else None


def _pooled(confusion: npt.NDArray[np.int64], labels: Sequence[str]) -> dict[str, Any]:
    share = Share(count=int(np.trace(confusion)), n=int(confusion.sum())).to_json()
    shares = {"recall": per_class_recall(confusion), "precision": per_class_precision(confusion)}
    return {
        "top1": share["share"],
        "n": share["n"],
        "interval95": share["interval95"],
        "macro_f1": round(macro_f1(confusion), _DIGITS),
        **{
            key: {
                label: None if np.isnan(value) else round(value, _DIGITS)
                for label, value in zip(labels, values.tolist(), strict=True)
            }
            for key, values in shares.items()
        },
        "confusion": confusion.tolist(),
    }


def _published(record: dict[str, Any], n_folds: int, mean: float) -> dict[str, Any] | None:
    """Return what a paper states for the network, and the mean's distance where data and number of folds are alike."""
    top1 = _PUBLISHED.get(record["model"]["architecture"])
    if top1 is None:
        return None
    alike = n_folds == _PUBLISHED_FOLDS and [each["name"] for each in record["data"]["sets"]] == [_PUBLISHED_DATA]
    return {
        "top1": top1,
        "source": _PUBLISHED_SOURCE,
        "difference": round(mean - top1, _DIGITS) if alike else None,
    }


def folds_page(record: dict[str, Any]) -> str:
    """Return Markdown made from the record of a cross validation and nothing else."""
    pooled, folds = record["pooled"], record["folds"]
    low, high = (100 * bound for bound in pooled["interval95"])
    rows = "\n".join(
        f"| [{number}]({fold['folder']}/README.md) | {fold['training_images']:,} | {fold['n']:,} | "
        f"{_percent(fold['top1'], fold['interval95'])} | {fold['macro_f1']:.4f} | {fold['kept_epoch']} |"
        for number, fold in enumerate(folds, start=1)
    )
    counts = [sum(row) for row in pooled["confusion"]]
    recalls = "\n".join(
        f"| {label} | {n:,} | {'no images' if share is None else f'{100 * share:.1f}'} |"
        for (label, share), n in zip(pooled["recall"].items(), counts, strict=True)
    )
    return f"""# {record["name"]}: {len(folds)} folds

{record["architecture"]} was trained {len(folds)} times on {record["data"]["name"]}, each time without one fold of the
images, and measured on that fold: each of {pooled["n"]:,} images was answered once, by a network that had not seen it.
The answers are *apparent* expressions, never what a person feels.

| fold | trained on | images | top-1 / % (95 % interval) | macro F1 | kept epoch |
| --- | --- | --- | --- | --- | --- |
{rows}

| | |
| --- | --- |
| mean of the folds | **{100 * record["top1_mean"]:.2f} %** |
| standard deviation of the folds (n - 1) | {100 * record["top1_deviation"]:.2f} points |
| all answers pooled | {100 * pooled["top1"]:.2f} % (95 % interval {low:.2f} to {high:.2f}, n = {pooled["n"]:,}) |
| macro F1, pooled | {pooled["macro_f1"]:.4f} |

The interval is what so few images leave open. The folds' networks share most of their training images, so the standard
deviation is no error of the mean.

| class | images | recall / %, pooled |
| --- | --- | --- |
{recalls}

![confusion matrix](confusion.png)

## Published

{_published_text(record)}

## Training

    {record["command"]}

{_division_text(record)}
Everything else is in [folds.json](folds.json) and in the record of each fold.
"""


def _percent(share: float, interval95: Sequence[float]) -> str:
    low, high = (100 * bound for bound in interval95)
    return f"{100 * share:.2f} ({low:.2f} to {high:.2f})"


def _published_text(record: dict[str, Any]) -> str:
    published = record["published"]
    if published is None:
        known = " and ".join(f"{100 * top1:.1f} % of {name}" for name, top1 in _PUBLISHED.items())
        return (
            f"None of the papers states an accuracy over folds of {record['architecture']}; known are\n"
            f"{known} ({_PUBLISHED_SOURCE})."
        )
    stated = f"{100 * published['top1']:.1f} % ({published['source']})"
    if published["difference"] is None:
        return f"{stated}.\nOther data or another number of folds: the figures do not compare."
    return f"{stated}.\nThe mean of these folds is {100 * published['difference']:+.2f} points from it."


def _division_text(record: dict[str, Any]) -> str:
    people = record["people_in_several_folds"]
    text = (
        f"The folds were drawn by {record['data']['divided_by']} with the split seed {record['recipe']['split_seed']}. "
        f"Another network on the same\nfolds has the same `division_sha256` in its folds.json, "
        f"{record['division_sha256'][:16]}….\n"
    )
    if people:
        text += f"{people:,} people are in more than one fold, so part of the accuracy is of faces already seen.\n"
    return text
