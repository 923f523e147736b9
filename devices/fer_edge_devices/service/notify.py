"""What a service tells systemd: lines in a datagram to the socket that NOTIFY_SOCKET names (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

__all__ = ["Notifier"]

# The manual's advice is to feed the watchdog in half of its time; a third leaves room for a frame that takes long.
_FEEDS_PER_WATCHDOG = 3


class Notifier:
    """Speaks to the service manager; where there is none, nothing is said.

    Attributes:
        watchdog_s: time after which systemd ends a process that processed no frame; None where it does not watch.
    """

    def __init__(self, environment: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what the manager put into the environment.

        Args:
            environment: NOTIFY_SOCKET is a path, or an abstract name after @; WATCHDOG_USEC counts if WATCHDOG_PID is
                absent or this process.
            clock: seconds from any beginning.
        """
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        usec = environment.get("WATCHDOG_USEC", "")
        is_meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(usec) / 1e6 if is_meant and usec.isascii() and usec.isdecimal() and int(usec) else None
        self._clock = clock
        self._fed_s: float | None = None

    def ready(self, status: str) -> None:
        """Say that the service has started or is done with a reload."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is read again."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._send("STOPPING=1", "STATUS=ends")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={text}")

    def frame_processed(self) -> None:
        """Feed the watchdog, not more often than it needs."""
        if self.watchdog_s is None:
            return
        now_s = self._clock()
        if self._fed_s is None or now_s - self._fed_s >= self.watchdog_s / _FEEDS_PER_WATCHDOG:
            self._fed_s = now_s
            self._send("WATCHDOG=1")

    def set_watchdog(self, watchdog_s: float) -> None:
        """Have the manager wait so long from now on; nothing where it does not watch."""
        if self.watchdog_s is not None:
            self.watchdog_s = watchdog_s
            self._fed_s = None
            self._send(f"WATCHDOG_USEC={round(1e6 * watchdog_s)}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(" ".join(line.split("\n")) for line in lines)
        # A manager that starts anew or whose queue is full must not end the service; the watchdog tells it is alive.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to_manager:
            to_manager.setblocking(False)
            to_manager.sendto(message.encode(), self._address)
