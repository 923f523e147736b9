"""A report's contents, written as Markdown and as one HTML page that needs no other file."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "Code", "Heading", "Paragraph", "Picture", "Table", "to_html", "to_markdown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The title of a section."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Text to be copied as it stands, such as a command."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of plain text; the first column names the row, the others are figures."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"expected {len(self.header)} cells ({', '.join(self.header)}), found {len(row)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG in the report's folder, and what a person who cannot see it is told."""

    file: str
    caption: str


Block = Heading | Paragraph | Code | Table | Picture

# What Markdown would read as more than text.
_MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>|#~])")

# A cell that is not to be broken into lines, e.g. "57.0 (52.4-61.4)".
_FIGURE = re.compile(r"[-+\d][-+\d.,:()% to]*")

_LONG_TEXT = 40  # a cell of so many letters is a sentence, and begins at the left

# One column that a phone shows without zooming; wide tables scroll inside their own frame.
_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 46rem; padding: 1rem; background: #fff; color: #1c1c1c;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.5rem 0 1rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; border-bottom: 1px solid #d0d0d0; padding-bottom: 0.2rem; }
figure { margin: 1rem 0; }
figure img { display: block; width: 100%; height: auto; }
figcaption { color: #555; font-size: 0.9rem; margin-top: 0.3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.95rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.5rem; border-bottom: 1px solid #e0e0e0; text-align: right; }
td.figure { white-space: nowrap; }
td.text { text-align: left; }
th { vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
@media (max-width: 30rem) { table { font-size: 0.78rem; } th, td { padding: 0.3rem 0.25rem; } }
pre { background: #f3f3f3; padding: 0.6rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.85rem; }
""".strip()


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """Return the report in GitHub's Markdown; pictures are named, not embedded."""
    parts = [f"# {_markdown(title)}"]
    parts += [_markdown_block(block) for block in blocks]
    return "\n\n".join(parts) + "\n"


def to_html(title: str, blocks: Sequence[Block], folder: Path) -> str:
    """Return the report as one HTML page; the pictures are read from `folder` and embedded.

    Raises:
        OSError: a picture cannot be read.
    """
    body = "\n".join(_html_block(block, folder) for block in blocks)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
{body}
</body>
</html>
"""


def _markdown(text: str) -> str:
    return _MARKDOWN_SIGNS.sub(r"\\\1", text)


def _markdown_block(block: Block) -> str:
    match block:
        case Heading():
            return f"## {_markdown(block.text)}"
        case Paragraph():
            return _markdown(block.text)
        case Code():
            return "\n".join(f"    {line}" for line in block.text.splitlines())
        case Table():
            ruler = ("---", *["---:"] * (len(block.header) - 1))
            rows = (tuple(map(_markdown, block.header)), ruler, *(tuple(map(_markdown, row)) for row in block.rows))
            return "\n".join(f"| {' | '.join(row)} |" for row in rows)
        case Picture():
            return f"![{_markdown(block.caption)}]({block.file})"


def _html_block(block: Block, folder: Path) -> str:
    match block:
        case Heading():
            return f"<h2>{html.escape(block.text)}</h2>"
        case Paragraph():
            return f"<p>{html.escape(block.text)}</p>"
        case Code():
            return f"<pre>{html.escape(block.text)}</pre>"
        case Table():
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in block.header)
            body = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in block.rows)
            table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            return f'<div class="scroll">{table}</div>'
        case Picture():
            data = base64.b64encode((folder / block.file).read_bytes()).decode("ascii")
            caption = html.escape(block.caption)
            return (
                f'<figure><img src="data:image/png;base64,{data}" alt="{caption}">'
                f"<figcaption>{caption}</figcaption></figure>"
            )


def _html_cell(text: str) -> str:
    kind = ' class="figure"' if _FIGURE.fullmatch(text) else ' class="text"' if len(text) > _LONG_TEXT else ""
    return f"<td{kind}>{html.escape(text)}</td>"
