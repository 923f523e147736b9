"""A bulk run from its inputs to the result in its place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from fer_edge.bulk._arrow import ArrowEncoder
from fer_edge.bulk.inputs import Item, open_inputs
from fer_edge.bulk.predictor import BulkPredictor
from fer_edge.bulk.progress import Progress
from fer_edge.bulk.results import Format, check_target, open_results
from fer_edge.bulk.rows import BULK_SCHEMA, JsonEncoder, RowEncoder
from fer_edge.bulk.workers import Task, WorkerPool
from fer_edge.errors import UsageError

__all__ = ["FACES_A_TASK", "PHOTOS_A_TASK", "BulkSummary", "run_bulk"]

_MAX_WORKERS = 1024
PHOTOS_A_TASK = 8  # a photo takes long; more would keep others waiting at the end
# At least, as whole batches: what Python does for a face costs a third less when it does it for many in a row, for the
# engine in between leaves nothing of it in the cache.
FACES_A_TASK = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkSummary:
    """What a run did.

    Attributes:
        n_rows, n_errors: in the result, and those of them with an error.
        n_rows_before: that an interrupted run had left.
        elapsed_s: from the first task to the last row.
    """

    n_rows: int
    n_errors: int
    n_rows_before: int
    elapsed_s: float


def run_bulk(
    source: Path,
    out: Path,
    predictor: BulkPredictor,
    *,
    kind: Format,
    n_workers: int,
    progress_stream: TextIO,
    force: bool = False,
) -> BulkSummary:
    """Analyse every picture of a folder tree or csv and write a row for each.

    Best called in a process that has not run an engine: see `fer_edge.bulk.workers`.

    Args:
        source: see `fer_edge.bulk.inputs.open_inputs`.
        out: the result; where it is there already, it is an error without `force`.
        predictor: what analyses.
        kind: of the result.
        n_workers: processes.
        progress_stream: gets a line that is renewed where it is a terminal.
        force: replace a result, and start over where a run was interrupted.

    Raises:
        FerEdgeError: of any kind; what is done by then is kept, and the same call goes on from there.
    """
    if not 1 <= n_workers <= _MAX_WORKERS:
        raise UsageError(f"workers: expected a whole number from 1 to {_MAX_WORKERS}, found {n_workers}")
    check_target(out, kind, force=force)
    inputs = open_inputs(source)
    if inputs.are_faces and not predictor.faces:
        raise UsageError(f"{source}: its column pixels holds faces that are cut already; add --faces")
    model = predictor.load()
    job = {
        "rows": BULK_SCHEMA,
        "source": str(source.resolve()),
        **inputs.identity(),
        **predictor.identity(),
        "format": kind,
    }
    encoder: RowEncoder = (
        JsonEncoder()
        if kind == "jsonl"
        else ArrowEncoder(faces=predictor.faces, labels=model.labels, csv_columns=inputs.columns)
    )
    size = predictor.batch_size * -(-FACES_A_TASK // predictor.batch_size) if predictor.faces else PHOTOS_A_TASK
    # The workers come first: what is opened later, and locked, is not theirs.
    with (
        WorkerPool(predictor, encoder, n_workers) as pool,
        open_results(out, kind, job, force=force) as results,
    ):
        items = iter(inputs)
        results.pass_over(item.source for item in islice(items, results.n_rows_before))
        progress = Progress(progress_stream, inputs, results.n_rows_before)
        started_s = time.monotonic()
        waiting: dict[int, tuple[str, ...]] = {}
        try:
            for done in pool.run(_tasks(items, size, results.n_rows_before, waiting)):
                results.add(done.payload, waiting.pop(done.number), done.n_errors)
                progress.show(results.n_rows)
        finally:
            progress.clear()
        results.finish()
        return BulkSummary(
            n_rows=results.n_rows,
            n_errors=results.n_errors,
            n_rows_before=results.n_rows_before,
            elapsed_s=time.monotonic() - started_s,
        )


def _tasks(items: Iterator[Item], size: int, first_index: int, waiting: dict[int, tuple[str, ...]]) -> Iterator[Task]:
    """Yield tasks of `size` items and keep the sources of each in `waiting`, by its number, until it comes back."""
    number = 0
    while batch := tuple(islice(items, size)):
        waiting[number] = tuple(item.source for item in batch)
        yield Task(number, first_index, batch)
        first_index += len(batch)
        number += 1
