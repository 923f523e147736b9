"""Records as lines of text to the other processes of a device that connect to a Unix socket."""

from __future__ import annotations

import os
import select
import socket
import stat
from contextlib import suppress
from pathlib import Path

from fer_edge.errors import OutputError
from fer_edge.sinks.base import FrameResult
from fer_edge.sinks.content import Content, RecordSink
from fer_edge.sinks.options import UnixSocketOptions

__all__ = ["MAX_READERS", "UnixSocket"]

# More than a device has processes that care; each holds a descriptor and some memory of the kernel's.
MAX_READERS = 16
# Who may connect: the owner and the group. The process's umask may take away more.
_MODE = 0o660
# The kernel's buffer for a reader, about a hundred frames; what does not fit is not kept anywhere else.
_BUFFER_BYTES = 1 << 17


class _Reader:
    """A process that has connected.

    Attributes:
        rest: the end of a line whose beginning the kernel has taken.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.rest = b""

    def send(self, lines: bytes) -> bool:
        """Send whole lines or none, without waiting; return whether they were taken.

        Raises:
            OSError: the reader has gone.
        """
        try:
            if self.rest:
                self.rest = self.rest[self.connection.send(self.rest, socket.MSG_DONTWAIT) :]
            if self.rest:
                return False
            self.rest = lines[self.connection.send(lines, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return False
        return True

    def has_gone(self) -> bool:
        poll = select.poll()
        poll.register(self.connection, 0)  # POLLHUP is told unasked
        return bool(poll.poll(0))


class UnixSocket(RecordSink):
    """A Unix stream socket that sends each record to all that have connected, from then on.

    A reader that does not keep up misses records, which are counted, and is never waited for; lines stay whole. Readers
    are let in, and readers that have gone are forgotten, when a frame is written.

    Attributes:
        n_lost: records that some reader missed, once for each such reader.

    Raises:
        OutputError: the socket cannot be made there, or another process serves it already.
    """

    def __init__(self, content: Content, options: UnixSocketOptions) -> None:
        super().__init__(content)
        self._path = Path(options.path)
        self._readers: list[_Reader] = []
        self._slow: str | None = None
        self._server = _listen(self._path)
        self._inode = self._path.lstat().st_ino

    def write(self, result: FrameResult) -> None:
        """Let readers in, then send them what the content makes of one frame."""
        not_let_in = self._let_in()
        super().write(result)
        self.trouble = not_let_in or self._slow

    def close(self) -> None:
        """Send the content's end, let the readers go and remove the socket."""
        try:
            super().close()
        finally:
            for reader in self._readers:
                reader.connection.close()
            self._readers.clear()
            self._server.close()
            with suppress(OSError):
                if self._path.lstat().st_ino == self._inode:
                    self._path.unlink()

    def _let_in(self) -> str | None:
        """Let in all that have connected; return why that cannot be done."""
        while True:
            try:
                connection, _ = self._server.accept()
            except BlockingIOError:
                return None
            except OSError as error:  # no descriptor is free, say
                return f"cannot let a reader in: {error.strerror or error}"
            if len(self._readers) >= MAX_READERS:
                self._forget([reader for reader in self._readers if reader.has_gone()])
            if len(self._readers) >= MAX_READERS:
                connection.close()
                continue
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            self._readers.append(_Reader(connection))

    def _put(self, texts: list[str]) -> None:
        lines = "".join(f"{text}\n" for text in texts).encode()
        gone, n_slow = [], 0
        for reader in self._readers:
            try:
                n_slow += not reader.send(lines)
            except OSError:
                gone.append(reader)
        self._forget(gone)
        self.n_lost += n_slow * len(texts)
        self._slow = f"{n_slow} of {len(self._readers)} readers do not keep up and miss records" if n_slow else None

    def _forget(self, gone: list[_Reader]) -> None:
        for reader in gone:
            reader.connection.close()
            self._readers.remove(reader)


def _listen(path: Path) -> socket.socket:
    """Return a socket that listens at a path; one that a process has left there is replaced."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_room(path)
        # On Linux the file gets the socket's own mode, so it is never there with another one.
        os.fchmod(server.fileno(), _MODE)
        server.bind(os.fspath(path))
        server.listen(MAX_READERS)
        server.setblocking(False)
    except OSError as error:
        server.close()
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot listen at {path}: {error.strerror or error}") from error
    return server


def _make_room(path: Path) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise OutputError(f"cannot listen at {path}: expected nothing or a socket, found a file; choose another name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass  # somebody listens, and is busy
    raise OutputError(f"cannot listen at {path}: another process serves it; end that or choose another name")
