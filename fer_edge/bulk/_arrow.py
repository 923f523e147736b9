"""The one way to pyarrow: rows of `fer-edge/bulk/1` as record batches, and files of Parquet made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_edge.bulk.rows import BULK_SCHEMA
from fer_edge.errors import MissingExtraError

__all__ = ["ArrowEncoder", "write_part"]


class ArrowEncoder:
    """Makes a stream of one record batch of rows; every batch has the same columns, whatever is in it."""

    def __init__(self, *, faces: bool, labels: Sequence[str], csv_columns: Sequence[str]) -> None:
        """Import pyarrow, so that workers that are forked afterwards share it.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        self._arrow = _import_pyarrow()
        self._schema = _schema(self._arrow, faces=faces, labels=labels, csv_columns=csv_columns)

    def encode(self, rows: list[dict[str, Any]]) -> bytes:
        """Return the rows as bytes."""
        for row in rows:
            # File names need not be text; JSON has an escape for that, Arrow has none.
            row["source"] = row["source"].encode("utf-8", "backslashreplace").decode()
            if row["error"] is not None:
                row["error"] = row["error"].encode("utf-8", "backslashreplace").decode()
        sink = self._arrow.BufferOutputStream()
        with self._arrow.ipc.new_stream(sink, self._schema) as stream:
            stream.write_batch(self._arrow.RecordBatch.from_pylist(rows, schema=self._schema))
        data: bytes = sink.getvalue().to_pybytes()
        return data


def write_part(path: Path, payloads: Sequence[bytes]) -> None:
    """Write what an ArrowEncoder made as one Parquet file.

    Raises:
        OSError: it cannot be written.
    """
    arrow = _import_pyarrow()
    from pyarrow import parquet

    table = arrow.concat_tables([arrow.ipc.open_stream(payload).read_all() for payload in payloads])
    parquet.write_table(table.combine_chunks(), path, compression="zstd")


def _import_pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise MissingExtraError(
            f'pyarrow, which writes Parquet, cannot be imported ({error}); pip install "fer-edge[parquet]"'
        ) from error
    return pyarrow


def _schema(arrow: Any, *, faces: bool, labels: Sequence[str], csv_columns: Sequence[str]) -> Any:
    probs = arrow.struct([(label, arrow.float32()) for label in labels])
    pairs = arrow.list_(arrow.list_(arrow.float32()))
    face = arrow.struct(
        [
            ("box_xyxy", arrow.list_(arrow.float32())),
            ("detection_score", arrow.float32()),
            ("landmarks_xy", pairs),
            ("emotion", arrow.string()),
            ("track_id", arrow.int64()),
            ("probs", probs),
        ]
    )
    answers = (
        [("emotion", arrow.string()), ("probs", probs)]
        if faces
        else [("size_wh", arrow.list_(arrow.int32())), ("faces", arrow.list_(face))]
    )
    columns = [("csv", arrow.struct([(name, arrow.string()) for name in csv_columns]))] if csv_columns else []
    return arrow.schema(
        [
            ("index", arrow.int64()),
            ("source", arrow.string()),
            *columns,
            *answers,
            ("error", arrow.string()),
        ],
        metadata={"schema": BULK_SCHEMA},
    )
