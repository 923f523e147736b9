"""The rows of `fer-edge/bulk/1` (docs/bulk.md) as lines of JSON; made in the workers, written as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from fer_edge.bulk.inputs import Item

__all__ = ["BULK_SCHEMA", "JsonEncoder", "RowEncoder", "make_rows"]

BULK_SCHEMA = "fer-edge/bulk/1"


# Rows are made here and hold nothing twice; looking for that costs a sixth.
_json_text = json.JSONEncoder(check_circular=False).encode


class RowEncoder(Protocol):
    """Makes bytes of rows, for the writer of the same format."""

    def encode(self, rows: list[dict[str, Any]]) -> bytes:
        """Return the rows as bytes."""
        ...


class JsonEncoder:
    """Makes a line of JSON of each row."""

    def encode(self, rows: list[dict[str, Any]]) -> bytes:
        """Return the lines, each with its end."""
        return "".join([_json_text(row) + "\n" for row in rows]).encode()


def make_rows(first_index: int, items: Sequence[Item], answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each item: which input it is, the csv's other columns where there are any, and the answer."""
    rows = []
    for index, (item, answer) in enumerate(zip(items, answers, strict=True), start=first_index):
        row: dict[str, Any] = {"schema": BULK_SCHEMA, "index": index, "source": item.source}
        if item.columns is not None:
            row["csv"] = item.columns
        row.update(answer)
        rows.append(row)
    return rows
