from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from fer_edge_train.reports.document import Code, Heading, Paragraph, Picture, Table, to_html, to_markdown

PNG = b"\x89PNG\r\n\x1a\nany bytes"
BLOCKS = (
    Paragraph(text="mini_xception <b> & *more*"),
    Heading(text="Classes"),
    Table(header=("class", "n|all"), rows=(("angry", "1"), ("a|b", "2"))),
    Code(text="fer-edge evaluate a_b --json\nsecond line"),
    Picture(file="c.png", caption='the "c" picture'),
)


def test_markdown_to_the_letter():
    assert to_markdown("a_b on c", BLOCKS) == "\n".join(
        [
            r"# a\_b on c",
            "",
            r"mini\_xception \<b\> & \*more\*",
            "",
            "## Classes",
            "",
            r"| class | n\|all |",
            "| --- | ---: |",
            "| angry | 1 |",
            r"| a\|b | 2 |",
            "",
            "    fer-edge evaluate a_b --json",
            "    second line",
            "",
            '![the "c" picture](c.png)',
            "",
        ]
    )


class _Reader(HTMLParser):
    """Collects text and what the page refers to, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.references: list[str] = []
        self.alternatives: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.references.append(value)
            if name == "alt":
                self.alternatives.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def test_the_page_needs_no_other_file(tmp_path):
    (tmp_path / "c.png").write_bytes(PNG)
    page = to_html("a_b <on> c", BLOCKS, tmp_path)
    reader = _Reader()
    reader.feed(page)
    assert reader.open == []
    assert reader.references == ["data:image/png;base64," + base64.b64encode(PNG).decode()]
    assert reader.alternatives == ['the "c" picture']
    assert {"a_b <on> c", "mini_xception <b> & *more*", "Classes", "n|all", "a|b"} <= set(reader.texts)
    assert "fer-edge evaluate a_b --json\nsecond line" in reader.texts
    assert not re.search(r"https?://|@import|<script|<link", page)


def test_the_page_fits_a_phone(tmp_path):
    page = to_html("t", BLOCKS[:3], tmp_path)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert page.count('<div class="scroll"><table>') == 1  # a wide table scrolls, the page does not
    table = Table(header=("a", "b", "c"), rows=(("x", "57.0 (52.4-61.4)", "12.jpg: not a picture"),))
    cells = '<td>x</td><td class="figure">57.0 (52.4-61.4)</td><td>12.jpg: not a picture</td>'
    assert cells in to_html("t", [table], tmp_path)


def test_a_picture_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        to_html("t", BLOCKS, tmp_path)


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"expected 2 cells \(class, n\), found 3"):
        Table(header=("class", "n"), rows=(("a", "b", "c"),))
