"""What every page must hold: balanced tags, unique names, nothing loaded, nothing run, and finite coordinates."""

import math
import re
from html.parser import HTMLParser

_VOID = {"meta", "br", "hr", "img", "input", "link"}
_NUMBERS = {"x", "y", "width", "height", "cx", "cy", "r", "points", "d", "viewbox"}


class Page(HTMLParser):
    """A page read through: how many there are of each tag, and the texts in them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self.ids: list[str] = []
        self.tags: dict[str, int] = {}
        self.texts: dict[str, list[str]] = {}
        self.labelled: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        assert len(self.ids) == len(set(self.ids))
        assert set(self.labelled) <= set(self.ids)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        if tag not in _VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")
        for name, value in attributes:
            assert not name.startswith("on")
            assert name not in ("src", "href", "srcset", "xlink:href")
            if name == "id":
                self.ids.append(value or "")
            if name == "aria-labelledby":
                self.labelled += (value or "").split()
            if name in _NUMBERS and tag != "meta":
                numbers = re.findall(r"-?[\d.]+(?:e[+-]?\d+)?", value or "")
                assert numbers or tag == "svg"
                assert all(math.isfinite(float(number)) and abs(float(number)) < 1e5 for number in numbers)
                assert not re.search("nan|inf", value or "", re.IGNORECASE)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in dict.fromkeys(self._open):
            self.texts[tag][-1] += data


def check_page(html: str) -> Page:
    """Read a page and check all that holds for any."""
    page = Page(html)
    assert "script" not in page.tags
    for tag in ("link", "iframe", "object", "embed", "base", "form", "img"):
        assert tag not in page.tags
    style = page.texts["style"][0]
    assert "url(" not in style
    assert "@import" not in style
    assert "://" not in style
    assert page.tags["h1"] == page.tags["main"] == 1
    assert page.tags.get("desc", 0) == page.tags.get("svg", 0)
    assert page.tags["table"] == page.tags["caption"] == page.tags["thead"]
    return page
