"""What the tests of the service share: systemd's end of the notifications, and a service in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from live_support import MjpegCamera

LAUNCHER = """
import sys, time
from pathlib import Path
from fer_edge.cli import main
from fer_edge.detector import FaceDetector

analyse, hang = FaceDetector.analyse, Path(sys.argv[1])

def analyse_or_hang(self, frame):
    while hang.exists():
        time.sleep(0.05)
    return analyse(self, frame)

FaceDetector.analyse = analyse_or_hang
sys.exit(main(["service", "run", sys.argv[2]]))
"""


class Manager:
    """The socket that NOTIFY_SOCKET names, and all that came through it with the time it came."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.address, self.told = address, []

    def lines(self, name=None):
        with suppress(BlockingIOError):
            while True:
                now_s = time.monotonic()
                self.told += [(now_s, line) for line in self.socket.recv(65536).decode().splitlines()]
        return [line for _, line in self.told if name is None or line.startswith(f"{name}=")]


class Process:
    """`fer-edge service run` with a detector that hangs while a file is there."""

    def __init__(self, config, manager, folder, watchdog_s, **environment):
        self.hang, self.log, self.manager = folder / "hang", folder / "log", manager
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(self.hang), str(config)],
                env={
                    **os.environ,
                    "NOTIFY_SOCKET": manager.address,
                    "WATCHDOG_USEC": str(round(1e6 * watchdog_s)),
                    "RUNTIME_DIRECTORY": str(folder),
                    **environment,
                },
                stdout=log,
                stderr=log,
            )

    def told(self, name, n=1, timeout_s=30):
        """Wait until the service has told the manager something n times."""
        end_s = time.monotonic() + timeout_s
        while len(self.manager.lines(name)) < n:
            assert time.monotonic() < end_s, f"{name} was not told {n} times: {self.manager.lines()}, {self.said()}"
            assert self.process.poll() is None, self.said()
            time.sleep(0.02)

    def said(self):
        return self.log.read_text(encoding="utf-8")

    def end(self, number=signal.SIGTERM):
        """Send a signal; return exit code and seconds."""
        began_s = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(20), time.monotonic() - began_s


@pytest.fixture
def camera():
    made = MjpegCamera(fps=20)
    yield made
    if made.is_on:
        made.off()


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.socket.close()


@pytest.fixture
def start(manager, tmp_path):
    """Function from a configuration's text to its service, which is ended with the test."""
    started = []

    def begin(text, watchdog_s=1.5, **environment):
        config = tmp_path / "fer-edge.toml"
        config.write_text(text, encoding="utf-8")
        started.append(Process(config, manager, tmp_path, watchdog_s, **environment))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
