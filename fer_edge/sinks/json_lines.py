"""Records as lines of text, in a file or on standard output."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from fer_edge.errors import OutputError
from fer_edge.sinks.content import Content, RecordSink
from fer_edge.sinks.options import JsonLinesOptions

__all__ = ["JsonLinesFile", "StandardOutput"]

# Records are about people: their owner writes them, a group may read them, nobody else may.
_MODE = 0o640
# A link could lead a service that runs with more rights than others to a file that is not its own.
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class StandardOutput(RecordSink):
    """Standard output, a line for each record; an error of it ends the program, as it does for all that print."""

    def _put(self, texts: list[str]) -> None:
        sys.stdout.write("".join(f"{text}\n" for text in texts))
        sys.stdout.flush()  # who reads a pipe wants each frame now


class JsonLinesFile(RecordSink):
    """A file, a line for each record; where there is no room for a whole line, none of it stays.

    Raises:
        OutputError: the file cannot be made or written to, or is none.
    """

    def __init__(self, content: Content, options: JsonLinesOptions) -> None:
        super().__init__(content)
        self._path = Path(options.path)
        self._max_bytes = options.max_bytes
        self._keep = options.keep_or_default
        self._file = -1
        self._n_bytes = 0
        self._open()

    def close(self) -> None:
        """Write the content's end and close the file."""
        try:
            super().close()
        finally:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _put(self, texts: list[str]) -> None:
        line = "".join(f"{text}\n" for text in texts).encode()
        try:
            if self._file < 0:
                self._open()
            if self._max_bytes is not None and self._n_bytes and self._n_bytes + len(line) > self._max_bytes:
                self._rotate()
            self._append(line)
        except OSError as error:
            self.trouble = str(error) if isinstance(error, OutputError) else self._message(error)
            raise OutputError(self.trouble) from error
        self.trouble = None

    def _append(self, line: bytes) -> None:
        """Add a line, or nothing of it."""
        n_written = 0
        try:
            while n_written < len(line):  # the kernel takes what there is room for, then tells what is wrong
                n_written += os.write(self._file, line[n_written:])
        except OSError:
            if n_written:
                with suppress(OSError):
                    os.ftruncate(self._file, os.fstat(self._file).st_size - n_written)
            raise
        self._n_bytes += n_written

    def _open(self) -> None:
        try:
            file = os.open(self._path, _FLAGS, _MODE)
        except OSError as error:
            raise OutputError(self._message(error)) from error
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OutputError(f"cannot write {self._path}: expected a file, found something else")
            self._n_bytes = status.st_size
            # Where power went while a line was written, the next one must not become its end.
            if status.st_size and os.pread(file, 1, status.st_size - 1) != b"\n":
                self._n_bytes += os.write(file, b"\n")
        except OSError as error:
            os.close(file)
            raise (error if isinstance(error, OutputError) else OutputError(self._message(error))) from error
        self._file = file

    def _rotate(self) -> None:
        """Give each old file the next number, remove the last, and begin a new file."""
        os.close(self._file)
        self._file = -1
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{i + 1}") for i in range(self._keep))]
        names[-1].unlink(missing_ok=True)
        for i in range(self._keep, 0, -1):
            with suppress(FileNotFoundError):
                names[i - 1].rename(names[i])
        self._open()

    def _message(self, error: OSError) -> str:
        reason = "it is a link; name the file itself" if error.errno == errno.ELOOP else error.strerror or str(error)
        return f"cannot write {self._path}: {reason}"
