"""A package in a process of its own, asked over pipes; whatever goes wrong there becomes an error with a reason."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from fer_edge.errors import FerEdgeError

__all__ = ["PeerProcess"]

# Libraries read these when they are loaded and would else start a thread for each core.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception): ")
_REASON_CHARACTERS = 300  # of what a process said last: enough for the error's line, short enough for a table


class PeerProcess:
    """An adapter that has been started and has analysed its first photo.

    Attributes:
        cold_start_ms: from the process' start until the first photo was analysed.
        versions: of Python and the packages that decide the result.
    """

    cold_start_ms: float
    versions: Mapping[str, str]

    def __init__(self, command: Sequence[str], settings: Mapping[str, Any], *, timeout_s: float) -> None:
        """Start it and wait for the first result.

        Args:
            command: the peer's own python and its adapter.
            settings: as peer_protocol.PeerSettings.
            timeout_s: for the start, and for each answer.

        Raises:
            FerEdgeError: the process cannot be started, ends, says something else, or does not answer in time.
        """
        self._timeout_s = timeout_s
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - close() does
        environment = dict(os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(settings["threads"])))
        # What is measured is the environment's own installation, not modules that the caller's shell points to.
        environment.pop("PYTHONPATH", None)
        started_s = time.monotonic()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                encoding="utf-8",
                errors="replace",
                env=environment,
            )
        except OSError as error:
            self._errors.close()
            raise FerEdgeError(f"cannot start {Path(command[0]).name}: {error.strerror or error}") from error
        self._lines: queue.Queue[tuple[float, str]] = queue.Queue()
        self._reader = threading.Thread(target=self._read_lines, daemon=True)
        self._reader.start()
        try:
            self._send(settings)
            arrived_s, answer = self._receive("ready")
            self.versions = {str(name): str(number) for name, number in answer["ready"]["versions"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            self.close()
            raise FerEdgeError("its first answer is not what peer_protocol.py defines") from error
        except BaseException:
            self.close()
            raise
        self.cold_start_ms = 1000 * (arrived_s - started_s)

    def ask(self, request: Mapping[str, Any], key: str) -> Any:
        """Send a request and return the answer, a JSON object that has `key`.

        Raises:
            FerEdgeError: as __init__.
        """
        self._send(request)
        return self._receive(key)[1]

    def end(self) -> int:
        """End the process and return the bytes of its largest resident memory.

        Raises:
            FerEdgeError: as __init__.
        """
        peak_bytes = self.ask({"end": True}, "peak_memory_bytes")["peak_memory_bytes"]
        self.close()
        return int(peak_bytes)

    def close(self) -> None:
        """Stop the process, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    # What was not read by a process that is gone.
                    continue
        self._errors.close()

    def __enter__(self) -> PeerProcess:
        """Return the process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process."""
        self.close()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: it was asked for
        for line in self._process.stdout:
            self._lines.put((time.monotonic(), line))
        self._lines.put((time.monotonic(), ""))

    def _send(self, content: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: it was asked for
        try:
            self._process.stdin.write(json.dumps(content) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            # The answer that does not come tells why.
            return

    def _receive(self, key: str) -> tuple[float, dict[str, Any]]:
        try:
            arrived_s, line = self._lines.get(timeout=self._timeout_s)
        except queue.Empty as error:
            raise FerEdgeError(f"no answer within {self._timeout_s:g} s") from error
        if not line:
            raise FerEdgeError(self._last_words())
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or key not in answer:
            raise FerEdgeError(f"expected an answer in JSON with {key!r}, found {line.strip()[:80]!r}")
        return arrived_s, answer

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
        if not lines:
            return f"the process ended with status {status}"
        # The message of an exception may go on for lines; the first one names it.
        errors = [line for line in lines if _EXCEPTION.match(line)]
        return _for_a_table(errors[-1] if errors else lines[-1])


def _for_a_table(line: str) -> str:
    """Return what a process said in ASCII, short, and without the name of the user's folder: a record is published."""
    plain = line.replace(str(Path.home()), "~").encode("ascii", "ignore").decode()
    return " ".join(plain.split())[:_REASON_CHARACTERS]
