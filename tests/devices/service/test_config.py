"""The configuration file: what is accepted, and what is refused by file, table and key."""

import dataclasses

import pytest

from fer_edge.detector import DetectorOptions
from fer_edge.errors import InputError
from fer_edge.sinks.options import JsonLinesOptions, MqttOptions, UnixSocketOptions
from fer_edge.sources.live_options import OFFLINE_AFTER_S
from fer_edge.tracking import TrackerOptions
from fer_edge_devices.profile import read_profiles
from fer_edge_devices.service.config import (
    MIN_WATCHDOG_S,
    load_credentials,
    parse_config,
    read_config,
    referenced_names,
    with_values,
)
from fer_edge_devices.service.report import config_report
from fer_edge_devices.service.template import config_text

SOURCE = '[source]\nspec = "0"\n'

FULL = """
[source]
spec = "rtsp://keeper:${CAMERA_PASSWORD}@192.168.1.20/stream1"
offline_restart_s = 60

[pipeline]
bundle = "/opt/fer-edge/bundle"
engine = "onnx"
precision = "int8"
detector_precision = "float32"
threads = 2
min_face_px = 60

[tracking]
detect_every = 10
max_latency_ms = 50
max_cpu_percent = 80.5

[preview]
address = "127.0.0.1:8080"

[service]
watchdog_s = 40
memory_max_mb = 300
group = "firmware"
credentials = { CAMERA_PASSWORD = "/etc/fer-edge/camera-password" }

[[sink]]
kind = "unix"
path = "/run/fer-edge/results.sock"

[[sink]]
kind = "mqtt"
host = "127.0.0.1"
topic_prefix = "fer-edge/${ROOM}"
user = "door"
password_file = "${CREDENTIALS_DIRECTORY}/MQTT"
"""


def test_reads_every_key():
    config = parse_config(FULL, "fer-edge.toml")
    assert config.source.spec == "rtsp://keeper:${CAMERA_PASSWORD}@192.168.1.20/stream1"
    assert config.source.offline_restart_s == 60.0
    assert dataclasses.astuple(config.pipeline) == ("/opt/fer-edge/bundle", "onnx", "int8", "float32", 2, 60.0)
    assert dataclasses.astuple(config.tracking) == (10, 50.0, 80.5)
    assert config.preview.address == "127.0.0.1:8080"
    assert (config.service.watchdog_s, config.service.memory_max_mb, config.service.group) == (40.0, 300, "firmware")
    assert config.sinks[0] == UnixSocketOptions(path="/run/fer-edge/results.sock")
    assert isinstance(config.sinks[1], MqttOptions)


def test_a_lost_camera_is_offline_before_the_watchdog_bites():
    # The last feed may be a third of the watchdog's time older than the last frame.
    assert MIN_WATCHDOG_S - MIN_WATCHDOG_S / 3 > OFFLINE_AFTER_S + 2


def test_what_is_left_out_is_what_the_runtime_does_by_itself():
    config = parse_config(SOURCE, "fer-edge.toml")
    assert config.tracking.detect_every == TrackerOptions().detect_every
    assert config.pipeline.min_face_px == DetectorOptions().min_face_px


def test_a_source_is_enough():
    config = parse_config(SOURCE, "fer-edge.toml")
    assert (config.source.spec, config.source.offline_restart_s) == ("0", 120.0)
    assert (config.pipeline.engine, config.pipeline.min_face_px) == (None, 40.0)
    assert (config.service.watchdog_s, config.service.memory_max_mb) == (40.0, 512)
    assert config.sinks == ()


REFUSED = {
    "no TOML": ("[source", "fer-edge.toml: expected TOML, found other text"),
    "no source": ("", "fer-edge.toml, [source]: the key 'spec' is missing"),
    "unknown table": (SOURCE + "[pipelin]\n", "fer-edge.toml: unknown table 'pipelin'; did you mean pipeline?"),
    "unknown key": (
        SOURCE + "[tracking]\ndetect_evry = 3\n",
        "fer-edge.toml, [tracking]: unknown key 'detect_evry'; did you mean detect_every?",
    ),
    "table as text": ("source = '0'\n", "fer-edge.toml, [source]: expected dict, found str"),
    "wrong type": (
        SOURCE + "[pipeline]\nthreads = 'two'\n",
        "fer-edge.toml, [pipeline], threads: expected int, found str",
    ),
    "true for a number": (SOURCE + "fps = true\n", "fer-edge.toml, [source], fps: expected float, found bool"),
    "empty source": ('[source]\nspec = ""\n', "fer-edge.toml, [source]: spec: expected a camera or stream"),
    "standard input": (
        '[source]\nspec = "raw:640x480:bgr"\n',
        "[source]: spec: expected a camera or stream, found raw:640x480:bgr; a service has no standard input",
    ),
    "size": (SOURCE + "size_wh = [640, 0]\n", "fer-edge.toml, [source]: size_wh: expected two numbers"),
    "three sizes": (SOURCE + "size_wh = [1, 2, 3]\n", "fer-edge.toml, [source], size_wh: expected 2 items, found 3"),
    "rate": (SOURCE + "fps = 0\n", "fer-edge.toml, [source]: fps: expected a number above 0"),
    "patience": (
        SOURCE + "offline_restart_s = 5\n",
        "fer-edge.toml, [source]: offline_restart_s: expected 20 to 86400 seconds, found 5",
    ),
    "engine": (
        SOURCE + "[pipeline]\nengine = 'litrt'\n",
        "fer-edge.toml, [pipeline]: engine: no engine is named 'litrt'; did you mean litert?",
    ),
    "face": (SOURCE + "[pipeline]\nmin_face_px = 5\n", "[pipeline]: min_face_px: expected 12 or more, found 5"),
    "threads": (SOURCE + "[pipeline]\nthreads = 0\n", "[pipeline]: threads: expected 1 to 256, found 0"),
    "tracking": (SOURCE + "[tracking]\ndetect_every = 0\n", "[tracking]: detect_every: expected 1 or more, found 0"),
    "address": (SOURCE + "[preview]\naddress = 'x:y'\n", "[preview]: address: expected HOST:PORT"),
    "watchdog": (SOURCE + "[service]\nwatchdog_s = 10\n", "[service]: watchdog_s: expected 36 to 86400 seconds"),
    "memory": (SOURCE + "[service]\nmemory_max_mb = 64\n", "[service]: memory_max_mb: expected 128 or more, found 64"),
    "group": (SOURCE + "[service]\ngroup = 'a b'\n", "[service]: group: expected the name of a group"),
    "secret's name": (SOURCE + "[service.credentials]\n'a-b' = '/x'\n", "credentials: expected names of letters"),
    "secret's file": (SOURCE + "[service.credentials]\nA = 'x'\n", "credentials, A: expected a path from / on"),
    "sink with one bracket": (SOURCE + "[sink]\nkind = 'unix'\n", "expected sinks as [[sink]], with two brackets"),
    "sink's kind": (
        SOURCE + "[[sink]]\nkind = 'mqt'\n",
        "fer-edge.toml, [[sink]] number 1, kind 'mqt': there is no such sink; did you mean mqtt?",
    ),
    "sink's key": (
        SOURCE + "[[sink]]\nkind = 'jsonl'\npath = 'a'\nmax_byte = 1\n",
        "fer-edge.toml, [[sink]] number 1: unknown key 'max_byte'; did you mean max_bytes?",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_says_what_is_wrong(text, message):
    with pytest.raises(InputError) as caught:
        parse_config(text, "fer-edge.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"\xff", "expected TOML in UTF-8"), (b"#" * (1 << 20) + b"\n", "at most 1048576 bytes")],
    ids=["bytes", "long"],
)
def test_refuses_other_files(tmp_path, data, message):
    path = tmp_path / "fer-edge.toml"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_config(path)


def test_tells_of_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_config(tmp_path / "none.toml")


def test_secrets_come_from_the_environment():
    config = parse_config(FULL, "fer-edge.toml")
    assert referenced_names(config) == ("CAMERA_PASSWORD", "ROOM", "CREDENTIALS_DIRECTORY")
    values = {"CAMERA_PASSWORD": "p@ss/w:rd", "ROOM": "hall", "CREDENTIALS_DIRECTORY": "/run/credentials/x"}
    known = with_values(config, values)
    # In a URL a password must not be read as a part of it.
    assert known.source.spec == "rtsp://keeper:p%40ss%2Fw%3Ard@192.168.1.20/stream1"
    assert (known.sinks[1].topic_prefix, known.sinks[1].password_file) == (
        "fer-edge/hall",
        "/run/credentials/x/MQTT",
    )
    assert known.service == config.service


def test_a_secret_that_is_not_set_is_named():
    with pytest.raises(InputError, match=r"\$\{CAMERA_PASSWORD\} is used and not set; name its file in \[service\]"):
        with_values(parse_config(FULL, "x"), {})


def test_a_value_that_makes_a_key_unusable_is_refused():
    config = parse_config(FULL, "x")
    with pytest.raises(InputError, match="topic_prefix: expected a topic without"):
        with_values(config, {"CAMERA_PASSWORD": "", "ROOM": "#", "CREDENTIALS_DIRECTORY": "/x"})


def test_credentials_become_variables(tmp_path):
    (tmp_path / "CAMERA_PASSWORD").write_text("secret\n")
    (tmp_path / "not-a-name").write_text("x")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    load_credentials(environment)
    assert environment == {"CREDENTIALS_DIRECTORY": str(tmp_path), "CAMERA_PASSWORD": "secret"}


def test_report_shows_no_secret():
    text = FULL.replace("${CAMERA_PASSWORD}", "opensesame")
    report = config_report(parse_config(text, "x"), {"ROOM": "hall"})
    assert "opensesame" not in report
    assert "rtsp://192.168.1.20/stream1" in report
    assert "ROOM from the environment, set here" in report


@pytest.mark.parametrize("slug", list(read_profiles()))
def test_every_profile_gives_a_configuration(slug):
    profile = read_profiles()[slug]
    config = parse_config(config_text(profile, profile.run.engines[:1], spec="picamera"), f"{slug}.toml")
    assert config.source.spec == "picamera"
    assert (config.source.size_wh, config.source.fps) == (profile.camera.size_wh, profile.camera.fps)
    assert config.pipeline.engine == profile.run.engines[0]
    assert config.service.memory_max_mb == profile.service.memory_max_mb
    assert config.tracking.detect_every == profile.run.detect_every


def test_a_pipeline_is_quoted_and_asked_for_nothing():
    text = config_text(read_profiles()["generic"], [], spec='gst:videotestsrc name="x" ! appsink')
    config = parse_config(text, "x")
    assert config.source.spec == 'gst:videotestsrc name="x" ! appsink'
    assert (config.source.size_wh, config.source.fps, config.pipeline.engine) == (None, None, None)


def test_sinks_keep_their_types():
    text = SOURCE + '[[sink]]\nkind = "jsonl"\npath = "/var/lib/fer-edge/a"\nmax_bytes = 100_000\nkeep = 2\n'
    assert parse_config(text, "x").sinks == (JsonLinesOptions(path="/var/lib/fer-edge/a", max_bytes=100_000, keep=2),)
