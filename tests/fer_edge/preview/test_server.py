from __future__ import annotations

import os
import re
import socket
import threading
import time

import numpy as np
import pytest
from preview_support import LABELS, Events, get, make_result, port_of, wait_until

from fer_edge._cv2 import import_cv2
from fer_edge.errors import UsageError
from fer_edge.frame_record import frame_record
from fer_edge.preview import PreviewServer
from fer_edge.preview import http_server as http_server_module
from fer_edge.sinks.base import Sink

TOKEN = "a-token_that-is-long-enough"


def preview_threads():
    return [thread for thread in threading.enumerate() if thread.name == "fer-edge preview"]


def test_it_listens_on_this_machine_alone(preview):
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9][0-9]+/", preview.url)
    assert isinstance(preview, Sink)


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        pytest.param("/", 200, "text/html; charset=utf-8", id="page"),
        pytest.param("/?from=phone", 200, "text/html; charset=utf-8", id="page with a query"),
        pytest.param("/page.css", 200, "text/css; charset=utf-8", id="style"),
        pytest.param("/page.js", 200, "text/javascript; charset=utf-8", id="script"),
        pytest.param("/icon.svg", 200, "image/svg+xml", id="icon"),
        pytest.param("/healthz", 200, "text/plain; charset=utf-8", id="health"),
        pytest.param("/frame.jpg?after=x", 400, "text/plain; charset=utf-8", id="no number"),
        pytest.param("/frame.jpg?after=-1", 400, "text/plain; charset=utf-8", id="negative number"),
        pytest.param("/page.html", 404, "text/plain; charset=utf-8", id="a file by its name"),
        pytest.param("/../server.py", 404, "text/plain; charset=utf-8", id="a file elsewhere"),
        pytest.param("/%2e%2e/server.py", 404, "text/plain; charset=utf-8", id="the same in disguise"),
        pytest.param("/enter/", 404, "text/plain; charset=utf-8", id="a token where there is none"),
        pytest.param("//evil.example/", 404, "text/plain; charset=utf-8", id="another host's path"),
    ],
)
def test_routes_and_the_headers_of_each(preview, path, status, kind):
    found, headers, body = get(preview, path)
    assert (found, headers["Content-Type"]) == (status, kind)
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Server"].strip() == "fer-edge"
    assert int(headers["Content-Length"]) == len(body) > 0


@pytest.mark.parametrize("path", ["/", "/page.css", "/frame.jpg", "/events", "/healthz"])
def test_the_header_alone(preview, path):
    assert get(preview, path, method="HEAD")[0] == 200
    assert get(preview, path, method="HEAD")[2] == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(preview, method):
    status, headers, body = get(preview, "/", method=method)
    assert (status, body) == (501, b"Not Implemented\n")
    assert "Content-Security-Policy" in headers


@pytest.mark.parametrize(
    ("request_bytes", "start"),
    [
        # Where no version is known, the answer is HTTP's oldest: text alone.
        pytest.param(b"nonsense\r\n\r\n", b"Bad Request\n", id="no request"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", b"HTTP Version Not Supported\n", id="no version"),
        pytest.param(b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", b"HTTP/1.1 414 ", id="long path"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"HTTP/1.1 431 ", id="many headers"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 403 ", id="no host"),
        pytest.param(b"GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 400 ", id="no path"),
        pytest.param(b"GET <script> HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 404 ", id="markup"),
    ],
)
def test_what_is_no_request_is_refused_without_repeating_it(preview, request_bytes, start):
    with socket.create_connection(("127.0.0.1", port_of(preview)), timeout=10) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(start)
    assert b"script>" not in answer
    assert get(preview, "/healthz")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Host": "localhost:9000"}, 200, id="through a tunnel"),
        pytest.param({"Host": "evil.example"}, 403, id="a name that was led here"),
        pytest.param({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200, id="the page itself"),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200, id="a link elsewhere"),
        pytest.param({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403, id="in another site's page"),
        pytest.param({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403, id="in another port's page"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_who_may_ask(preview, path, headers, status):
    assert get(preview, path, headers=headers)[0] == status


def test_the_body_of_a_request_is_not_taken_for_another_request(preview):
    with socket.create_connection(("127.0.0.1", port_of(preview)), timeout=10) as connection:
        inner = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        head = f"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(inner)}\r\n\r\n"
        connection.sendall(head.encode() + inner)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200") == 1


def test_health_tells_whether_the_source_delivers(preview):
    preview.source_state(False, "no frame for 5 s")
    assert get(preview, "/healthz")[::2] == (503, b"the source is offline\n")
    preview.source_state(True, "")
    assert get(preview, "/healthz")[::2] == (200, b"ok\n")


# A token ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(monkeypatch):
    monkeypatch.setenv("FER_EDGE_PREVIEW_TOKEN", TOKEN)
    with PreviewServer() as server:
        yield server


@pytest.mark.parametrize("path", ["/", "/page.js", "/events", "/frame.jpg", "/nothing", "/enter/", "/enter/wrong"])
def test_nothing_without_the_token(guarded, path):
    status, headers, body = get(guarded, path)
    assert (status, body) == (403, b"Open the address with the token that fer-edge printed when it started.\n")
    assert headers["Connection"] == "close"
    assert "Set-Cookie" not in headers


def test_health_needs_no_token(guarded):
    assert get(guarded, "/healthz")[0] == 200


def test_the_token_is_exchanged_for_a_cookie(guarded):
    status, headers, body = get(guarded, f"/enter/{TOKEN}")
    assert status == 200
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Strict"]
    for path in ("/", "/page.js", "/page.css"):
        assert get(guarded, path, headers={"Cookie": cookie})[0] == 200
    assert get(guarded, "/", headers={"Cookie": cookie})[2] == body
    events = Events(guarded, headers={"Cookie": cookie})
    assert next(iter(events))[0] == "hello"
    events.close()


def test_the_users_own_token_is_not_printed(guarded):
    assert guarded.url.endswith("/enter/TOKEN")


def test_bound_elsewhere_there_is_a_token_in_the_address(monkeypatch):
    monkeypatch.delenv("FER_EDGE_PREVIEW_TOKEN", raising=False)
    with PreviewServer("0.0.0.0:0") as server:
        address, token = re.fullmatch(r"(http://[^/]+:[0-9]+)/enter/([A-Za-z0-9_-]{43})", server.url).groups()
        assert "0.0.0.0" not in address
        assert get(server, "/")[0] == 403
        assert get(server, f"/enter/{token}")[0] == 200


# Results ----------------------------------------------------------------------------------------------------------


def test_events_are_the_results(preview):
    events = Events(preview)
    assert events.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    found = iter(events)
    assert next(found)[1]["schema"] == "fer-edge/preview/1"
    assert next(found) == ("source", {"online": True, "reason": ""})
    for index in range(3):
        result = make_result(index=index, n_faces=index, source="<b>clip</b>.mp4")
        preview.write(result)
        name, content = next(found)
        assert name == "frame"
        assert content["record"] == frame_record(result.frame, result.analysis, LABELS, result.decode_ms)
        assert content["temperature_c"] == 47.2
        time.sleep(0.12)  # more than the time from one frame for watchers to the next
    preview.source_state(False, "unplugged")
    assert next(found) == ("source", {"online": False, "reason": "unplugged"})
    events.close()


def test_pictures_have_the_numbers_of_their_events(preview, writing):
    results = [make_result(index=number, gray=40 * number) for number in range(6)]
    events = Events(preview)
    found = iter(events)
    writing(preview, results)
    after, grays = 0, {}
    for _ in range(5):
        status, headers, body = get(preview, f"/frame.jpg?after={after}")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert int(headers["Fer-Edge-Number"]) > after
        after = int(headers["Fer-Edge-Number"])
        image = import_cv2().imdecode(np.frombuffer(body, np.uint8), import_cv2().IMREAD_COLOR)
        grays[after] = round(float(image.mean()) / 40)
    numbers = {}
    while max(numbers, default=0) < after:
        name, content = next(found)
        if name == "frame":
            numbers[content["number"]] = content["record"]["frame"]
    events.close()
    assert {number: numbers[number] for number in grays} == grays


def test_a_watcher_who_does_not_read_delays_nothing(preview):
    # Frames large enough that their events and pictures fill every buffer on the way.
    with socket.create_connection(("127.0.0.1", port_of(preview)), timeout=10) as asleep:
        asleep.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asleep.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        result = make_result(n_faces=7, labels=tuple(f"{'a very long name ' * 200}{n}" for n in range(7)))
        preview._feed._period_s = 0.0
        wait_until(lambda: preview._feed._n_watchers == 1)
        durations_s = []
        for _ in range(300):
            started_s = time.perf_counter()
            preview.write(result)
            durations_s.append(time.perf_counter() - started_s)
            time.sleep(0.001)
        assert sorted(durations_s)[150] < 0.005
        # Others go on to be served.
        assert get(preview, "/healthz")[0] == 200
        events = Events(preview)
        assert next(iter(events))[0] == "hello"
        events.close()


def test_who_went_away_is_forgotten(preview):
    events = [Events(preview) for _ in range(3)]
    wait_until(lambda: preview._feed._n_watchers == 3)
    for one in events:
        one.close()

    def nobody():
        preview.write(make_result())
        return preview._feed._n_watchers == 0

    wait_until(nobody)


def test_connections_are_limited(preview, monkeypatch):
    monkeypatch.setattr(http_server_module, "_MAX_CONNECTIONS", 2)
    held = [Events(preview) for _ in range(2)]
    for one in held:
        next(iter(one))
    status, headers, body = get(preview, "/")
    assert (status, body, headers["Retry-After"]) == (503, b"Too many connections\n", "5")
    for one in held:
        one.close()

    def is_served():
        preview.write(make_result())
        return get(preview, "/")[0] == 200

    wait_until(is_served)


# Beginning and end ------------------------------------------------------------------------------------------------


def test_a_port_in_use(preview):
    port = port_of(preview)
    with pytest.raises(
        UsageError,
        match=rf"^--preview {port}: cannot listen there: the port is in use; choose another, or 0 for any that is "
        "free$",
    ):
        PreviewServer(str(port))


def test_an_address_that_is_not_this_machines():
    with pytest.raises(UsageError, match=r"^--preview 192\.0\.2\.1:0: cannot listen there: this machine has no such"):
        PreviewServer("192.0.2.1:0")


def test_a_name_that_nobody_has():
    with pytest.raises(UsageError, match=r"^--preview nobody\.invalid:0: cannot find the address of 'nobody\.invalid'"):
        PreviewServer("nobody.invalid:0")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may use every port")
def test_a_port_for_root_alone():
    with pytest.raises(UsageError, match="choose a port above 1023"):
        PreviewServer("1")


def test_a_wrong_token_leaves_no_server_behind(monkeypatch):
    monkeypatch.setenv("FER_EDGE_PREVIEW_TOKEN", "short")
    with pytest.raises(UsageError, match="FER_EDGE_PREVIEW_TOKEN"):
        PreviewServer()
    assert preview_threads() == []


def test_close_ends_open_connections_of_all_kinds_within_two_seconds(monkeypatch):
    monkeypatch.delenv("FER_EDGE_PREVIEW_TOKEN", raising=False)
    server = PreviewServer()
    port = port_of(server)
    events = Events(server)
    found = iter(events)
    assert [next(found)[0], next(found)[0]] == ["hello", "source"]
    waiting = []
    picture = threading.Thread(target=lambda: waiting.append(get(server, "/frame.jpg")))
    picture.start()
    silent = socket.create_connection(("127.0.0.1", port), timeout=10)
    half = socket.create_connection(("127.0.0.1", port), timeout=10)
    half.sendall(b"GET / HTTP/1.1\r\nHost:")
    wait_until(lambda: len(preview_threads()) == 5)
    started_s = time.monotonic()
    server.close()
    assert time.monotonic() - started_s < 2
    assert preview_threads() == []
    assert list(found) == [("end", {})]
    picture.join(5)
    assert waiting[0][0] == 204
    assert silent.recv(1) == b""
    assert half.recv(1) == b""
    for one in (silent, half, events):
        one.close()
    server.close()  # once more does nothing
    server.write(make_result())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    with PreviewServer(str(port)):  # the port is free again at once
        pass
