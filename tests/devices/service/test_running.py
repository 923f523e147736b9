"""The service as a process: what it tells systemd, how it reloads, ends, and stands still where something hangs."""

import json
import re
import resource
import signal
import socket
import time

import pytest
from devices.service.conftest import Manager
from live_support import FakeCapture, eventually, patched
from runtime_support import installed_engine, run_cli

from fer_edge.errors import InputError
from fer_edge.sources import LiveOptions, LiveSource
from fer_edge_devices.service import config as config_module
from fer_edge_devices.service import running
from fer_edge_devices.service.record import read_record
from fer_edge_devices.service.running import Service, SourceLostError

SINK = '\n[[sink]]\nkind = "jsonl"\npath = "{path}"\n'


@pytest.fixture(autouse=True)
def _engine():
    installed_engine("litert")


def text(camera, more="", detect_every=1):
    url = camera if isinstance(camera, str) else camera.url()
    return (
        f'[source]\nspec = "{url}"\n[pipeline]\nengine = "litert"\nmin_face_px = 60\n'
        f"[tracking]\ndetect_every = {detect_every}\n{more}"
    )


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_lives_reloads_and_ends(camera, start, manager, tmp_path):
    out, other = tmp_path / "frames.jsonl", tmp_path / "other.jsonl"
    service = start(text(camera, SINK.format(path=out)))
    service.told("READY")
    service.told("WATCHDOG", 3)
    first = manager.lines()
    assert first.index("READY=1") < first.index("WATCHDOG=1")

    (tmp_path / "fer-edge.toml").write_text(text(camera, SINK.format(path=other), detect_every=2), encoding="utf-8")
    service.process.send_signal(signal.SIGHUP)
    service.told("READY", 2)
    assert "STATUS=the configuration was reloaded: tracking, sinks changed" in manager.lines()
    assert manager.lines("RELOADING") == ["RELOADING=1"]
    assert re.fullmatch(r"MONOTONIC_USEC=[0-9]+", manager.lines("MONOTONIC_USEC")[0])
    n_before = len(records(out))
    eventually(lambda: len(other.read_bytes()) > 0)

    (tmp_path / "fer-edge.toml").write_text(text(camera, "[sinks]\n"), encoding="utf-8")
    service.process.send_signal(signal.SIGHUP)
    service.told("READY", 3)
    assert "the one before goes on" in service.said()
    assert "unknown table 'sinks'; did you mean sink?" in service.said()
    n_other = len(records(other))
    eventually(lambda: len(other.read_text().splitlines()) > n_other)

    code, seconds = service.end()
    assert code == 0, service.said()
    assert seconds < 5
    assert manager.lines("STOPPING") == ["STOPPING=1"]
    assert len(records(out)) == n_before
    assert {record["schema"] for record in records(out) + records(other)} == {"fer-edge/frame/1"}


def test_a_hanging_engine_starves_the_watchdog(camera, start, manager):
    service = start(text(camera), watchdog_s=1.5)
    service.told("WATCHDOG", 2)
    service.hang.touch()
    time.sleep(0.7)  # the frame at hand, and one feed that is due
    n_fed = len(manager.lines("WATCHDOG"))
    time.sleep(2.5)
    assert len(manager.lines("WATCHDOG")) == n_fed
    assert service.process.poll() is None
    service.hang.unlink()
    service.told("WATCHDOG", n_fed + 1)


def test_a_silent_camera_starves_the_watchdog(camera, start, manager):
    service = start(text(camera), watchdog_s=1.5)
    service.told("WATCHDOG", 2)
    camera.sending.clear()
    time.sleep(0.7)
    n_fed = len(manager.lines("WATCHDOG"))
    time.sleep(2)
    assert len(manager.lines("WATCHDOG")) == n_fed


def test_a_port_in_use_on_reload_brings_the_old_sinks_back(camera, start, tmp_path):
    out = tmp_path / "frames.jsonl"
    service = start(text(camera, SINK.format(path=out)))
    service.told("READY")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        more = f'\n[[sink]]\nkind = "prometheus"\nhost = "127.0.0.1"\nport = {port}\n'
        (tmp_path / "fer-edge.toml").write_text(text(camera, SINK.format(path=out) + more), encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        service.told("READY", 2)
    assert "the one before goes on" in service.said()
    assert "in use" in service.said()
    n_before = len(records(out))
    eventually(lambda: len(out.read_text().splitlines()) > n_before)
    assert service.end()[0] == 0


def test_another_camera_on_reload(camera, start, tmp_path, manager):
    out = tmp_path / "frames.jsonl"
    service = start(text(camera.url("/one"), SINK.format(path=out)))
    service.told("READY")
    (tmp_path / "fer-edge.toml").write_text(text(camera.url("/two"), SINK.format(path=out)), encoding="utf-8")
    service.process.send_signal(signal.SIGHUP)
    service.told("READY", 2)
    eventually(lambda: records(out)[-1]["source"].endswith("/two"))
    assert records(out)[0]["source"].endswith("/one")
    # One that is not there leaves the one before.
    (tmp_path / "fer-edge.toml").write_text(text("http://127.0.0.1:9/x", SINK.format(path=out)), encoding="utf-8")
    service.process.send_signal(signal.SIGHUP)
    service.told("READY", 3)
    assert "the one before goes on: http://127.0.0.1:9/x: nothing listens on port 9" in service.said()
    n_before = len(records(out))
    eventually(lambda: len(out.read_text().splitlines()) > n_before)


def test_a_port_in_use_brings_the_old_camera_back_too(camera, start, tmp_path):
    out = tmp_path / "frames.jsonl"
    service = start(text(camera.url("/one"), SINK.format(path=out)))
    service.told("READY")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        more = f'\n[[sink]]\nkind = "prometheus"\nhost = "127.0.0.1"\nport = {taken.getsockname()[1]}\n'
        (tmp_path / "fer-edge.toml").write_text(text(camera.url("/two"), more), encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        service.told("READY", 2)
    assert [path for path, _ in camera.requests] == ["/one", "/two", "/one"]
    n_before = len(records(out))
    eventually(lambda: len(out.read_text().splitlines()) > n_before)
    assert {record["source"] for record in records(out)} == {camera.url("/one")}


def test_sigterm_while_a_camera_is_opened(camera, start):
    camera.sending.clear()
    service = start(text(camera))
    eventually(lambda: camera.requests, 20)
    time.sleep(0.3)
    code, seconds = service.end()
    assert code == 0, service.said()
    assert seconds < 5


def test_status_is_told_and_written(camera, start, manager, tmp_path):
    service = start(text(camera, SINK.format(path=tmp_path / "a")))
    service.told("STATUS", 2)
    assert re.fullmatch(r"STATUS=[0-9.]+ frames/s, 0\.0 faces, [0-9]+ frames dropped", manager.lines("STATUS")[1])
    record = read_record(tmp_path)
    assert record.online
    assert record.n_frames > 0
    assert record.lost_by_sink == {f"jsonl:{tmp_path / 'a'}": 0}
    assert record.pid == service.process.pid


def test_lives_where_nothing_can_be_written(camera, start, tmp_path):
    out = tmp_path / "frames.jsonl"
    service = start(text(camera, SINK.format(path=out)))
    service.told("READY")
    # No file may grow: the sink's, the record's, and the one that standard error goes to.
    limit = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (0, limit[1]))
    n_before = len(records(out))
    service.told("STATUS", 2)
    assert len(records(out)) <= n_before + 1
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, limit)
    eventually(lambda: len(out.read_text().splitlines()) > n_before + 1)
    eventually(lambda: read_record(tmp_path) is not None)
    assert service.end()[0] == 0


def test_a_secret_of_systemd_reaches_the_camera(camera, start, tmp_path):
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "CAMERA_PASSWORD").write_text("p@ss\n")
    url = camera.url("/video", login="keeper:${CAMERA_PASSWORD}@")
    service = start(text(url), CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    service.told("READY")
    assert service.end()[0] == 0
    assert "p@ss" not in service.said()
    assert "p%40ss" not in service.said()


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        ('[source]\nspec = "http://127.0.0.1:9/x"\n', 1, "nothing listens on port 9 of 127.0.0.1"),
        ('[source]\nspec = "http://a:${NO_SUCH_NAME}@127.0.0.1/"\n', 1, "${NO_SUCH_NAME} is used and not set"),
        ('[source]\nspce = "0"\n', 1, "unknown key 'spce'; did you mean spec?"),
        ('[source]\nspec = "."\n', 1, "expected a camera or stream, found a folder"),
    ],
    ids=["no camera", "no secret", "misspelt", "a folder"],
)
def test_what_cannot_start_says_why(tmp_path, config, code, message):
    path = tmp_path / "fer-edge.toml"
    if "folder" in message:
        from fer_edge._cv2 import import_cv2

        import_cv2().imwrite(str(tmp_path / "a.png"), patched())
        config = config.replace('"."', f'"{tmp_path}"')
    path.write_text(config, encoding="utf-8")
    done = run_cli("service", "run", str(path))
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") <= 2  # LiteRT has a line of its own


@pytest.fixture
def lost_camera(monkeypatch, tmp_path):
    """A service whose camera gives some frames and then none, on short times."""
    monkeypatch.setattr(config_module, "OFFLINE_AFTER_S", 0.2)
    path = tmp_path / "fer-edge.toml"
    path.write_text('[source]\nspec = "0"\noffline_restart_s = 0.6\n[pipeline]\nengine = "litert"\n', encoding="utf-8")

    def open_fake(_spec, live):
        options = LiveOptions(offline_after_s=0.2, reopen_after_s=0.1, reopen_gap_s=0.1, on_state=live.on_state)
        captures = iter([FakeCapture([patched()] * 3)])

        def capture():
            for made in captures:
                return made
            raise InputError("fake: it does not open")

        return LiveSource("fake", "camera", capture, options)

    monkeypatch.setattr(running, "open_source", open_fake)
    return path


def test_a_camera_that_stays_away_ends_the_process(lost_camera, tmp_path, capsys):
    manager = Manager(str(tmp_path / "n"))
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000", "RUNTIME_DIRECTORY": str(tmp_path)}
    with pytest.raises(SourceLostError, match=r"offline for 0\.6 s, so this process ends") as caught:
        Service(lost_camera, environment).run()
    assert caught.value.exit_code == 1
    lines = manager.lines()
    manager.socket.close()
    # While it is away the watchdog waits for as long as the service does, and longer.
    assert "WATCHDOG_USEC=30600000" in lines
    assert lines.index("WATCHDOG_USEC=30600000") > lines.index("READY=1")
    assert any(line.startswith("STATUS=offline for 0 s: fake: no frame for 0.2 s") for line in lines)
    assert lines[-2] == "STOPPING=1"
    assert "offline: fake" in capsys.readouterr().err
