"""A report as it lies on disk: report.md, report.html, record.json and the pictures, all of them or none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fer_edge.errors import OutputError
from fer_edge.files import check_folder_target, replace_folder, write_text
from fer_edge_train.reports.document import Block, to_html, to_markdown

__all__ = ["check_report_target", "write_report"]

# Known by the page, not by record.json: a model folder has that too and must not be replaced by a report.
_MARKER = "report.html"

Contents = tuple[str, Sequence[Block]]


def check_report_target(folder: Path, *, force: bool) -> None:
    """Check, before any long work, that a report may be written at `folder`.

    Raises:
        UsageError: it exists without `force`, or is no report's folder.
        OutputError: its parent does not exist or cannot be written to.
    """
    check_folder_target(folder, force=force, marker=_MARKER)


def write_report(folder: Path, record: dict[str, Any], make: Callable[[Path], Contents]) -> None:
    """Write a report beside its place, then rename it in; a folder that was there is replaced.

    Args:
        folder: the report's, which `check_report_target` let pass.
        record: what goes into record.json.
        make: draws the pictures into the folder it is given and returns title and contents.

    Raises:
        OutputError: it cannot be written.
    """
    staging = folder.with_name(f".{folder.name}.staging")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        title, blocks = make(staging)
        write_text(staging / "report.md", to_markdown(title, blocks))
        write_text(staging / "report.html", to_html(title, blocks, staging))
        write_text(staging / "record.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
        replace_folder(staging, folder)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
