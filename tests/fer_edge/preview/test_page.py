"""The page's files as they are: nothing is loaded from elsewhere, and the colours can be told apart."""

from __future__ import annotations

import importlib.resources
import re

import numpy as np
import pytest

from fer_edge.preview import handler

TEXTS = {
    name: importlib.resources.files("fer_edge.preview").joinpath(name).read_text(encoding="utf-8")
    for name, _ in handler._ASSETS.values()
}
# A name, not an address: nothing is loaded from there.
NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_nothing_is_loaded_from_elsewhere(name):
    text = TEXTS[name].replace(NAMESPACE, "")
    assert re.findall(r"(?:https?|wss?|ftp)://|(?:data|blob):[a-z]|url\(|@import|(?<![:\w*])//[a-z]", text) == []


def test_the_page_names_only_files_that_are_served():
    named = re.findall(r'(?:src|href)="([^"]*)"', TEXTS["page.html"])
    assert sorted(named) == ["/icon.svg", "/page.css", "/page.js"]
    assert set(named) <= set(handler._ASSETS)


def test_the_policy_has_nothing_to_forbid():
    page = TEXTS["page.html"]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", TEXTS["page.js"])


def test_each_element_that_the_script_asks_for_is_there_once():
    ids = re.findall(r'\sid="([^"]+)"', TEXTS["page.html"])
    assert len(ids) == len(set(ids))
    asked = set(re.findall(r'(?:byId|setFigure)\("([^"]+)"', TEXTS["page.js"]))
    assert asked <= set(ids)
    labelled = set(re.findall(r'aria-labelledby="([^"]+)"', TEXTS["page.html"]))
    assert labelled <= set(ids)


# Colours ----------------------------------------------------------------------------------------------------------


def themes():
    light, dark = re.findall(r":root \{(.*?)\}", TEXTS["page.css"], re.DOTALL)
    return {
        name: {key: linear(value) for key, value in re.findall(r"--([a-z]+[0-9]?): #([0-9a-f]{6});", text)}
        for name, text in (("light", light), ("dark", dark))
    }


def linear(digits):
    channels = np.array([int(digits[start : start + 2], 16) for start in (0, 2, 4)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Contrast ratio of two colours by WCAG 2.2."""
    first, second = (float(colour @ [0.2126, 0.7152, 0.0722]) + 0.05 for colour in (one, other))
    return max(first, second) / min(first, second)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("colour", "ground", "least"),
    [
        *(
            pytest.param(ink, ground, 4.5, id=f"{ink} on {ground}")
            for ink in ("ink", "quiet", "doubt")
            for ground in ("page", "card")
        ),
        *(pytest.param(f"e{n}", "card", 3.0, id=f"bar {n}") for n in range(8)),
        *(pytest.param(f"t{n}", "card", 3.0, id=f"stage {n}") for n in range(4)),
        *(
            pytest.param(line, ground, 3.0, id=f"{line} on {ground}")
            for line in ("edge", "focus", "good")
            for ground in ("page", "card")
        ),
    ],
)
def test_contrast(theme, colour, ground, least):
    assert contrast(themes()[theme][colour], themes()[theme][ground]) >= least


# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009:
# severity 1.0, for linear R, G, B.
SIGHTS = {
    "full": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def lab(colour):
    """CIE L*a*b* of linear R, G, B under D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ colour
    ratios = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratios > 216 / 24389, np.cbrt(ratios), (24389 / 27 * ratios + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", sorted(SIGHTS))
def test_no_two_of_the_seven_expressions_look_the_same(theme, sight):
    colours = [lab(np.clip(SIGHTS[sight] @ themes()[theme][f"e{n}"], 0, 1)) for n in range(7)]
    distances = [np.linalg.norm(colours[a] - colours[b]) for a in range(7) for b in range(a)]
    # 2.3 is what is just noticed side by side.
    assert min(distances) >= 10
