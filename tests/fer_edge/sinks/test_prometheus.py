from __future__ import annotations

import http.client
import re
import socket
import time
import urllib.error
import urllib.request

import pytest

from fer_edge.errors import OutputError
from fer_edge.sinks import prometheus
from fer_edge.sinks.options import PrometheusOptions
from fer_edge.sinks.prometheus import CONTENT_TYPE, PrometheusEndpoint

SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\S+)$')


def endpoint(n_lost=None, **options):
    return PrometheusEndpoint(PrometheusOptions(host="127.0.0.1", port=0, **options), lambda: n_lost or {})


def scrape(sink, path="/metrics"):
    with urllib.request.urlopen(f"http://127.0.0.1:{sink.port}{path}", timeout=10) as response:
        return response.read().decode(), response.headers


def samples(text):
    """Values by name and labels, read as the format's page says."""
    assert text.endswith("\n")
    values, kinds, helped = {}, {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split(" ")[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helped
            assert name not in kinds
            kinds[name] = kind
        else:
            name, labels, value = SAMPLE.match(line).groups()
            base = re.sub("_(bucket|sum|count)$", "", name) if name not in kinds else name
            assert base in kinds
            key = (name, labels or "")
            assert key not in values
            values[key] = float(value)
    assert set(kinds) == helped
    return values


def test_what_was_seen(make_result):
    with endpoint(n_lost={"jsonl:/a": 3}) as sink:
        assert samples(scrape(sink)[0])["fer_edge_source_online", ""] == 0
        sink.write(make_result((1, "happy"), (2, "angry")))
        sink.write(make_result((1, "happy"), n_dropped=7, skipped=False))
        sink.write(make_result((1, "happy"), n_dropped=7, skipped=True))
        text, headers = scrape(sink)
        found = samples(text)
        assert headers["Content-Type"] == CONTENT_TYPE
        assert headers["Server"] == "fer-edge"
    assert found["fer_edge_frames_total", ""] == 3
    assert found["fer_edge_frames_skipped_total", ""] == 1
    assert found["fer_edge_latency_seconds_count", 'stage="total"'] == 2
    assert found["fer_edge_frames_dropped_total", ""] == 7
    assert found["fer_edge_source_online", ""] == 1
    assert found["fer_edge_faces_total", 'apparent_emotion="happy"'] == 2
    assert found["fer_edge_faces_total", 'apparent_emotion="angry"'] == 1
    assert found["fer_edge_faces_total", 'apparent_emotion="neutral"'] == 0
    assert found["fer_edge_sink_lost_total", 'sink="jsonl:/a"'] == 3


def test_the_latency_by_stage(make_result):
    with endpoint() as sink:
        for detect_ms in (1.0, 1.1, 5000.0):  # a bound is inside its bucket
            sink.write(make_result(decode_ms=0.5, detect_ms=detect_ms, classify_ms=0.0))
        found = samples(sink.text())

    def buckets(stage):
        name = "fer_edge_latency_seconds_bucket"
        return {labels.partition('le="')[2][:-1]: value for (each, labels), value in found.items()
                if each == name and f'stage="{stage}"' in labels}  # fmt: skip

    assert buckets("detect")["0.001"] == 1
    assert buckets("detect")["0.0025"] == 2
    assert buckets("detect")["2.5"] == 2
    assert buckets("detect")["+Inf"] == 3
    assert found["fer_edge_latency_seconds_count", 'stage="detect"'] == 3
    assert found["fer_edge_latency_seconds_sum", 'stage="detect"'] == pytest.approx(5.0021)
    assert found["fer_edge_latency_seconds_sum", 'stage="total"'] == pytest.approx(5.0036)
    assert list(buckets("classify").values()) == [3.0] * 12


def test_a_source_that_ceased(make_result):
    with endpoint() as sink:
        sink.write(make_result())
        sink.source_state(False, "unplugged")
        assert samples(sink.text())["fer_edge_source_online", ""] == 0
        sink.source_state(True, "back")
        assert samples(sink.text())["fer_edge_source_online", ""] == 1


def test_an_aggregate_counts_no_less_than_five(make_result):
    def faces(sink):
        return {labels: value for (name, labels), value in samples(sink.text()).items() if "faces" in name}

    with endpoint(content="aggregate") as sink:
        crowd = [*((i, "happy") for i in range(6)), *((i, "angry") for i in range(10, 14))]
        for i in range(50):
            sink.write(make_result(*crowd, time_s=i * 1.2))
        assert set(faces(sink).values()) == {0}
        sink.write(make_result(time_s=60.0))
        assert faces(sink)['apparent_emotion="happy"'] == 6
        assert faces(sink)['apparent_emotion="angry"'] == 0
        sink.write(make_result(*((i, "angry") for i in range(20, 25)), time_s=61.0))
        sink.write(make_result(time_s=80.0))
        sink.source_state(False, "unplugged")
        assert faces(sink)['apparent_emotion="angry"'] == 5
        assert "fer_edge_faces_total" not in sink.text()


def test_signs_that_the_format_uses_itself():
    with endpoint(n_lost={'jsonl:/a\\b"c\nd': 1}) as sink:
        assert 'fer_edge_sink_lost_total{sink="jsonl:/a\\\\b\\"c\\nd"} 1\n' in sink.text()
        samples(sink.text())


def test_nothing_else_is_served():
    with endpoint() as sink:
        for path in ("/", "/metricsx", "/../etc/passwd"):
            with pytest.raises(urllib.error.HTTPError, match="404") as raised:
                scrape(sink, path)
            raised.value.close()
        request = urllib.request.Request(f"http://127.0.0.1:{sink.port}/metrics", method="HEAD")
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.read() == b""
        request = urllib.request.Request(f"http://127.0.0.1:{sink.port}/metrics", data=b"x", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="501") as raised:
            urllib.request.urlopen(request, timeout=10)
        raised.value.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9310", 200),  # through a tunnel
        ("127.0.0.1", 200),
        ("[::1]:9310", 200),
        ("evil.example", 403),  # a name that was led here
        ("localhost.evil.example:9310", 403),
        ("[", 403),
    ],
)
def test_another_sites_page_reads_nothing(host, status):
    with endpoint() as sink:
        connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=10)
        connection.request("GET", "/metrics", headers={"Host": host})
        answer = connection.getresponse()
        assert answer.status == status
        assert (b"fer_edge_frames_total" in answer.read()) == (status == 200)
        connection.close()


def test_where_other_machines_may_ask_any_name_is_theirs():
    options = PrometheusOptions(host="0.0.0.0", port=0)
    with PrometheusEndpoint(options) as sink:
        request = urllib.request.Request(f"http://127.0.0.1:{sink.port}/metrics", headers={"Host": "camera.lan"})
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200


def test_who_asks_slowly_is_disconnected_and_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr(prometheus, "_REQUEST_S", 0.3)
    with endpoint() as sink, socket.create_connection(("127.0.0.1", sink.port), timeout=10) as slow:
        slow.sendall(b"GET /met")
        assert "fer_edge_frames_total 0" in scrape(sink)[0]
        assert slow.recv(1) == b""


def test_no_more_than_eight_at_a_time():
    with endpoint() as sink:
        waiting = [socket.create_connection(("127.0.0.1", sink.port), timeout=10) for _ in range(8)]
        one_more = socket.create_connection(("127.0.0.1", sink.port), timeout=10)
        try:
            assert one_more.recv(1) == b""
            for each in waiting:
                each.close()
            deadline_s = time.monotonic() + 10
            while time.monotonic() < deadline_s:
                try:
                    assert scrape(sink)[0]
                    return
                except OSError:
                    time.sleep(0.01)
            pytest.fail("it does not answer again")
        finally:
            one_more.close()


def test_a_port_that_is_in_use():
    with endpoint() as sink:
        with pytest.raises(OutputError) as raised:
            PrometheusEndpoint(PrometheusOptions(host="127.0.0.1", port=sink.port))
        assert str(raised.value) == (
            f"cannot listen on 127.0.0.1:{sink.port}: Address already in use; choose another port or address"
        )


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 64 + ".invalid"], ids=["nobody's, RFC 5737", "no name"])
def test_an_address_that_is_not_this_machines(host):
    with pytest.raises(OutputError, match=r"cannot listen on .+:9310: .+; choose another port or address"):
        PrometheusEndpoint(PrometheusOptions(host=host, port=9310))


def test_ipv6():
    try:
        sink = PrometheusEndpoint(PrometheusOptions(host="::1", port=0))
    except OutputError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with sink, urllib.request.urlopen(f"http://[::1]:{sink.port}/metrics", timeout=10) as response:
        assert response.status == 200
