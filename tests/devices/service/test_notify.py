"""What is told to systemd, byte for byte, through both kinds of sockets."""

import os
import time

import pytest
from devices.service.conftest import Manager

from fer_edge.testing import FakeClock
from fer_edge_devices.service.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def peer(request, tmp_path):
    made = Manager(str(tmp_path / "n") if request.param == "path" else f"@fer-edge-test-{os.getpid()}")
    yield made
    made.socket.close()


def test_tells_each_state(peer):
    notifier = Notifier({"NOTIFY_SOCKET": peer.address})
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    notifier.ready("the first\nframe")
    notifier.status("12 frames/s")
    notifier.stopping()
    lines = peer.lines()
    assert lines[0] == "RELOADING=1"
    name, usec = lines[1].split("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(usec) <= before + 10_000_000
    # A line end in a text would begin another message.
    assert lines[2:] == ["READY=1", "STATUS=the first frame", "STATUS=12 frames/s", "STOPPING=1", "STATUS=ends"]


def test_feeds_the_watchdog_at_most_three_times_in_its_time(peer):
    clock = FakeClock()
    notifier = Notifier({"NOTIFY_SOCKET": peer.address, "WATCHDOG_USEC": "30000000"}, clock=clock)
    for _ in range(600):  # a minute at ten frames a second
        notifier.frame_processed()
        clock.advance(0.1)
    assert len(peer.lines("WATCHDOG")) == 6


def test_a_wider_watchdog_is_asked_for_and_fed_anew(peer):
    notifier = Notifier({"NOTIFY_SOCKET": peer.address, "WATCHDOG_USEC": "30000000"}, clock=FakeClock())
    notifier.frame_processed()
    notifier.set_watchdog(150.0)
    notifier.frame_processed()
    assert peer.lines() == ["WATCHDOG=1", "WATCHDOG_USEC=150000000", "WATCHDOG=1"]


UNWATCHED = {
    "not asked for": {},
    "another process": {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
    "zero": {"WATCHDOG_USEC": "0"},
    "nonsense": {"WATCHDOG_USEC": "soon"},
}


@pytest.mark.parametrize("environment", UNWATCHED.values(), ids=UNWATCHED)
def test_feeds_nobody_who_does_not_watch(peer, environment):
    notifier = Notifier({"NOTIFY_SOCKET": peer.address, **environment})
    notifier.frame_processed()
    notifier.set_watchdog(100.0)
    assert notifier.watchdog_s is None
    assert peer.lines() == []


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/notify"}], ids=["none", "gone"])
def test_goes_on_without_a_manager(environment):
    Notifier(environment).ready("x")
