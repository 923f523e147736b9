"""The MQTT sink with a real broker, Mosquitto, which the tests start, stop and start again."""

from __future__ import annotations

import contextlib
import gc
import getpass
import itertools
import json
import shutil
import socket
import subprocess
import threading
import time
import warnings
from collections import defaultdict

import pytest
from runtime_support import run_python

from fer_edge.errors import MissingExtraError, OutputError, UsageError
from fer_edge.sinks.content import make_content
from fer_edge.sinks.mqtt import MqttSink, read_password
from fer_edge.sinks.mqtt_link import MAX_WAITING
from fer_edge.sinks.options import ContentOptions, MqttOptions

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
NEEDS_SECONDS = 20.0  # far more than anything here takes; a test that fails must end


def until(condition):
    deadline_s = time.monotonic() + NEEDS_SECONDS
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)


class Broker:
    """A Mosquitto on 127.0.0.1, on a port that was free."""

    def __init__(self, folder, *lines):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        # As root it would become another user, who cannot read what the test writes.
        self._config.write_text(
            "\n".join([f"listener {self.port} 127.0.0.1", f"user {getpass.getuser()}", "persistence false", *lines])
            + "\n"
        )
        self._log = (folder / "mosquitto.log").open("wb")
        self._process = None
        self.start()

    def start(self):
        self._process = subprocess.Popen([MOSQUITTO, "-c", self._config], stdout=self._log, stderr=self._log)
        until(self._answers)

    def _answers(self):
        assert self._process.poll() is None, "mosquitto ended: see mosquitto.log"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self):
        self._process.kill()  # one that has just begun forgets a SIGTERM
        self._process.wait(NEEDS_SECONDS)

    def close(self):
        self.stop()
        self._log.close()


@pytest.fixture
def make_broker(tmp_path):
    """Function from lines of its configuration to a broker."""
    pytest.importorskip("paho.mqtt.client")
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    made = []

    def make(*lines):
        folder = tmp_path / f"broker{len(made)}"
        folder.mkdir()
        made.append(Broker(folder, *lines))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def broker(make_broker):
    return make_broker("allow_anonymous true")


class Listener:
    """Subscribes to everything and keeps it: all payloads by topic, and those that the broker had retained."""

    def __init__(self, port):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.payloads = defaultdict(list)
        self.retained = {}
        self.is_subscribed = False
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._received
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        until(lambda: self.is_subscribed)

    def _subscribed(self, *_):
        self.is_subscribed = True

    def _disconnected(self, *_):
        self.is_subscribed = False

    def _received(self, _client, _data, message):
        text = message.payload.decode()
        self.payloads[message.topic].append(text)
        if message.retain:
            self.retained[message.topic] = text

    def records(self, topic):
        return [json.loads(text) for text in self.payloads[topic]]

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def listen(request):
    """Function from a broker to a listener."""

    def listen(broker):
        listener = Listener(broker.port)
        request.addfinalizer(listener.close)
        return listener

    return listen


def open_sink(broker, content="frames", **options):
    """A sink that connects again quickly."""
    environ = options.pop("environ", {})
    return MqttSink(
        make_content(ContentOptions(content=content)),
        MqttOptions(host="127.0.0.1", port=broker.port, topic_prefix="door", content=content, **options),
        environ=environ,
        retry_s=(0.05, 0.2),
    )


def test_frames_arrive_in_order_and_the_end_is_told(broker, listen, make_result):
    listener = listen(broker)
    with open_sink(broker) as sink:
        for i in range(200):
            sink.write(make_result((1, "happy"), index=i))
        # Closing waits for a broker, but not as long as a machine with much to do may need for the first connection.
        until(lambda: not sink._link._has_work())
    assert sink.n_lost == 0
    until(lambda: listener.payloads["door/status"] == ["online", "offline"])
    assert [each["frame"] for each in listener.records("door/frames")] == list(range(200))
    assert listener.payloads["door/source"] == ["online"]
    assert listener.records("door/state") == [
        {"n_faces": 1, "apparent_emotion": "happy"},
        {"n_faces": 0, "apparent_emotion": None},
    ]
    # Who comes later finds nobody's face, and no frame.
    later = listen(broker)
    until(lambda: {"door/status", "door/source", "door/state"} <= later.retained.keys())
    assert {topic: text for topic, text in later.retained.items() if topic.startswith("door/")} == {
        "door/status": "offline",
        "door/source": "online",
        "door/state": '{"n_faces": 0, "apparent_emotion": null}',
    }


def test_events_are_what_home_assistant_expects(broker, listen, make_result):
    with open_sink(broker, content="events", device_name="Front door") as sink:
        sink.write(make_result((1, "happy"), time_s=0.0))
        sink.write(make_result((1, "angry"), time_s=0.1))
        until(lambda: not sink._link._has_work())
        listener = listen(broker)
        until(lambda: "door/state" in listener.retained)
        configs = {topic: text for topic, text in listener.retained.items() if topic.startswith("homeassistant/")}
        assert set(configs) == {
            "homeassistant/sensor/door/faces/config",
            "homeassistant/sensor/door/apparent_emotion/config",
            "homeassistant/event/door/face/config",
            "homeassistant/binary_sensor/door/camera/config",
        }
        event = json.loads(configs["homeassistant/event/door/face/config"])
        sink.source_state(False, "unplugged")
        until(lambda: listener.payloads["door/source"][-1] == "offline")
        until(lambda: listener.payloads["door/events"])
    (left,) = listener.records("door/events")  # events are not retained: it came after the first two
    assert left["event_type"] in event["event_types"]
    assert (left["event_type"], left["track_id"]) == ("face_left", 1)


def test_an_entity_of_another_content_is_removed(broker, listen):
    open_sink(broker, content="events").close()
    open_sink(broker, content="aggregate").close()
    listener = listen(broker)
    until(lambda: "door/status" in listener.retained)
    assert {topic for topic in listener.retained if topic.startswith("homeassistant/")} == {
        "homeassistant/sensor/door/faces/config",
        "homeassistant/binary_sensor/door/camera/config",
    }


def test_the_last_counts_are_kept_for_who_comes_later(broker, listen, make_result):
    with open_sink(broker, content="aggregate") as sink:
        sink.write(make_result(*((i, "happy") for i in range(5)), time_s=0.0))
        sink.write(make_result(time_s=60.0))
    listener = listen(broker)
    until(lambda: "door/aggregate" in listener.retained)
    assert json.loads(listener.retained["door/aggregate"])["by_emotion"]["happy"] == 5
    assert "door/state" not in listener.retained


def test_the_broker_tells_when_the_process_is_gone(broker, listen):
    pytest.importorskip("paho.mqtt.client")
    listener = listen(broker)
    code = f"""
import os, time
from fer_edge.sinks.content import make_content
from fer_edge.sinks.mqtt import MqttSink
from fer_edge.sinks.options import MqttOptions
options = MqttOptions(host="127.0.0.1", port={broker.port}, topic_prefix="door")
sink = MqttSink(make_content(options), options)
while sink._link._has_work():
    time.sleep(0.01)
os._exit(0)  # as a crash: nothing is closed
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    until(lambda: listener.payloads["door/status"] == ["online", "offline"])


def hold_back(sink):
    """Let a sink that loses its connection not connect again before the event that is returned is set."""
    gate, connect = threading.Event(), sink._link._connect

    def connect_later():
        assert gate.wait(NEEDS_SECONDS)
        connect()

    sink._link._connect = connect_later
    return gate


@pytest.mark.parametrize("content", ["frames", "events"])
def test_a_broker_that_comes_back_gets_all_that_waited_in_order(broker, listen, make_result, content):
    with open_sink(broker, content=content) as sink:
        until(lambda: not sink._link._has_work())
        gate = hold_back(sink)
        broker.stop()
        until(lambda: sink._link.trouble is not None)
        slowest_s = 0.0
        for i in range(100):
            started_s = time.perf_counter()
            sink.write(make_result(*[(i, "happy")] * (i < 50), index=i, time_s=i / 1000))
            slowest_s = max(slowest_s, time.perf_counter() - started_s)
        assert slowest_s < 0.5  # no frame waits for the network; a shared machine may pause for a while
        assert sink.trouble == f"the MQTT broker 127.0.0.1:{broker.port} cannot be reached: the connection was lost"
        broker.start()
        listener = listen(broker)
        gate.set()
        until(lambda: sink._link.trouble is None)
        sink.write(make_result(index=100, time_s=0.1))
        assert sink.trouble is None
    until(lambda: listener.payloads["door/status"] == ["online", "offline"])
    if content == "frames":
        assert [each["frame"] for each in listener.records("door/frames")] == list(range(101))
    else:
        came = [each["track_id"] for each in listener.records("door/events")]
        assert came == [*range(50), *range(50)]  # who came, and at the end, who left
    # The new broker has forgotten what the old one kept.
    assert listener.payloads["homeassistant/sensor/door/faces/config"]
    assert sink.n_lost == 0


def test_the_oldest_are_dropped_and_counted_where_the_broker_stays_away(broker, make_result):
    sink = open_sink(broker)
    broker.stop()
    until(lambda: sink._link.trouble is not None)
    for i in range(MAX_WAITING + 30):
        sink.write(make_result(index=i))
    assert sink.n_lost == 30
    assert json.loads(sink._link._waiting[0].payload)["frame"] == 30
    started_s = time.monotonic()
    sink.close()
    assert time.monotonic() - started_s < 5
    assert sink.n_lost == MAX_WAITING + 30
    broker.start()


def test_a_broker_that_is_not_there_yet(broker, listen, make_result):
    broker.stop()
    with open_sink(broker) as sink:
        sink.write(make_result(index=0))
        assert sink.trouble == f"the MQTT broker 127.0.0.1:{broker.port} cannot be reached: Connection refused"
        broker.start()
        until(lambda: sink._link.trouble is None)
    assert sink.n_lost == 0
    listener = listen(broker)
    until(lambda: listener.retained.get("door/status") == "offline")


def test_a_broker_that_takes_the_connection_and_says_nothing(make_result, monkeypatch):
    pytest.importorskip("paho.mqtt.client")
    monkeypatch.setattr("fer_edge.sinks.mqtt_link._LOGIN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = MqttOptions(host="127.0.0.1", port=silent.getsockname()[1], topic_prefix="door")
        sink = MqttSink(make_content(ContentOptions()), options)
        sink.write(make_result())
        assert sink.trouble.endswith("cannot be reached: it did not answer the login within 0.3 s")
        sink.close()
    assert sink.n_lost == 1


def test_a_broker_that_throws_out_after_each_login_is_asked_less_and_less(make_result):
    """The waits 0.1, 0.2, 0.4 and 0.8 s end after 1.5 s; without the doubling there were ten connections by then."""
    pytest.importorskip("paho.mqtt.client")
    logins_s = []

    def serve(server):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    logins_s.append(time.monotonic())
                    connection.recv(1024)
                    connection.sendall(b"\x20\x02\x00\x00")  # CONNACK, accepted

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        options = MqttOptions(host="127.0.0.1", port=server.getsockname()[1], topic_prefix="door")
        with MqttSink(make_content(ContentOptions()), options, retry_s=(0.1, 60.0)) as sink:
            sink.write(make_result())
            until(lambda: len(logins_s) >= 5)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    waits_s = [after_s - before_s for before_s, after_s in itertools.pairwise(logins_s)]
    assert all(wait_s >= expected_s for wait_s, expected_s in zip(waits_s, (0.1, 0.2, 0.4, 0.8), strict=False))


def test_a_host_that_is_no_name(make_result):
    pytest.importorskip("paho.mqtt.client")
    host = "x" * 64 + ".invalid"
    with MqttSink(make_content(ContentOptions()), MqttOptions(host=host, topic_prefix="door")) as sink:
        sink.write(make_result())
        assert sink.trouble == f"the MQTT broker {host}:1883 cannot be reached: {'x' * 60!r} is no name or address"


@pytest.fixture
def guarded_broker(make_broker, tmp_path):
    """A broker that knows the user `camera` with the password `right`."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed")
    passwords = tmp_path / "passwords"
    subprocess.run([program, "-c", "-b", passwords, "camera", "right"], check=True)
    return make_broker("allow_anonymous false", f"password_file {passwords}")


def test_a_login(guarded_broker, make_result):
    with open_sink(guarded_broker, user="camera", environ={"FER_EDGE_MQTT_PASSWORD": "right"}) as sink:
        sink.write(make_result())
        assert sink.trouble is None
    assert sink.n_lost == 0


@pytest.mark.parametrize(
    "options",
    [{"user": "camera", "environ": {"FER_EDGE_MQTT_PASSWORD": "wr0ng"}}, {}],
    ids=["wrong password", "nobody"],
)
def test_a_refused_login_is_one_line(guarded_broker, options):
    with pytest.raises(OutputError) as raised:
        open_sink(guarded_broker, **options)
    assert str(raised.value) == (
        f"the MQTT broker 127.0.0.1:{guarded_broker.port} refused the login: Not authorized; check user and password"
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Key and certificate for 127.0.0.1, signed by itself."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *[program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
            *["-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=broker"],
            *["-addext", "subjectAltName=IP:127.0.0.1"],
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def tls_broker(make_broker, certificate):
    return make_broker("allow_anonymous true", f"certfile {certificate}/cert.pem", f"keyfile {certificate}/key.pem")


def test_tls(tls_broker, certificate, make_result):
    with open_sink(tls_broker, tls=True, ca_file=str(certificate / "cert.pem"), content="events") as sink:
        for i in range(300):
            sink.write(make_result((i, "happy"), index=i, time_s=i / 25))
    assert sink.trouble is None
    assert sink.n_lost == 0


@pytest.fixture
def leaves_a_socket():
    """paho-mqtt leaves a socket whose handshake failed to the garbage collector, whose warning is no failure."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_certificate_that_is_not_trusted(tls_broker, leaves_a_socket):
    with pytest.raises(OutputError) as raised:
        open_sink(tls_broker, tls=True)
    assert str(raised.value) == (
        f"the MQTT broker 127.0.0.1:{tls_broker.port} has no certificate that is trusted: self-signed certificate; "
        "name its CA with ca_file"
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_with_a_broker_that_has_none(broker, make_result, leaves_a_socket):
    with open_sink(broker, tls=True) as sink:
        sink.write(make_result())
        assert "cannot be reached: " in sink.trouble
    assert sink.n_lost == 1


def test_a_ca_file_that_is_not_there(broker, tmp_path):
    with pytest.raises(OutputError) as raised:
        open_sink(broker, tls=True, ca_file=str(tmp_path / "ca.pem"))
    assert str(raised.value) == f"cannot read {tmp_path}/ca.pem: No such file or directory"


def test_without_paho():
    code = """
import sys
sys.modules["paho"] = None
from fer_edge.sinks import open_sinks, parse_sink
try:
    open_sinks([parse_sink("mqtt://127.0.0.1/door")], is_tracked=True, tell=print)
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = run_python(code)
    assert (
        done.stdout == f'{MissingExtraError.__name__} mqtt needs paho-mqtt 2 or newer; pip install "fer-edge[mqtt]"\n'
    )


PASSWORD_OPTIONS = {"host": "broker", "topic_prefix": "door", "user": "camera"}


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440], ids=oct)
def test_the_password_in_a_file(tmp_path, mode):
    path = tmp_path / "password"
    path.write_text("s3cret ü\nnot this\n")
    path.chmod(mode)
    assert read_password(MqttOptions(**PASSWORD_OPTIONS, password_file=str(path)), {}) == "s3cret ü"


OPEN = "expected a password that others cannot read or change, found the mode {}"


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (b"x", 0o604, "{path}: " + OPEN.format("0604") + "; chmod 600 {path}"),
        (b"x", 0o620, "{path}: " + OPEN.format("0620") + "; chmod 600 {path}"),
        (b"\n", 0o600, "{path}: expected a password in its first line, found none"),
        (b"", 0o600, "{path}: expected a password in its first line, found none"),
        (b"\xff", 0o600, "{path}: expected a password in UTF-8, found other bytes"),
        (None, 0, "cannot read the password in {path}: No such file or directory"),
    ],
    ids=["others read", "group writes", "empty line", "empty", "no text", "missing"],
)  # fmt: skip
def test_a_password_file_that_cannot_be_used(tmp_path, content, mode, message):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(OutputError) as raised:
        read_password(MqttOptions(**PASSWORD_OPTIONS, password_file=str(path)), {})
    assert str(raised.value) == message.format(path=path)


def test_the_password_in_the_environment():
    assert read_password(MqttOptions(**PASSWORD_OPTIONS), {"FER_EDGE_MQTT_PASSWORD": "a"}) == "a"
    assert read_password(MqttOptions(**PASSWORD_OPTIONS, password_env="OTHER"), {"OTHER": "b"}) == "b"
    with pytest.raises(UsageError) as raised:
        read_password(MqttOptions(**PASSWORD_OPTIONS, password_env="OTHER"), {"FER_EDGE_MQTT_PASSWORD": "a"})
    assert str(raised.value) == (
        "mqtt://broker:1883/door: the user camera needs a password; set OTHER or name a file with password_file"
    )
