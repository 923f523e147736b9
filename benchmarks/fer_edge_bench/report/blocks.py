"""What pages are made of: a document that loads nothing, figures drawn for two widths, and tables."""

from __future__ import annotations

import importlib.resources

from fer_edge_bench.record import BundleIdentity, MachineIdentity
from fer_edge_bench.report.plot import Plot
from fer_edge_bench.report.svg import escape
from fer_edge_bench.report.tables import Table, is_numeric

__all__ = ["document_html", "figure_html", "header_html", "table_html"]

# Widths in pixels that plots are drawn for: a phone of 360 px without its margins, and a desktop's column.
_NARROW_PX, _WIDE_PX = 328.0, 800.0
# Nothing is loaded, not even by mistake; the page's own style is all that it needs.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def document_html(title: str, body: str) -> str:
    """Return a whole page with the style of all pages; `title` is text, `body` is HTML."""
    style = importlib.resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def header_html(kicker: str, machine: MachineIdentity, bundle: BundleIdentity, created_utc: str) -> str:
    """Return a page's head: what made it, and the machine, bundle and day it is of."""
    classifier = f", {bundle.classifier}" if bundle.classifier else ""
    return (
        f'<header>\n<p class="kicker">{escape(kicker)}</p>\n<h1>{escape(machine.model)}</h1>\n'
        f'<p class="quiet">{escape(machine.cpu)}, {machine.cores} cores; bundle {escape(bundle.name)} '
        f"{escape(bundle.version)}{escape(classifier)}; measured {escape(created_utc[:10])}</p>\n</header>"
    )


def figure_html(plot: Plot) -> str:
    """Return a plot with its title, legend and both drawings, of which the page shows one."""
    entries = "".join(
        f'<li><span class="key {entry.css}" aria-hidden="true">{escape(entry.sign)}</span> {escape(entry.text)}</li>\n'
        for entry in plot.legend
    )
    legend = f'<ul class="legend">\n{entries}</ul>\n' if entries else ""
    drawings = "\n".join(
        plot.draw(width).to_svg(key=f"{plot.key}-{css}", title=plot.title, description=plot.description, css=css)
        for css, width in (("wide", _WIDE_PX), ("narrow", _NARROW_PX))
    )
    return (
        f"<figure>\n<figcaption><h3>{escape(plot.title)}</h3><p>{escape(plot.reading)}</p></figcaption>\n"
        f"{legend}{drawings}\n</figure>"
    )


def table_html(table: Table) -> str:
    """Return a table; columns of numbers are aligned on the right."""
    right = [is_numeric([row[i] for row in table.rows]) for i in range(len(table.headings))]
    kinds = [' class="number"' if numeric else "" for numeric in right]
    headings = "".join(
        f'<th scope="col"{kind}>{escape(heading)}</th>' for heading, kind in zip(table.headings, kinds, strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=True))
        + "</tr>\n"
        for row in table.rows
    )
    note = f'<span class="quiet">{escape(table.note)}</span>' if table.note else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(table.title)}">\n<table>\n'
        f"<caption><span><b>{escape(table.title)}</b></span>{note}</caption>\n<thead><tr>{headings}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody>\n</table>\n</div>"
    )
