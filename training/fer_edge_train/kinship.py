"""Whether a model that a run builds on may have seen what the run is measured on."""

from __future__ import annotations

from typing import Any

from fer_edge.errors import UsageError
from fer_edge_train.training_data import TrainingData

__all__ = ["check_held_out", "check_kinship"]


def check_kinship(history: dict[str, Any], data: TrainingData) -> None:
    """Check a model that gives initial weights or teaches, by the data that its record states.

    Where it was trained on one of the run's data sets, its test parts must be the run's: else its training part may
    hold the run's test images.

    Args:
        history: "command", "labels" and "data" of the model's record.
        data: of the run.

    Raises:
        UsageError: its classes are others, or its division of a common data set is another or unknown.
    """
    command, labels = history["command"], tuple(history["labels"])
    if labels != data.training.labels:
        raise UsageError(
            f"the model of `{command}` has the classes {', '.join(labels)}; expected those of the data, in their "
            f"order: {', '.join(data.training.labels)}"
        )
    theirs, ours = history["data"], data.description
    common = {each["name"] for each in theirs.get("sets", [])} & {each["name"] for each in ours["sets"]}
    if common and theirs.get("test_digests") != ours["test_digests"]:
        raise UsageError(
            f"the model of `{command}` was trained on another division of {', '.join(sorted(common))} than this run's, "
            "and may have seen what this run is measured on; train it with the same data, --split-seed, --fold, "
            "--test-share, --by-subject and --keep-test-copies"
        )


def check_held_out(history: dict[str, Any], data: TrainingData) -> None:
    """Check that a model that gives initial weights held out what the run holds out, so that it has not learned it.

    Args:
        history: "command" and "data" of the model's record.
        data: of the run.

    Raises:
        UsageError: it held out other images, or its record does not say which.
    """
    if history["data"].get("held_out_digest") != data.description["held_out_digest"]:
        raise UsageError(
            f"--recall is measured on held-out images, and the model of `{history['command']}` held out others; repeat "
            "its --data, --validation-fraction and --split-seed"
        )
