"""One ssh connection to a device, and the agent at its other end.

The words of the remote command are constant: the agent, requests and files go through its standard input. So there is
nothing for a remote shell to take apart, and one login serves a whole deployment.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn

from fer_edge.errors import FerEdgeError, IntegrityError, MissingExtraError, OutputError, UsageError

__all__ = ["Connection", "Target", "printable"]

_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
# A name, an alias of ~/.ssh/config, or an address; what begins with "-" would be an option.
_HOST = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|[0-9A-Fa-f:]{2,45}(%[A-Za-z0-9_.-]{1,32})?"
_DESTINATION = re.compile(rf"({_USER}@)?({_HOST})")
# One constant word for any shell; an older Python than the agent can be read by says so.
_BOOTSTRAP = (
    "import sys; v = sys.version_info[:3]; i = sys.stdin.buffer; s = i.read(int(i.readline())); "
    'sys.exit("fer-edge-deploy: Python %d.%d.%d" % v) if v < (3, 10) else exec(compile(s, "agent", "exec"))'
)
_OPTIONS = {
    # No questions: nobody is asked for a password, and an unknown host is refused, whatever a configuration says.
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": "15",
    # A device that has gone is noticed after a minute.
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "4",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RequestTTY": "no",
    "LogLevel": "ERROR",
}
_READY = b'{"fer-edge-deploy": 1}\n'
_MAX_LINE_BYTES = 1 << 20
# What a device's login scripts may print before the agent speaks.
_MAX_GREETING_LINES = 1000
_CLOSING_S = 10.0
_NO_PROGRAM = (126, 127)
_ERRORS: dict[str, type[FerEdgeError]] = {
    "usage": UsageError,
    "integrity": IntegrityError,
    "missing": MissingExtraError,
    "full": OutputError,
    "busy": OutputError,
    "failed": OutputError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to deploy to, and how ssh gets there.

    Attributes:
        destination: "user@host", or "host" alone; an alias of ssh's configuration will do.
        port: of the ssh server; None for what ssh's configuration says.
        config: a file in place of ~/.ssh/config.
        python: the device's Python, a name or an absolute path.

    Raises:
        UsageError: one of them is not what is expected.
    """

    destination: str
    port: int | None = None
    config: Path | None = None
    python: str = "python3"

    def __post_init__(self) -> None:
        if not _DESTINATION.fullmatch(self.destination):
            raise UsageError(f"expected USER@HOST, found {self.destination[:80]!r}")
        if self.port is not None and not 1 <= self.port <= 65535:
            raise UsageError(f"--port: expected 1 to 65535, found {self.port}")
        if self.config is not None and not self.config.is_file():
            raise UsageError(f"--ssh-config: there is no file {self.config}")
        if not re.fullmatch(r"[A-Za-z0-9_/][^\x00-\x1f\x7f]{0,254}", self.python):
            raise UsageError(f"--python: expected a name or an absolute path, found {self.python[:80]!r}")

    def command(self) -> list[str]:
        """Return the words that start the agent."""
        options = [word for key, value in _OPTIONS.items() for word in ("-o", f"{key}={value}")]
        config = ["-F", str(self.config.absolute())] if self.config else []
        port = ["-p", str(self.port)] if self.port else []
        remote = f"exec {shlex.quote(self.python)} -I -c {shlex.quote(_BOOTSTRAP)}"
        return ["ssh", "-T", *config, *port, *options, "--", self.destination, remote]


class Connection:
    """The agent on a device, to be asked one thing after another; a context manager.

    Raises:
        MissingExtraError: there is no ssh here, or no Python that will do there.
        OutputError: the device cannot be reached.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        if shutil.which("ssh") is None:
            raise MissingExtraError("deploying needs the program ssh; sudo apt install openssh-client")
        # A file, as nobody reads it while requests are answered.
        self._told: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        try:
            self._process = subprocess.Popen(
                target.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._told
            )
        except BaseException:
            self._told.close()
            raise
        try:
            agent = Path(__file__).with_name("agent.py").read_bytes()
            self._send([f"{len(agent)}\n".encode(), agent])
            for _ in range(_MAX_GREETING_LINES):
                if self._receive() == _READY:
                    return
            raise OutputError(f"{target.destination}: the login prints too much; let it be quiet without a terminal")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the agent ends with its input."""
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        try:
            process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._told.close()

    def ask(self, do: str, *, contents: Iterable[bytes] = (), **parameters: Any) -> dict[str, Any]:
        """Send a request, and what follows it; return what the agent found.

        Raises:
            FerEdgeError: it was refused, of the class that fits; OutputError where the connection has gone.
        """
        self._send([json.dumps({"do": do, **parameters}).encode() + b"\n", *contents])
        try:
            answer = json.loads(self._receive())
            if "refused" not in answer:
                found: dict[str, Any] = answer["found"]
                return found
            kind, message = _ERRORS[answer["refused"]], printable(str(answer["message"]))
            is_full = answer["refused"] == "full"
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise OutputError(f"{self.target.destination}: expected an answer of the agent, found none") from error
        raise kind(f"{self.target.destination}: {message}" + ("; the disk is full, make room on it" if is_full else ""))

    def _send(self, parts: Iterable[bytes]) -> None:
        if self._process.stdin is None:
            raise RuntimeError("a pipe was asked for")
        try:
            for part in parts:
                self._process.stdin.write(part)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._fail()

    def _receive(self) -> bytes:
        if self._process.stdout is None:
            raise RuntimeError("a pipe was asked for")
        line = self._process.stdout.readline(_MAX_LINE_BYTES)
        return line or self._fail()

    def _fail(self) -> NoReturn:
        try:
            code = self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            code = 0
        self._told.seek(0)
        told = self._told.read(_MAX_LINE_BYTES).decode(errors="replace")
        raise _connection_error(self.target, code, told)


def _connection_error(target: Target, code: int, told: str) -> FerEdgeError:
    """Return what ended a connection, from ssh's exit code and what it told."""
    where, host = target.destination, target.destination.rpartition("@")[2]
    lines = [printable(line.strip()) for line in told.splitlines() if line.strip()]
    last = lines[-1] if lines else f"ssh ended with {code}"
    if found := re.search(r"fer-edge-deploy: Python ([\d.]+)", told):
        return MissingExtraError(
            f"{where}: expected Python 3.10 or newer as {target.python}, found {found[1]}; name another with --python"
        )
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in told:
        return OutputError(
            f"{where}: the host's key is not the one that is known; find out why, then ssh-keygen -R {host}"
        )
    if "Host key verification failed" in told or "host key is known" in told:
        return OutputError(
            f"{where}: the host's key is not known; connect once by hand and compare its fingerprint: ssh {where}"
        )
    if "Permission denied" in told and code == 255:
        return OutputError(f"{where}: the login was refused; put your key there: ssh-copy-id {where}")
    if code in _NO_PROGRAM:
        return MissingExtraError(f"{where}: there is no {target.python}; sudo apt install python3 python3-venv")
    if code == 255:
        return OutputError(f"{where}: cannot be reached, or has gone: {last}")
    return OutputError(f"{where}: the agent ended: {last}")


def printable(text: str) -> str:
    """Return text of a device without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
