"""A record as text for people: aligned columns, Markdown to paste, or a table on a terminal."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from fer_edge_bench.record import BenchRecord
from fer_edge_bench.report.contents import best_case, circumstance_lines, headline_text, remarks, warnings
from fer_edge_bench.report.figures import printable
from fer_edge_bench.report.tables import Table, is_numeric, tables

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

__all__ = ["align_columns", "format_columns", "format_record", "markdown_text", "print_record"]

# Columns of a terminal, more than any table needs.
_WIDEST = 1000
# What means something to Markdown inside a line, or to the HTML it may hold. An underscore within a word does not.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|&~]|(?<![^\W_])_|_(?![^\W_])")


def format_columns(headings: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool = False) -> str:
    """Return rows under headings; a column whose entries are all numbers is aligned on the right."""
    shown = [[markdown_text(cell) if markdown else printable(cell) for cell in row] for row in (headings, *rows)]
    return align_columns(shown[0], shown[1:], markdown=markdown)


def align_columns(headings: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool = False) -> str:
    """Do the same with cells that are safe to show as they are."""
    widths = [max(len(row[i]) for row in (headings, *rows)) for i in range(len(headings))]
    numeric = [is_numeric([row[i] for row in rows]) for i in range(len(headings))]
    aligned = [
        [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        for row in (headings, *rows)
    ]
    if not markdown:
        return "\n".join("  ".join(row).rstrip() for row in aligned)
    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (aligned[0], rule, *aligned[1:]))


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is, in a table's cell too."""
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))


def format_record(record: BenchRecord, *, markdown: bool = False) -> str:
    """Return headline, warnings, circumstances, tables and remarks as text, or as Markdown to paste."""
    show = markdown_text if markdown else printable
    headline = show(headline_text(record))
    parts = [f"**{headline}**" if markdown else headline]
    warned = [show(line) for line in warnings(record)]
    if warned:
        parts.append("\n".join(f"- {line}" if markdown else line for line in warned))
    parts.append(_circumstances(record, markdown=markdown))
    parts += [_table_text(table, markdown=markdown) for table in tables(record)]
    parts.append("\n".join(f"- {show(line)}" if markdown else show(line) for line in remarks(record)))
    return "\n\n".join(parts) + "\n"


def print_record(record: BenchRecord, stream: TextIO) -> None:
    """Write a record for people: tables of rich on a terminal, else, or where rich is not installed, plain text."""
    if not stream.isatty() or importlib.util.find_spec("rich") is None:
        stream.write(format_record(record))
        return
    from rich.console import Console

    _print_rich(record, Console(file=stream, highlight=False))


def _circumstances(record: BenchRecord, *, markdown: bool) -> str:
    lines = circumstance_lines(record)
    if markdown:
        return "\n".join(f"- {label}: {markdown_text(text)}" for label, text in lines)
    width = max(len(label) for label, _ in lines)
    return "\n".join(f"{label.ljust(width)}  {printable(text)}" for label, text in lines)


def _table_text(table: Table, *, markdown: bool) -> str:
    columns = format_columns(table.headings, table.rows, markdown=markdown)
    if markdown:
        return "\n\n".join([f"### {table.title}", *([table.note] if table.note else []), columns])
    return "\n".join([table.title, *([table.note] if table.note else []), columns])


def _print_rich(record: BenchRecord, console: Console) -> None:
    # Text() takes no markup: a name such as "[red]" is shown as it is.
    from rich.measure import Measurement
    from rich.table import Table as RichTable
    from rich.text import Text

    trusted = best_case(record) is not None
    console.print(Text(printable(headline_text(record)), style="bold green" if trusted else "bold yellow"))
    for line in warnings(record):
        console.print(Text(printable(line), style="yellow"))
    grid = RichTable.grid(padding=(0, 2))
    for label, text in circumstance_lines(record):
        grid.add_row(Text(label, style="dim"), Text(printable(text)))
    console.print()
    console.print(grid)
    console.print()
    for table in tables(record):
        console.print(Text(table.title, style="bold"))
        # Headings in one line, else a line for each word. What is wider still would lose columns: as text, the
        # terminal breaks its lines.
        for headings in (table.headings, [heading.replace(" ", "\n") for heading in table.headings]):
            shown = _rich_table(headings, table.rows)
            if Measurement.get(console, console.options.update(width=_WIDEST), shown).maximum <= console.width:
                console.print(shown)
                break
        else:
            console.print(Text(format_columns(table.headings, table.rows)), soft_wrap=True)
        if table.note:
            console.print(Text(table.note, style="dim"))
        console.print()
    for line in remarks(record):
        console.print(Text(printable(line), style="dim"))


def _rich_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> RichTable:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for position, heading in enumerate(headings):
        right = is_numeric([row[position] for row in rows])
        table.add_column(Text(heading), justify="right" if right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table
