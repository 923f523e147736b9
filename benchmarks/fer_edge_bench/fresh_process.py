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
from pathlib import Path
from typing import Any, TypeVar

from fer_edge import errors
from fer_edge.errors import FerEdgeError
from fer_edge_bench.typed_json import from_json_types, parse_json, to_json_text

__all__ = ["answer_job", "ask_fresh_process"]

# Libraries read these when they are loaded and would else start a thread for each core.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")

Job = TypeVar("Job")
Answer = TypeVar("Answer")


def ask_fresh_process(module: str, job: Any, answer_kind: type[Answer], *, threads: int, what: str) -> Answer:
    """Run a module in a fresh Python with a job (a dataclass) and return its answer.

    Args:
        module: whose `__main__` part calls `answer_job`.
        job: what it shall do.
        answer_kind: the dataclass it answers with.
        threads: that libraries may use there.
        what: the work, as an error names it.

    Raises:
        FerEdgeError: what the module raised, or the process ended without an answer.
    """
    process = subprocess.run(
        [sys.executable, "-m", module],
        input=to_json_text(job),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        # `-m` looks for modules in the current folder first: let that be one where they belong, not the user's.
        cwd=Path(__file__).resolve().parent.parent,
        env=_environment(threads),
        check=False,
    )
    if process.returncode != 0:
        raise FerEdgeError(f"{what}: the process {_ending(process.returncode)}: {_last_line(process.stderr)}")
    try:
        reply = json.loads(process.stdout)
    except ValueError as error:
        raise FerEdgeError(f"{what}: the process gave no answer: {_last_line(process.stderr)}") from error
    if "error" in reply:
        kind: type[FerEdgeError] = getattr(errors, reply["error"]["kind"], FerEdgeError)
        raise kind(reply["error"]["message"])
    return from_json_types(answer_kind, reply["answer"], what)


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


def _environment(threads: int) -> dict[str, str]:
    environment = dict(os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads)))
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
