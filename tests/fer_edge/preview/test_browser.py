"""The page in a real browser, headless. Screenshots are left in the test's folder for who wants to look."""

from __future__ import annotations

import pytest
from preview_support import LABELS, make_result

from fer_edge._cv2 import import_cv2
from fer_edge.preview import PreviewServer

CARDS = "document.querySelectorAll('.card').length"


def text_of(browser, selector):
    return browser.evaluate(f"document.querySelector({selector!r}).innerText")


def test_the_page_shows_what_is_found(browser, preview, writing, tmp_path):
    writing(preview, [make_result(index=n, n_faces=2, source="/home/pi/clip.mp4", n_dropped=3) for n in range(50)])
    browser.open(preview.url)
    browser.wait_for(f"{CARDS} === 2")
    browser.wait_for(
        "document.getElementById('picture').width === 320 && document.querySelectorAll('.box').length === 2"
    )
    assert text_of(browser, "#state") == "live"
    assert text_of(browser, "#source") == "clip.mp4"
    assert text_of(browser, "#n-faces") == "2 in the picture"
    assert text_of(browser, "#dropped") == "3"
    assert text_of(browser, "#temperature") == "47.2 °C"
    assert text_of(browser, "#total") == "13.0 ms"
    assert text_of(browser, "#stages").split("\n") == [
        "decode 3.0\N{NO-BREAK SPACE}ms",
        "follow 1.0\N{NO-BREAK SPACE}ms",
        "detect 7.0\N{NO-BREAK SPACE}ms",
        "classify 2.0\N{NO-BREAK SPACE}ms",
    ]
    assert float(text_of(browser, "#rate")) > 5
    assert text_of(browser, ".card h3").split() == ["Face", "1", "angry", "70", "%"]
    rows = browser.evaluate(
        "[...document.querySelector('.card tbody').rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert rows == [[label, "", "70 %" if label == "angry" else "5 %"] for label in LABELS]
    assert (
        browser.evaluate("document.getElementById('picture').getAttribute('aria-label')") == "Live picture with 2 faces"
    )
    box = browser.evaluate(
        "(() => { const outer = document.getElementById('stage').getBoundingClientRect();"
        " const inner = document.querySelector('.box').getBoundingClientRect();"
        " return [(inner.left - outer.left) / outer.width, inner.width / outer.width, inner.height / outer.height] })()"
    )
    assert box == pytest.approx([10 / 320, 40 / 320, 50 / 180], abs=0.01)
    # Gray 128 of the frame, as it came through JPEG.
    pixel = browser.evaluate(
        "[...document.getElementById('picture').getContext('2d').getImageData(300, 170, 1, 1).data]"
    )
    assert pixel == pytest.approx([128, 128, 128, 255], abs=2)
    assert browser.complaints() == []
    path = tmp_path / "preview.png"
    browser.screenshot(path)
    assert import_cv2().imread(str(path)).shape == (800, 1280, 3)


@pytest.mark.data
def test_a_real_video(browser, preview, pipelines, data_folder, tmp_path):
    from fer_edge.sinks.base import FrameResult
    from fer_edge.sources import open_source
    from fer_edge.tracking import FaceTracker

    tracker = FaceTracker(pipelines("litert"))
    with open_source(str(data_folder / "videos" / "WolfgangLanger_Pexels.mp4")) as source:
        browser.open(preview.url, size_wh=(390, 844), scheme="dark", mobile=True, scale=2)
        browser.wait_for("document.getElementById('state').dataset.state === 'live'")
        for frame in source:
            analysis = tracker.analyse(frame.image_bgr, frame.time_s)
            preview.write(FrameResult(frame=frame, analysis=analysis, labels=tracker._pipeline.labels, decode_ms=1.0))
            if frame.index % 5 == 0 and browser.evaluate(
                f"{CARDS} > 0 && document.querySelectorAll('.box').length > 0"
            ):
                break
        else:
            pytest.fail("no face was shown")
    assert text_of(browser, "#source") == "WolfgangLanger_Pexels.mp4"
    assert browser.evaluate("[picture.width, picture.height]") == [640, 360]
    assert analysis.faces[0].emotion in text_of(browser, ".card h3")
    browser.screenshot(tmp_path / "phone.png")
    assert browser.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_one_column(browser, preview, writing, scheme):
    writing(preview, [make_result(n_faces=5)])
    browser.open(preview.url, size_wh=(390, 844), scheme=scheme, mobile=True, scale=2)
    browser.wait_for(f"{CARDS} === 5")
    assert browser.evaluate("document.documentElement.scrollWidth") == 390
    lefts = browser.evaluate(
        "[...document.querySelectorAll('.view, .card, .figures')].map((e) => e.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 1
    heights = browser.evaluate("[...document.querySelectorAll('button')].map((e) => e.getBoundingClientRect().height)")
    assert min(heights) >= 44
    ground = {"light": "rgb(246, 246, 243)", "dark": "rgb(20, 23, 26)"}[scheme]
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == ground


def test_all_controls_by_keyboard_alone(browser, preview, writing):
    writing(preview, [make_result()])
    browser.open(preview.url)
    browser.wait_for(f"{CARDS} === 1 && document.getElementById('picture').width === 320")
    reached = []
    for _ in range(4):
        browser.press("Tab")
        reached.append(browser.evaluate("document.activeElement.id || document.activeElement.tagName"))
        outline = browser.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid" or reached[-1] == "BODY"
    assert reached[:3] == ["pause", "hide", "SUMMARY"]

    browser.evaluate("document.getElementById('hide').focus()")
    browser.press(" ")
    assert text_of(browser, "#hide") == "Show picture"
    assert text_of(browser, "#stage-note") == "Picture hidden"
    assert browser.evaluate(
        "document.getElementById('picture').getContext('2d').getImageData(0, 0, 320, 180).data.every((v) => v === 0)"
    )
    assert browser.evaluate("document.querySelectorAll('.box').length") == 1
    browser.press(" ")
    browser.wait_for("document.getElementById('picture').getContext('2d').getImageData(9, 9, 1, 1).data[3] === 255")

    browser.evaluate("document.getElementById('history').firstElementChild.focus()")
    browser.press("Enter")
    browser.wait_for("document.getElementById('history').open")
    rows = browser.wait_for(
        "[...document.querySelectorAll('#history tr')].map((row) => [...row.cells].map((c) => c.textContent))"
    )
    assert rows[0] == ["When", "Face 1"]
    assert rows[1] == ["now", "angry 70 %"]
    assert [row[0] for row in rows[2:]] == [f"{seconds} s ago" for seconds in (5, 10, 15, 20, 25, 30)]
    assert rows[-1] == ["30 s ago", "\N{EN DASH}"]


def test_a_pause_stops_all_that_the_server_does_for_it(browser, preview, writing):
    writing(preview, [make_result()])
    browser.open(preview.url)
    browser.wait_for(f"{CARDS} === 1")
    browser.evaluate("document.getElementById('pause').click()")
    assert text_of(browser, "#pause") == "Resume"
    assert text_of(browser, "#state") == "paused"
    for _ in range(100):
        if preview._feed._n_watchers == 0:
            break
        browser.evaluate("new Promise((done) => setTimeout(done, 50))")
    assert preview._feed._n_watchers == 0
    assert browser.evaluate(CARDS) == 1
    browser.evaluate("document.getElementById('pause').click()")
    browser.wait_for("document.getElementById('state').dataset.state === 'live'")
    assert browser.complaints() == []


def test_changes_of_expression_are_spoken_now_and_then(browser, preview, writing):
    happy = make_result(n_faces=4)
    writing(preview, [happy])
    browser.open(preview.url, motion="reduce")
    spoken = browser.wait_for("document.getElementById('spoken').textContent")
    assert spoken == "Face 1: angry. Face 2: disgust. Face 3: fear. Face 4: happy."
    assert browser.evaluate("document.getElementById('spoken').getAttribute('aria-live')") == "polite"
    roles = [node["role"]["value"] for node in browser.command("Accessibility.getFullAXTree")["nodes"]]
    for role in ("banner", "main", "contentinfo", "heading", "status", "button", "table", "image", "region"):
        assert role in roles


def test_markup_in_names_is_text(browser, preview, writing):
    label = "<img src=x onerror=alert(1)>"
    writing(preview, [make_result(source="<script>alert(1)</script>", labels=(label, "b", "c"))])
    preview.source_state(False, "<b>gone</b>")
    browser.open(preview.url)
    browser.wait_for(f"{CARDS} === 1")
    assert text_of(browser, ".card .word") == label
    assert browser.evaluate("document.getElementById('source').title") == "<script>alert(1)</script>"
    assert text_of(browser, "#state") == "source offline: <b>gone</b>"
    assert browser.evaluate("document.querySelectorAll('img, b, body script').length") == 0
    assert browser.complaints() == []


def test_the_end_of_a_run_and_the_next_one(browser, preview, writing):
    writing(preview, [make_result(n_faces=2)])
    browser.open(preview.url)
    browser.wait_for(f"{CARDS} === 2")
    preview.close()
    browser.wait_for("document.getElementById('state').dataset.state === 'ended'")
    assert text_of(browser, "#stage-note") == "The run has ended"
    address = preview.url.split("/")[2]
    with PreviewServer(address) as second:
        writing(second, [make_result(n_faces=1)])
        browser.wait_for(f"document.getElementById('state').dataset.state === 'live' && {CARDS} === 1")


def test_the_token_leaves_the_address_bar(browser, monkeypatch, writing):
    monkeypatch.setenv("FER_EDGE_PREVIEW_TOKEN", "a-token_that-is-long-enough")
    with PreviewServer() as server:
        writing(server, [make_result()])
        browser.open(server.url.replace("TOKEN", "a-token_that-is-long-enough"))
        browser.wait_for(f"{CARDS} === 1")
        assert browser.evaluate("location.pathname") == "/"
        assert browser.evaluate("document.cookie") == ""
        browser.command("Page.reload")
        browser.wait_for(f"{CARDS} === 1")
