"""install, uninstall and status, against a folder in place of the system and a stand-in for systemctl."""

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from runtime_support import run_cli

from fer_edge.errors import FerEdgeError, UsageError
from fer_edge_devices.service.record import ServiceRecord, write_record
from fer_edge_devices.service.report import status_text
from fer_edge_devices.service.systemd import Systemd
from fer_edge_devices.service.unit import Program

RECORD = ServiceRecord(
    utc="2026-01-02T03:04:05Z",
    pid=7,
    uptime_s=60.0,
    online=True,
    offline_s=None,
    reason="",
    n_frames=600,
    n_dropped=3,
    n_reloads=0,
    frames_per_s=10.0,
    mean_faces=1.5,
    lost_by_sink={"jsonl:/a": 2, "stdout": 0},
)
SHOWN = (
    "LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nMainPID=7\nNRestarts=2\n"
    "ActiveEnterTimestamp=Fri 2026-01-02 03:03:05 UTC\nMemoryCurrent=104857600\nStatusText=10.0 frames/s\n"
)


class Systemctl:
    """Answers, and remembers what was asked."""

    def __init__(self, shown=SHOWN, failing=None):
        self.shown, self.failing, self.asked = shown, failing, []

    def __call__(self, words):
        self.asked.append(list(words))
        failed = self.failing is not None and self.failing in words
        return subprocess.CompletedProcess(
            words, int(failed), stdout=self.shown, stderr="Job for it\nfailed." if failed else ""
        )


@pytest.fixture
def root(tmp_path):
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def program():
    # Everybody may read these on every system.
    return Program(python=Path("/bin/sh"), config=Path("/etc/passwd"))


def unit_path(root):
    return root / "etc/systemd/system/fer-edge.service"


def test_install_writes_enables_and_starts(root, program):
    systemctl = Systemctl()
    Systemd(root, systemctl, is_root=True).install("[Unit]\n", program, name="fer-edge")
    assert unit_path(root).read_text() == "[Unit]\n"
    assert unit_path(root).stat().st_mode & 0o777 == 0o644
    assert systemctl.asked == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "fer-edge"],
        ["systemctl", "restart", "fer-edge"],
    ]


def test_uninstall_stops_and_removes(root):
    unit_path(root).write_text("[Unit]\n")
    systemctl = Systemctl()
    Systemd(root, systemctl, is_root=True).uninstall(name="fer-edge")
    assert not unit_path(root).exists()
    assert systemctl.asked == [["systemctl", "disable", "--now", "fer-edge"], ["systemctl", "daemon-reload"]]


def test_a_start_that_fails_says_why(root, program):
    with pytest.raises(FerEdgeError, match=r"systemctl restart fer-edge failed: Job for it failed\.; see journalctl"):
        Systemd(root, Systemctl(failing="restart"), is_root=True).install("x", program, name="fer-edge")


def test_needs_root(root, program):
    systemctl = Systemctl()
    with pytest.raises(UsageError, match="expected to run as root, found another user; sudo fer-edge service install"):
        Systemd(root, systemctl, is_root=False).install("x", program, name="fer-edge")
    assert (systemctl.asked, unit_path(root).exists()) == ([], False)


def test_needs_systemd(tmp_path):
    with pytest.raises(UsageError, match="expected a machine that systemd runs, found none"):
        Systemd(tmp_path, Systemctl(), is_root=True).status(name="fer-edge")


def test_uninstall_needs_a_unit(root):
    with pytest.raises(UsageError, match="there is no such unit"):
        Systemd(root, Systemctl(), is_root=True).uninstall(name="fer-edge")


@pytest.mark.parametrize("what", ["config", "bundle"])
def test_what_the_service_cannot_read_is_refused(root, program, tmp_path, what):
    path = tmp_path / what
    path.write_text("x")
    path.chmod(0o600)
    with pytest.raises(UsageError, match=f"{what}: the service has a user of its own, who may not read"):
        Systemd(root, Systemctl(), is_root=True).install(
            "x",
            Program(python=Path("/bin/sh"), config=path) if what == "config" else program,
            name="fer-edge",
            bundle=path if what == "bundle" else None,
        )
    assert not unit_path(root).exists()


def test_status_is_what_systemd_and_the_service_say(root):
    (root / "run/fer-edge").mkdir()
    write_record(RECORD, root / "run/fer-edge")
    status = Systemd(root, Systemctl(), is_root=False).status(name="fer-edge")
    assert status == {
        "schema": "fer-edge/service-status/1",
        "unit": "fer-edge.service",
        "installed": True,
        "active": True,
        "state": "active (running)",
        "result": "success",
        "pid": 7,
        "n_restarts": 2,
        "since": "Fri 2026-01-02 03:03:05 UTC",
        "memory_bytes": 104857600,
        "status": "10.0 frames/s",
        "last": dataclasses.asdict(RECORD),
        "problem": None,
    }
    json.dumps(status)
    assert status_text(status) == (
        "fer-edge.service: active (running) since Fri 2026-01-02 03:03:05 UTC, 2 restarts\n"
        "memory: 105 MB\n10.0 frames/s\n600 frames in 60 s; lost: jsonl:/a: 2"
    )


def test_status_of_nothing(root):
    shown = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nMainPID=0\nMemoryCurrent=[not set]\n"
    status = Systemd(root, Systemctl(shown)).status(name="fer-edge")
    assert (status["installed"], status["active"], status["pid"], status["memory_bytes"]) == (False, False, None, None)
    assert status_text(status) == "fer-edge.service: not installed; fer-edge service install CONFIG"


def test_a_damaged_record_is_a_problem_and_no_end(root):
    (root / "run/fer-edge").mkdir()
    (root / "run/fer-edge/status.json").write_text("{")
    status = Systemd(root, Systemctl()).status(name="fer-edge")
    assert status["last"] is None
    assert "expected JSON" in status["problem"]


def test_the_commands_go_together(tmp_path):
    printed = run_cli("service", "config", "--device", "raspberry-pi-zero-2", "--source", "picamera")
    assert printed.returncode == 0, printed.stderr
    path = tmp_path / "fer-edge.toml"
    path.write_text(printed.stdout)
    checked = run_cli("service", "check", str(path))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "source    picamera\n" in checked.stdout
    unit = run_cli("service", "install", "--print", str(path))
    assert unit.returncode == 0, unit.stderr
    assert "MemoryMax=256M\n" in unit.stdout
    assert "Type=notify\n" in unit.stdout


def test_a_board_that_is_not_known():
    done = run_cli("service", "config", "--device", "raspberry-pi-6")
    assert done.returncode == 2
    assert "did you mean raspberry-pi-" in done.stderr
