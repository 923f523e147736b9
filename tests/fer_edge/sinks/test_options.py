from __future__ import annotations

import pytest

from fer_edge.errors import InputError, UsageError
from fer_edge.sinks.options import (
    JsonLinesOptions,
    MqttOptions,
    PrometheusOptions,
    StandardOutputOptions,
    UnixSocketOptions,
    parse_sink,
    sink_from_table,
)

# The same sink as --sink gives it and as a table does; its options; its name in messages.
SINKS = [
    pytest.param(
        "jsonl:/var/lib/x/a+b,c.jsonl",
        {"kind": "jsonl", "path": "/var/lib/x/a+b,c.jsonl"},
        JsonLinesOptions(path="/var/lib/x/a+b,c.jsonl"),
        "jsonl:/var/lib/x/a+b,c.jsonl",
        id="file",
    ),
    pytest.param(
        "jsonl:a?content=events&max_bytes=100000&keep=2",
        {"kind": "jsonl", "path": "a", "content": "events", "max_bytes": 100000, "keep": 2},
        JsonLinesOptions(path="a", content="events", max_bytes=100000, keep=2),
        "jsonl:a",
        id="file with rotation",
    ),
    pytest.param("stdout", {"kind": "stdout"}, StandardOutputOptions(), "stdout", id="stdout"),
    pytest.param(
        "stdout?content=aggregate&window_s=30&min_faces=9",
        {"kind": "stdout", "content": "aggregate", "window_s": 30, "min_faces": 9},
        StandardOutputOptions(content="aggregate", window_s=30.0, min_faces=9),
        "stdout",
        id="aggregate",
    ),
    pytest.param(
        "unix:/run/x.sock", {"kind": "unix", "path": "/run/x.sock"}, UnixSocketOptions(path="/run/x.sock"),
        "unix:/run/x.sock", id="unix",
    ),
    pytest.param(
        "mqtt://broker/home/door",
        {"kind": "mqtt", "host": "broker", "topic_prefix": "home/door"},
        MqttOptions(host="broker", topic_prefix="home/door"),
        "mqtt://broker:1883/home/door",
        id="mqtt",
    ),
    pytest.param(
        "mqtts://cam%40home@[::1]:8884/door?password_file=/etc/x%26y&ca_file=/etc/ca.pem&discovery=false",
        {
            "kind": "mqtt", "host": "::1", "port": 8884, "topic_prefix": "door", "user": "cam@home", "tls": True,
            "password_file": "/etc/x&y", "ca_file": "/etc/ca.pem", "discovery": False,
        },
        MqttOptions(
            host="::1", port=8884, topic_prefix="door", user="cam@home", tls=True, password_file="/etc/x&y",
            ca_file="/etc/ca.pem", discovery=False,
        ),
        "mqtts://[::1]:8884/door",
        id="mqtts",
    ),
    pytest.param(
        "prometheus:127.0.0.1:9310",
        {"kind": "prometheus", "host": "127.0.0.1", "port": 9310},
        PrometheusOptions(host="127.0.0.1", port=9310),
        "prometheus:127.0.0.1:9310",
        id="prometheus",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "table", "options", "name"), SINKS)
def test_a_sink_is_the_same_on_the_command_line_and_in_a_file(spec, table, options, name):
    assert parse_sink(spec) == options
    assert sink_from_table(table, "a.toml, sink[0]") == options
    assert options.name == name


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jsnl:a", "--sink 'jsnl': there is no such sink; did you mean jsonl?"),
        ("events:a", "--sink 'events': there is no such sink; sinks: jsonl, stdout, unix, mqtt, prometheus, mqtts"),
        ("", "--sink '': there is no such sink; sinks: jsonl, stdout, unix, mqtt, prometheus, mqtts"),
    ],
)
def test_there_is_no_such_sink(spec, message):
    with pytest.raises(UsageError) as raised:
        parse_sink(spec)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jsonl:", ": path: expected the path of a file, found an empty text or a zero byte"),
        ("jsonl:a?contents=events", ": unknown key 'contents'; did you mean content?"),
        ("jsonl:a?content=event", ": content: expected frames or events or aggregate, found 'event'"),
        ("jsonl:a?content", ": expected key=value after the ?, found 'content'"),
        ("jsonl:a?path=b", ": the key 'path' is given twice"),
        ("jsonl:a?max_bytes=1k", ": max_bytes: expected a number, found '1k'"),
        ("jsonl:a?max_bytes=9", ": max_bytes: expected 65536 or more, found 9"),
        ("jsonl:a?keep=2", ": keep: expected it with max_bytes alone; add max_bytes"),
        ("stdout:a", ": expected nothing after stdout, found 'a'"),
        ("stdout?window_s=60", ": window_s: expected it with content = aggregate alone, found frames"),
        ("stdout?content=aggregate&window_s=1", ": window_s: expected 10 or more, found 1"),
        ("stdout?content=aggregate&window_s=nan", ", window_s: expected a finite number, found nan"),
        ("stdout?content=aggregate&min_faces=4", ": min_faces: expected 5 or more, found 4"),
        ("mqtt:broker/door", ": expected mqtt://[USER@]HOST[:PORT]/TOPIC-PREFIX"),
        ("mqtt://broker", ": expected mqtt://[USER@]HOST[:PORT]/TOPIC-PREFIX"),
        ("mqtt:///door", ": host: expected a name or address, found an empty text"),
        ("mqtt://broker:x/door", ": expected a port's number after broker:, found 'x'"),
        ("mqtt://broker:0/door", ": port: expected 1 to 65535, found 0"),
        ("mqtt://broker/#", ": topic_prefix: expected a topic without +, # and without / at its ends, found '#'"),
        ("mqtt://broker/a?tls=yes", ": the key 'tls' is given twice"),
        ("mqtt://broker/a?discovery=no", ": discovery: expected true or false, found 'no'"),
        ("mqtt://broker/a?ca_file=b", ": ca_file: expected it with tls alone; use mqtts:// or tls = true"),
        ("mqtt://broker/a?password_file=b", ": a password needs a user; add one"),
        ("prometheus:9310", ": expected prometheus:HOST:PORT, e.g. prometheus:127.0.0.1:9310"),
        ("prometheus:127.0.0.1:99999", ": port: expected 0 to 65535, found 99999"),
        ("prometheus:a:1?content=events", ": content: expected frames or aggregate, found 'events'"),
    ],
)  # fmt: skip
def test_what_the_command_line_may_not_say(spec, message):
    with pytest.raises(UsageError) as raised:
        parse_sink(spec)
    assert str(raised.value) == f"--sink {spec}{message}"


@pytest.mark.parametrize(
    "spec",
    [
        "mqtt://cam:s3cret@broker/door",
        "mqtts://cam:s3cret@broker:8883/door",
        "mqtt://cam:s3cret/x@broker/door",
        "mqtt://cam:s3cret@x@broker/door",
        "mqtt://cam:s3cret@broker",
        "mqtt:cam:s3cret@broker/door",
        "mqtt://cam:s3cret?x@broker/door",
    ],
)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(spec):
    with pytest.raises(UsageError, match="expected no password here") as raised:
        parse_sink(spec)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"path": "a"}, ": the key 'kind' is missing; kinds: jsonl, stdout, unix, mqtt, prometheus"),
        ({"kind": "mqt"}, ", kind 'mqt': there is no such sink; did you mean mqtt?"),
        ({"kind": 5}, ", kind '5': there is no such sink; sinks: jsonl, stdout, unix, mqtt, prometheus"),
        ({"kind": "jsonl"}, ": the key 'path' is missing"),
        ({"kind": "jsonl", "path": 3}, ", path: expected str, found int"),
        ({"kind": "jsonl", "path": "a", "maxbytes": 3}, ": unknown key 'maxbytes'; did you mean max_bytes?"),
        (
            {"kind": "mqtt", "host": "a", "topic_prefix": "b", "password": "c"},
            ": unknown key 'password'; did you mean password_env?",
        ),
    ],
)  # fmt: skip
def test_what_a_table_may_not_say(table, message):
    with pytest.raises(InputError) as raised:
        sink_from_table(table, "c, sink[0]")
    assert str(raised.value) == f"c, sink[0]{message}"
