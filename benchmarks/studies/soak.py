"""Runs `fer-edge service` for minutes or days while things around it break, and tells whether it leaks or stands still.

    python benchmarks/studies/soak.py --minutes 20

The service is the real process with a real motion-JPEG stream on 127.0.0.1; this program takes systemd's place: it gets
the notifications, ends a process whose watchdog is not fed, and starts another. Faults come at times that a seed draws:

    camera    the stream ends and comes back
    broker    mosquitto is ended and started again (where it is installed)
    reader    a reader of the Unix socket connects and reads nothing
    disk      the file system of a sink is full (a tmpfs where root, else the process's limit of a file's size)
    watcher   somebody watches the live page
    reload    SIGHUP with another configuration, each second time with one that cannot be used
    hang      at the end, after all is measured: detection never returns

Exit code 0 where all verdicts are good, 1 where one is not.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import numpy as np

from fer_edge._cv2 import import_cv2

MAX_GROWTH_MB = 2.0
MAX_STOP_S = 5.0
WATCHDOG_S = 36.0
# Models and Python's memory have their size by then, and a camera that was lost is back by the end:
# 12.5 s from one opening to the next, and some for the page's threads. Below SHORT_S memory is not
# judged: there is no line yet.
WARM_UP_S, QUIET_END_S = 60.0, 30.0
SHORT_WARM_UP_S, SHORT_QUIET_END_S = 8.0, 18.0
SHORT_S = 300.0
# One fault of each kind in so many seconds, on average.
FAULT_PERIOD_S = 120.0

# The service with a detector that stops for ever while a file is there.
LAUNCHER = """
import sys, time
from pathlib import Path
from fer_edge.cli import main
from fer_edge.detector import FaceDetector

analyse, hang = FaceDetector.analyse, Path(sys.argv[1])

def analyse_or_hang(self, frame):
    while hang.exists():
        time.sleep(0.1)
    return analyse(self, frame)

FaceDetector.analyse = analyse_or_hang
sys.exit(main(["service", "run", sys.argv[2]]))
"""

CONFIG = """
[source]
spec = "{url}"

[pipeline]
engine = "{engine}"
threads = 1

[tracking]
detect_every = {detect_every}

[preview]
address = "127.0.0.1:{preview_port}"

[service]
watchdog_s = {watchdog_s}

[[sink]]
kind = "unix"
path = "{folder}/results.sock"

[[sink]]
kind = "jsonl"
path = "{disk}/frames.jsonl"
max_bytes = 1_000_000
keep = 1

[[sink]]
kind = "prometheus"
host = "127.0.0.1"
port = {metrics_port}
"""

MQTT = """
[[sink]]
kind = "mqtt"
host = "127.0.0.1"
port = {port}
topic_prefix = "fer-edge/soak"
content = "events"
"""


class Camera:
    """A motion-JPEG stream that can be switched off and on."""

    def __init__(self, jpeg: bytes, fps: float) -> None:
        self._jpeg, self._fps, self.port = jpeg, fps, 0
        self.is_on = False
        self.on()

    def on(self) -> None:
        """Begin to listen, on the same port as before."""
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(OSError):
                    camera.send(self)

            def log_message(self, *_words: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        self.is_on = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def off(self) -> None:
        """End all connections and listen no more."""
        if self.is_on:
            self.is_on = False
            self._server.shutdown()
            self._server.server_close()

    def send(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Send the picture again and again, until off."""
        server = self._server
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(self._jpeg)}\r\n\r\n".encode()
        while self.is_on and server is self._server:
            handler.wfile.write(head + self._jpeg + b"\r\n")
            time.sleep(1 / self._fps)


class Manager:
    """What systemd does for a unit of Type=notify with WatchdogSec and Restart=always."""

    def __init__(self, folder: Path, config: Path) -> None:
        self._folder, self._config = folder, config
        self.hang = folder / "hang"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.setblocking(False)
        self.n_starts = self.n_bitten = self.n_fed = 0
        self.log = (folder / "log").open("w")
        self.start()

    def start(self) -> None:
        """Start the service."""
        self.n_starts += 1
        self.is_ready, self.status, self.watchdog_s = False, "", WATCHDOG_S
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self._folder / "notify"),
            "WATCHDOG_USEC": str(round(1e6 * WATCHDOG_S)),
            "RUNTIME_DIRECTORY": str(self._folder),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(self.hang), str(self._config)],
            env=environment,
            stdout=self.log,
            stderr=self.log,
        )
        self._fed_s = time.monotonic()

    def look(self) -> None:
        """Take notifications; end a process that starves its watchdog, and start one where none is."""
        with suppress(BlockingIOError):
            while True:
                for line in self._socket.recv(65536).decode().splitlines():
                    self._note(*line.split("=", 1))
        if self.is_ready and time.monotonic() - self._fed_s > self.watchdog_s:
            self.n_bitten += 1
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            self.hang.unlink(missing_ok=True)
        if self.process.poll() is not None:
            self.start()

    def _note(self, name: str, value: str) -> None:
        if name == "READY":
            self.is_ready, self._fed_s = True, time.monotonic()
        elif name == "WATCHDOG":
            self.n_fed += 1
            self._fed_s = time.monotonic()
        elif name == "WATCHDOG_USEC":
            self.watchdog_s, self._fed_s = int(value) / 1e6, time.monotonic()
        elif name == "STATUS":
            self.status = value

    def stop(self) -> tuple[int, float]:
        """End the service as systemd does; return exit code and seconds."""
        began_s = time.monotonic()
        self.process.terminate()
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return code, time.monotonic() - began_s

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._socket.close()
        self.log.close()


@dataclass(frozen=True)
class Sample:
    """What /proc tells of the service at a time."""

    time_s: float
    rss_mb: float
    n_threads: int
    n_descriptors: int


@dataclass
class Fault:
    """Something that breaks and is mended.

    Attributes:
        phase: the part of each period, from 0 to 1, in which it may begin.
        n: how often it came.
        times_s: when it begins and ends.
    """

    name: str
    begin: Callable[[], object]
    end: Callable[[], object]
    phase: tuple[float, float] = (0.0, 0.7)
    n: int = 0
    times_s: list[tuple[float, float]] = field(default_factory=list)


def sample(pid: int, now_s: float) -> Sample:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    return Sample(
        time_s=now_s,
        rss_mb=int(status["VmRSS"].split()[0]) / 1024,
        n_threads=int(status["Threads"]),
        n_descriptors=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def face_jpeg() -> bytes:
    """The demo photo, as a camera of 640 x 480 would send it."""
    import fer_edge.assets

    cv2 = import_cv2()
    image = cv2.imread(str(Path(fer_edge.assets.__file__).with_name("astronaut.png")))
    done, jpeg = cv2.imencode(".jpg", cv2.resize(image[:384, :], (640, 480), interpolation=cv2.INTER_LINEAR_EXACT))
    if not done:
        raise RuntimeError("OpenCV cannot encode JPEG")
    data: bytes = jpeg.tobytes()
    return data


class World:
    """All that surrounds the service, and what can break of it."""

    def __init__(self, folder: Path, engine: str, fps: float, leave: ExitStack) -> None:
        self.folder, self.engine = folder, engine
        self.camera = Camera(face_jpeg(), fps)
        leave.callback(self.camera.off)
        self.disk = folder / "disk"
        self.disk.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(self.disk)]
        self.has_disk = os.geteuid() == 0 and subprocess.run(words, capture_output=True, check=False).returncode == 0
        if self.has_disk:
            leave.callback(subprocess.run, ["umount", "-l", str(self.disk)], check=False)
        self.preview_port, self.metrics_port, self.broker_port = free_port(), free_port(), free_port()
        self.broker: subprocess.Popen[bytes] | None = None
        self.has_broker = shutil.which("mosquitto") is not None
        if self.has_broker:
            (folder / "mosquitto.conf").write_text(f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\n")
            self.start_broker()
            leave.callback(self.stop_broker)
        self.config = folder / "fer-edge.toml"
        self.n_reloads = 0
        self.write_config(15)
        self.manager = Manager(folder, self.config)
        leave.callback(self.manager.close)
        self._reader: socket.socket | None = None
        self._watching = threading.Event()

    def write_config(self, detect_every: object) -> None:
        """Write the service's configuration."""
        text = CONFIG.format(
            url=f"http://127.0.0.1:{self.camera.port}/video",
            engine=self.engine,
            detect_every=detect_every,
            preview_port=self.preview_port,
            metrics_port=self.metrics_port,
            watchdog_s=WATCHDOG_S,
            folder=self.folder,
            disk=self.disk,
        )
        self.config.write_text(text + (MQTT.format(port=self.broker_port) if self.has_broker else ""))

    def start_broker(self) -> None:
        """Start mosquitto."""
        self.broker = subprocess.Popen(
            ["mosquitto", "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop_broker(self) -> None:
        """End mosquitto without a farewell."""
        if self.broker is not None:
            self.broker.kill()
            self.broker.wait()
            self.broker = None

    def begin_reader(self) -> None:
        """Connect to the Unix socket and read nothing."""
        self._reader = socket.socket(socket.AF_UNIX)
        self._reader.connect(str(self.folder / "results.sock"))

    def end_reader(self) -> None:
        """Let go of the Unix socket."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def fill_disk(self) -> None:
        """Leave no byte for the sink's file."""
        if not self.has_disk:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.prlimit(self.manager.process.pid, resource.RLIMIT_FSIZE, (0, hard))
            return
        with (self.disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 65536)

    def free_disk(self) -> None:
        """Make room again."""
        if not self.has_disk:
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.prlimit(self.manager.process.pid, resource.RLIMIT_FSIZE, limits)
            return
        (self.disk / "filler").unlink(missing_ok=True)

    def begin_watcher(self) -> None:
        """Watch the live page from another thread."""
        self._watching.set()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        base = f"http://127.0.0.1:{self.preview_port}"
        with suppress(OSError), urlopen(f"{base}/events", timeout=10) as events:  # noqa: S310 - our own server
            while self._watching.is_set():
                events.readline()
                with suppress(OSError), urlopen(f"{base}/frame.jpg?after=0", timeout=10) as picture:  # noqa: S310
                    picture.read()

    def end_watcher(self) -> None:
        """Watch no more."""
        self._watching.clear()

    def reload(self) -> None:
        """Let the service read another configuration, each second time one that is refused."""
        self.n_reloads += 1
        self.write_config(10 + self.n_reloads % 7 if self.n_reloads % 2 else '"often"')
        self.manager.process.send_signal(signal.SIGHUP)

    def end_reload(self) -> None:
        """Write the first configuration again; the next reload finds it or another."""
        self.write_config(15)

    def faults(self) -> list[Fault]:
        """Return what can break."""
        made = [
            Fault("camera", self.camera.off, self.camera.on, (0.0, 0.1)),
            Fault("reader", self.begin_reader, self.end_reader),
            # Without frames nothing is written: not while the camera is away.
            Fault("disk", self.fill_disk, self.free_disk, (0.6, 0.7)),
            Fault("watcher", self.begin_watcher, self.end_watcher),
            Fault("reload", self.reload, self.end_reload),
        ]
        return made + ([Fault("broker", self.stop_broker, self.start_broker)] if self.has_broker else [])


def draw_times(faults: list[Fault], begin_s: float, end_s: float, chance: random.Random) -> None:
    """Give each fault its times, one in each of equal parts of the window, at most 0.3 of it long."""
    n = max(1, round((end_s - begin_s) / FAULT_PERIOD_S))
    part_s = (end_s - begin_s) / n
    for fault in faults:
        for i in range(n):
            start_s = begin_s + (i + chance.uniform(*fault.phase)) * part_s
            fault.times_s.append((start_s, start_s + min(chance.uniform(3, 35), 0.3 * part_s)))


def growth_mb(samples: list[Sample]) -> float:
    """How much the line through the memory's samples rises from the first to the last one."""
    times_s = np.array([each.time_s for each in samples])
    slope, _ = np.polyfit(times_s, np.array([each.rss_mb for each in samples]), 1)
    return float(slope * (times_s[-1] - times_s[0]))


def wait_until(manager: Manager, condition: Callable[[], bool], timeout_s: float) -> bool:
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        manager.look()
        if condition():
            return True
        time.sleep(0.1)
    return False


def soak(world: World, seconds: float, seed: int) -> tuple[list[Sample], list[Fault]]:
    """Let faults come and go for some time; return the samples and what was done."""
    manager = world.manager
    if not wait_until(manager, lambda: manager.is_ready, 120):
        raise RuntimeError("the service did not become ready; see the log")
    short = seconds < SHORT_S
    warm_up_s, quiet_s = (SHORT_WARM_UP_S, SHORT_QUIET_END_S) if short else (WARM_UP_S, QUIET_END_S)
    faults = world.faults()
    draw_times(faults, warm_up_s, seconds - quiet_s, random.Random(seed))  # noqa: S311 - no secret
    actions = sorted(
        [(begin_s, fault, True) for fault in faults for begin_s, _ in fault.times_s]
        + [(end_s, fault, False) for fault in faults for _, end_s in fault.times_s],
        key=lambda action: action[0],
    )
    samples: list[Sample] = []
    began_s = time.monotonic()
    while (now_s := time.monotonic() - began_s) < seconds:
        manager.look()
        while actions and actions[0][0] <= now_s:
            _, fault, begins = actions.pop(0)
            (fault.begin if begins else fault.end)()
            fault.n += begins
        if now_s >= warm_up_s and (not samples or now_s - samples[-1].time_s >= 1):
            samples.append(sample(manager.process.pid, now_s))
        time.sleep(0.1)
    return samples, faults


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the service while things around it break.")
    parser.add_argument("--minutes", type=float, default=20.0, help="without the hang at the end (20)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults' times (1)")
    parser.add_argument("--engine", default="litert", help="that the service uses (litert)")
    parser.add_argument("--fps", type=float, default=15.0, help="of the camera (15)")
    parser.add_argument("--log", type=Path, help="keep what the service said")
    parser.add_argument("--samples", type=Path, help="keep the samples as JSON Lines")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # mounts and processes are cleaned up
    with ExitStack() as leave:
        folder = Path(leave.enter_context(tempfile.TemporaryDirectory(prefix="fer-edge-soak-")))
        world = World(folder, arguments.engine, arguments.fps, leave)
        manager = world.manager
        try:
            samples, faults = soak(world, 60 * arguments.minutes, arguments.seed)
            n_starts, n_bitten, n_fed = manager.n_starts, manager.n_bitten, manager.n_fed
            last = json.loads((folder / "status.json").read_text())
            manager.hang.touch()
            hung_s = time.monotonic()
            bitten = wait_until(manager, lambda: manager.n_bitten > n_bitten, 3 * WATCHDOG_S)
            bitten_s = time.monotonic() - hung_s
            again = bitten and wait_until(manager, lambda: manager.is_ready, 60)
            code, stop_s = manager.stop()
        finally:
            if arguments.log is not None:
                manager.log.flush()
                shutil.copy(folder / "log", arguments.log)
    if arguments.samples is not None:
        arguments.samples.write_text("".join(json.dumps(vars(each)) + "\n" for each in samples))
    first, final = samples[0], samples[-1]
    # What a fault needs when it first comes (an encoder, a second camera's buffers) is had once and no leak.
    all_came_s = max(fault.times_s[0][1] for fault in faults)
    growth = growth_mb([each for each in samples if each.time_s >= all_came_s])
    is_short = 60 * arguments.minutes < SHORT_S
    verdicts = [
        ("process", f"started {n_starts} times", "1", n_starts == 1),
        (
            f"memory, line fit from {all_came_s:.0f} s on",
            f"{growth:+.2f} MB at {final.rss_mb:.0f} MB",
            f"not judged below {SHORT_S / 60:g} minutes" if is_short else f"< {MAX_GROWTH_MB:g} MB",
            is_short or growth < MAX_GROWTH_MB,
        ),
        ("threads", f"{first.n_threads} to {final.n_threads}", "no more", final.n_threads <= first.n_threads),
        (
            "descriptors",
            f"{first.n_descriptors} to {final.n_descriptors}",
            "no more",
            final.n_descriptors <= first.n_descriptors,
        ),
        ("camera", "online" if last["online"] else "offline", "online at the end", bool(last["online"])),
        ("watchdog", f"fed {n_fed} times, bit {n_bitten}", "bit 0", n_bitten == 0 and n_fed > 0),
        ("hang", f"ended after {bitten_s:.1f} s, ready again" if again else "not caught", "caught", bool(again)),
        (
            "SIGTERM",
            f"exit code {code} after {stop_s:.1f} s",
            f"0 within {MAX_STOP_S:g} s",
            code == 0 and stop_s < MAX_STOP_S,
        ),
    ]
    disk = "tmpfs" if world.has_disk else "limit of a file's size"
    done = ", ".join(f"{fault.name} {fault.n}" for fault in faults)
    print(
        f"{arguments.minutes:g} minutes, seed {arguments.seed}, {arguments.engine}; {last['n_frames']} frames, ", end=""
    )
    # Since the last reload; the log has all.
    lost = ", ".join(f"{name.split(':')[0]} {count}" for name, count in last["lost_by_sink"].items())
    print(f"{last['n_dropped']} dropped; faults: {done}; disk: {disk}; lost since the last reload: {lost}\n")
    print("| what | found | expected | |\n| --- | --- | --- | --- |")
    for what, found, expected, is_good in verdicts:
        print(f"| {what} | {found} | {expected} | {'good' if is_good else '**bad**'} |")
    return 0 if all(is_good for *_, is_good in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
