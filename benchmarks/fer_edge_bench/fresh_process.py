"""Work in a process of its own, which starts with nothing loaded: both ends of the exchange.

The job goes in as JSON on standard input, the answer comes back as JSON on standard output. An error that fer-edge
raises on purpose comes back as itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from fer_edge import errors
from fer_edge.errors import FerEdgeError
from fer_edge.typed_json import from_json_types, parse_json, to_json_text

__all__ = ["FreshProcess", "answer_job", "ask_fresh_process", "die_with_parent"]

# Libraries read these when they are loaded and would else start a thread for each core.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
_PARENT_VARIABLE = "FER_EDGE_BENCH_PARENT"
# linux/prctl.h
_PR_SET_PDEATHSIG = 1
# A frame takes below a second, also on a small board.
_LAST_ANSWER_S = 5.0

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class FreshProcess:
    """A module at work in a fresh Python; a context manager that ends it.

    Attributes:
        pid: its process id.
    """

    def __init__(self, module: str, job: Any, *, threads: int, what: str) -> None:
        """Start it.

        Args:
            module: whose `__main__` part calls `answer_job`.
            job: what it shall do, a dataclass.
            threads: that libraries may use there.
            what: the work, as an error names it.
        """
        self._what = what
        self._job = to_json_text(job)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # `-m` looks for modules in the current folder first: let that be one where they belong, not the user's.
            cwd=Path(__file__).resolve().parent.parent,
            env=_environment(threads),
        )
        self.pid = self._process.pid

    def hand_over(self) -> None:
        """Give the process its job now; `answer` does it where this was not called."""
        if self._process.stdin is not None:
            # A process that ended at once reads nothing; `answer` tells why.
            with suppress(BrokenPipeError):
                self._process.stdin.write(self._job)
                self._process.stdin.close()
            self._process.stdin = None

    def answer(self, kind: type[Answer]) -> Answer:
        """Wait, and return the answer as a dataclass of that kind.

        Raises:
            FerEdgeError: what the module raised, or the process ended without an answer.
        """
        self.hand_over()
        return self._reply(kind, None)

    def end(self, kind: type[Answer], *, within_s: float = _LAST_ANSWER_S) -> Answer:
        """Ask the process to end by SIGTERM, and return what it answers to that.

        Args:
            kind: of the answer.
            within_s: how long to wait for it.

        Raises:
            FerEdgeError: as `answer`, or there is no answer in time.
        """
        self._process.terminate()
        return self._reply(kind, within_s)

    def _reply(self, kind: type[Answer], timeout_s: float | None) -> Answer:
        try:
            stdout, stderr = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise FerEdgeError(
                f"{self._what}: expected the process to end within {timeout_s:g} s, found it at work; measure again"
            ) from error
        if self._process.returncode != 0:
            raise FerEdgeError(f"{self._what}: the process {_ending(self._process.returncode)}: {_last_line(stderr)}")
        try:
            reply = json.loads(stdout)
        except ValueError as error:
            raise FerEdgeError(f"{self._what}: the process gave no answer: {_last_line(stderr)}") from error
        if "error" in reply:
            error_kind: type[FerEdgeError] = getattr(errors, reply["error"]["kind"], FerEdgeError)
            raise error_kind(reply["error"]["message"])
        return from_json_types(kind, reply["answer"], self._what)

    def __enter__(self) -> FreshProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                # What a killed process has not read is flushed here, into nothing.
                with suppress(OSError):
                    pipe.close()


def ask_fresh_process(module: str, job: Any, answer_kind: type[Answer], *, threads: int, what: str) -> Answer:
    """Run a module in a fresh Python with a job and return its answer; see FreshProcess."""
    with FreshProcess(module, job, threads=threads, what=what) as process:
        return process.answer(answer_kind)


def answer_job(job_kind: type[Job], work: Callable[[Job], Any]) -> None:
    """Read the job from standard input, do it, and write the answer: what `module` of ask_fresh_process runs."""
    # Engines write to the descriptor of standard output too; it stays free for the answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        answer = to_json_text(work(parse_json(job_kind, sys.stdin.read(), "the job")))
        text = f'{{"answer": {answer}}}'
    except FerEdgeError as error:
        text = json.dumps({"error": {"kind": type(error).__name__, "message": str(error)}})
    with answers:
        answers.write(text)


def die_with_parent() -> None:
    """Let Linux kill this process when the one that started it is gone, however that ended.

    To be called in a process that FreshProcess started, after its start has been timed. It is the thread that started
    the process whose end counts. Where the system cannot do it nothing changes.
    """
    parent = os.environ.get(_PARENT_VARIABLE)
    if parent is None:
        return
    with suppress(ImportError, AttributeError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    # One that died before has sent nothing.
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGKILL)


def _environment(threads: int) -> dict[str, str]:
    environment = dict(os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    environment[_PARENT_VARIABLE] = str(os.getpid())
    if folders := environment.get("PYTHONPATH"):
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(folder).resolve()) for folder in folders.split(os.pathsep))
    return environment


def _ending(returncode: int) -> str:
    if returncode > 0:
        return f"ended with status {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was ended by signal {-returncode}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
